// For tests of the log: a manager on a disk in memory, with a clock that stands still, and batches to put into it.

import type { Disk, DiskFile } from '../host/disk.ts'
import { ManualClock } from '../host/manual-clock.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { seededRandom } from '../host/random.ts'
import type { TopicId } from '../protocol/ids.ts'
import { type BatchOptions, RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { baseOffset, batchSize, isControl, isTransactional, lastOffset, producerId } from '../protocol/records/batch-header.ts'
import { readControlRecord } from '../protocol/records/control-record.ts'
import type { RecordInput } from '../protocol/records/record.ts'
import { eachBatch } from '../protocol/records/record-batch.ts'
import { defaultLogConfig, type LogConfig } from './log-config.ts'
import type { LogEvent } from './log-event.ts'
import { type LogLimits, LogManager } from './log-manager.ts'
import { defaultLogTuning, type LogTuning } from './log-tuning.ts'
import type { AppendOptions, PartitionLog } from './partition-log.ts'

export const TOPIC_ID = 'MoldauTestTopicId0000A' as TopicId
export const FROM_CLIENT: AppendOptions = { origin: 'client', leaderEpoch: 0 }

export class LogFixture {
  disk: MemoryDisk
  readonly clock = new ManualClock()
  /** Without those that say that all is well. */
  readonly events: LogEvent[] = []
  readonly directory = '/data'
  config: LogConfig
  limits: Partial<LogLimits> = {}
  tuning: LogTuning = defaultLogTuning
  /** Called before each operation on the disk; what it throws is the operation's failure. */
  onDiskCall: (operation: string, path: string) => void = () => {}
  manager!: LogManager

  constructor(config: Partial<LogConfig> = {}, disk = new MemoryDisk()) {
    this.disk = disk
    this.config = { ...defaultLogConfig, ...config }
  }

  async open(): Promise<this> {
    this.manager = await LogManager.open({
      disk: watched(this.disk, (operation, path) => this.onDiskCall(operation, path)),
      clock: this.clock,
      random: seededRandom(1),
      directories: [this.directory],
      identity: { nodeId: 1, clusterId: 'test' },
      config: () => this.config,
      limits: this.limits,
      tuning: () => this.tuning,
      report: (event) => {
        if (event.event !== 'logs-loaded') this.events.push(event)
      },
    })
    return this
  }

  /** The log of partition 0 of topic `t`, made if it is not there. */
  async log(): Promise<PartitionLog> {
    return this.manager.get('t', 0) ?? this.manager.create('t', TOPIC_ID, 0, this.config)
  }

  /** In order, and up again. */
  async restart(): Promise<PartitionLog> {
    await this.manager.close()
    await this.open()
    return this.log()
  }

  /** `kill -9`, and up again. */
  async crash(): Promise<PartitionLog> {
    this.disk = this.disk.kill()
    await this.open()
    return this.log()
  }

  path(name: string): string {
    return `${this.directory}/t-0/${name}`
  }

  async files(suffix = ''): Promise<string[]> {
    const entries = await this.disk.list(`${this.directory}/t-0`)
    return entries
      .map(({ name }) => name)
      .filter((name) => name.endsWith(suffix))
      .sort()
  }

  /** Changes a file behind the log's back. */
  async damage(name: string, change: (contents: Buffer) => Buffer): Promise<void> {
    const contents = await this.disk.readFile(this.path(name))
    await this.disk.replaceFile(this.path(name), change(contents))
  }
}

function watched(disk: Disk, onCall: (operation: string, path: string) => void): Disk {
  return new Proxy(disk, {
    get(_target, operation: keyof Disk) {
      return async (path: string, ...rest: unknown[]) => {
        onCall(operation, path)
        const result = await (disk[operation] as (...args: unknown[]) => Promise<unknown>).call(disk, path, ...rest)
        return operation === 'open' ? watchedFile(result as DiskFile, onCall) : result
      }
    },
  })
}

function watchedFile(file: DiskFile, onCall: (operation: string, path: string) => void): DiskFile {
  return new Proxy(file, {
    get(_target, operation: keyof DiskFile) {
      const member = file[operation]
      if (typeof member !== 'function') return member
      return async (...args: unknown[]) => {
        onCall(operation, file.path)
        return (member as (...args: unknown[]) => Promise<unknown>).apply(file, args)
      }
    },
  })
}

/** A batch of `count` records of some 100 bytes. */
export function batchOf(count: number, options: BatchOptions & { timestamp?: bigint; fill?: number } = {}): Buffer {
  const timestamp = options.timestamp ?? 1_750_000_000_000n
  const records = Array.from({ length: count }, (_, i) => ({
    timestamp,
    key: Buffer.from(`key-${i}`),
    value: Buffer.alloc(90, options.fill ?? i),
  }))
  return batchWith(records, options)
}

export function batchWith(records: readonly RecordInput[], options: BatchOptions = {}): Buffer {
  const builder = new RecordBatchBuilder()
  for (const record of records) builder.append(record)
  return builder.build(options)
}

/** All batches from `from` on, read a few at a time; checks that each read starts where it was asked to. */
export async function readAll(log: PartitionLog, from = log.logStartOffset, maxBytes = 2000): Promise<Buffer[]> {
  const batches: Buffer[] = []
  for (let next = from; next < log.endOffset; ) {
    const { chunks, size } = await log.read(next, { maxBytes, limitOffset: log.endOffset, atLeastOneBatch: true })
    if (size === 0) break
    for (const chunk of chunks) {
      for (const at of eachBatch(chunk)) {
        const batch = Buffer.from(chunk.subarray(at, at + batchSize(chunk, at)))
        if (lastOffset(batch) < next)
          throw new Error(`asked for ${next}, got a batch from ${baseOffset(batch)} to ${lastOffset(batch)}`)
        batches.push(batch)
        next = lastOffset(batch) + 1n
      }
    }
  }
  return batches
}

/** Until all that the log does on its own has been done: on a disk in memory nothing waits for anything but its turn. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 500; i++) await null
}

/** What a consumer of committed records makes of the log, reading a few at a time: the batches of data that it hands on. */
export async function readCommitted(log: PartitionLog, maxBytes = 2000, highWatermark = log.endOffset): Promise<Buffer[]> {
  const limitOffset = log.lastStableOffset(highWatermark)
  const batches: Buffer[] = []
  for (let next = log.logStartOffset; next < limitOffset; ) {
    const { chunks, size, nextOffset } = await log.read(next, { maxBytes, limitOffset, atLeastOneBatch: true })
    if (size === 0) break
    const coming = [...(await log.abortedTransactions(next, nextOffset))]
    const aborted = new Set<bigint>()
    for (const chunk of chunks) {
      for (const at of eachBatch(chunk)) {
        const batch = Buffer.from(chunk.subarray(at, at + batchSize(chunk, at)))
        const id = producerId(batch)
        for (const begun of coming.filter(({ firstOffset }) => firstOffset <= lastOffset(batch))) {
          coming.splice(coming.indexOf(begun), 1)
          aborted.add(begun.producerId)
        }
        if (isControl(batch)) {
          if (readControlRecord(batch)?.type === 'abort') aborted.delete(id)
        } else if (!isTransactional(batch) || !aborted.has(id)) batches.push(batch)
      }
    }
    next = nextOffset
  }
  return batches
}

// One partition of an internal topic as a coordinator's log: records and markers in as batches, records and markers out to be replayed.

import type { Partition } from '../cluster/replication/partition.ts'
import {
  type CoordinatorLog,
  isMarker,
  type LogEntry,
  type LogRecord,
  type Producer,
  type ReplayRecord,
  type TransactionMarker,
} from '../coordinators/runtime/ports.ts'
import type { Clock } from '../host/clock.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { isControl, isTransactional, lastOffset, producerEpoch, producerId } from '../protocol/records/batch-header.ts'
import { endTransactionMarker, readControlRecord } from '../protocol/records/control-record.ts'
import { eachBatch } from '../protocol/records/record-batch.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'

/** Read at a time while loading: offsets.load.buffer.size of Kafka. */
const LOAD_BYTES = 5 * 1024 * 1024

export class PartitionCoordinatorLog implements CoordinatorLog {
  private readonly partition: Partition
  /** Of the leadership that the coordinator has: what it knows is of no use in another. */
  private readonly leaderEpoch: number
  private readonly clock: Clock
  private readonly timeoutMs: number

  /** `timeoutMs`: how long an append may take. */
  constructor(partition: Partition, clock: Clock, timeoutMs: number) {
    this.partition = partition
    this.leaderEpoch = partition.leaderEpoch
    this.clock = clock
    this.timeoutMs = timeoutMs
  }

  async append(entries: readonly LogEntry[]): Promise<void> {
    const batches = batchesOf(entries, BigInt(this.clock.wallMs()))
    const bytes = batches.length === 1 ? batches[0] : Buffer.concat(batches)
    this.requireLeadership()
    const { lastOffset } = this.partition.append(bytes, { origin: 'coordinator' })
    await this.partition.awaitAcks(-1, lastOffset + 1n, this.clock.monotonicMs() + this.timeoutMs)
  }

  private requireLeadership(): void {
    const { partition, leaderEpoch } = this
    if (partition.leader?.leaderEpoch !== leaderEpoch) throw partition.failure ?? new KafkaError('NOT_LEADER_OR_FOLLOWER')
  }

  async load(replay: ReplayRecord, replayMarker: (marker: TransactionMarker) => void): Promise<void> {
    const { log } = this.partition
    const end = log.endOffset
    let next = log.logStartOffset
    while (next < end) {
      const { chunks } = await log.read(next, { maxBytes: LOAD_BYTES, limitOffset: end, atLeastOneBatch: true })
      // Compaction may have left nothing up to the end.
      if (chunks.length === 0) break
      for (const chunk of chunks) {
        for (const at of eachBatch(chunk)) {
          const producer = isTransactional(chunk, at) ? producerOf(chunk, at) : undefined
          if (isControl(chunk, at)) {
            const record = readControlRecord(chunk, at)
            // Compaction may have taken it, with all that it ended.
            if (record !== undefined && record.type !== 'other' && producer !== undefined) {
              const { type: result, coordinatorEpoch } = record
              replayMarker({ ...producer, result, coordinatorEpoch })
            }
          } else {
            for (const { key, value, offset, timestamp } of decodeRecords(chunk, at)) {
              if (key !== null && offset >= next) replay(key, value, offset, timestamp, producer)
            }
          }
          next = lastOffset(chunk, at) + 1n
        }
      }
    }
    this.requireLeadership()
    await this.partition.awaitAcks(-1, end, this.clock.monotonicMs() + this.timeoutMs)
  }
}

/** A marker is a batch of its own; of the records between markers, neighbours of the same producer share one. */
function batchesOf(entries: readonly LogEntry[], timestamp: bigint): Buffer[] {
  const batches: Buffer[] = []
  let run: LogRecord[] = []
  const endRun = () => {
    if (run.length > 0) batches.push(batchOf(run, timestamp))
    run = []
  }
  for (const entry of entries) {
    if (isMarker(entry)) {
      endRun()
      batches.push(endTransactionMarker({ ...entry.marker, timestamp }))
      continue
    }
    if (run.length > 0 && !isSame(run[0].producer, entry.producer)) endRun()
    run.push(entry)
  }
  endRun()
  return batches
}

function batchOf(records: readonly LogRecord[], timestamp: bigint): Buffer {
  const builder = new RecordBatchBuilder()
  for (const { key, value } of records) builder.append({ timestamp, key, value })
  const { producer } = records[0]
  // Nobody counts these, but Kafka's cleaner refuses batches that have a producer without a sequence.
  return builder.build(producer && { ...producer, transactional: true, baseSequence: 0 })
}

function isSame(a: Producer | undefined, b: Producer | undefined): boolean {
  return a?.producerId === b?.producerId && a?.producerEpoch === b?.producerEpoch
}

function producerOf(chunk: Buffer, at: number): Producer {
  return { producerId: producerId(chunk, at), producerEpoch: producerEpoch(chunk, at) }
}

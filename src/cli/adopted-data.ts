// The data directory that is made of what an Apache Kafka has stored: logs and checkpoints copied, metadata written as our own,
// everything opened and read once.

import { constants } from 'node:fs'
import { copyFile, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { logEventLines, METADATA_DIRECTORY } from '../broker/log-event-lines.ts'
import { logConfigOf } from '../broker/topic-log-config.ts'
import { isInternalTopic } from '../cluster/internal-topics.ts'
import type { KraftImage } from '../cluster/kraft-image.ts'
import {
  type ClusterRecord,
  clusterPrefix,
  encodePartition,
  encodeRecord,
  keys,
  newPartition,
  type TopicRecord,
} from '../cluster/metadata-records.ts'
import { EmbeddedStore } from '../cluster/store/embedded-store.ts'
import type { Op } from '../cluster/store/metadata-store.ts'
import { BrokerConfig, NO_CONFIGS, TopicConfig } from '../config/effective.ts'
import { realClock } from '../host/clock.ts'
import { lineLogger } from '../host/logger.ts'
import { realRandom } from '../host/random.ts'
import { realDisk } from '../host/real-disk.ts'
import { scanBatches } from '../log/batch-scan.ts'
import { encodeOffsetCheckpoint, readOffsetCheckpoint } from '../log/checkpoint-file.ts'
import {
  CLEANER_CHECKPOINT,
  EPOCH_CHECKPOINT,
  HIGH_WATERMARK_CHECKPOINT,
  LOG_START_CHECKPOINT,
  logDirectoryName,
  PARTITION_METADATA,
  parseSegmentFileName,
  RECOVERY_POINT_CHECKPOINT,
  SWAP_SUFFIX,
} from '../log/file-names.ts'
import type { NodeIdentity } from '../log/log-directory.ts'
import { LogManager } from '../log/log-manager.ts'
import type { Adoption } from './adoption.ts'
import { AdoptError } from './kafka-directories.ts'

const CHECKPOINTS = [RECOVERY_POINT_CHECKPOINT, LOG_START_CHECKPOINT, HIGH_WATERMARK_CHECKPOINT, CLEANER_CHECKPOINT]
/** Of one commit to the metadata store. */
const OPS_PER_COMMIT = 10_000

/** With all that the checkpoints say of them. */
export async function copyLogs(sources: readonly string[], adoption: Adoption, target: string): Promise<void> {
  await mkdir(target, { recursive: true })
  for (const { topic, partitions } of adoption.topics) {
    for (const [index, { source }] of partitions.entries())
      if (source !== undefined) await copyLog(source, join(target, logDirectoryName(topic.name, index)))
  }
  await copyCheckpoints(sources, adoption, target)
  await realDisk.syncDirectory(target)
}

/** Not linked: ours appends to segments, cuts and renames them. File systems that can share blocks until they change do so. */
async function copyLog(from: string, to: string): Promise<void> {
  await mkdir(to)
  for (const name of filesOf(await readdir(from))) {
    await copyFile(join(from, name), join(to, name), constants.COPYFILE_FICLONE)
    await sync(join(to, name))
  }
  await realDisk.syncDirectory(to)
}

/**
 * Not what waits for its deletion. And not the indexes of the last segment: in Kafka's they are as large as they may become, the rest
 * being zeros, unless she was shut down in order. They are made anew.
 */
function filesOf(names: readonly string[]): string[] {
  const segments = names.map((name) =>
    parseSegmentFileName(name.endsWith(SWAP_SUFFIX) ? name.slice(0, -SWAP_SUFFIX.length) : name),
  )
  const last = segments.reduce((last, file) => (file?.suffix === '.log' && file.baseOffset > last ? file.baseOffset : last), -1n)
  return names.filter((name, i) => {
    const file = segments[i]
    if (file === undefined) return name === EPOCH_CHECKPOINT || name === PARTITION_METADATA
    return file.baseOffset !== last || file.suffix === '.log' || file.suffix === '.snapshot' || name.endsWith(SWAP_SUFFIX)
  })
}

/** What of all log directories concerns what is taken over. */
async function copyCheckpoints(sources: readonly string[], { topics }: Adoption, target: string): Promise<void> {
  for (const name of CHECKPOINTS) {
    const offsets = new Map<string, bigint>()
    for (const source of sources) {
      const path = join(source, name)
      const fail = (error: Error) => {
        throw new AdoptError(error.message)
      }
      for (const [log, offset] of await readOffsetCheckpoint(realDisk, path, fail)) offsets.set(log, offset)
    }
    const entries = topics.flatMap(({ topic, partitions }) =>
      partitions.flatMap(({ source }, partition) => {
        const offset = offsets.get(logDirectoryName(topic.name, partition))
        return source === undefined || offset === undefined ? [] : [{ topic: topic.name, partition, offset }]
      }),
    )
    await realDisk.replaceFile(join(target, name), encodeOffsetCheckpoint(entries))
  }
}

export async function writeMetadata(
  { topics, configs }: Adoption,
  image: KraftImage,
  { clusterId, nodeId }: NodeIdentity,
  target: string,
): Promise<void> {
  const ops: Op[] = []
  const cluster: ClusterRecord = { id: clusterId, epochBase: 0, createdMs: realClock.wallMs() }
  ops.push({ put: keys.cluster, value: encodeRecord(cluster) })
  for (const { topic, partitions } of topics) {
    for (const [index, { leaderEpoch }] of partitions.entries()) {
      // Somebody else leads now.
      const partition = { ...newPartition([nodeId]), leaderEpoch: leaderEpoch + 1 }
      ops.push({ put: keys.partition(topic.id, index), value: encodePartition(partition) })
    }
    const record: TopicRecord = { name: topic.name, partitionCount: partitions.length, internal: isInternalTopic(topic.name) }
    ops.push({ put: keys.name(topic.name), value: encodeRecord({ id: topic.id }) })
    ops.push({ put: keys.topic(topic.id), value: encodeRecord(record) })
  }
  for (const { type, name, values } of configs)
    ops.push({ put: keys.config(type, name), value: encodeRecord({ configs: Object.fromEntries(values) }) })
  // Producers that are known to logs and transactions keep their ids to themselves.
  ops.push({ put: keys.producerIds, value: encodeRecord({ next: String(image.nextProducerId) }) })
  const prefix = clusterPrefix(clusterId)
  const store = await EmbeddedStore.open({ disk: realDisk, directory: join(target, METADATA_DIRECTORY), random: realRandom })
  try {
    for (let at = 0; at < ops.length; at += OPS_PER_COMMIT) {
      const some = ops.slice(at, at + OPS_PER_COMMIT).map((op) => ('put' in op ? { ...op, put: prefix + op.put } : op))
      await store.commit([], some, [])
    }
  } finally {
    await store.close()
  }
}

export interface AdoptedData {
  readonly topics: readonly {
    readonly topic: string
    readonly partitions: number
    readonly offsets: bigint
    readonly bytes: number
  }[]
  /** What is not whole, a line each. */
  readonly damage: readonly string[]
}

/** Opens all logs as a broker would after a crash, which completes what is missing, and reads every byte of them. */
export async function openAndCheck({ topics, configs }: Adoption, identity: NodeIdentity, target: string): Promise<AdoptedData> {
  const overrides = new Map(configs.filter(({ type }) => type === 'topic').map(({ name, values }) => [name, values]))
  const config = (topic: string) => logConfigOf(new TopicConfig(new BrokerConfig(), overrides.get(topic) ?? NO_CONFIGS))
  const logger = lineLogger(
    'text',
    () => realClock.wallMs(),
    (line) => process.stderr.write(line),
  )
  const lines = logEventLines(logger)
  const manager = await LogManager.open({
    disk: realDisk,
    clock: realClock,
    random: realRandom,
    directories: [target],
    identity,
    config,
    report: (event) => {
      // That the logs are looked at is no news here, and damage is said below.
      if (!['logs-loaded', 'index-rebuilt', 'log-failed'].includes(event.event)) lines(event)
    },
  })
  try {
    const damage: string[] = []
    const checked: AdoptedData['topics'][number][] = []
    for (const { topic, partitions } of topics) {
      let bytes = 0
      let offsets = 0n
      for (const [index, { source }] of partitions.entries()) {
        const log = manager.get(topic.name, index)
        if (source === undefined || log === undefined) continue
        if (log.failed !== undefined) damage.push(`${log.name} cannot be served: ${log.failed.message}`)
        for (const segment of log.segments) {
          const problem = await damageOf(segment.path('.log'))
          if (problem !== undefined) damage.push(problem)
        }
        bytes += log.sizeBytes
        offsets += log.endOffset - log.logStartOffset
      }
      checked.push({ topic: topic.name, partitions: partitions.length, offsets, bytes })
    }
    return { topics: checked, damage }
  } finally {
    await manager.close()
  }
}

async function damageOf(path: string): Promise<string | undefined> {
  const file = await realDisk.open(path, 'read')
  try {
    const scan = { from: 0, to: await file.size(), checkCrc: true, minOffset: 0n, visit: () => true }
    const { problem, position } = await scanBatches(file, scan)
    return problem === undefined
      ? undefined
      : `${path} is damaged at position ${position}, what follows cannot be read: ${problem}`
  } finally {
    await file.close()
  }
}

async function sync(path: string): Promise<void> {
  const file = await realDisk.open(path, 'write')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

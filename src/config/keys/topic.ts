// The configuration keys of a topic. Each falls back to a key of the broker, named here with its unit.

import { boolean, double, int, LONG_MAX, list, long, string } from '../definition.ts'

const ms = (name: string) => ({ name, unitMs: 1 })
const minutes = (name: string) => ({ name, unitMs: 60_000 })
const hours = (name: string) => ({ name, unitMs: 3_600_000 })

/** How the broker's keys spell a time, finest unit first: the first that is set counts. */
export const RETENTION_SYNONYMS = [ms('log.retention.ms'), minutes('log.retention.minutes'), hours('log.retention.hours')]
const ROLL_SYNONYMS = [ms('log.roll.ms'), hours('log.roll.hours')]
const ROLL_JITTER_SYNONYMS = [ms('log.roll.jitter.ms'), hours('log.roll.jitter.hours')]
const FLUSH_SYNONYMS = [ms('log.flush.interval.ms'), ms('log.flush.scheduler.interval.ms')]

export const CLEANUP_POLICIES = ['compact', 'delete']
export const COMPRESSION_TYPES = ['uncompressed', 'zstd', 'lz4', 'snappy', 'gzip', 'producer']
export const TIMESTAMP_TYPES = ['CreateTime', 'LogAppendTime']
export const FLUSH_POLICIES = ['group', 'os', 'interval']
/** zlib has levels 1 to 9, and -1 for its own choice; 0 would not compress. */
export const gzipLevel = (level: number) => (level === 0 ? 'must be -1, or a whole number from 1 to 9' : undefined)
export const NO_TIERED_STORAGE = 'it has no tiered storage yet'
export const ONE_LZ4_LEVEL = 'its LZ4 library has one level, the fastest'
export const NO_PREALLOCATION = 'Node cannot reserve room on a disk: files grow as they are written'

const THROTTLED = /^(\*|none|\d+:\d+)$/
const throttledReplicas = (replicas: readonly string[]) =>
  replicas.every((replica) => THROTTLED.test(replica)) ? undefined : "must be '*' or a list of partition:broker"

export const TOPIC_KEYS = {
  'cleanup.policy': list(
    'delete',
    'What becomes of old data: delete whole segments, compact to the last record of each key, or both. Empty: keep everything.',
    { oneOf: CLEANUP_POLICIES, broker: 'log.cleanup.policy' },
  ),
  'compression.gzip.level': int(-1, 'Level used where compression.type is gzip.', {
    min: -1,
    max: 9,
    check: gzipLevel,
    broker: 'compression.gzip.level',
  }),
  'compression.lz4.level': int(9, 'Level used where compression.type is lz4.', {
    min: 1,
    max: 17,
    broker: 'compression.lz4.level',
    honoured: { refused: ONE_LZ4_LEVEL },
  }),
  'compression.type': string(
    'producer',
    'Codec that batches are stored in: a codec, uncompressed, or producer to keep them as they were sent.',
    { oneOf: COMPRESSION_TYPES, broker: 'compression.type' },
  ),
  'compression.zstd.level': int(3, 'Level used where compression.type is zstd.', {
    min: -131072,
    max: 22,
    broker: 'compression.zstd.level',
  }),
  'delete.retention.ms': long(
    86_400_000,
    'How long a tombstone or transaction marker stays after compaction has first seen it.',
    { min: 0, broker: 'log.cleaner.delete.retention.ms' },
  ),
  'file.delete.delay.ms': long(
    60_000,
    'How long the files of a deleted segment stay on disk for readers that are still at them.',
    { min: 0, broker: 'log.segment.delete.delay.ms' },
  ),
  'flush.messages': long(LONG_MAX, 'Records after which the log is flushed to disk.', {
    min: 1,
    broker: 'log.flush.interval.messages',
  }),
  'flush.ms': long(LONG_MAX, 'Longest time that a record waits before the log is flushed to disk.', {
    min: 0,
    broker: FLUSH_SYNONYMS,
  }),
  'flush.policy': string(
    'group',
    'What an acks=all answer has waited for: group, one flush to disk shared by all that wait; interval, a flush every flush.ms; os, the operating system has the data.',
    { oneOf: FLUSH_POLICIES, broker: 'log.flush.policy' },
  ),
  'follower.replication.throttled.replicas': list('', 'Replicas whose fetching is throttled: partition:broker, or * for all.', {
    check: throttledReplicas,
  }),
  'index.interval.bytes': int(4096, 'Bytes of log between two entries of the offset index.', {
    min: 0,
    broker: 'log.index.interval.bytes',
  }),
  'leader.replication.throttled.replicas': list(
    '',
    'Replicas that are served at the throttled rate: partition:broker, or * for all.',
    { check: throttledReplicas },
  ),
  'local.retention.bytes': long(-2, 'Bytes of tiered data kept locally; -2 follows retention.bytes.', {
    min: -2,
    broker: 'log.local.retention.bytes',
    honoured: { refused: NO_TIERED_STORAGE },
  }),
  'local.retention.ms': long(-2, 'How long tiered data is kept locally; -2 follows retention.ms.', {
    min: -2,
    broker: 'log.local.retention.ms',
    honoured: { refused: NO_TIERED_STORAGE },
  }),
  'max.compaction.lag.ms': long(LONG_MAX, 'Longest time that a record may stay out of reach of compaction.', {
    min: 1,
    broker: 'log.cleaner.max.compaction.lag.ms',
  }),
  'max.message.bytes': int(1_048_588, 'Largest batch of records, compressed, with its header.', {
    min: 0,
    broker: 'message.max.bytes',
  }),
  'message.timestamp.after.max.ms': long(3_600_000, "How far ahead of the broker's clock a record's timestamp may be.", {
    min: 0,
    broker: 'log.message.timestamp.after.max.ms',
  }),
  'message.timestamp.before.max.ms': long(LONG_MAX, "How far behind the broker's clock a record's timestamp may be.", {
    min: 0,
    broker: 'log.message.timestamp.before.max.ms',
  }),
  'message.timestamp.type': string('CreateTime', 'Whose time a record carries: that of its creation, or that of its arrival.', {
    oneOf: TIMESTAMP_TYPES,
    broker: 'log.message.timestamp.type',
  }),
  'min.cleanable.dirty.ratio': double('0.5', 'Share of the log that must be uncompacted before it is compacted again.', {
    min: 0,
    max: 1,
    broker: 'log.cleaner.min.cleanable.ratio',
  }),
  'min.compaction.lag.ms': long(0, 'Shortest time that a record stays out of reach of compaction.', {
    min: 0,
    broker: 'log.cleaner.min.compaction.lag.ms',
  }),
  'min.insync.replicas': int(1, 'In-sync replicas without which acks=all is refused.', {
    min: 1,
    broker: 'min.insync.replicas',
  }),
  preallocate: boolean(false, 'Reserve the whole file of a new segment on disk.', {
    broker: 'log.preallocate',
    honoured: { refused: NO_PREALLOCATION },
  }),
  'remote.log.copy.disable': boolean(false, 'Stop copying to tiered storage.', { honoured: { refused: NO_TIERED_STORAGE } }),
  'remote.log.delete.on.disable': boolean(false, 'Delete tiered data when tiering is switched off.', {
    honoured: { refused: NO_TIERED_STORAGE },
  }),
  'remote.storage.enable': boolean(false, 'Keep old segments in tiered storage.', { honoured: { refused: NO_TIERED_STORAGE } }),
  'retention.bytes': long(-1, 'Bytes of a partition that are kept; -1 for no limit.', { broker: 'log.retention.bytes' }),
  'retention.ms': long(604_800_000, 'How long records are kept; -1 for no limit.', { min: -1, broker: RETENTION_SYNONYMS }),
  'segment.bytes': int(1_073_741_824, 'Size of a segment file: the unit in which old data is deleted or compacted.', {
    min: 1_048_576,
    broker: 'log.segment.bytes',
  }),
  'segment.index.bytes': int(10_485_760, "Largest size of a segment's index files.", {
    min: 4,
    broker: 'log.index.size.max.bytes',
  }),
  'segment.jitter.ms': long(0, 'Random time taken off segment.ms, so that not all partitions roll at once.', {
    min: 0,
    broker: ROLL_JITTER_SYNONYMS,
  }),
  'segment.ms': long(604_800_000, 'Age at which a segment is closed though it is not full.', { min: 1, broker: ROLL_SYNONYMS }),
  'unclean.leader.election.enable': boolean(false, 'Let a replica lead that may lack acknowledged records, rather than none.', {
    broker: 'unclean.leader.election.enable',
    honoured: { accepted: 'a partition has one replica, so there is no other to elect' },
  }),
} as const

// The broker's keys about logs: defaults of topics, cleaning, flushing, directories.

import { boolean, className, double, int, LONG_MAX, list, long, string } from '../definition.ts'
import {
  CLEANUP_POLICIES,
  COMPRESSION_TYPES,
  FLUSH_POLICIES,
  gzipLevel,
  NO_PREALLOCATION,
  NO_TIERED_STORAGE,
  ONE_LZ4_LEVEL,
  TIMESTAMP_TYPES,
} from './topic.ts'

const NO_PLUGINS = 'it runs no Java plug-ins'
const notZero = (time: number | null) => (time === 0 ? 'must be -1, or at least 1' : undefined)

export const STORAGE_KEYS = {
  'alter.config.policy.class.name': className(null, 'Class that judges changes of configuration.', {
    honoured: { refused: NO_PLUGINS },
  }),
  'auto.create.topics.enable': boolean(true, 'Create a topic when a client first asks for it.'),
  'compression.gzip.level': int(-1, 'Default of the topic key of the same name.', {
    min: -1,
    max: 9,
    check: gzipLevel,
    dynamic: 'cluster',
  }),
  'compression.lz4.level': int(9, 'Default of the topic key of the same name.', {
    min: 1,
    max: 17,
    dynamic: 'cluster',
    honoured: { refused: ONE_LZ4_LEVEL },
  }),
  'compression.type': string('producer', 'Default of the topic key of the same name.', {
    oneOf: COMPRESSION_TYPES,
    dynamic: 'cluster',
  }),
  'compression.zstd.level': int(3, 'Default of the topic key of the same name.', { min: -131072, max: 22, dynamic: 'cluster' }),
  'create.topic.policy.class.name': className(null, 'Class that judges new topics.', { honoured: { refused: NO_PLUGINS } }),
  'default.replication.factor': int(1, 'Replicas of a new topic that does not say how many.', { min: 1, max: 32767 }),
  'delete.topic.enable': boolean(true, 'Let topics be deleted.'),
  'log.cleaner.backoff.ms': long(15_000, 'How long the cleaner sleeps when there is nothing to clean.', { min: 0 }),
  'log.cleaner.dedupe.buffer.size': long(134_217_728, "Memory for the cleaner's map of keys, 24 bytes each.", {
    min: 1,
    dynamic: 'cluster',
  }),
  'log.cleaner.delete.retention.ms': long(86_400_000, 'Default of the topic key delete.retention.ms.', {
    min: 0,
    dynamic: 'cluster',
  }),
  'log.cleaner.enable': boolean(true, 'Run the cleaner. Compacted topics grow without bound if not.'),
  'log.cleaner.io.buffer.load.factor': double('0.9', "How full the cleaner's map of keys may get, 0.95 at most.", {
    min: 0.01,
    dynamic: 'cluster',
  }),
  'log.cleaner.io.buffer.size': int(524_288, "Memory for the cleaner's reads and writes.", {
    min: 0,
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'log.cleaner.io.max.bytes.per.second': double('1.7976931348623157E308', "Bound of the cleaner's reads and writes.", {
    min: 1,
    dynamic: 'cluster',
  }),
  'log.cleaner.max.compaction.lag.ms': long(LONG_MAX, 'Default of the topic key max.compaction.lag.ms.', {
    min: 1,
    dynamic: 'cluster',
  }),
  'log.cleaner.min.cleanable.ratio': double('0.5', 'Default of the topic key min.cleanable.dirty.ratio.', {
    min: 0,
    max: 1,
    dynamic: 'cluster',
  }),
  'log.cleaner.min.compaction.lag.ms': long(0, 'Default of the topic key min.compaction.lag.ms.', { min: 0, dynamic: 'cluster' }),
  'log.cleaner.threads': int(1, 'Threads of the cleaner.', { min: 0, dynamic: 'cluster', honoured: 'accepted' }),
  'log.cleanup.policy': list('delete', 'Default of the topic key cleanup.policy.', {
    oneOf: CLEANUP_POLICIES,
    dynamic: 'cluster',
  }),
  'log.dir': string('./data', 'Directory of the data, where log.dirs does not say.'),
  'log.dir.failure.timeout.ms': long(30_000, 'How long a broker may hide a failed directory from its controller.', {
    min: 1,
    honoured: 'accepted',
  }),
  'log.dirs': list(null, 'Directories of the data, separated by commas; log.dir if absent.', { emptyList: false }),
  'log.flush.interval.messages': long(LONG_MAX, 'Default of the topic key flush.messages.', { min: 1, dynamic: 'cluster' }),
  'log.flush.interval.ms': long(null, 'Default of the topic key flush.ms; log.flush.scheduler.interval.ms if absent.', {
    min: 0,
    dynamic: 'cluster',
  }),
  'log.flush.offset.checkpoint.interval.ms': int(60_000, 'How often the recovery point is written down.', { min: 0 }),
  'log.flush.policy': string('group', 'Default of the topic key flush.policy.', { oneOf: FLUSH_POLICIES, dynamic: 'cluster' }),
  'log.flush.scheduler.interval.ms': long(LONG_MAX, 'How often logs are looked through for what flush.ms wants flushed.', {
    min: 0,
  }),
  'log.flush.start.offset.checkpoint.interval.ms': int(60_000, 'How often the log start offsets are written down.', {
    min: 0,
    honoured: 'accepted',
  }),
  'log.index.interval.bytes': int(4096, 'Default of the topic key index.interval.bytes.', { min: 0, dynamic: 'cluster' }),
  'log.index.size.max.bytes': int(10_485_760, 'Default of the topic key segment.index.bytes.', { min: 4, dynamic: 'cluster' }),
  'log.initial.task.delay.ms': long(
    30_000,
    'How long after the start logs are first looked through for what has expired, or sooner.',
    {
      min: 0,
    },
  ),
  'log.local.retention.bytes': long(-2, 'Default of the topic key local.retention.bytes.', {
    min: -2,
    dynamic: 'cluster',
    honoured: { refused: NO_TIERED_STORAGE },
  }),
  'log.local.retention.ms': long(-2, 'Default of the topic key local.retention.ms.', {
    min: -2,
    dynamic: 'cluster',
    honoured: { refused: NO_TIERED_STORAGE },
  }),
  'log.message.timestamp.after.max.ms': long(3_600_000, 'Default of the topic key message.timestamp.after.max.ms.', {
    min: 0,
    dynamic: 'cluster',
  }),
  'log.message.timestamp.before.max.ms': long(LONG_MAX, 'Default of the topic key message.timestamp.before.max.ms.', {
    min: 0,
    dynamic: 'cluster',
  }),
  'log.message.timestamp.type': string('CreateTime', 'Default of the topic key message.timestamp.type.', {
    oneOf: TIMESTAMP_TYPES,
    dynamic: 'cluster',
  }),
  'log.preallocate': boolean(false, 'Default of the topic key preallocate.', {
    dynamic: 'cluster',
    honoured: { refused: NO_PREALLOCATION },
  }),
  'log.retention.bytes': long(-1, 'Default of the topic key retention.bytes.', { dynamic: 'cluster' }),
  'log.retention.check.interval.ms': long(300_000, 'How often logs are looked through for what has expired.', { min: 1 }),
  'log.retention.hours': int(168, 'How long records are kept, in hours; log.retention.minutes and log.retention.ms come first.', {
    min: -1,
    check: notZero,
  }),
  'log.retention.minutes': int(null, 'How long records are kept, in minutes; log.retention.ms comes first.', {
    min: -1,
    check: notZero,
  }),
  'log.retention.ms': long(null, 'How long records are kept; log.retention.minutes if absent. -1 for no limit.', {
    min: -1,
    check: notZero,
    dynamic: 'cluster',
  }),
  'log.roll.hours': int(168, 'Age at which a segment is closed, in hours; log.roll.ms comes first.', { min: 1 }),
  'log.roll.jitter.hours': int(0, 'Default of the topic key segment.jitter.ms, in hours; log.roll.jitter.ms comes first.', {
    min: 0,
  }),
  'log.roll.jitter.ms': long(null, 'Default of the topic key segment.jitter.ms; log.roll.jitter.hours if absent.', {
    min: 0,
    dynamic: 'cluster',
  }),
  'log.roll.ms': long(null, 'Age at which a segment is closed; log.roll.hours if absent.', { min: 1, dynamic: 'cluster' }),
  'log.scrub.interval.ms': long(
    604_800_000,
    'How long after all sealed segments were checked they are checked again. 0 for never.',
    { min: 0, dynamic: 'cluster' },
  ),
  'log.scrub.max.bytes.per.second': long(20_000_000, 'Bound of what that reads, for each data directory.', {
    min: 1,
    dynamic: 'cluster',
  }),
  'log.segment.bytes': int(1_073_741_824, 'Default of the topic key segment.bytes.', { min: 1_048_576, dynamic: 'cluster' }),
  'log.segment.delete.delay.ms': long(60_000, 'Default of the topic key file.delete.delay.ms.', { min: 0, dynamic: 'cluster' }),
  'message.max.bytes': int(1_048_588, 'Default of the topic key max.message.bytes.', { min: 0, dynamic: 'cluster' }),
  'min.insync.replicas': int(1, 'Default of the topic key of the same name.', {
    min: 1,
    dynamic: 'cluster',
  }),
  'num.partitions': int(1, 'Partitions of a new topic that does not say how many.', { min: 1 }),
  'num.recovery.threads.per.data.dir': int(2, 'Threads that recover logs.', { min: 1, dynamic: 'cluster', honoured: 'accepted' }),
  'producer.id.expiration.check.interval.ms': int(600_000, 'How often producers are looked through for what has expired.', {
    min: 1,
  }),
  'producer.id.expiration.ms': int(86_400_000, 'How long a partition remembers an idempotent producer that no longer writes.', {
    min: 1,
    dynamic: 'cluster',
  }),
  'remote.fetch.max.wait.ms': int(500, 'How long a fetch waits for tiered storage.', {
    min: 1,
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'remote.list.offsets.request.timeout.ms': long(30_000, 'How long an offset look-up waits for tiered storage.', {
    min: 1,
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'remote.log.index.file.cache.total.size.bytes': long(1_073_741_824, 'Bytes of tiered indexes kept locally.', {
    min: 1,
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'remote.log.manager.copy.max.bytes.per.second': long(LONG_MAX, 'Bound of copying to tiered storage.', {
    min: 1,
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'remote.log.manager.fetch.max.bytes.per.second': long(LONG_MAX, 'Bound of reading from tiered storage.', {
    min: 1,
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'remote.log.manager.task.interval.ms': long(30_000, 'How often tiering looks for work.', { min: 1, honoured: 'accepted' }),
  'remote.log.metadata.manager.class.name': className(
    'org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager',
    'Class that keeps the metadata of tiered storage.',
    { honoured: { refused: NO_TIERED_STORAGE } },
  ),
  'remote.log.reader.threads': int(10, 'Threads that read from tiered storage.', {
    min: 1,
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
  'remote.log.storage.manager.class.name': className(null, 'Class that reaches tiered storage.', {
    honoured: { refused: NO_TIERED_STORAGE },
  }),
  'remote.log.storage.system.enable': boolean(false, 'Have tiered storage.', { honoured: { refused: NO_TIERED_STORAGE } }),
  'transaction.partition.verification.enable': boolean(
    true,
    "Ask the coordinator before a transaction's first write to a partition, also where the producer has added the partition itself.",
    { dynamic: 'cluster' },
  ),
  'unclean.leader.election.enable': boolean(false, 'Default of the topic key of the same name.', {
    dynamic: 'cluster',
    honoured: 'accepted',
  }),
} as const

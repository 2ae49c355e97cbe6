// From a topic's effective configuration to how its logs are kept.

import type { TopicConfig } from '../config/effective.ts'
import type { CompressionType, FlushPolicy, LogConfig } from '../log/log-config.ts'

/** int64 keys fit a number wherever they mean something: the largest stand for "no limit". */
export function logConfigOf(topic: TopicConfig): LogConfig {
  const policies = topic.get('cleanup.policy')
  return {
    deletes: policies.includes('delete'),
    compacts: policies.includes('compact'),
    retentionMs: Number(topic.get('retention.ms')),
    retentionBytes: Number(topic.get('retention.bytes')),
    segmentBytes: topic.get('segment.bytes'),
    segmentMs: Number(topic.get('segment.ms')),
    segmentJitterMs: Number(topic.get('segment.jitter.ms')),
    segmentIndexBytes: topic.get('segment.index.bytes'),
    indexIntervalBytes: topic.get('index.interval.bytes'),
    maxMessageBytes: topic.get('max.message.bytes'),
    compressionType: topic.get('compression.type') as CompressionType,
    compressionGzipLevel: topic.get('compression.gzip.level'),
    compressionZstdLevel: topic.get('compression.zstd.level'),
    messageTimestampType: topic.get('message.timestamp.type') as LogConfig['messageTimestampType'],
    messageTimestampBeforeMaxMs: Number(topic.get('message.timestamp.before.max.ms')),
    messageTimestampAfterMaxMs: Number(topic.get('message.timestamp.after.max.ms')),
    deleteRetentionMs: Number(topic.get('delete.retention.ms')),
    minCompactionLagMs: Number(topic.get('min.compaction.lag.ms')),
    maxCompactionLagMs: Number(topic.get('max.compaction.lag.ms')),
    minCleanableDirtyRatio: topic.get('min.cleanable.dirty.ratio'),
    flushPolicy: topic.get('flush.policy') as FlushPolicy,
    flushMessages: Number(topic.get('flush.messages')),
    flushMs: Number(topic.get('flush.ms')),
    fileDeleteDelayMs: Number(topic.get('file.delete.delay.ms')),
  }
}

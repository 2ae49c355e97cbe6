// How one log is kept: what the topic's configuration says, with units in the names. Names, meanings and defaults are Kafka's;
// the broker resolves topic, broker and default values into one of these per topic.

export type FlushPolicy = 'group' | 'os' | 'interval'
export type CompressionType = 'producer' | 'uncompressed' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

export interface LogConfig {
  /** cleanup.policy holds `delete`: segments go by age and size. */
  readonly deletes: boolean
  /** cleanup.policy holds `compact`: of each key only the last record stays, so every record needs one. */
  readonly compacts: boolean
  /** -1: for ever. */
  readonly retentionMs: number
  /** -1: any size. */
  readonly retentionBytes: number
  readonly segmentBytes: number
  readonly segmentMs: number
  readonly segmentJitterMs: number
  readonly segmentIndexBytes: number
  readonly indexIntervalBytes: number
  readonly maxMessageBytes: number
  readonly compressionType: CompressionType
  readonly compressionGzipLevel: number
  readonly compressionZstdLevel: number
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime'
  readonly messageTimestampBeforeMaxMs: number
  readonly messageTimestampAfterMaxMs: number
  readonly deleteRetentionMs: number
  readonly minCompactionLagMs: number
  readonly maxCompactionLagMs: number
  readonly minCleanableDirtyRatio: number
  readonly flushPolicy: FlushPolicy
  /** Under `os` and `interval`: a sync after so many records, and so many milliseconds after a write. */
  readonly flushMessages: number
  readonly flushMs: number
  readonly fileDeleteDelayMs: number
}

/** How Kafka writes "no limit" in an int64. As a number it is rounded, which no comparison with it notices. */
export const UNLIMITED = Number(9223372036854775807n)

/** `flush.policy=interval` with flush.ms unlimited: what a power cut may take. */
export const DEFAULT_FLUSH_INTERVAL_MS = 100

export const defaultLogConfig: LogConfig = {
  deletes: true,
  compacts: false,
  retentionMs: 604_800_000,
  retentionBytes: -1,
  segmentBytes: 1_073_741_824,
  segmentMs: 604_800_000,
  segmentJitterMs: 0,
  segmentIndexBytes: 10_485_760,
  indexIntervalBytes: 4096,
  maxMessageBytes: 1_048_588,
  compressionType: 'producer',
  compressionGzipLevel: -1,
  compressionZstdLevel: 3,
  messageTimestampType: 'CreateTime',
  messageTimestampBeforeMaxMs: UNLIMITED,
  messageTimestampAfterMaxMs: 3_600_000,
  deleteRetentionMs: 86_400_000,
  minCompactionLagMs: 0,
  maxCompactionLagMs: UNLIMITED,
  minCleanableDirtyRatio: 0.5,
  flushPolicy: 'group',
  flushMessages: UNLIMITED,
  flushMs: UNLIMITED,
  fileDeleteDelayMs: 60_000,
}

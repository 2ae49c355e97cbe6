// What may change about all logs of a broker while it runs. Asked for each time it is needed.

export interface ScrubSettings {
  /** From the end of a pass to the beginning of the next. 0: never. (log.scrub.interval.ms) */
  readonly intervalMs: number
  /** Of each directory. (log.scrub.max.bytes.per.second) */
  readonly maxBytesPerSecond: number
}

export interface CleanerSettings {
  /** Keys of the log that is being compacted (log.cleaner.dedupe.buffer.size): 24 bytes each, taken as they are needed. */
  readonly mapBytes: number
  /** How full that may get. (log.cleaner.io.buffer.load.factor) */
  readonly loadFactor: number
  /** Read and written. (log.cleaner.io.max.bytes.per.second) */
  readonly maxBytesPerSecond: number
}

export interface LogTuning {
  /** producer.id.expiration.ms */
  readonly producerIdExpirationMs: number
  readonly scrub: ScrubSettings
  readonly cleaner: CleanerSettings
}

export const defaultLogTuning: LogTuning = {
  producerIdExpirationMs: 86_400_000,
  scrub: { intervalMs: 604_800_000, maxBytesPerSecond: 20_000_000 },
  cleaner: { mapBytes: 128 * 1024 * 1024, loadFactor: 0.9, maxBytesPerSecond: Number.MAX_VALUE },
}

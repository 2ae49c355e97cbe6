// The names of files in a log directory. All of them are Kafka's.

/** The directory of a log, within its log directory. */
export function logDirectoryName(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

/** Undefined for what is not the directory of a log. */
export function parseLogDirectoryName(name: string): { topic: string; partition: number } | undefined {
  const match = /^(.+)-(\d{1,10})$/.exec(name)
  if (match === null || Number(match[2]) > 0x7fffffff) return undefined
  return { topic: match[1], partition: Number(match[2]) }
}

/** Twenty digits, so that names sort as offsets do. */
export function segmentFileName(baseOffset: bigint, suffix: SegmentSuffix): string {
  return baseOffset.toString().padStart(20, '0') + suffix
}

export type SegmentSuffix = '.log' | '.index' | '.timeindex' | '.snapshot' | '.txnindex'

export function parseSegmentFileName(name: string): { baseOffset: bigint; suffix: SegmentSuffix } | undefined {
  const match = /^(\d{20})(\.log|\.index|\.timeindex|\.snapshot|\.txnindex)$/.exec(name)
  return match === null ? undefined : { baseOffset: BigInt(match[1]), suffix: match[2] as SegmentSuffix }
}

/** A segment's file that waits for its deletion. */
export const DELETED_SUFFIX = '.deleted'
/** A file of a cleaned segment: not complete, and complete but not yet in place. */
export const CLEANED_SUFFIX = '.cleaned'
export const SWAP_SUFFIX = '.swap'
/** Left by a replacement of a file that a crash cut short. */
export const TEMPORARY_SUFFIX = '.tmp'

const NAME_LIMIT = 255

/** The name that a log's directory takes when the log is deleted: its files are removed later. */
export function deletedLogDirectoryName(name: string, id: string): string {
  const suffix = `.${id}-delete`
  return name.slice(0, NAME_LIMIT - suffix.length) + suffix
}

export const isDeletedLogDirectory = (name: string): boolean => /\.[0-9a-zA-Z_-]+-delete$/.test(name)

/** The name that a log's directory takes when no topic of this broker owns it: it is kept, and not looked at. */
export function strayLogDirectoryName(topic: string, partition: number, id: string): string {
  const suffix = `-${partition}.${id}-stray`
  return topic.slice(0, NAME_LIMIT - suffix.length) + suffix
}

export const isStrayLogDirectory = (name: string): boolean => /-\d+\.[0-9a-zA-Z_-]+-stray$/.test(name)

export const EPOCH_CHECKPOINT = 'leader-epoch-checkpoint'
export const PARTITION_METADATA = 'partition.metadata'
export const RECOVERY_POINT_CHECKPOINT = 'recovery-point-offset-checkpoint'
export const LOG_START_CHECKPOINT = 'log-start-offset-checkpoint'
export const HIGH_WATERMARK_CHECKPOINT = 'replication-offset-checkpoint'
export const CLEANER_CHECKPOINT = 'cleaner-offset-checkpoint'
export const CLEAN_SHUTDOWN_MARKER = '.kafka_cleanshutdown'
/** Ours alone. */
export const CLEAN_SHUTDOWN_MANIFEST = 'clean-shutdown-manifest'
export const SCRUB_CHECKPOINT = 'scrub-checkpoint'
export const LOCK_FILE = '.lock'
export const META_PROPERTIES = 'meta.properties'
/** Hers alone: the log of her controllers. */
export const KAFKA_METADATA_LOG = '__cluster_metadata-0'

// What a log is made of, and where it stands: shared by partition-log.ts, which appends and reads, and log-changes.ts, which does to a
// log whatever else is done to it.

import type { KafkaError } from '../protocol/error-codes.ts'
import { EPOCH_CHECKPOINT, logDirectoryName } from './file-names.ts'
import { EpochFile } from './leader-epochs.ts'
import type { LogConfig } from './log-config.ts'
import type { LogDirectory } from './log-directory.ts'
import type { LoadedLog } from './log-loader.ts'
import { LogReader, type ReadableLog } from './log-reader.ts'
import type { LogEnvironment, LogIdentity } from './log-types.ts'
import { LogWriter, smaller, type WriterHooks } from './log-writer.ts'
import { encodeProducerSnapshot } from './producer-snapshot.ts'
import type { ProducerState } from './producer-state.ts'
import { SegmentList } from './segment-list.ts'
import { LogTail } from './tail-cache.ts'
import { Turns } from './turns.ts'
import { Verifications } from './verifications.ts'

export class LogParts {
  readonly env: LogEnvironment
  readonly logDirectory: LogDirectory
  readonly identity: LogIdentity
  /** `<topic>-<partition>`. */
  readonly name: string
  /** Where the files lie. Changes when the log is deleted. */
  path: string
  config: LogConfig
  readonly list: SegmentList
  readonly tail = new LogTail()
  readonly reader: LogReader
  readonly writer: LogWriter
  readonly epochs: EpochFile
  /** What is known of those that write idempotently. */
  producers: ProducerState
  readonly verifications: Verifications
  /** The end at which a producer snapshot was last written or found. */
  snapshotOffset: bigint | undefined
  /** Below it compaction has left each key once. */
  cleanedOffset: bigint
  startOffset: bigint
  /** The next to be assigned. */
  nextOffset: bigint
  /** Why nothing can be appended, while or since it cannot. */
  readonly refusals = new Set<KafkaError>()
  /** Why nothing can be read. */
  failure: KafkaError | undefined
  /** The changes that exclude each other: truncation, deletion of segments, compaction's swap. */
  readonly changes = new Turns()
  /** How often the end of the log, or all of it, began or ceased to be cut off. */
  cuts = 0
  /** Segments have been deleted, and a power cut would bring them back. */
  deleting = false

  /** @param log whose parts they are: its reader and its writer ask it */
  constructor(
    log: ReadableLog & WriterHooks,
    env: LogEnvironment,
    logDirectory: LogDirectory,
    identity: LogIdentity,
    config: LogConfig,
    loaded: LoadedLog,
  ) {
    this.env = env
    this.logDirectory = logDirectory
    this.identity = identity
    this.name = logDirectoryName(identity.topic, identity.partition)
    this.path = `${logDirectory.path}/${this.name}`
    this.config = config
    this.list = new SegmentList(env, this.path, loaded.segments, () => encodeProducerSnapshot(this.producers))
    this.epochs = new EpochFile(env.disk, `${this.path}/${EPOCH_CHECKPOINT}`, loaded.epochs)
    this.producers = loaded.producers
    this.verifications = new Verifications(env.clock, () => this.producers)
    this.snapshotOffset = loaded.snapshotOffset
    const cleaned = logDirectory.cleanedOffsets.get(this.name) ?? 0n
    this.cleanedOffset = smaller(cleaned, loaded.endOffset)
    this.startOffset = loaded.logStartOffset
    this.nextOffset = loaded.endOffset
    this.reader = new LogReader(log, env.pool, env.buffers)
    this.writer = new LogWriter(env, this.path, log, env.flushTimer, {
      endOffset: loaded.endOffset,
      active: loaded.segments.at(-1),
    })
  }

  requireReadable(): void {
    if (this.failure !== undefined) throw this.failure
  }

  /** What memory has of its batches, and knows of their positions. */
  forgetBatches(): void {
    this.env.cache.clear(this.tail)
    this.reader.forgetCursors()
  }
}

// The log of one partition: appends that assign offsets, reads from memory and files, its start and its end. Writing is
// log-writer.ts, reading files log-reader.ts, coming up log-loader.ts.

import { DiskError } from '../host/disk.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { TopicId } from '../protocol/ids.ts'
import { lastOffsetDelta, recordCount, stampOffsetAndEpoch } from '../protocol/records/batch-header.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { activate } from './activate-segment.ts'
import { type AppendTarget, appendCopied, appendOwn, appendProduced } from './append.ts'
import { EPOCH_CHECKPOINT, logDirectoryName, segmentFileName } from './file-names.ts'
import { EpochFile } from './leader-epochs.ts'
import type { LogConfig } from './log-config.ts'
import type { LogDirectory } from './log-directory.ts'
import { type LoadedLog, loadProducerState } from './log-loader.ts'
import { LogReader, type ReadableLog } from './log-reader.ts'
import { findCut, removeSnapshots } from './log-truncation.ts'
import {
  type AppendOptions,
  type AppendResult,
  type FoundRecord,
  type LogEnvironment,
  type LogIdentity,
  type LogObserver,
  NOTHING_READ,
  type ReadOptions,
  type ReadResult,
} from './log-types.ts'
import { LogWriter, smaller, type WriterHooks } from './log-writer.ts'
import { encodeProducerSnapshot } from './producer-snapshot.ts'
import type { ActiveProducer, ProducerState } from './producer-state.ts'
import { deletableSegments } from './retention.ts'
import { type Segment, writeUnsynced } from './segment.ts'
import { deleteFirst, putInPlace } from './segment-files.ts'
import { SegmentList } from './segment-list.ts'
import { isDiskFull, onDisk } from './storage-error.ts'
import { LogTail, type TailBatch } from './tail-cache.ts'
import { Turns } from './turns.ts'
import { Verifications } from './verifications.ts'

export type * from './log-types.ts'

export class PartitionLog implements AppendTarget, WriterHooks, ReadableLog {
  readonly topic: string
  readonly topicId: TopicId
  readonly partition: number
  /** `<topic>-<partition>`. */
  readonly name: string
  /** Where the files lie. Changes when the log is deleted. */
  path: string
  observer: LogObserver | undefined
  readonly logDirectory: LogDirectory
  private readonly env: LogEnvironment
  private readonly list: SegmentList
  private readonly tail = new LogTail()
  private readonly reader: LogReader
  private readonly writer: LogWriter
  private readonly epochs: EpochFile
  /** What is known of those that write idempotently. */
  producers: ProducerState
  readonly verifications: Verifications
  /** The end at which a producer snapshot was last written or found. */
  private snapshotOffset: bigint | undefined
  /** Below it compaction has left each key once. */
  cleanedOffset: bigint
  private currentConfig: LogConfig
  private startOffset: bigint
  private nextOffset: bigint
  /** Why nothing can be appended, while or since it cannot. */
  private readonly refusals = new Set<KafkaError>()
  /** Why nothing can be read. */
  private failure: KafkaError | undefined
  /** The changes that exclude each other: truncation, deletion of segments, compaction's swap. */
  readonly changes = new Turns()
  /** How often the end of the log, or all of it, began or ceased to be cut off. */
  cuts = 0
  /** Segments have been deleted, and a power cut would bring them back. */
  private deleting = false

  constructor(env: LogEnvironment, logDirectory: LogDirectory, identity: LogIdentity, config: LogConfig, loaded: LoadedLog) {
    this.env = env
    this.logDirectory = logDirectory
    this.topic = identity.topic
    this.topicId = identity.topicId
    this.partition = identity.partition
    this.name = logDirectoryName(identity.topic, identity.partition)
    this.path = `${logDirectory.path}/${this.name}`
    this.currentConfig = config
    this.list = new SegmentList(env, this.path, loaded.segments, () => encodeProducerSnapshot(this.producers))
    this.epochs = new EpochFile(env.disk, `${this.path}/${EPOCH_CHECKPOINT}`, loaded.epochs)
    this.producers = loaded.producers
    this.verifications = new Verifications(env.clock, () => this.producers)
    this.snapshotOffset = loaded.snapshotOffset
    const cleaned = logDirectory.cleanedOffsets.get(this.name) ?? 0n
    this.cleanedOffset = smaller(cleaned, loaded.endOffset)
    this.startOffset = loaded.logStartOffset
    this.nextOffset = loaded.endOffset
    this.reader = new LogReader(this, env.pool, env.buffers)
    this.writer = new LogWriter(env, this.path, this, env.flushTimer, {
      endOffset: loaded.endOffset,
      active: loaded.segments.at(-1),
    })
    if (loaded.damage !== undefined) this.fail(new KafkaError('KAFKA_STORAGE_ERROR', loaded.damage))
  }

  /** In order. Replaced, never changed, when segments come and go. */
  get segments(): readonly Segment[] {
    return this.list.all
  }

  get config(): LogConfig {
    return this.currentConfig
  }

  /** What has been written is held to it, too: from now on somebody may wait for it to be on the disk. */
  set config(config: LogConfig) {
    this.currentConfig = config
    this.writer.syncAsConfigured()
  }

  // ── where it stands ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Of the directory that the log lies in, one of log.dirs. */
  get directory(): string {
    return this.logDirectory.path
  }

  get logStartOffset(): bigint {
    return this.startOffset
  }

  /** The next to be assigned. */
  get endOffset(): bigint {
    return this.nextOffset
  }

  /** All below is in the files: survives the end of this process. */
  get writtenOffset(): bigint {
    return this.writer.writtenOffset
  }

  /** All below is on the disk: survives a power cut. */
  get flushedOffset(): bigint {
    return this.writer.flushedOffset
  }

  /** Recovery scans from here on. */
  get recoveryPoint(): bigint {
    return this.writer.flushedOffset
  }

  /** Bytes appended that are not in the files yet. */
  get pendingBytes(): number {
    return this.writer.pendingBytes
  }

  get sizeBytes(): number {
    return this.list.sizeBytes
  }

  /** The start is not the start of the first segment, so nothing but a checkpoint tells. */
  get startsInSegment(): boolean {
    const empty = this.startOffset > 0n && this.flushedOffset <= this.startOffset
    return empty || this.deleting || this.startOffset > (this.segments[0]?.baseOffset ?? 0n)
  }

  /** -1: none yet. */
  get latestLeaderEpoch(): number {
    return this.epochs.latest
  }

  /** Why the log is not served; undefined if it is. */
  get failed(): KafkaError | undefined {
    return this.failure
  }

  /** As it would come up from its files, with nothing under way. */
  get state(): LoadedLog {
    const { topicId, segments, logStartOffset, endOffset, producers, snapshotOffset, failure } = this
    const { epochs } = this.epochs
    return { topicId, segments, logStartOffset, endOffset, epochs, producers, snapshotOffset, damage: failure?.message }
  }

  // ── appending ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Gives batches their offsets and queues the write: at once, and all of them or none. The bytes become the log's, which
   * stamps them in place.
   * Throws KafkaError: what append.ts says; KAFKA_STORAGE_ERROR.
   */
  append(batches: Buffer, options: AppendOptions): AppendResult {
    if (this.refusals.size > 0) throw this.failure ?? [...this.refusals][0]
    this.logDirectory.requireWritable()
    const nowMs = this.env.clock.wallMs()
    switch (options.origin) {
      case 'client':
        return appendProduced(this, batches, options, nowMs)
      case 'coordinator':
        return appendOwn(this, batches, options, nowMs)
      case 'replica':
        return appendCopied(this, batches, nowMs)
    }
  }

  /** Called by append.ts: the batch has been checked, and gets its place. */
  place(arrived: Buffer, offset: bigint, epoch: number, nowMs: number): void {
    const { bytes, lease } = this.env.cache.hold(arrived)
    stampOffsetAndEpoch(bytes, 0, offset, epoch)
    const last = offset + BigInt(lastOffsetDelta(bytes))
    const segment = this.list.forBatch(bytes, { offset, last, endOffset: this.nextOffset }, this.config, nowMs)
    this.epochs.assign(epoch, offset)
    const aborted = this.producers.update(bytes, 0, nowMs)
    if (aborted !== undefined) segment.aborted.add(aborted)
    this.verifications.update(bytes)
    const position = segment.size
    segment.account(bytes, 0, bytes.length, this.config.indexIntervalBytes)
    this.nextOffset = last + 1n
    const batch: TailBatch = {
      bytes,
      lease,
      baseOffset: offset,
      lastOffset: last,
      records: recordCount(bytes),
      segment,
      position,
      tail: this.tail,
      written: false,
      counted: false,
    }
    this.env.cache.add(batch)
    this.writer.enqueue(batch)
  }

  /** Ends the active segment, unless it is empty: what is in it becomes eligible for deletion and compaction. */
  async roll(): Promise<void> {
    const { active } = this.list
    if (active === undefined || active.size === 0 || this.refusals.size > 0) return
    const segment = this.list.begin(this.nextOffset, this.config, this.env.clock.wallMs())
    await this.writer.moveTo(segment)
    // The next offset is known from the file's name alone.
    await this.env.disk.syncDirectory(this.path)
  }

  /** Resolves when all that has been appended is on the disk, or what lies below `offset`. */
  flush(offset = this.nextOffset): Promise<void> {
    return this.writer.flush(smaller(offset, this.nextOffset))
  }

  // ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Batches from the one that holds `from` on, or the first one behind it. At once where memory has them.
   * Throws, or rejects with, KafkaError: OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
   */
  read(from: bigint, options: ReadOptions): ReadResult | Promise<ReadResult> {
    this.requireReadable()
    if (from < this.startOffset || from > this.nextOffset) {
      throw new KafkaError(
        'OFFSET_OUT_OF_RANGE',
        `${this.name} goes from ${this.startOffset} to ${this.nextOffset}, not to ${from}`,
      )
    }
    if (from >= options.limitOffset) return NOTHING_READ
    const first = this.tail.first
    if (first === undefined || from < first.baseOffset) return this.reader.read(from, options)
    return this.tail.read(from, options)
  }

  /** The first record whose timestamp is at least `timestamp`, if it lies below `limitOffset`. */
  async offsetForTimestamp(timestamp: bigint, limitOffset: bigint): Promise<FoundRecord | undefined> {
    this.requireReadable()
    return this.reader.offsetForTimestamp(timestamp, limitOffset)
  }

  /** The record below `limitOffset` with the largest timestamp, the first of several. */
  async offsetOfMaxTimestamp(limitOffset: bigint): Promise<FoundRecord | undefined> {
    this.requireReadable()
    return this.reader.offsetOfMaxTimestamp(limitOffset)
  }

  // ── transactions ──────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Below it all transactions have ended, by markers that are committed themselves: it is the high watermark, or the first offset of
   * the earliest transaction for which that is not so. `highWatermark` never goes back from call to call.
   */
  lastStableOffset(highWatermark: bigint): bigint {
    const stable = this.producers.transactions.lastStableOffset(highWatermark)
    return stable < this.startOffset ? smaller(this.startOffset, highWatermark) : stable
  }

  /**
   * Aborted transactions with offsets in `from` to `upTo` (not included), which a reader of committed records must be told of. At once
   * where memory has them. Throws, or rejects with, KafkaError KAFKA_STORAGE_ERROR.
   */
  abortedTransactions(from: bigint, upTo: bigint): readonly AbortedTransaction[] | Promise<readonly AbortedTransaction[]> {
    this.requireReadable()
    return this.reader.abortedTransactions(from, upTo)
  }

  /** All producers that are known, as DescribeProducers tells them. */
  activeProducers(): ActiveProducer[] {
    return this.producers.active()
  }

  private requireReadable(): void {
    if (this.failure !== undefined) throw this.failure
  }

  // ── leader epochs ─────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The largest epoch at or below `epoch`, and the offset at which it ended; undefined if none is known, or `epoch` is above
   * them all.
   */
  endOffsetForEpoch(epoch: number): { leaderEpoch: number; endOffset: bigint } | undefined {
    const found = this.epochs.endOffsetFor(epoch, this.nextOffset)
    return found && { leaderEpoch: found.epoch, endOffset: found.endOffset }
  }

  /** The leader epoch in which `offset` was, or would be, written; -1 if it is not known. */
  epochOfOffset(offset: bigint): number {
    return this.epochs.epochOf(offset)
  }

  /** Notes that `epoch` begins at the end of the log: durably before anything is written in it. */
  assignLeaderEpoch(epoch: number): void {
    this.epochs.assign(epoch, this.nextOffset)
  }

  // ── start and end ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** What lies below `offset` is gone, durably when this resolves. Whole segments below it are deleted by retention. */
  async advanceLogStartOffset(offset: bigint): Promise<void> {
    this.requireReadable()
    // Somebody else's word may still be on its way.
    if (offset <= this.startOffset) return onDisk(() => this.logDirectory.saveLogStartOffsets())
    if (offset > this.nextOffset)
      throw new KafkaError('OFFSET_OUT_OF_RANGE', `${this.name} ends at ${this.nextOffset}, below ${offset}`)
    this.startOffset = offset
    await onDisk(() => this.logDirectory.saveLogStartOffsets())
    // What is deleted meanwhile is not in that word.
    this.requireReadable()
    // Not before: of offsets that are there again after a crash, the epochs must be known.
    this.epochs.truncateFromStart(smaller(offset, this.startOffset))
  }

  /**
   * Deletes the oldest segments as far as age, size and the start of the log say, but nothing at or above `limitOffset`.
   * Deleted segments are out of sight at once, and off the disk after file.delete.delay.ms.
   */
  applyRetention(nowMs: number, limitOffset: bigint): Promise<void> {
    return this.changes.take(async () => {
      if (this.failure !== undefined || this.segments.length === 0) return
      const { count, reason } = await deletableSegments(this, nowMs, limitOffset)
      if (count === 0) return
      // The active segment goes too: a new one must carry the offset on.
      if (count === this.segments.length) await this.roll()
      if (this.segments.length <= count) return
      // Whatever goes, a file that carries the offset on is there, and its name durable. No sync of what goes may be under way.
      await this.writer.settleBelow(this.segments[count])
      await this.env.disk.syncDirectory(this.path)
      await this.orFail(() => this.deleteSegments(count, reason))
    })
  }

  private async deleteSegments(count: number, reason: 'time' | 'size' | 'start'): Promise<void> {
    const next = this.segments[count].baseOffset
    if (next > this.startOffset) this.startOffset = next
    this.deleting = true
    const dropped = this.list.dropFirst(count)
    const bytes = dropped.reduce((sum, { size }) => sum + size, 0)
    await deleteFirst(this.env, this.path, dropped, this.config.fileDeleteDelayMs)
    this.deleting = false
    this.epochs.truncateFromStart(next)
    const { topic, partition, startOffset: logStartOffset } = this
    this.env.report({ event: 'segments-deleted', topic, partition, count, bytes, logStartOffset, reason })
  }

  /**
   * Puts a segment in the place of those that it was made from, and that were there when the log had seen `cuts`. A crash leaves the
   * old ones, or the new one.
   * False if they are not there any more: the log was cut, or they had their time.
   */
  swap(replaced: readonly Segment[], cleaned: Segment, cuts: number): Promise<boolean> {
    return this.changes.take(async () => {
      const areThere = this.cuts === cuts && replaced.every((segment) => this.segments.includes(segment))
      if (this.failure !== undefined || !areThere) return false
      // Recovery takes a gap between segments for a loss, where it does not know them to be synced.
      const following = this.segments[this.segments.indexOf(replaced[replaced.length - 1]) + 1]
      const { baseOffset: next } = following
      await this.writer.settleBelow(following)
      if ((this.logDirectory.recoveryPoints.get(this.name) ?? 0n) < next) await this.logDirectory.saveRecoveryPoints()
      await this.orFail(() => putInPlace(this.env, this.path, { replaced, cleaned }, this.config.fileDeleteDelayMs))
      this.list.replace(replaced, cleaned)
      this.reader.forgetCursors()
      this.env.cache.clearBelow(this.tail, next)
      return true
    })
  }

  /** Cuts off everything at or behind `offset`: a follower's way back to where its log and the leader's agree. */
  truncateTo(offset: bigint): Promise<void> {
    return this.changes.take(async () => {
      this.requireReadable()
      const reaches = this.segments.length > 0 && this.segments[0].baseOffset <= offset
      const cut = () => (reaches ? this.cutTo(offset) : this.empty(offset))
      if (offset < this.nextOffset) await this.refusingAppends('is being truncated', cut)
    })
  }

  /** Empties the log, which goes on at `offset`: a follower whose leader has deleted all that it knew. */
  resetTo(offset: bigint): Promise<void> {
    return this.changes.take(async () => {
      this.requireReadable()
      await this.refusingAppends('is being reset', () => this.empty(offset))
    })
  }

  private async empty(offset: bigint): Promise<void> {
    await this.writer.idle()
    this.requireReadable()
    await this.writer.forgetFlushed(0n, () => this.logDirectory.retractRecoveryPoint(this.name, 0n))
    // Nothing is synced from here on that is about to be removed.
    this.writer.restart(0n, undefined)
    this.cuts++
    const dropped = this.list.dropBehind(undefined)
    this.forgetBatches()
    for (const segment of dropped) await segment.removeFiles()
    await removeSnapshots(this.env.disk, this.path, -1n)
    await this.env.disk.syncDirectory(this.path)
    this.producers.clear()
    this.verifications.clear()
    this.snapshotOffset = undefined
    this.epochs.truncateFromEnd(0n)
    this.nextOffset = offset
    this.startOffset = offset
    this.cleanedOffset = 0n
    this.writer.restart(offset, undefined, offset)
    this.cuts++
    await onDisk(() => this.logDirectory.saveLogStartOffsets())
    await onDisk(() => this.logDirectory.saveCleanedOffsets())
  }

  private async refusingAppends(why: string, work: () => Promise<void>): Promise<void> {
    const refusal = new KafkaError('KAFKA_STORAGE_ERROR', `${this.name} ${why}`)
    this.refusals.add(refusal)
    try {
      await this.orFail(work)
    } finally {
      this.refusals.delete(refusal)
    }
  }

  /** What the disk does not let come to its end is half done, and nobody knows how far. */
  private async orFail(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (error instanceof DiskError) this.onSyncFailure(error)
      throw error
    }
  }

  /** With appends refused. Leaves files, indexes and producer state as if nothing had been appended at or behind `offset`. */
  private async cutTo(offset: bigint): Promise<void> {
    await this.writer.idle()
    this.requireReadable()
    // Where the disk has become full meanwhile, less is left.
    offset = smaller(offset, this.nextOffset)
    // One that begins there carries the end, if its files have been made.
    const first = this.list.holding(offset)
    const active = first !== undefined && this.writer.hasEntered(first) ? first : this.list.holding(offset - 1n)
    if (active === undefined) return this.writer.restart(this.nextOffset, undefined)
    const cut = await findCut(this.env.pool, active, offset)
    await this.writer.forgetFlushed(cut.lastEnd, () => this.logDirectory.retractRecoveryPoint(this.name, cut.lastEnd))
    this.cuts++
    this.nextOffset = cut.offset
    const startMoves = this.startOffset > cut.offset
    this.startOffset = smaller(this.startOffset, cut.offset)
    const dirties = this.cleanedOffset > cut.offset
    this.cleanedOffset = smaller(this.cleanedOffset, cut.offset)
    this.writer.restart(cut.offset, active)
    this.forgetBatches()
    for (const segment of this.list.dropBehind(active)) await segment.removeFiles()
    await active.truncate(cut.position, cut.offset)
    await this.env.disk.syncDirectory(this.path)
    await activate(this.env.pool, active)
    this.epochs.truncateFromEnd(cut.offset)
    if (startMoves) await this.logDirectory.saveLogStartOffsets()
    if (dirties) await this.logDirectory.saveCleanedOffsets()
    await removeSnapshots(this.env.disk, this.path, cut.offset)
    const storage = { ...this.env, directory: this.path }
    const loaded = await loadProducerState(storage, this.segments, cut.offset, this.env.clock.wallMs())
    loaded.producers.transactions.keepEnded(this.producers.transactions, cut.offset)
    this.producers = loaded.producers
    this.snapshotOffset = loaded.snapshotOffset
    if (cut.lastEnd < cut.offset) await this.carryEnd()
    this.cuts++
    this.writer.syncAsConfigured()
  }

  /** The log ends in a hole, behind its last batch: a file's name says so, for those offsets have been given to others before. */
  private async carryEnd(): Promise<void> {
    await this.writer.moveTo(this.list.begin(this.nextOffset, this.config, this.env.clock.wallMs()))
    await this.env.disk.syncDirectory(this.path)
    await this.flush()
    await this.logDirectory.saveRecoveryPoints()
  }

  private forgetBatches(): void {
    this.env.cache.clear(this.tail)
    this.reader.forgetCursors()
  }

  // ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Flushes, and leaves the files so that the next start need not read them. Appends are refused from now on. */
  async close(): Promise<void> {
    this.refusals.add(new KafkaError('KAFKA_STORAGE_ERROR', `${this.name} is closed`))
    await this.changes.take(async () => {
      if (this.failure !== undefined) return
      await this.flush()
      await this.writer.idle()
      await this.writer.syncSealed()
      await this.beforeWrite()
      const { active } = this.list
      if (active !== undefined && this.snapshotOffset !== this.nextOffset) {
        active.seal()
        await active.syncIndexes()
        const path = `${this.path}/${segmentFileName(this.nextOffset, '.snapshot')}`
        await writeUnsynced(this.env.disk, path, encodeProducerSnapshot(this.producers))
        this.snapshotOffset = this.nextOffset
      }
    })
  }

  /** The log is no more: whoever waits for it or asks for it hears `error`. Resolves when none of its files are in use. */
  async abandon(error: KafkaError): Promise<void> {
    this.fail(error)
    await this.changes.over()
    await this.writer.idle()
    for (const segment of this.segments) segment.forgetFiles()
  }

  /** Called by the log's directory when the disk fails. */
  fail(error: KafkaError): void {
    if (this.failure !== undefined) return
    this.failure = error
    this.refusals.add(error)
    this.writer.stop(error)
    this.forgetBatches()
    this.observer?.onFailure(this, error)
  }

  // ── what the writer and the reader ask and tell ───────────────────────────────────────────────────────────────────

  beforeWrite(): Promise<void> | undefined {
    return this.epochs.saveIfChanged()
  }

  onWritten(): void {
    this.observer?.onWritten(this)
  }

  onFlushed(): void {
    this.observer?.onFlushed(this)
  }

  onWriteFailure(error: Error): void {
    if (this.failure !== undefined) return
    if (!isDiskFull(error)) return this.logDirectory.fail(error)
    this.logDirectory.becomeFull(error)
    // What was queued never got its place. What is in the file stays, and so do those who read it.
    this.nextOffset = this.writer.writtenOffset
    this.forgetBatches()
    const refusal = new KafkaError('KAFKA_STORAGE_ERROR', `the disk of ${this.directory} is full`, { cause: error })
    this.refusals.add(refusal)
    this.observer?.onDiscarded(this, refusal)
    this.changes
      .take(() => this.cutTo(this.nextOffset))
      .then(
        () => this.refusals.delete(refusal),
        (error) => this.onSyncFailure(error),
      )
  }

  onSyncFailure(error: Error): void {
    if (this.failure === undefined) this.logDirectory.fail(error)
  }

  onCorrupt(segment: Segment, position: number, reason: string): void {
    const { topic, partition } = this
    this.env.report({ event: 'corrupt-batch', topic, partition, file: segment.path('.log'), position, reason })
  }
}

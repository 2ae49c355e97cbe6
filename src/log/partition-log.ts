// The log of one partition, as everybody knows it: appends that assign offsets, reads from memory and files. Writing is log-writer.ts,
// reading files log-reader.ts, coming up log-loader.ts, and what else is done to a log log-changes.ts.

import { KafkaError } from '../protocol/error-codes.ts'
import type { TopicId } from '../protocol/ids.ts'
import { lastOffsetDelta, recordCount, stampOffsetAndEpoch } from '../protocol/records/batch-header.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { type AppendTarget, appendCopied, appendOwn, appendProduced } from './append.ts'
import { segmentFileName } from './file-names.ts'
import { LogChanges } from './log-changes.ts'
import type { LogConfig } from './log-config.ts'
import type { LogDirectory } from './log-directory.ts'
import type { LoadedLog } from './log-loader.ts'
import { LogParts } from './log-parts.ts'
import type { ReadableLog } from './log-reader.ts'
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
import { smaller, type WriterHooks } from './log-writer.ts'
import { encodeProducerSnapshot } from './producer-snapshot.ts'
import type { ActiveProducer, ProducerState } from './producer-state.ts'
import { type Segment, writeUnsynced } from './segment.ts'
import { isDiskFull } from './storage-error.ts'
import type { TailBatch } from './tail-cache.ts'
import type { Turns } from './turns.ts'
import type { Verifications } from './verifications.ts'

export type * from './log-types.ts'

export class PartitionLog implements AppendTarget, WriterHooks, ReadableLog {
  readonly topic: string
  readonly topicId: TopicId
  readonly partition: number
  /** `<topic>-<partition>`. */
  readonly name: string
  readonly logDirectory: LogDirectory
  observer: LogObserver | undefined
  private readonly parts: LogParts
  private readonly changing: LogChanges

  constructor(env: LogEnvironment, logDirectory: LogDirectory, identity: LogIdentity, config: LogConfig, loaded: LoadedLog) {
    this.topic = identity.topic
    this.topicId = identity.topicId
    this.partition = identity.partition
    this.logDirectory = logDirectory
    this.parts = new LogParts(this, env, logDirectory, identity, config, loaded)
    this.name = this.parts.name
    this.changing = new LogChanges(this.parts)
    if (loaded.damage !== undefined) this.fail(new KafkaError('KAFKA_STORAGE_ERROR', loaded.damage))
  }

  /** In order. Replaced, never changed, when segments come and go. */
  get segments(): readonly Segment[] {
    return this.parts.list.all
  }

  get config(): LogConfig {
    return this.parts.config
  }

  /** What has been written is held to it, too: from now on somebody may wait for it to be on the disk. */
  set config(config: LogConfig) {
    this.parts.config = config
    this.parts.writer.syncAsConfigured()
  }

  /** What is known of those that write idempotently. */
  get producers(): ProducerState {
    return this.parts.producers
  }

  get verifications(): Verifications {
    return this.parts.verifications
  }

  // ── where it stands ───────────────────────────────────────────────────────────────────────────────────────────────

  /** Of the directory that the log lies in, one of log.dirs. */
  get directory(): string {
    return this.logDirectory.path
  }

  /** Where the files lie. Changes when the log is deleted. */
  get path(): string {
    return this.parts.path
  }

  set path(path: string) {
    this.parts.path = path
  }

  get logStartOffset(): bigint {
    return this.parts.startOffset
  }

  /** The next to be assigned. */
  get endOffset(): bigint {
    return this.parts.nextOffset
  }

  /** Below it compaction has left each key once. */
  get cleanedOffset(): bigint {
    return this.parts.cleanedOffset
  }

  set cleanedOffset(offset: bigint) {
    this.parts.cleanedOffset = offset
  }

  /** The changes that exclude each other: truncation, deletion of segments, compaction's swap. */
  get changes(): Turns {
    return this.parts.changes
  }

  /** How often the end of the log, or all of it, began or ceased to be cut off. */
  get cuts(): number {
    return this.parts.cuts
  }

  /** All below is in the files: survives the end of this process. */
  get writtenOffset(): bigint {
    return this.parts.writer.writtenOffset
  }

  /** All below is on the disk: survives a power cut. */
  get flushedOffset(): bigint {
    return this.parts.writer.flushedOffset
  }

  /** Recovery scans from here on. */
  get recoveryPoint(): bigint {
    return this.parts.writer.flushedOffset
  }

  /** Bytes appended that are not in the files yet. */
  get pendingBytes(): number {
    return this.parts.writer.pendingBytes
  }

  get sizeBytes(): number {
    return this.parts.list.sizeBytes
  }

  /** The start is not the start of the first segment, so nothing but a checkpoint tells. */
  get startsInSegment(): boolean {
    const { startOffset, deleting } = this.parts
    const empty = startOffset > 0n && this.flushedOffset <= startOffset
    return empty || deleting || startOffset > (this.segments[0]?.baseOffset ?? 0n)
  }

  /** -1: none yet. */
  get latestLeaderEpoch(): number {
    return this.parts.epochs.latest
  }

  /** Why the log is not served; undefined if it is. */
  get failed(): KafkaError | undefined {
    return this.parts.failure
  }

  /** As it would come up from its files, with nothing under way. */
  get state(): LoadedLog {
    const { topicId, segments, logStartOffset, endOffset, producers } = this
    const { snapshotOffset, failure } = this.parts
    const { epochs } = this.parts.epochs
    return { topicId, segments, logStartOffset, endOffset, epochs, producers, snapshotOffset, damage: failure?.message }
  }

  // ── appending ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Gives batches their offsets and queues the write: at once, and all of them or none. The bytes become the log's, which
   * stamps them in place.
   * Throws KafkaError: what append.ts says; KAFKA_STORAGE_ERROR.
   */
  append(batches: Buffer, options: AppendOptions): AppendResult {
    const { refusals, failure, env } = this.parts
    if (refusals.size > 0) throw failure ?? [...refusals][0]
    this.logDirectory.requireWritable()
    const nowMs = env.clock.wallMs()
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
    const { parts } = this
    const { env, config, tail } = parts
    const { bytes, lease } = env.cache.hold(arrived)
    stampOffsetAndEpoch(bytes, 0, offset, epoch)
    const last = offset + BigInt(lastOffsetDelta(bytes))
    const segment = parts.list.forBatch(bytes, { offset, last, endOffset: parts.nextOffset }, config, nowMs)
    parts.epochs.assign(epoch, offset)
    const aborted = parts.producers.update(bytes, 0, nowMs)
    if (aborted !== undefined) segment.aborted.add(aborted)
    parts.verifications.update(bytes)
    const position = segment.size
    segment.account(bytes, 0, bytes.length, config.indexIntervalBytes)
    parts.nextOffset = last + 1n
    const batch: TailBatch = {
      bytes,
      lease,
      baseOffset: offset,
      lastOffset: last,
      records: recordCount(bytes),
      segment,
      position,
      tail,
      written: false,
      counted: false,
    }
    env.cache.add(batch)
    parts.writer.enqueue(batch)
  }

  /** Resolves when all that has been appended is on the disk, or what lies below `offset`. */
  flush(offset = this.parts.nextOffset): Promise<void> {
    return this.parts.writer.flush(smaller(offset, this.parts.nextOffset))
  }

  // ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Batches from the one that holds `from` on, or the first one behind it. At once where memory has them.
   * Throws, or rejects with, KafkaError: OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
   */
  read(from: bigint, options: ReadOptions): ReadResult | Promise<ReadResult> {
    const { parts } = this
    const { startOffset, nextOffset, tail } = parts
    parts.requireReadable()
    if (from < startOffset || from > nextOffset) {
      throw new KafkaError('OFFSET_OUT_OF_RANGE', `${this.name} goes from ${startOffset} to ${nextOffset}, not to ${from}`)
    }
    if (from >= options.limitOffset) return NOTHING_READ
    const { first } = tail
    if (first === undefined || from < first.baseOffset) return parts.reader.read(from, options)
    return tail.read(from, options)
  }

  /** The first record whose timestamp is at least `timestamp`, if it lies below `limitOffset`. */
  async offsetForTimestamp(timestamp: bigint, limitOffset: bigint): Promise<FoundRecord | undefined> {
    this.parts.requireReadable()
    return this.parts.reader.offsetForTimestamp(timestamp, limitOffset)
  }

  /** The record below `limitOffset` with the largest timestamp, the first of several. */
  async offsetOfMaxTimestamp(limitOffset: bigint): Promise<FoundRecord | undefined> {
    this.parts.requireReadable()
    return this.parts.reader.offsetOfMaxTimestamp(limitOffset)
  }

  // ── transactions ──────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Below it all transactions have ended, by markers that are committed themselves: it is the high watermark, or the first offset of
   * the earliest transaction for which that is not so. `highWatermark` never goes back from call to call.
   */
  lastStableOffset(highWatermark: bigint): bigint {
    const { producers, startOffset } = this.parts
    const stable = producers.transactions.lastStableOffset(highWatermark)
    return stable < startOffset ? smaller(startOffset, highWatermark) : stable
  }

  /**
   * Aborted transactions with offsets in `from` to `upTo` (not included), which a reader of committed records must be told of. At once
   * where memory has them. Throws, or rejects with, KafkaError KAFKA_STORAGE_ERROR.
   */
  abortedTransactions(from: bigint, upTo: bigint): readonly AbortedTransaction[] | Promise<readonly AbortedTransaction[]> {
    this.parts.requireReadable()
    return this.parts.reader.abortedTransactions(from, upTo)
  }

  /** All producers that are known, as DescribeProducers tells them. */
  activeProducers(): ActiveProducer[] {
    return this.producers.active()
  }

  // ── leader epochs ─────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * The largest epoch at or below `epoch`, and the offset at which it ended; undefined if none is known, or `epoch` is above
   * them all.
   */
  endOffsetForEpoch(epoch: number): { leaderEpoch: number; endOffset: bigint } | undefined {
    const found = this.parts.epochs.endOffsetFor(epoch, this.parts.nextOffset)
    return found && { leaderEpoch: found.epoch, endOffset: found.endOffset }
  }

  /** The leader epoch in which `offset` was, or would be, written; -1 if it is not known. */
  epochOfOffset(offset: bigint): number {
    return this.parts.epochs.epochOf(offset)
  }

  /** Notes that `epoch` begins at the end of the log: durably before anything is written in it. */
  assignLeaderEpoch(epoch: number): void {
    this.parts.epochs.assign(epoch, this.parts.nextOffset)
  }

  // ── what else is done to it ───────────────────────────────────────────────────────────────────────────────────────

  /** What lies below `offset` is gone, durably when this resolves. Whole segments below it are deleted by retention. */
  advanceLogStartOffset(offset: bigint): Promise<void> {
    return this.changing.advanceStart(offset)
  }

  /**
   * Deletes the oldest segments as far as age, size and the start of the log say, but nothing at or above `limitOffset`.
   * Deleted segments are out of sight at once, and off the disk after file.delete.delay.ms.
   */
  applyRetention(nowMs: number, limitOffset: bigint): Promise<void> {
    return this.changing.applyRetention(nowMs, limitOffset)
  }

  /** Ends the active segment, unless it is empty: what is in it becomes eligible for deletion and compaction. */
  roll(): Promise<void> {
    return this.changing.roll()
  }

  /**
   * Puts a segment in the place of those that it was made from, and that were there when the log had seen `cuts`. A crash leaves the
   * old ones, or the new one.
   * False if they are not there any more: the log was cut, or they had their time.
   */
  swap(replaced: readonly Segment[], cleaned: Segment, cuts: number): Promise<boolean> {
    return this.changing.swap(replaced, cleaned, cuts)
  }

  /** Cuts off everything at or behind `offset`: a follower's way back to where its log and the leader's agree. */
  truncateTo(offset: bigint): Promise<void> {
    return this.changing.truncateTo(offset)
  }

  /** Empties the log, which goes on at `offset`: a follower whose leader has deleted all that it knew. */
  resetTo(offset: bigint): Promise<void> {
    return this.changing.resetTo(offset)
  }

  // ── ends ──────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Flushes, and leaves the files so that the next start need not read them. Appends are refused from now on. */
  async close(): Promise<void> {
    const { parts } = this
    const { env, list, writer } = parts
    parts.refusals.add(new KafkaError('KAFKA_STORAGE_ERROR', `${this.name} is closed`))
    await this.changes.take(async () => {
      if (parts.failure !== undefined) return
      await this.flush()
      await writer.idle()
      await writer.syncSealed()
      await this.beforeWrite()
      if (list.active === undefined || parts.snapshotOffset === parts.nextOffset) return
      list.active.seal()
      await list.active.syncIndexes()
      const path = `${this.path}/${segmentFileName(parts.nextOffset, '.snapshot')}`
      await writeUnsynced(env.disk, path, encodeProducerSnapshot(this.producers))
      parts.snapshotOffset = parts.nextOffset
    })
  }

  /** The log is no more: whoever waits for it or asks for it hears `error`. Resolves when none of its files are in use. */
  async abandon(error: KafkaError): Promise<void> {
    this.fail(error)
    await this.changes.over()
    await this.parts.writer.idle()
    for (const segment of this.segments) segment.forgetFiles()
  }

  /** Called by the log's directory when the disk fails. */
  fail(error: KafkaError): void {
    const { parts } = this
    if (parts.failure !== undefined) return
    parts.failure = error
    parts.refusals.add(error)
    parts.writer.stop(error)
    parts.forgetBatches()
    this.observer?.onFailure(this, error)
  }

  // ── what the writer and the reader ask and tell ───────────────────────────────────────────────────────────────────

  beforeWrite(): Promise<void> | undefined {
    return this.parts.epochs.saveIfChanged()
  }

  onWritten(): void {
    this.observer?.onWritten(this)
  }

  onFlushed(): void {
    this.observer?.onFlushed(this)
  }

  onWriteFailure(error: Error): void {
    if (this.parts.failure !== undefined) return
    if (!isDiskFull(error)) return this.logDirectory.fail(error)
    this.logDirectory.becomeFull(error)
    const refusal = new KafkaError('KAFKA_STORAGE_ERROR', `the disk of ${this.directory} is full`, { cause: error })
    this.changing.discardUnwritten(refusal)
    this.observer?.onDiscarded(this, refusal)
  }

  onSyncFailure(error: Error): void {
    if (this.parts.failure === undefined) this.logDirectory.fail(error)
  }

  onCorrupt(segment: Segment, position: number, reason: string): void {
    const { topic, partition } = this
    this.parts.env.report({ event: 'corrupt-batch', topic, partition, file: segment.path('.log'), position, reason })
  }
}

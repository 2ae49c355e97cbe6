// Brings the batches of one log to its files: one vectored write at a time, which takes all that has queued during the last one
// (group commit), and one sync at a time, shared by all that was written before it began. Batches are queued without a promise.

import type { Clock } from '../host/clock.ts'
import type { FlushTimer } from './flush-timer.ts'
import { DEFAULT_FLUSH_INTERVAL_MS, type LogConfig, UNLIMITED } from './log-config.ts'
import type { Segment, SegmentStorage } from './segment.ts'
import type { TailBatch } from './tail-cache.ts'

/** Bytes of one write: beyond this more of them only make everyone wait longer. */
const GROUP_BYTES = 8 * 1024 * 1024

export interface WriterHooks {
  readonly config: LogConfig
  /** What must be durable before the next batches are written; undefined if all is. */
  beforeWrite(): Promise<void> | undefined
  onWritten(): void
  onFlushed(): void
  /** Nothing is written any more until `restart`. What was queued is lost. */
  onWriteFailure(error: Error): void
  onSyncFailure(error: Error): void
}

/** Offsets are int64. */
const NO_CEILING = 2n ** 63n - 1n

interface Waiter {
  readonly offset: bigint
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

export class LogWriter {
  /** All below is in the files. */
  writtenOffset: bigint
  /** All below is on the disk. Never beyond `writtenOffset`. */
  flushedOffset: bigint
  /** Bytes that wait to be written, or are being written. */
  pendingBytes = 0
  private readonly storage: SegmentStorage & { readonly clock: Clock }
  private readonly directory: string
  private readonly hooks: WriterHooks
  private readonly flushTimer: FlushTimer
  private queue: TailBatch[] = []
  /** The segment last written to. */
  private current: Segment | undefined
  private writing: Promise<void> | undefined
  private flushing: Promise<void> | undefined
  /** In order of their offsets: segments written to since their last sync, and sealed ones whose indexes are not synced yet. */
  private unsynced: Segment[] = []
  /** A file has been created since the directory was last synced. */
  private unsyncedNames = false
  private syncingNames: Promise<void> | undefined
  /** Of complete segments, all of them among `unsynced`. */
  private unsyncedIndexes = false
  /** What the sync under way is about, and its end. */
  private syncing: { readonly segments: readonly Segment[]; readonly done: Promise<void> } | undefined
  private unsyncedRecords = 0
  private cuts = 0
  /** Nothing at or behind it counts as synced, for it is about to be cut off. */
  private ceiling = NO_CEILING
  private wantedOffset = 0n
  private waiters: Waiter[] = []
  private failure: Error | undefined

  constructor(
    storage: SegmentStorage & { readonly clock: Clock },
    directory: string,
    hooks: WriterHooks,
    flushTimer: FlushTimer,
    state: { endOffset: bigint; active: Segment | undefined },
  ) {
    this.storage = storage
    this.directory = directory
    this.hooks = hooks
    this.flushTimer = flushTimer
    this.writtenOffset = state.endOffset
    this.flushedOffset = state.endOffset
    this.current = state.active
    // Whatever is known of its data, its indexes are not on the disk before it is sealed.
    if (state.active !== undefined) this.unsynced.push(state.active)
  }

  enqueue(batch: TailBatch): void {
    this.queue.push(batch)
    this.pendingBytes += batch.bytes.length
    if (this.writing === undefined) {
      // Not at once: what the same turn of the event loop appends, from all connections, goes into the same write.
      this.writing = new Promise<void>((resolve) => this.storage.clock.soon(resolve)).then(() => this.writeQueued())
    }
  }

  /** Whether the files of `segment` have been made. */
  hasEntered(segment: Segment): boolean {
    return this.current !== undefined && segment.baseOffset <= this.current.baseOffset
  }

  /** Goes on to `segment`, though nothing may be to be written to it yet. */
  async moveTo(segment: Segment): Promise<void> {
    // Batches lead there, or further.
    while (this.writing !== undefined && !this.hasEntered(segment)) await this.writing
    if (this.failure !== undefined || this.hasEntered(segment)) return
    this.writing = this.writeQueued(segment)
    await this.writing
  }

  /** Resolves when all below `offset` is durable, which must have been appended. */
  flush(offset: bigint): Promise<void> {
    if (this.failure !== undefined) return Promise.reject(this.failure)
    if (offset <= this.flushedOffset) return Promise.resolve()
    const done = new Promise<void>((resolve, reject) => {
      this.waiters.push({ offset, resolve, reject })
    })
    this.flushTo(offset)
    return done
  }

  /** What lies in front of `segment` is durable when this resolves, and no write to it or sync of it is under way or due. */
  async settleBelow(segment: Segment): Promise<void> {
    // Whoever enters a segment has business with the one before.
    await this.moveTo(segment)
    await this.flush(smaller(segment.baseOffset, this.writtenOffset))
    const isBelow = ({ baseOffset }: Segment) => baseOffset < segment.baseOffset
    while (this.syncing !== undefined && (this.syncing.segments.some(isBelow) || this.unsynced.some(isBelow))) {
      await this.syncing.done
    }
  }

  /** Starts a sync of what is written below `offset`, and of the rest when it is written. */
  flushTo(offset: bigint): void {
    if (offset > this.wantedOffset) this.wantedOffset = offset
    if (this.flushing === undefined && this.failure === undefined && this.syncIsDue()) this.flushing = this.syncWritten()
  }

  /** Resolves when no write or sync is under way. Nothing may be appended meanwhile. */
  async idle(): Promise<void> {
    while (this.writing !== undefined || this.flushing !== undefined) {
      await this.writing
      await this.flushing
    }
  }

  /** With all flushed: sealed segments whose indexes are still to be synced. */
  async syncSealed(): Promise<void> {
    for (const segment of this.unsynced.splice(0)) if (segment !== this.current && !segment.deleted) await segment.syncIndexes()
  }

  /**
   * What lies at or behind `offset` does not count as synced any more, for it is about to be cut off: synced data that is gone must not look
   * like damage, so `retract` makes that durable. If it rejects, nothing has happened. A sync under way counts for nothing.
   */
  async forgetFlushed(offset: bigint, retract: () => Promise<void>): Promise<void> {
    this.flushedOffset = smaller(this.flushedOffset, offset)
    this.ceiling = offset
    this.cuts++
    try {
      await retract()
    } catch (error) {
      this.ceiling = NO_CEILING
      throw error
    }
  }

  /** After the log has been cut to `endOffset`, which is durable. What is left is so below `flushedOffset`; default: as it was. */
  restart(endOffset: bigint, active: Segment | undefined, flushedOffset = smaller(this.flushedOffset, endOffset)): void {
    this.failure = undefined
    this.queue = []
    this.pendingBytes = 0
    this.writtenOffset = endOffset
    this.flushedOffset = flushedOffset
    this.cuts++
    this.ceiling = NO_CEILING
    if (this.wantedOffset > endOffset) this.wantedOffset = endOffset
    this.unsynced = this.unsynced.filter((segment) => segment.baseOffset < endOffset)
    this.current = active
    for (const waiter of this.waiters.splice(0)) {
      if (waiter.offset <= flushedOffset) waiter.resolve()
      else if (waiter.offset <= endOffset) this.waiters.push(waiter)
      else waiter.reject(new Error('the log was cut'))
    }
  }

  /** No write or sync is begun any more; whoever waits hears `error`. */
  stop(error: Error): void {
    this.failure = error
    this.queue = []
    this.pendingBytes = 0
    for (const waiter of this.waiters.splice(0)) waiter.reject(error)
  }

  private async writeQueued(moveTo?: Segment): Promise<void> {
    try {
      if (moveTo !== undefined) await this.enter(moveTo)
      while (this.queue.length > 0 && this.failure === undefined) await this.writeGroup()
    } catch (error) {
      this.stop(error as Error)
      this.hooks.onWriteFailure(error as Error)
    } finally {
      this.writing = undefined
    }
  }

  private async writeGroup(): Promise<void> {
    for (let first = this.hooks.beforeWrite(); first !== undefined; first = this.hooks.beforeWrite()) await first
    if (this.failure !== undefined) return
    const group = this.takeGroup()
    if (group.length === 0) return
    const { segment, position } = group[0]
    if (segment !== this.current) await this.enter(segment)
    await segment.write(chunksOf(group), position)
    if (this.failure !== undefined) return
    const last = group[group.length - 1]
    let bytes = 0
    for (const batch of group) {
      batch.written = true
      bytes += batch.bytes.length
      this.unsyncedRecords += batch.records
    }
    segment.writtenSize = position + bytes
    this.pendingBytes -= bytes
    this.writtenOffset = last.lastOffset + 1n
    if (!this.unsynced.includes(segment)) this.unsynced.push(segment)
    if (segment.shouldSaveIndexes) await segment.saveIndexes()
    last.tail.trim()
    this.hooks.onWritten()
    this.syncAsConfigured()
  }

  /** What waits for the same segment, up to the limit of one write. */
  private takeGroup(): TailBatch[] {
    const queue = this.queue
    if (queue.length === 0) return []
    let count = 0
    let bytes = 0
    while (count < queue.length && queue[count].segment === queue[0].segment && bytes < GROUP_BYTES)
      bytes += queue[count++].bytes.length
    this.queue = count === queue.length ? [] : queue.slice(count)
    return count === queue.length ? queue : queue.slice(0, count)
  }

  /** Writing goes on in a new segment. The one before is complete, and synced whatever the policy: so recovery need not read it. */
  private async enter(segment: Segment): Promise<void> {
    const sealed = this.current
    // Before the snapshot is there, which a recovery takes for a word on the indexes, too.
    if (sealed !== undefined) await sealed.syncIndexes()
    await segment.writeSnapshot()
    // A power cut must not leave a segment behind one that it has taken.
    await this.syncNames()
    await segment.create()
    this.unsyncedNames = true
    this.current = segment
    if (sealed === undefined) return
    // Its data may be on the disk already; its indexes are not.
    if (!this.unsynced.includes(sealed)) this.unsynced.push(sealed)
    this.unsyncedIndexes = true
    this.flushTo(segment.baseOffset)
  }

  /** Begins a sync, or sees to it that there will be one. */
  syncAsConfigured(): void {
    const { flushPolicy, flushMessages, flushMs } = this.hooks.config
    if (flushPolicy === 'group' || this.unsyncedRecords >= flushMessages) {
      this.flushTo(this.writtenOffset)
      return
    }
    const withinMs = flushPolicy === 'interval' && flushMs >= UNLIMITED ? DEFAULT_FLUSH_INTERVAL_MS : flushMs
    if (withinMs < UNLIMITED) this.flushTimer.flushWithin(this, withinMs)
    // Somebody may wait for what has just been written.
    if (this.flushing === undefined && this.syncIsDue()) this.flushing = this.syncWritten()
  }

  /** Resolves when all files created so far have durable names. */
  private async syncNames(): Promise<void> {
    while (this.syncingNames !== undefined) await this.syncingNames
    if (!this.unsyncedNames) return
    this.unsyncedNames = false
    this.syncingNames = this.storage.disk.syncDirectory(this.directory)
    try {
      await this.syncingNames
    } finally {
      this.syncingNames = undefined
    }
  }

  private syncIsDue(): boolean {
    const wanted = smaller(this.wantedOffset, this.ceiling)
    return this.unsyncedIndexes || (wanted > this.flushedOffset && this.writtenOffset > this.flushedOffset)
  }

  private async syncWritten(): Promise<void> {
    try {
      while (this.syncIsDue() && this.failure === undefined) {
        const segments = this.unsynced.filter((segment) => segment.baseOffset < this.wantedOffset)
        const done = this.syncOnce(segments)
        this.syncing = { segments, done }
        await done
      }
    } catch (error) {
      this.stop(error as Error)
      this.hooks.onSyncFailure(error as Error)
    } finally {
      this.syncing = undefined
      this.flushing = undefined
    }
  }

  private async syncOnce(segments: readonly Segment[]): Promise<void> {
    const written = this.writtenOffset
    const current = this.current
    const wanted = this.wantedOffset
    const cuts = this.cuts
    // Only sealed segments are wanted: the active one may wait for its own turn.
    const sealedOnly = current !== undefined && wanted <= current.baseOffset
    this.unsyncedIndexes = false
    this.unsynced = this.unsynced.filter((segment) => segment.baseOffset >= wanted)
    if (!sealedOnly) this.unsyncedRecords = 0
    await this.syncNames()
    for (const segment of segments) {
      await segment.sync()
      if (segment !== current) await segment.syncIndexes()
    }
    if (this.failure !== undefined || this.cuts !== cuts) return
    const synced = smaller(sealedOnly ? smaller(wanted, written) : written, this.ceiling)
    if (synced > this.flushedOffset) this.flushedOffset = synced
    this.hooks.onFlushed()
    let done = 0
    while (done < this.waiters.length && this.waiters[done].offset <= this.flushedOffset) this.waiters[done++].resolve()
    if (done > 0) this.waiters.splice(0, done)
  }
}

/** The bytes of a group, joined where they lie side by side in memory: small batches do, and each chunk costs. */
function chunksOf(group: readonly TailBatch[]): Buffer[] {
  const chunks: Buffer[] = []
  let last: Buffer | undefined
  for (const { bytes } of group) {
    if (last !== undefined && last.buffer === bytes.buffer && last.byteOffset + last.length === bytes.byteOffset) {
      last = Buffer.from(last.buffer, last.byteOffset, last.length + bytes.length)
      chunks[chunks.length - 1] = last
    } else {
      last = bytes
      chunks.push(bytes)
    }
  }
  return chunks
}

/** Math.min is for numbers. */
export function smaller(a: bigint, b: bigint): bigint {
  if (a < b) return a
  return b
}

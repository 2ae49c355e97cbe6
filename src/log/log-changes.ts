// What happens to a log besides appends: its start moves on, segments are sealed, deleted or replaced by what compaction has made of
// them, its end is cut off. A crash at any moment leaves it as it was before, or as it is afterwards.

import { DiskError } from '../host/disk.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { activate } from './activate-segment.ts'
import type { LogParts } from './log-parts.ts'
import { findCut, removeSnapshots } from './log-truncation.ts'
import { smaller } from './log-writer.ts'
import { loadProducerState } from './producer-recovery.ts'
import { deletableSegments } from './retention.ts'
import type { Segment } from './segment.ts'
import { deleteFirst, putInPlace } from './segment-files.ts'
import { onDisk } from './storage-error.ts'

export class LogChanges {
  private readonly parts: LogParts

  constructor(parts: LogParts) {
    this.parts = parts
  }

  private get segments(): readonly Segment[] {
    return this.parts.list.all
  }

  // ── the start ─────────────────────────────────────────────────────────────────────────────────────────────────────

  async advanceStart(offset: bigint): Promise<void> {
    const { parts } = this
    const { logDirectory } = parts
    parts.requireReadable()
    // Somebody else's word may still be on its way.
    if (offset <= parts.startOffset) return onDisk(() => logDirectory.saveLogStartOffsets())
    if (offset > parts.nextOffset)
      throw new KafkaError('OFFSET_OUT_OF_RANGE', `${parts.name} ends at ${parts.nextOffset}, below ${offset}`)
    parts.startOffset = offset
    await onDisk(() => logDirectory.saveLogStartOffsets())
    // What is deleted meanwhile is not in that word.
    parts.requireReadable()
    // Not before: of offsets that are there again after a crash, the epochs must be known.
    parts.epochs.truncateFromStart(smaller(offset, parts.startOffset))
  }

  applyRetention(nowMs: number, limitOffset: bigint): Promise<void> {
    const { parts } = this
    return parts.changes.take(async () => {
      const { segments } = this
      const { config, startOffset: logStartOffset, nextOffset: endOffset } = parts
      if (parts.failure !== undefined || segments.length === 0) return
      const found = await deletableSegments({ segments, config, logStartOffset, endOffset }, nowMs, limitOffset)
      // What the last one has got meanwhile has not had its time.
      const count = found.count === segments.length && parts.nextOffset !== endOffset ? found.count - 1 : found.count
      if (count === 0) return
      // The active segment goes too: a new one must carry the offset on.
      if (count === this.segments.length) await this.roll()
      if (this.segments.length <= count) return
      // Whatever goes, a file that carries the offset on is there, and its name durable. No sync of what goes may be under way.
      await parts.writer.settleBelow(this.segments[count])
      await parts.env.disk.syncDirectory(parts.path)
      await this.orFail(() => this.deleteSegments(count, found.reason))
    })
  }

  private async deleteSegments(count: number, reason: 'time' | 'size' | 'start'): Promise<void> {
    const { parts } = this
    const { env } = parts
    const next = this.segments[count].baseOffset
    if (next > parts.startOffset) parts.startOffset = next
    parts.deleting = true
    const dropped = parts.list.dropFirst(count)
    const bytes = dropped.reduce((sum, { size }) => sum + size, 0)
    await deleteFirst(env, parts.path, dropped, parts.config.fileDeleteDelayMs)
    parts.deleting = false
    parts.epochs.truncateFromStart(next)
    const { topic, partition } = parts.identity
    env.report({ event: 'segments-deleted', topic, partition, count, bytes, logStartOffset: parts.startOffset, reason })
  }

  // ── segments ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async roll(): Promise<void> {
    const { env, list, refusals, writer, nextOffset, config, path } = this.parts
    if (list.active === undefined || list.active.size === 0 || refusals.size > 0) return
    await writer.moveTo(list.begin(nextOffset, config, env.clock.wallMs()))
    // The next offset is known from the file's name alone.
    await env.disk.syncDirectory(path)
  }

  swap(replaced: readonly Segment[], cleaned: Segment, cuts: number): Promise<boolean> {
    const { parts } = this
    const { env, list, logDirectory } = parts
    return parts.changes.take(async () => {
      const areThere = parts.cuts === cuts && replaced.every((segment) => this.segments.includes(segment))
      if (parts.failure !== undefined || !areThere) return false
      // Recovery takes a gap between segments for a loss, where it does not know them to be synced.
      const next = this.segments[this.segments.indexOf(replaced[replaced.length - 1]) + 1]
      await parts.writer.settleBelow(next)
      if ((logDirectory.recoveryPoints.get(parts.name) ?? 0n) < next.baseOffset) await logDirectory.saveRecoveryPoints()
      await this.orFail(() => putInPlace(env, parts.path, { replaced, cleaned }, parts.config.fileDeleteDelayMs))
      list.replace(replaced, cleaned)
      parts.reader.forgetCursors()
      env.cache.clearBelow(parts.tail, next.baseOffset)
      return true
    })
  }

  // ── the end ───────────────────────────────────────────────────────────────────────────────────────────────────────

  truncateTo(offset: bigint): Promise<void> {
    const { parts } = this
    return parts.changes.take(async () => {
      parts.requireReadable()
      const reaches = this.segments.length > 0 && this.segments[0].baseOffset <= offset
      const cut = () => (reaches ? this.cutTo(offset) : this.empty(offset))
      if (offset < parts.nextOffset) await this.refusingAppends('is being truncated', cut)
    })
  }

  resetTo(offset: bigint): Promise<void> {
    const { parts } = this
    return parts.changes.take(async () => {
      parts.requireReadable()
      await this.refusingAppends('is being reset', () => this.empty(offset))
    })
  }

  /** The disk was full. What is not in the file never got its place; what is there stays, and so do those who read it. */
  discardUnwritten(refusal: KafkaError): void {
    const { parts } = this
    parts.nextOffset = parts.writer.writtenOffset
    parts.forgetBatches()
    parts.refusals.add(refusal)
    parts.changes
      .take(() => this.cutTo(parts.nextOffset))
      .then(
        () => parts.refusals.delete(refusal),
        (error) => this.failDirectory(error),
      )
  }

  private async refusingAppends(why: string, work: () => Promise<void>): Promise<void> {
    const { name, refusals } = this.parts
    const refusal = new KafkaError('KAFKA_STORAGE_ERROR', `${name} ${why}`)
    refusals.add(refusal)
    try {
      await this.orFail(work)
    } finally {
      refusals.delete(refusal)
    }
  }

  /** With appends refused. Leaves files, indexes and producer state as if nothing had been appended at or behind `offset`. */
  private async cutTo(offset: bigint): Promise<void> {
    const { parts } = this
    const { env, list, writer, logDirectory, path } = parts
    await writer.idle()
    parts.requireReadable()
    // Where the disk has become full meanwhile, less is left.
    offset = smaller(offset, parts.nextOffset)
    // One that begins there carries the end, if its files have been made.
    const first = list.holding(offset)
    const active = first !== undefined && writer.hasEntered(first) ? first : list.holding(offset - 1n)
    if (active === undefined) return writer.restart(parts.nextOffset, undefined)
    const cut = await findCut(env.pool, active, offset)
    await writer.forgetFlushed(cut.lastEnd, () => logDirectory.retractRecoveryPoint(parts.name, cut.lastEnd))
    parts.cuts++
    parts.nextOffset = cut.offset
    const startMoves = parts.startOffset > cut.offset
    parts.startOffset = smaller(parts.startOffset, cut.offset)
    const dirties = parts.cleanedOffset > cut.offset
    parts.cleanedOffset = smaller(parts.cleanedOffset, cut.offset)
    writer.restart(cut.offset, active)
    parts.forgetBatches()
    for (const segment of list.dropBehind(active)) await segment.removeFiles()
    await active.truncate(cut.position, cut.offset)
    await env.disk.syncDirectory(path)
    await activate(env.pool, active)
    parts.epochs.truncateFromEnd(cut.offset)
    if (startMoves) await logDirectory.saveLogStartOffsets()
    if (dirties) await logDirectory.saveCleanedOffsets()
    await removeSnapshots(env.disk, path, cut.offset)
    const loaded = await loadProducerState({ ...env, directory: path }, this.segments, cut.offset, env.clock.wallMs())
    loaded.producers.transactions.keepEnded(parts.producers.transactions, cut.offset)
    parts.producers = loaded.producers
    parts.snapshotOffset = loaded.snapshotOffset
    if (cut.lastEnd < cut.offset) await this.carryEnd()
    parts.cuts++
    writer.syncAsConfigured()
  }

  /** The log ends in a hole, behind its last batch: a file's name says so, for those offsets have been given to others before. */
  private async carryEnd(): Promise<void> {
    const { env, list, writer, nextOffset, config, path } = this.parts
    await writer.moveTo(list.begin(nextOffset, config, env.clock.wallMs()))
    await env.disk.syncDirectory(path)
    await writer.flush(nextOffset)
    await this.parts.logDirectory.saveRecoveryPoints()
  }

  private async empty(offset: bigint): Promise<void> {
    const { parts } = this
    const { env, writer, logDirectory, path } = parts
    await writer.idle()
    parts.requireReadable()
    await writer.forgetFlushed(0n, () => logDirectory.retractRecoveryPoint(parts.name, 0n))
    // Nothing is synced from here on that is about to be removed.
    writer.restart(0n, undefined)
    parts.cuts++
    const dropped = parts.list.dropBehind(undefined)
    parts.forgetBatches()
    for (const segment of dropped) await segment.removeFiles()
    await removeSnapshots(env.disk, path, -1n)
    await env.disk.syncDirectory(path)
    parts.producers.clear()
    parts.verifications.clear()
    parts.snapshotOffset = undefined
    parts.epochs.truncateFromEnd(0n)
    parts.nextOffset = offset
    parts.startOffset = offset
    parts.cleanedOffset = 0n
    writer.restart(offset, undefined, offset)
    parts.cuts++
    await onDisk(() => logDirectory.saveLogStartOffsets())
    await onDisk(() => logDirectory.saveCleanedOffsets())
  }

  // ── what the disk does not let come to its end ────────────────────────────────────────────────────────────────────

  /** It is half done, and nobody knows how far. */
  private async orFail(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (error instanceof DiskError) this.failDirectory(error)
      throw error
    }
  }

  private failDirectory(error: Error): void {
    if (this.parts.failure === undefined) this.parts.logDirectory.fail(error)
  }
}

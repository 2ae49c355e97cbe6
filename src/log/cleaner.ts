// Compaction of one log: of each key only the last record stays. What is new since the last time tells which records are
// outdated; then all segments but the active one are written anew without them, and put in the place of the old ones. What was
// written in a transaction that was aborted goes, too. Nothing is touched of which that is not decided yet.
// Offsets never change; what stays keeps its batch, its headers and its time.

import { DecodeError } from '../bytes/reader.ts'
import type { Clock } from '../host/clock.ts'
import { DiskError } from '../host/disk.ts'
import { retainRecords } from '../protocol/records/batch-builder.ts'
import {
  BATCH_PREFIX_SIZE,
  baseTimestamp,
  batchSize,
  hasDeleteHorizon,
  isControl,
  lastOffset,
  recordCount,
} from '../protocol/records/batch-header.ts'
import { checkBatch } from '../protocol/records/record-batch.ts'
import { RecordCursor, recordBytes } from '../protocol/records/record-cursor.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { CleanedTransactions } from './cleaned-transactions.ts'
import { CLEANED_SUFFIX } from './file-names.ts'
import { KeyOffsets } from './key-offsets.ts'
import type { LogConfig } from './log-config.ts'
import type { LogEnvironment } from './log-types.ts'
import type { Pace } from './pace.ts'
import type { ProducerState } from './producer-state.ts'
import { Segment } from './segment.ts'

/** Read at a time. */
const READ_BYTES = 64 * 1024
/** Written at a time. */
const WRITE_BYTES = 1024 * 1024
/** Looked at in one turn of the event loop. */
const RECORDS_PER_TURN = 512
/** Offsets relative to a segment's base are 32 bits, signed. */
const INT32_MAX = 0x7fffffffn

/** What the cleaner needs of a log. */
export interface CleanableLog {
  readonly path: string
  readonly config: LogConfig
  readonly segments: readonly Segment[]
  readonly logStartOffset: bigint
  /** Below it each key stands once. */
  cleanedOffset: bigint
  readonly producers: ProducerState
  lastStableOffset(highWatermark: bigint): bigint
  abortedTransactions(from: bigint, upTo: bigint): readonly AbortedTransaction[] | Promise<readonly AbortedTransaction[]>
  /** Moves whenever the log is cut. */
  readonly cuts: number
  /** Resolves when all below `offset` is durable, which must have been written. */
  flush(offset: bigint): Promise<void>
  /** Puts `cleaned` in the place of `replaced`; false if they are no longer there, or the log was cut since it had seen `cuts`. */
  swap(replaced: readonly Segment[], cleaned: Segment, cuts: number): Promise<boolean>
}

export interface Cleanable {
  /** Share of the bytes that could be cleaned that are new since the last time. */
  readonly dirtyRatio: number
  /** A record has waited for longer than max.compaction.lag.ms. */
  readonly overdue: boolean
  /** From the first one on: segments that may be rewritten. */
  readonly segments: readonly Segment[]
  readonly firstDirtyOffset: bigint
  /** What has outdated a record, or decided on it, lies below. */
  readonly highWatermark: bigint
  /** What the log had seen. */
  readonly cuts: number
}

/** Undefined where there is nothing to do. What is not below the high watermark may still be taken back. */
export async function findCleanable(log: CleanableLog, nowMs: number, highWatermark: bigint): Promise<Cleanable | undefined> {
  const { minCompactionLagMs, maxCompactionLagMs } = log.config
  const { cuts } = log
  const limitOffset = log.lastStableOffset(highWatermark)
  const all = log.segments
  const segments: Segment[] = []
  let cleanBytes = 0
  let dirtyBytes = 0
  let overdue = false
  for (let i = 0; i + 1 < all.length; i++) {
    const segment = all[i]
    const end = all[i + 1].baseOffset
    if (end > limitOffset) break
    if (end <= log.cleanedOffset) cleanBytes += segment.size
    else {
      const newest = Number((await segment.newest()).timestamp)
      if (minCompactionLagMs > 0 && nowMs - newest < minCompactionLagMs) break
      dirtyBytes += segment.size
      if (nowMs - newest > maxCompactionLagMs) overdue = true
    }
    segments.push(segment)
  }
  if (dirtyBytes === 0) return undefined
  const start = segments[0].baseOffset > log.logStartOffset ? segments[0].baseOffset : log.logStartOffset
  const firstDirtyOffset = log.cleanedOffset > start ? log.cleanedOffset : start
  return { dirtyRatio: dirtyBytes / (cleanBytes + dirtyBytes), overdue, segments, firstDirtyOffset, highWatermark, cuts }
}

export interface Cleaned {
  readonly cleanedOffset: bigint
  readonly segments: number
  readonly bytesBefore: number
  readonly bytesAfter: number
}

export interface CleaningOptions {
  /** Memory for the keys that are new, and how full it may get. If they need more, the rest waits for the next time. */
  readonly mapBytes: number
  readonly loadFactor: number
  readonly nowMs: number
  readonly pace: Pace
}

/**
 * Undefined where the log was cut or lost segments meanwhile: what has been done is of use, but not all of it.
 * Rejects with Error where a batch is damaged, or the disk fails.
 */
export async function cleanLog(
  log: CleanableLog,
  env: LogEnvironment,
  work: Cleanable,
  options: CleaningOptions,
): Promise<Cleaned | undefined> {
  try {
    return await cleanSegments(log, env, work, options)
  } catch (error) {
    const isGone = error instanceof DiskError && error.code === 'ENOENT' && work.segments.some((segment) => segment.deleted)
    if (log.cuts !== work.cuts || isGone) return undefined
    throw error
  }
}

async function cleanSegments(
  log: CleanableLog,
  env: LogEnvironment,
  work: Cleanable,
  options: CleaningOptions,
): Promise<Cleaned | undefined> {
  const { cuts } = work
  // What is not in the files cannot be read; and it must not be lost with the power when a record that it outdates is gone already.
  await log.flush(work.highWatermark)
  const latest = new KeyOffsets(work.firstDirtyOffset, options.mapBytes, options.loadFactor, env.random)
  const cleanedOffset = await readKeys(log, env, work, latest, options.pace)
  const affected = work.segments.filter((segment) => segment.baseOffset < cleanedOffset)
  const cleaning = new Cleaning(log, env, latest, cleanedOffset, options.nowMs, options.pace)
  let bytesBefore = 0
  let bytesAfter = 0
  for (let rest: readonly Segment[] = affected; rest.length > 0; ) {
    const cleaned = await cleaning.cleanFirst(rest, cuts)
    if (cleaned === undefined) return undefined
    const { group, bytes } = cleaned
    for (const segment of group) bytesBefore += segment.size
    bytesAfter += bytes
    rest = rest.slice(group.length)
  }
  if (log.cuts !== cuts) return undefined
  log.cleanedOffset = cleanedOffset
  return { cleanedOffset, segments: affected.length, bytesBefore, bytesAfter }
}

/** Returns the offset up to which the keys are in the map. */
async function readKeys(
  log: CleanableLog,
  { clock }: LogEnvironment,
  work: Cleanable,
  latest: KeyOffsets,
  pace: Pace,
): Promise<bigint> {
  const all = log.segments
  const transactions = new CleanedTransactions()
  let end = work.firstDirtyOffset
  for (const segment of work.segments) {
    const next = all[all.indexOf(segment) + 1]?.baseOffset
    if (next === undefined) return end
    if (next <= work.firstDirtyOffset) continue
    let full = false
    transactions.expect(await log.abortedTransactions(end, next))
    await eachBatchOf(segment, clock, pace, async (batch) => {
      const last = lastOffset(batch)
      if (last < work.firstDirtyOffset) return true
      if (isControl(batch)) transactions.onMarker(batch)
      // A batch that went in by half is read again next time; what stands in the map is true all the same.
      else if (!transactions.onData(batch) && !(await putKeys(batch, latest, clock))) {
        full = true
        return false
      }
      end = last + 1n
      return true
    })
    if (full) return end
    end = next
  }
  return end
}

/** False where not all of them found room. */
async function putKeys(batch: Buffer, latest: KeyOffsets, clock: Clock): Promise<boolean> {
  const turn = () => nextTurn(clock)
  try {
    const record = new RecordCursor(batch)
    for (let count = 1; record.next(); count++) {
      if (count % RECORDS_PER_TURN === 0) await turn()
      const { key } = record
      if (key === null || latest.put(key, record.offset)) continue
      if (!(await latest.grow(turn)) || !latest.put(key, record.offset)) return false
    }
  } catch (error) {
    // Nobody can read it. It stays as it is, and makes nothing else outdated.
    if (!(error instanceof DecodeError)) throw error
  }
  return true
}

class Cleaning {
  private readonly log: CleanableLog
  private readonly env: LogEnvironment
  private readonly latest: KeyOffsets
  private readonly endOffset: bigint
  private readonly nowMs: number
  private readonly pace: Pace
  private readonly transactions = new CleanedTransactions()

  constructor(log: CleanableLog, env: LogEnvironment, latest: KeyOffsets, endOffset: bigint, nowMs: number, pace: Pace) {
    this.log = log
    this.env = env
    this.latest = latest
    this.endOffset = endOffset
    this.nowMs = nowMs
    this.pace = pace
  }

  /**
   * Cleans the first of `segments`, and with it as many more as fit into one. Returns the bytes that they take from now on; undefined if
   * they are not there any more.
   */
  async cleanFirst(
    segments: readonly Segment[],
    cuts: number,
  ): Promise<{ group: readonly Segment[]; bytes: number } | undefined> {
    const { path, config } = this.log
    const [first] = segments
    const cleaned = new Segment(this.env, path, first.baseOffset, { wallMs: first.openedMs, suffix: CLEANED_SUFFIX })
    await cleaned.removeFiles()
    const out = new Output(cleaned, config.indexIntervalBytes, this.pace)
    let changed = false
    let count = 0
    /** What says how far the last segment goes, where it ends with what goes. */
    let tail: Buffer | undefined
    do {
      const segment = segments[count++]
      const end = this.endOf(segment)
      this.transactions.expect(await this.log.abortedTransactions(segment.baseOffset, end))
      await eachBatchOf(segment, this.env.clock, this.pace, async (batch, isLast) => {
        const kept = isControl(batch) ? this.cleanedMarker(batch, cleaned) : await this.cleanedBatch(batch)
        tail = isLast && kept === undefined ? withoutRecords(batch) : undefined
        changed ||= (kept ?? tail) !== batch
        if (kept !== undefined) await out.append(kept)
        return true
      })
    } while (count < segments.length && this.fits(segments[count], cleaned, segments[count + 1]?.baseOffset))
    const group = segments.slice(0, count)
    if (changed || count > 1) {
      if (tail !== undefined) await out.append(tail)
      // In its place there must be none of the old one's.
      if (first.aborted.count > 0) await cleaned.aborted.create()
      await out.finish()
      if (await this.log.swap(group, cleaned, cuts)) return { group, bytes: cleaned.size }
    }
    await cleaned.removeFiles()
    return changed || count > 1 ? undefined : { group, bytes: group[0].size }
  }

  /** Whether all of `segment`, which ends at `end`, fits into `cleaned` behind what is there. */
  private fits(segment: Segment, cleaned: Segment, end = segment.baseOffset): boolean {
    const { segmentBytes, segmentIndexBytes } = this.log.config
    return (
      cleaned.size + segment.size <= segmentBytes &&
      cleaned.index.sizeBytes + segment.index.sizeBytes <= segmentIndexBytes &&
      cleaned.timeIndex.sizeBytes + segment.timeIndex.sizeBytes <= segmentIndexBytes &&
      end - cleaned.baseOffset <= INT32_MAX
    )
  }

  private endOf(segment: Segment): bigint {
    const { segments } = this.log
    return segments[segments.indexOf(segment) + 1]?.baseOffset ?? this.endOffset
  }

  /**
   * The marker itself as long as there is something for it to end; then it goes delete.retention.ms after that was first seen not
   * to be so (undefined), for a reader may have got to see the data before.
   */
  private cleanedMarker(batch: Buffer, cleaned: Segment): Buffer | undefined {
    const { needed, aborted } = this.transactions.onMarker(batch)
    if (aborted !== undefined) cleaned.aborted.add(aborted)
    if (needed || this.mustStay(batch)) return batch
    if (recordCount(batch) === 0) return undefined
    const now = BigInt(this.nowMs)
    if (hasDeleteHorizon(batch)) return now < baseTimestamp(batch) ? batch : undefined
    return retainRecords(batch, 0, () => true, { deleteHorizon: this.deleteHorizon(now) })
  }

  /** From now on counts how long a reader may take to see what is gone (KIP-534). */
  private deleteHorizon(now: bigint): bigint {
    return now + BigInt(Math.min(this.log.config.deleteRetentionMs, 2 ** 52))
  }

  /** The batch itself if nothing in it is outdated; undefined if nothing needs to stay. */
  private async cleanedBatch(batch: Buffer): Promise<Buffer | undefined> {
    const aborted = this.transactions.onData(batch)
    const now = BigInt(this.nowMs)
    const tombstonesStay = !hasDeleteHorizon(batch) || now < baseTimestamp(batch)
    let kept = 0
    let tombstones = false
    const keep = (record: RecordCursor): boolean => {
      if (aborted) return false
      const { key } = record
      // Without a key nothing can ever outdate it; compacted topics take none, but may not always have been compacted.
      if (key === null) return false
      const latest = this.latest.latest(key)
      return (latest === undefined || record.offset >= latest) && (record.hasValue || tombstonesStay)
    }
    try {
      const records = recordBytes(batch)
      const record = new RecordCursor(batch, 0, { records })
      const all = record.count
      const stays = Buffer.alloc(all)
      for (let i = 0; record.next(); i++) {
        if (i % RECORDS_PER_TURN === RECORDS_PER_TURN - 1) await nextTurn(this.env.clock)
        if (!keep(record)) continue
        stays[i] = 1
        kept++
        tombstones ||= !record.hasValue
      }
      if (kept === 0) return this.mustStay(batch) ? withoutRecords(batch) : undefined
      const setsHorizon = tombstones && !hasDeleteHorizon(batch)
      if (kept === all && !setsHorizon) return batch
      const deleteHorizon = setsHorizon ? this.deleteHorizon(now) : undefined
      let i = 0
      return retainRecords(batch, 0, () => stays[i++] === 1, { deleteHorizon, records })
    } catch (error) {
      if (!(error instanceof DecodeError)) throw error
      return batch
    }
  }

  /** An empty batch still says which sequence number or epoch its producer has reached. */
  private mustStay(batch: Buffer): boolean {
    return this.log.producers.isLastOf(batch, 0)
  }
}

/** The batch itself where it has none. */
function withoutRecords(batch: Buffer): Buffer {
  return recordCount(batch) === 0 ? batch : retainRecords(batch, 0, () => false)
}

/** Writes batches into a segment that nobody reads yet. */
class Output {
  private readonly segment: Segment
  private readonly indexIntervalBytes: number
  private readonly pace: Pace
  private chunks: Buffer[] = []
  private bytes = 0
  private position = 0

  constructor(segment: Segment, indexIntervalBytes: number, pace: Pace) {
    this.segment = segment
    this.pace = pace
    this.indexIntervalBytes = indexIntervalBytes
  }

  async append(batch: Buffer): Promise<void> {
    this.segment.account(batch, 0, batch.length, this.indexIntervalBytes)
    this.chunks.push(batch)
    this.bytes += batch.length
    if (this.bytes >= WRITE_BYTES) await this.write()
  }

  /** Everything is on the disk when this resolves. */
  async finish(): Promise<void> {
    await this.write()
    this.segment.seal()
    await this.segment.syncIndexes()
    await this.segment.sync()
    this.segment.writtenSize = this.segment.size
  }

  private async write(): Promise<void> {
    await this.pace.ready()
    await this.segment.write(this.chunks, this.position)
    this.pace.spend(this.bytes)
    this.position += this.bytes
    this.chunks = []
    this.bytes = 0
  }
}

/** When all others have had theirs. */
const nextTurn = (clock: Clock) => new Promise<void>((resolve) => clock.soon(resolve))

/** All batches of a segment, in order, until `visit` says stop. Rejects with Error where one is damaged. */
async function eachBatchOf(
  segment: Segment,
  clock: Clock,
  pace: Pace,
  visit: (batch: Buffer, isLast: boolean) => boolean | Promise<boolean>,
): Promise<void> {
  const end = segment.writtenSize
  let wanted = READ_BYTES
  let records = 0
  for (let position = 0; position < end; ) {
    await pace.ready()
    const chunk = await segment.read(position, Math.min(wanted, end - position))
    pace.spend(chunk.length)
    let at = 0
    for (;;) {
      const problem = checkBatch(chunk, at)
      if (problem?.kind === 'incomplete' && position + chunk.length < end) break
      if (problem?.kind === 'incomplete' && at === chunk.length) break
      if (problem !== undefined) throw new Error(`${segment.path('.log')} at position ${position + at}: ${problem.message}`)
      const size = batchSize(chunk, at)
      const more = visit(chunk.subarray(at, at + size), position + at + size === end)
      if (!(typeof more === 'boolean' ? more : await more)) return
      records += recordCount(chunk, at)
      at += size
      if (records < RECORDS_PER_TURN) continue
      // There may be many in what has been read, if they compress well.
      records = 0
      await nextTurn(clock)
    }
    // Nothing fitted: a batch larger than a chunk. Its size is not known to be sound, so it must be more in any case.
    wanted = at > 0 ? READ_BYTES : Math.max(wanted * 2, chunk.length < BATCH_PREFIX_SIZE ? 0 : batchSize(chunk))
    position += at
  }
}

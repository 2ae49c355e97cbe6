// Reads batches from the files of a log, and finds records by their time. Whole batches only, their checksums verified: what is
// damaged is served to nobody.

import type { BufferPool, Lease } from '../bytes/buffer-pool.ts'
import { DecodeError } from '../bytes/reader.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import {
  BATCH_HEADER_SIZE,
  baseOffset,
  batchSize,
  lastOffset,
  leaderEpoch,
  maxTimestamp,
} from '../protocol/records/batch-header.ts'
import { checkBatch } from '../protocol/records/record-batch.ts'
import { RecordCursor } from '../protocol/records/record-cursor.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { scanBatches } from './batch-scan.ts'
import type { FilePool } from './file-pool.ts'
import type { LogConfig } from './log-config.ts'
import { type FoundRecord, NOTHING_READ, type ReadOptions, type ReadResult } from './log-types.ts'
import { newestTimestamp, type Segment } from './segment.ts'
import { segmentNumber } from './segment-list.ts'
import { onDisk } from './storage-error.ts'
import type { Turns } from './turns.ts'

/** What a reader needs to know of its log, at the moment. */
export interface ReadableLog {
  /** In order; replaced, never changed, when segments come and go. */
  readonly segments: readonly Segment[]
  readonly logStartOffset: bigint
  /** Why nothing can be read. */
  readonly failed: KafkaError | undefined
  readonly config: LogConfig
  onCorrupt(segment: Segment, position: number, reason: string): void
  /** What changes segments. */
  readonly changes: Turns
  /** Moves whenever a cut begins or ends: what was read meanwhile may be anything. */
  readonly cuts: number
}

/** Where readers have got to: one that goes on needs no index. More of them than this are seldom at work on one log. */
const CURSORS = 8

const NONE_ABORTED: readonly AbortedTransaction[] = []

/** No batch where there should be one. */
class CorruptBatch extends KafkaError {
  readonly segment: Segment
  readonly position: number
  readonly reason: string

  constructor(segment: Segment, position: number, reason: string) {
    super('CORRUPT_MESSAGE', `${segment.path('.log')} at position ${position}: ${reason}`)
    this.segment = segment
    this.position = position
    this.reason = reason
  }
}

interface Cursor {
  readonly offset: bigint
  readonly segment: Segment
  readonly position: number
}

export class LogReader {
  private readonly log: ReadableLog
  private readonly pool: FilePool
  private readonly buffers: BufferPool
  private cursors: Cursor[] = []

  constructor(log: ReadableLog, pool: FilePool, buffers: BufferPool) {
    this.log = log
    this.pool = pool
    this.buffers = buffers
  }

  /** Positions have changed: the log was cut, or its segments were replaced. */
  forgetCursors(): void {
    this.cursors = []
  }

  /**
   * From the batch that holds `from`, or the first one behind it. One file read as a rule, from one segment.
   * Rejects with KafkaError: OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
   */
  async read(from: bigint, options: ReadOptions): Promise<ReadResult> {
    return this.unlessReplaced(async (segments) => {
      if (from < this.log.logStartOffset) throw new KafkaError('OFFSET_OUT_OF_RANGE', 'deleted meanwhile')
      const first = segmentNumber(segments, from)
      for (let i = first; i < segments.length; i++) {
        const segment = segments[i]
        if (segment.baseOffset >= options.limitOffset) break
        const result = await this.readSegment(segment, from, options)
        // Undefined: nothing at or behind `from` in this segment, so compaction has taken it, or it was never there.
        if (result === undefined) continue
        // There is nothing at `from`: compaction has taken it, or damage hides it.
        if (result.size > 0 && baseOffset(result.chunks[0]) > from) await this.requireSound(segments.slice(first, i + 1), from)
        return result
      }
      // Nothing up to the limit, likewise.
      await this.requireSound(segments.slice(first), from)
      return NOTHING_READ
    })
  }

  /** Aborted transactions with offsets in `from` to `upTo` (not included). At once where memory has them, or there are none. */
  abortedTransactions(from: bigint, upTo: bigint): readonly AbortedTransaction[] | Promise<readonly AbortedTransaction[]> {
    const { segments } = this.log
    const first = segmentNumber(segments, from)
    const reaching = segments.slice(first).filter(({ aborted }) => aborted.mayReach(from))
    if (reaching.length === 0) return NONE_ABORTED
    const found = reaching.length === 1 ? reaching[0].aborted.inMemory(from, upTo) : undefined
    if (found !== undefined) return found.transactions
    return this.unlessReplaced(async (segments) => {
      const all: AbortedTransaction[] = []
      for (const { aborted } of segments.slice(segmentNumber(segments, from))) {
        if (!aborted.mayReach(from)) continue
        const { transactions, complete } = await aborted.overlapping(from, upTo)
        all.push(...transactions)
        if (complete) break
      }
      return all
    })
  }

  /** From an index entry on up to `from` there are only whole and sound batches. */
  private async requireSound(segments: readonly Segment[], from: bigint): Promise<void> {
    for (const segment of segments) {
      // There may be no file yet.
      if (segment.writtenSize === 0) continue
      const scan = await this.pool.use(segment.path('.log'), 'read', async (file) => {
        const start = await segment.positionBelow(from)
        const visit = (header: Buffer, at: number) => lastOffset(header, at) < from
        return scanBatches(file, { ...headers(segment, start), checkCrc: true, visit })
      })
      this.require(segment, scan.position, scan.problem)
    }
  }

  private async readSegment(segment: Segment, from: bigint, options: ReadOptions): Promise<ReadResult | undefined> {
    const { maxBytes, limitOffset, atLeastOneBatch } = options
    const { cuts } = this.log
    const end = segment.writtenSize
    const cursor = this.cursors.find((cursor) => cursor.offset === from && cursor.segment === segment)
    let position = cursor?.position ?? (await segment.positionBelow(from))
    // Up to an index interval of what is in front comes along.
    let wanted = maxBytes + (cursor === undefined ? this.log.config.indexIntervalBytes : 0)
    while (position < end) {
      const length = Math.min(Math.max(wanted, BATCH_HEADER_SIZE), end - position)
      const lease = this.buffers.take(length)
      const chunk = await segment.readInto(lease.buffer.subarray(0, length), position)
      this.require(
        segment,
        position,
        chunk.length < Math.max(length, BATCH_HEADER_SIZE) ? 'the file is shorter than it was' : undefined,
      )
      let at = 0
      while (at + BATCH_HEADER_SIZE <= chunk.length && lastOffset(chunk, at) < from) {
        const size = batchSize(chunk, at)
        const fits = size >= BATCH_HEADER_SIZE && position + at + size <= end
        this.require(segment, position + at, fits ? undefined : `${size} bytes are no batch here`)
        at += size
      }
      if (at + BATCH_HEADER_SIZE > chunk.length) {
        // All of it lies in front of `from`.
        position += at
        wanted = maxBytes
        continue
      }
      const size = batchSize(chunk, at)
      if (lastOffset(chunk, at) >= limitOffset) {
        // Damage may look like it, and a reader must not wait for what will never come. Limits within a batch are rare.
        await this.requireSound([segment], from)
        return NOTHING_READ
      }
      if (size > maxBytes && !atLeastOneBatch) return NOTHING_READ
      if (at + size > chunk.length && position + at + size <= end) {
        // The first batch is larger than what was read.
        position += at
        wanted = Math.max(size, maxBytes)
        continue
      }
      return this.take({ segment, cuts }, lease, chunk, at, position, options)
    }
    return undefined
  }

  /** The batches of `chunk` from `first` on, as far as limits go and checksums hold. */
  private take(
    { segment, cuts }: { segment: Segment; cuts: number },
    lease: Lease,
    chunk: Buffer,
    first: number,
    position: number,
    options: ReadOptions,
  ): ReadResult {
    let at = first
    let next = 0n
    while (at + BATCH_HEADER_SIZE <= chunk.length) {
      const size = batchSize(chunk, at)
      const complete = at + size <= chunk.length
      // The first one is complete, or damaged.
      if (at > first && (!complete || at + size - first > options.maxBytes || lastOffset(chunk, at) >= options.limitOffset)) break
      const problem = checkBatch(chunk, at)
      if (problem !== undefined) {
        // Whoever goes on from there will hear of it.
        if (at === first) this.require(segment, position + at, problem.message)
        break
      }
      next = lastOffset(chunk, at) + 1n
      at += size
    }
    if (cuts === this.log.cuts) {
      if (this.cursors.length === CURSORS) this.cursors.shift()
      this.cursors.push({ offset: next, segment, position: position + at })
    }
    return { chunks: [chunk.subarray(first, at)], size: at - first, nextOffset: next, leases: [lease] }
  }

  /** Throws CorruptBatch where there is a problem. */
  private require(segment: Segment, position: number, problem: string | undefined): void {
    if (problem === undefined) return
    throw new CorruptBatch(segment, position, problem)
  }

  /** The first record at or behind the log's start whose timestamp is at least `timestamp`, if it lies below `limitOffset`. */
  async offsetForTimestamp(timestamp: bigint, limitOffset: bigint): Promise<FoundRecord | undefined> {
    const { logStartOffset } = this.log
    return this.unlessReplaced(async (segments) => {
      for (const segment of segments) {
        if (segment.baseOffset >= limitOffset) return undefined
        if ((await segment.newest()).timestamp < timestamp) continue
        const found = await this.findRecord(segment, await segment.positionBelowTimestamp(timestamp), timestamp, logStartOffset)
        if (found !== undefined) return found.offset < limitOffset ? found : undefined
      }
      return undefined
    })
  }

  /** The first of the records below `limitOffset` that have the largest timestamp of them all. */
  async offsetOfMaxTimestamp(limitOffset: bigint): Promise<FoundRecord | undefined> {
    const { logStartOffset } = this.log
    return this.unlessReplaced(async (segments) => {
      let newest: { segment: Segment; timestamp: bigint } | undefined
      for (const segment of segments) {
        if (segment.baseOffset >= limitOffset) break
        const timestamp = await this.newestWithin(segment, logStartOffset, limitOffset)
        if (timestamp >= 0n && (newest === undefined || timestamp > newest.timestamp)) newest = { segment, timestamp }
      }
      if (newest === undefined) return undefined
      const { segment, timestamp } = newest
      return this.findRecord(segment, await segment.positionBelowTimestamp(timestamp), timestamp, logStartOffset)
    })
  }

  /** The newest timestamp of a segment's batches that lie, wholly or in part, between the two offsets. */
  private async newestWithin(segment: Segment, startOffset: bigint, limitOffset: bigint): Promise<bigint> {
    const newest = await segment.newest()
    if (segment.baseOffset >= startOffset && newest.offset < limitOffset) return newest.timestamp
    let timestamp = -1n
    let straddling: { position: number; size: number } | undefined
    await this.pool.use(segment.path('.log'), 'read', (file) =>
      scanBatches(file, {
        ...headers(segment, 0),
        visit(header, at, position, size) {
          if (lastOffset(header, at) >= limitOffset) return false
          if (lastOffset(header, at) < startOffset) return true
          if (baseOffset(header, at) < startOffset) straddling = { position, size }
          else if (newestTimestamp(header, at) > timestamp) timestamp = newestTimestamp(header, at)
          return true
        },
      }),
    )
    if (straddling === undefined) return timestamp
    const batch = await segment.read(straddling.position, straddling.size)
    this.require(segment, straddling.position, checkBatch(batch)?.message)
    return newestRecord(batch, startOffset, timestamp)
  }

  /** The first record from `position` on with at least this timestamp and offset. Only batches that may hold it are opened. */
  private async findRecord(
    segment: Segment,
    position: number,
    timestamp: bigint,
    offset: bigint,
  ): Promise<FoundRecord | undefined> {
    while (position < segment.writtenSize) {
      let candidate: { position: number; size: number } | undefined
      await this.pool.use(segment.path('.log'), 'read', (file) =>
        scanBatches(file, {
          ...headers(segment, position),
          visit(header, at, position, size) {
            if (maxTimestamp(header, at) < timestamp || lastOffset(header, at) < offset) return true
            candidate = { position, size }
            return false
          },
        }),
      )
      if (candidate === undefined) return undefined
      const batch = await segment.read(candidate.position, candidate.size)
      this.require(segment, candidate.position, checkBatch(batch)?.message)
      const found = firstRecord(batch, timestamp, offset)
      if (found !== undefined) return found
      position = candidate.position + candidate.size
    }
    return undefined
  }

  /** A segment may be compacted away, deleted or cut while it is read: what is there then is read instead. */
  private async unlessReplaced<T>(work: (segments: readonly Segment[]) => Promise<T>): Promise<T> {
    for (;;) {
      const { segments, cuts } = this.log
      try {
        return await onDisk(() => work(segments))
      } catch (error) {
        // Whatever changes at this moment must have come to its end before anything can be said.
        await this.log.changes.over()
        if (this.log.failed !== undefined) throw this.log.failed
        if (cuts !== this.log.cuts) continue
        if (segments !== this.log.segments && segments.some((segment) => segment.deleted)) continue
        if (error instanceof CorruptBatch) this.log.onCorrupt(error.segment, error.position, error.reason)
        throw error
      }
    }
  }
}

function firstRecord(batch: Buffer, timestamp: bigint, offset: bigint): FoundRecord | undefined {
  try {
    const record = new RecordCursor(batch)
    while (record.next()) {
      if (record.timestamp < timestamp || record.offset < offset) continue
      return { offset: record.offset, timestamp: record.timestamp, leaderEpoch: leaderEpoch(batch) }
    }
    return undefined
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    // A producer's nonsense, stored as it came. What the header says is the best there is.
    return { offset: lastOffset(batch), timestamp: maxTimestamp(batch), leaderEpoch: leaderEpoch(batch) }
  }
}

/** The newest timestamp of the batch's records from `offset` on, or `timestamp` where that is newer. */
function newestRecord(batch: Buffer, offset: bigint, timestamp: bigint): bigint {
  const record = firstRecord(batch, timestamp + 1n, offset)
  return record === undefined ? timestamp : newestRecord(batch, offset, record.timestamp)
}

const headers = (segment: Segment, from: number) => ({
  from,
  to: segment.writtenSize,
  checkCrc: false,
  minOffset: segment.baseOffset,
})

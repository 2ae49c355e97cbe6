// What the files of a segment do not say by themselves, and must be known before it is appended to.

import { baseOffset, lastOffset } from '../protocol/records/batch-header.ts'
import { NO_TIMESTAMP } from '../protocol/records/record.ts'
import { scanBatches } from './batch-scan.ts'
import type { FilePool } from './file-pool.ts'
import { type Newest, newestTimestamp, type Segment } from './segment.ts'

/**
 * Prepares a segment to be appended to: finds, from its last index entry on, where its batches end (those below `limitOffset`,
 * where one is given) and what is the newest of them. Returns the offset behind them; undefined where the file holds something
 * else.
 */
export async function activate(pool: FilePool, segment: Segment, limitOffset?: bigint): Promise<bigint | undefined> {
  const entry = await segment.index.last()
  const from = entry?.value ?? 0
  if (from > segment.size) return undefined
  const found = new Found(segment.baseOffset)
  let size = 0
  if (segment.size > 0) {
    const scan = await pool.use(segment.path('.log'), 'read', async (file) => {
      if (from > 0) await scanBatches(file, { ...headersOf(segment, 0), visit: (header, at) => found.first(header, at) })
      const visit = (header: Buffer, at: number) => {
        if (limitOffset !== undefined && baseOffset(header, at) >= limitOffset) return false
        return found.next(header, at)
      }
      return scanBatches(file, { ...headersOf(segment, from), visit })
    })
    // Of what stands behind the limit nothing is known.
    if (scan.problem !== undefined && found.endOffset !== limitOffset) return undefined
    size = scan.position
  }
  if (limitOffset !== undefined) {
    segment.size = size
    segment.writtenSize = size
  }
  await segment.becomeActive({ ...found, bytesSinceEntry: size - from })
  return found.endOffset
}

/** What the headers of the last segment tell. */
class Found {
  endOffset: bigint
  newest: Newest = { timestamp: NO_TIMESTAMP, offset: -1n }
  firstTimestamp: bigint | undefined

  constructor(endOffset: bigint) {
    this.endOffset = endOffset
  }

  first(header: Buffer, at: number): boolean {
    this.firstTimestamp = newestTimestamp(header, at)
    return false
  }

  next(header: Buffer, at: number): boolean {
    const timestamp = newestTimestamp(header, at)
    this.firstTimestamp ??= timestamp
    this.endOffset = lastOffset(header, at) + 1n
    if (timestamp > this.newest.timestamp) this.newest = { timestamp, offset: lastOffset(header, at) }
    return true
  }
}

/** For a scan of the headers from position `from` on. */
export const headersOf = (segment: Segment, from: number) => ({
  from,
  to: segment.size,
  checkCrc: false,
  minOffset: segment.baseOffset,
})

// Where a log can be cut, and what must go with its end.

import type { Disk } from '../host/disk.ts'
import { baseOffset, lastOffset } from '../protocol/records/batch-header.ts'
import { scanBatches } from './batch-scan.ts'
import { parseSegmentFileName } from './file-names.ts'
import type { FilePool } from './file-pool.ts'
import type { Segment } from './segment.ts'

export interface Cut {
  readonly position: number
  /** Where the log ends. */
  readonly offset: bigint
  /** Where the last batch in front of it ends, or the segment begins: there may be a hole in between. */
  readonly lastEnd: bigint
}

/** Where the batch begins that holds `offset`, or the next one behind it: the cut comes in front of it, and so does the log's end. */
export async function findCut(pool: FilePool, segment: Segment, offset: bigint): Promise<Cut> {
  const { baseOffset: first } = segment
  if (segment.writtenSize === 0) return { position: 0, offset: offset > first ? first : offset, lastEnd: first }
  let cut = { position: segment.writtenSize, offset }
  let lastEnd = first
  const from = await segment.positionBelow(offset - 1n)
  await pool.use(segment.path('.log'), 'read', (file) =>
    scanBatches(file, {
      from,
      to: segment.writtenSize,
      checkCrc: false,
      minOffset: segment.baseOffset,
      visit(header, at, position) {
        if (lastOffset(header, at) < offset) {
          lastEnd = lastOffset(header, at) + 1n
          return true
        }
        const base = baseOffset(header, at)
        cut = { position, offset: base < offset ? base : offset }
        return false
      },
    }),
  )
  return { ...cut, lastEnd }
}

/** Producer snapshots that speak of a log which ended behind `offset`. */
export async function removeSnapshots(disk: Disk, directory: string, offset: bigint): Promise<void> {
  for (const { name } of await disk.list(directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed?.suffix === '.snapshot' && parsed.baseOffset > offset) await disk.remove(`${directory}/${name}`)
  }
}

// Where a log can be cut, and what must go with its end.

import type { Disk } from '../host/disk.ts'
import { baseOffset, lastOffset } from '../protocol/records/batch-header.ts'
import { scanBatches } from './batch-scan.ts'
import { parseSegmentFileName } from './file-names.ts'
import type { FilePool } from './file-pool.ts'
import type { Segment } from './segment.ts'

/** Where the batch begins that holds `offset`, or the next one behind it: the cut comes in front of it, and so does the log's end. */
export async function findCut(pool: FilePool, segment: Segment, offset: bigint): Promise<{ position: number; offset: bigint }> {
  if (segment.writtenSize === 0) return { position: 0, offset: offset > segment.baseOffset ? segment.baseOffset : offset }
  let cut = { position: segment.writtenSize, offset }
  const from = await segment.positionBelow(offset)
  await pool.use(segment.path('.log'), 'read', (file) =>
    scanBatches(file, {
      from,
      to: segment.writtenSize,
      checkCrc: false,
      minOffset: segment.baseOffset,
      visit(header, at, position) {
        if (lastOffset(header, at) < offset) return true
        const base = baseOffset(header, at)
        cut = { position, offset: base < offset ? base : offset }
        return false
      },
    }),
  )
  return cut
}

/** Producer snapshots that speak of a log which ended behind `offset`. */
export async function removeSnapshots(disk: Disk, directory: string, offset: bigint): Promise<void> {
  for (const { name } of await disk.list(directory)) {
    const parsed = parseSegmentFileName(name)
    if (parsed?.suffix === '.snapshot' && parsed.baseOffset > offset) await disk.remove(`${directory}/${name}`)
  }
}

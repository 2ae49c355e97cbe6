// Walks over the batches of a segment's file, batch headers at least, every byte where the checksums matter. Whatever the file
// holds, no more than one chunk of it is in memory.

import { crc32c } from '../bytes/crc32c.ts'
import type { DiskFile } from '../host/disk.ts'
import {
  BATCH_HEADER_SIZE,
  baseOffset,
  batchSize,
  isControl,
  lastOffset,
  magic,
  storedCrc,
} from '../protocol/records/batch-header.ts'
import { checkCounts, checkFrame } from '../protocol/records/record-batch.ts'

/** Of the checksum's coverage in a batch: from the attributes to the end. */
const CRC_START = 21

const CHUNK_WHEN_CHECKING = 1024 * 1024
/** Headers alone: most batches are skipped, so little is read at a time. */
const CHUNK_OF_HEADERS = 64 * 1024

export interface Scan {
  /** Where it ended: at `to`, where `visit` said stop, or at the first batch that is none. */
  readonly position: number
  /** Why there is no batch at `position`; undefined if the scan went as far as it was asked to. */
  readonly problem: string | undefined
}

export interface ScanOptions {
  readonly from: number
  readonly to: number
  readonly checkCrc: boolean
  /** No batch may begin below. */
  readonly minOffset: bigint
  /**
   * False to stop in front of this batch. The header stands in `header` at `at`; what follows it may not, except for a control
   * batch: its record is part of what makes up the state of a log.
   */
  readonly visit: (header: Buffer, at: number, position: number, size: number) => boolean
}

export async function scanBatches(file: DiskFile, options: ScanOptions): Promise<Scan> {
  const { to, checkCrc, visit } = options
  const chunk = Buffer.allocUnsafe(Math.min(checkCrc ? CHUNK_WHEN_CHECKING : CHUNK_OF_HEADERS, Math.max(to - options.from, 1)))
  let position = options.from
  let expected = options.minOffset
  /** What `chunk` holds of the file. */
  let start = position
  let end = position

  const load = async (from: number) => {
    const wanted = Math.min(chunk.length, to - from)
    start = from
    end = from + (await file.read(chunk.subarray(0, wanted), from))
  }

  while (position < to) {
    if (to - position < BATCH_HEADER_SIZE) return { position, problem: `${to - position} bytes are no batch` }
    if (position < start || position + BATCH_HEADER_SIZE > end) await load(position)
    if (position + BATCH_HEADER_SIZE > end) return { position, problem: 'the file is shorter than it was' }
    const at = position - start
    const problem = headerProblem(chunk, at, to - position, expected)
    if (problem !== undefined) return { position, problem }
    const size = batchSize(chunk, at)
    if (checkCrc) {
      // A batch that does fit gets into the chunk as a whole; of a larger one the header is enough to go on with.
      if (position + size > end && size <= chunk.length) await load(position)
      const crc = await crcOf(file, chunk, start, end, position, size)
      if (crc === undefined) return { position, problem: 'the file is shorter than it was' }
      if (crc !== storedCrc(chunk, position - start)) return { position, problem: 'the checksum does not match' }
    }
    // Markers are small: one that does not fit is none.
    if (isControl(chunk, position - start) && position + size > end && size <= chunk.length) await load(position)
    if (visit(chunk, position - start, position, size) === false) break
    expected = lastOffset(chunk, position - start) + 1n
    position += size
  }
  return { position, problem: undefined }
}

function headerProblem(chunk: Buffer, at: number, available: number, minOffset: bigint): string | undefined {
  const size = batchSize(chunk, at)
  if (magic(chunk, at) === 0 && baseOffset(chunk, at) === 0n && size === 12) return 'zeros'
  // The end of the batch is checked against the file; `checkFrame` would want it in the chunk.
  const problem = checkFrame(chunk, at, at + available)
  if (problem !== undefined) {
    return problem.kind === 'incomplete' ? `a batch of ${size} bytes, ${available} left` : problem.message
  }
  const counts = checkCounts(chunk, at)
  if (counts !== undefined) return counts.message
  if (baseOffset(chunk, at) < minOffset) return `offset ${baseOffset(chunk, at)} where at least ${minOffset} must come`
  return undefined
}

/** Of a batch that lies in the chunk wholly or in part. Undefined where the file ends before it. */
async function crcOf(
  file: DiskFile,
  chunk: Buffer,
  start: number,
  end: number,
  position: number,
  size: number,
): Promise<number | undefined> {
  const held = Math.min(position + size, end)
  let crc = crc32c(chunk.subarray(position - start + CRC_START, held - start))
  const rest = Buffer.allocUnsafe(Math.min(position + size - held, CHUNK_WHEN_CHECKING))
  for (let at = held; at < position + size; ) {
    const piece = rest.subarray(0, Math.min(rest.length, position + size - at))
    if ((await file.read(piece, at)) < piece.length) return undefined
    crc = crc32c(piece, crc)
    at += piece.length
  }
  return crc
}

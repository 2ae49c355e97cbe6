// LZ4 in its frame format. The library decodes a frame but takes no limit, so the frame is walked first: its blocks say how
// much they can hold at most, and where that is too much, their sequences say how much they do hold.
// Format: https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md, and lz4_Block_format.md beside it.

import { createRequire } from 'node:module'
import { corrupt, tooLarge } from './compression-error.ts'

const require = createRequire(import.meta.url)
let library: typeof import('lz4-napi') | undefined
const lz4 = () => (library ??= require('lz4-napi') as typeof import('lz4-napi'))

const MAGIC = 0x184d2204
/** Of the first descriptor byte. */
const BLOCK_CHECKSUM = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_CHECKSUM = 0x04
const DICTIONARY_ID = 0x01
/** Of a block's length: the block is stored as it is. */
const STORED = 0x8000_0000

/** Independent blocks, as Kafka's own reader demands. The library knows one level, the fastest. */
export function compressLz4(bytes: Buffer): Buffer {
  return lz4().compressFrameSync(bytes)
}

/**
 * One frame, to its last byte: no client writes a second one, and Kafka would not read it. The library's result lies outside
 * of the heap and is only given back on a turn of the event loop: a long loop over batches must yield now and then.
 */
export function decompressLz4(bytes: Buffer, maxBytes: number): Buffer {
  checkSize(bytes, maxBytes)
  let output: Buffer
  try {
    output = lz4().decompressFrameSync(bytes)
  } catch (error) {
    throw corrupt('lz4', error)
  }
  if (output.length > maxBytes) throw tooLarge('lz4', maxBytes)
  return output
}

/** Walks the frame from end to end. Only one whose blocks could exceed the limit, were they full, is measured exactly. */
function checkSize(frame: Buffer, maxBytes: number): void {
  if (frame.length < 7 || frame.readUInt32LE(0) !== MAGIC) throw corrupt('lz4', 'no frame')
  const flags = frame[4]
  const blockSizeId = (frame[5] >> 4) & 0x07
  if (flags >> 6 !== 1 || (flags & DICTIONARY_ID) !== 0 || blockSizeId < 4) throw corrupt('lz4', 'unsupported frame')
  let position = 6
  if ((flags & CONTENT_SIZE) !== 0) {
    if (frame.length < position + 8) throw corrupt('lz4', 'frame header cut short')
    if (frame.readBigUInt64LE(position) > maxBytes) throw tooLarge('lz4', maxBytes)
    position += 8
  }
  position += 1 // the header's checksum, which the library verifies
  const maxBlockSize = 2 ** (8 + 2 * blockSizeId)
  if (sizeOfBlocks(frame, position, flags, () => maxBlockSize) <= maxBytes) return
  if (sizeOfBlocks(frame, position, flags, sizeOfBlock) > maxBytes) throw tooLarge('lz4', maxBytes)
}

type BlockSize = (frame: Buffer, start: number, end: number) => number

function sizeOfBlocks(frame: Buffer, position: number, flags: number, compressed: BlockSize): number {
  let size = 0
  for (;;) {
    if (frame.length - position < 4) throw corrupt('lz4', 'frame cut short')
    const length = frame.readUInt32LE(position)
    position += 4
    if (length === 0) break
    const stored = length >= STORED
    const end = position + (stored ? length - STORED : length)
    if (end > frame.length) throw corrupt('lz4', 'block cut short')
    size += stored ? end - position : compressed(frame, position, end)
    position = end + ((flags & BLOCK_CHECKSUM) !== 0 ? 4 : 0)
  }
  if (position + ((flags & CONTENT_CHECKSUM) !== 0 ? 4 : 0) !== frame.length) throw corrupt('lz4', 'frame does not end here')
  return size
}

/** Bytes that a block yields: the sum of its sequences, each some literals and then a match, but for the last one. */
function sizeOfBlock(frame: Buffer, position: number, end: number): number {
  let size = 0
  const extended = (length: number): number => {
    if (length < 15) return length
    let more: number
    do {
      if (position >= end) throw corrupt('lz4', 'sequence cut short')
      more = frame[position++]
      length += more
    } while (more === 255)
    return length
  }
  for (;;) {
    if (position >= end) throw corrupt('lz4', 'sequence cut short')
    const token = frame[position++]
    const literals = extended(token >> 4)
    size += literals
    position += literals
    if (position >= end) break
    position += 2
    size += extended(token & 0x0f) + 4
  }
  return size
}

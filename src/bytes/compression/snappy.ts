// Snappy. Two framings are about: the block stream of snappy-java, which Java clients, kafka-python and kafkajs write and
// so do we, and one bare block, which librdkafka writes. They cannot be confused: read as a bare block, the magic of the
// first would begin with a reference to bytes before its beginning.
// Blocks: https://github.com/google/snappy/blob/main/format_description.txt

import { createRequire } from 'node:module'
import { corrupt, tooLarge } from './compression-error.ts'

const require = createRequire(import.meta.url)
let library: typeof import('snappy') | undefined
const snappy = () => (library ??= require('snappy') as typeof import('snappy'))

/** Without it the library hands out external memory, which costs three times as much as the copy (measured at 16 KiB). */
const COPY = { copyOutputData: true }

const STREAM_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
/** Magic, then version and lowest compatible version: 1 and 1. */
const STREAM_HEADER = Buffer.concat([STREAM_MAGIC, Buffer.from([0, 0, 0, 1, 0, 0, 0, 1])])
/** What we write per block of a stream: the reach of a snappy back reference, so that a larger block would gain nothing. */
const BLOCK_SIZE = 64 * 1024
/** No element of a block yields more than 64 bytes from three. A block that declares more lies, and gets no memory. */
const MOST_PER_BYTE = 22

export function compressSnappy(bytes: Buffer): Buffer {
  const pieces: Buffer[] = [STREAM_HEADER]
  for (let position = 0; position < bytes.length; position += BLOCK_SIZE) {
    const block = snappy().compressSync(bytes.subarray(position, position + BLOCK_SIZE), COPY)
    const length = Buffer.allocUnsafe(4)
    length.writeInt32BE(block.length)
    pieces.push(length, block)
  }
  return Buffer.concat(pieces)
}

export function decompressSnappy(bytes: Buffer, maxBytes: number): Buffer {
  const blocks = isStream(bytes, 0) ? streamBlocks(bytes) : [bytes]
  let size = 0
  for (const block of blocks) {
    size += declaredSize(block)
    if (size > maxBytes) throw tooLarge('snappy', maxBytes)
  }
  const outputs = blocks.map(decompressBlock)
  return outputs.length === 1 ? outputs[0] : Buffer.concat(outputs, size)
}

function isStream(bytes: Buffer, position: number): boolean {
  return bytes.subarray(position, position + STREAM_MAGIC.length).equals(STREAM_MAGIC)
}

/** Streams may follow one another: snappy-java reads them as one. */
function streamBlocks(bytes: Buffer): Buffer[] {
  const blocks: Buffer[] = []
  let position = 0
  while (position < bytes.length) {
    if (isStream(bytes, position)) {
      position += STREAM_HEADER.length
      if (position > bytes.length) throw corrupt('snappy', 'stream header cut short')
      continue
    }
    if (bytes.length - position < 4) throw corrupt('snappy', 'block length cut short')
    const start = position + 4
    position = start + bytes.readUInt32BE(position)
    if (position > bytes.length) throw corrupt('snappy', 'block cut short')
    blocks.push(bytes.subarray(start, position))
  }
  return blocks
}

/** A block begins with its size when decompressed, a varint of at most 32 bits. */
function declaredSize(block: Buffer): number {
  let size = 0
  for (let i = 0; i < 5 && i < block.length; i++) {
    size += (block[i] & 0x7f) * 2 ** (7 * i)
    if (block[i] >= 0x80) continue
    if (size > block.length * MOST_PER_BYTE) throw corrupt('snappy', `${block.length} bytes cannot hold ${size}`)
    return size
  }
  throw corrupt('snappy', 'no size in front of a block')
}

function decompressBlock(block: Buffer): Buffer {
  try {
    return snappy().uncompressSync(block, COPY) as Buffer
  } catch (error) {
    throw corrupt('snappy', error)
  }
}

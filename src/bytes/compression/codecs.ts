// The five codecs by which records are compressed. Each module loads its library when it is first used: most brokers store
// what producers compressed without ever looking into it, and should not pay for loading at start.

import { CompressionError, tooLarge } from './compression-error.ts'
import { gunzip, gzip } from './gzip.ts'
import { compressLz4, decompressLz4 } from './lz4.ts'
import { compressSnappy, decompressSnappy } from './snappy.ts'
import { compressZstd, decompressZstd } from './zstd.ts'

/** The number of each codec in the attributes of a record batch. */
export const CompressionCodec = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const

export type CodecName = keyof typeof CompressionCodec
export type CodecId = (typeof CompressionCodec)[CodecName]

interface Codec {
  readonly name: CodecName
  compress(bytes: Buffer, level: number | undefined): Buffer
  decompress(bytes: Buffer, maxBytes: number): Buffer
}

/** By id. */
const codecs: readonly Codec[] = [
  { name: 'none', compress: (bytes) => bytes, decompress: stored },
  { name: 'gzip', compress: gzip, decompress: gunzip },
  { name: 'snappy', compress: compressSnappy, decompress: decompressSnappy },
  { name: 'lz4', compress: compressLz4, decompress: decompressLz4 },
  { name: 'zstd', compress: compressZstd, decompress: decompressZstd },
]

function codec(id: number): Codec {
  const found = codecs[id]
  if (found === undefined) throw new CompressionError('unknown-codec', `no codec has the id ${id}`)
  return found
}

/** Throws CompressionError for an id that names no codec: three bits hold eight, Kafka knows five. */
export function codecName(id: number): CodecName {
  return codec(id).name
}

export function isCodecId(id: number): id is CodecId {
  return id in codecs
}

/**
 * @param level gzip 1 to 9, zstd up to 22; without it the library's default. Snappy has none, and LZ4 is always
 *   compressed at its fastest. `none` gives the bytes back as they are.
 */
export function compress(codecId: number, bytes: Buffer, level?: number): Buffer {
  return codec(codecId).compress(bytes, level)
}

/**
 * Refuses to produce, or to allocate, more than `maxBytes`. `none` gives the bytes back as they are.
 * @throws CompressionError
 */
export function decompress(codecId: number, bytes: Buffer, maxBytes: number): Buffer {
  return codec(codecId).decompress(bytes, maxBytes)
}

function stored(bytes: Buffer, maxBytes: number): Buffer {
  if (bytes.length > maxBytes) throw tooLarge('none', maxBytes)
  return bytes
}

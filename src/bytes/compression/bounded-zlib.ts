// Decompressing by Node's zlib (gzip and zstd) within a limit.

import { corrupt, tooLarge } from './compression-error.ts'

type Decompress = (bytes: Buffer, options: { maxOutputLength: number; chunkSize: number }) => Buffer

/** zlib starts with memory of this size, and asks for as much again as long as there is more to come. */
const SMALLEST_CHUNK = 1024
const LARGEST_CHUNK = 256 * 1024
/** Records rarely compress further. What they do not need of a chunk stays in memory for as long as a view of them does. */
const USUAL_RATIO = 4

export function decompressWithin(codec: string, decompress: Decompress, bytes: Buffer, maxBytes: number): Buffer {
  const chunkSize = Math.min(LARGEST_CHUNK, Math.max(SMALLEST_CHUNK, bytes.length * USUAL_RATIO))
  try {
    return decompress(bytes, { maxOutputLength: Math.max(1, maxBytes), chunkSize })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(codec, maxBytes)
    throw corrupt(codec, error)
  }
}

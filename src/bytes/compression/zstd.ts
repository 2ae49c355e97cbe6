// Zstandard, by Node's own zlib.

import { corrupt, tooLarge } from './compression-error.ts'

const zlib = () => process.getBuiltinModule('node:zlib')

export function compressZstd(bytes: Buffer, level?: number): Buffer {
  const { constants, zstdCompressSync } = zlib()
  return zstdCompressSync(bytes, level === undefined ? {} : { params: { [constants.ZSTD_c_compressionLevel]: level } })
}

export function decompressZstd(bytes: Buffer, maxBytes: number): Buffer {
  try {
    return zlib().zstdDecompressSync(bytes, { maxOutputLength: Math.max(1, maxBytes) })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge('zstd', maxBytes)
    throw corrupt('zstd', error)
  }
}

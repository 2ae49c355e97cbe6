// Zstandard, by Node's own zlib.

import { decompressWithin } from './bounded-zlib.ts'

const zlib = () => process.getBuiltinModule('node:zlib')

export function compressZstd(bytes: Buffer, level?: number): Buffer {
  const { constants, zstdCompressSync } = zlib()
  return zstdCompressSync(bytes, level === undefined ? {} : { params: { [constants.ZSTD_c_compressionLevel]: level } })
}

export function decompressZstd(bytes: Buffer, maxBytes: number): Buffer {
  return decompressWithin('zstd', zlib().zstdDecompressSync, bytes, maxBytes)
}

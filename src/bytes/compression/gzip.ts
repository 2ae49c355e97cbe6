// gzip, by Node's own zlib.

import { corrupt, tooLarge } from './compression-error.ts'

const zlib = () => process.getBuiltinModule('node:zlib')

export function gzip(bytes: Buffer, level?: number): Buffer {
  return zlib().gzipSync(bytes, { level })
}

export function gunzip(bytes: Buffer, maxBytes: number): Buffer {
  try {
    return zlib().gunzipSync(bytes, { maxOutputLength: Math.max(1, maxBytes) })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge('gzip', maxBytes)
    throw corrupt('gzip', error)
  }
}

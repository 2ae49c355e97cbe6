// gzip, by Node's own zlib.

import { decompressWithin } from './bounded-zlib.ts'

const zlib = () => process.getBuiltinModule('node:zlib')

export function gzip(bytes: Buffer, level?: number): Buffer {
  return zlib().gzipSync(bytes, { level })
}

export function gunzip(bytes: Buffer, maxBytes: number): Buffer {
  return decompressWithin('gzip', zlib().gunzipSync, bytes, maxBytes)
}

// CRC-32C (Castagnoli), the checksum of record batches. Native code: 10 GB/s and more from 16 KiB up.
// The call costs 0.1 µs: a table in JavaScript is faster below 64 bytes only, and no batch is that small.

import { crc32c as native } from '@node-rs/crc32'

/** Unsigned. Give the result for one piece as `previous` of the next. */
export function crc32c(bytes: Buffer, previous = 0): number {
  return native(bytes, previous)
}

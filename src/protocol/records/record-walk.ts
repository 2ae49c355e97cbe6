// One pass over the records of a batch that takes nothing out of them: whether they are records at all, and what a broker needs to
// know of them before it takes them. The hot path of every produce request, so lengths are read in place and nothing is allocated
// per record; a cursor (record-cursor.ts), which gives what it finds, takes several times as long.

import { DecodeError } from '../../bytes/reader.ts'
import { MIN_RECORD_SIZE } from './record-batch.ts'

/** What the records of a batch have in common. Timestamps are relative to the batch's base timestamp, in milliseconds. */
export interface RecordSummary {
  /** Records without a key: a compacted topic takes none. */
  readonly keyless: number
  /** The offsets are those of a produced batch: 0, 1, 2, … */
  readonly consecutive: boolean
  readonly minTimestampDelta: number
  readonly maxTimestampDelta: number
  /** No timestamp is too far from the base for a number to hold the difference. */
  readonly exactTimestamps: boolean
}

/** Where the varint ended that was read last. */
let next = 0

/**
 * Walks over the `count` records that fill `bytes` from `from` to `to`, uncompressed.
 * @throws DecodeError where they are not records, or not so many
 */
export function walkRecords(bytes: Uint8Array, from: number, to: number, count: number): RecordSummary {
  let keyless = 0
  let consecutive = true
  let minTimestampDelta = Number.POSITIVE_INFINITY
  let maxTimestampDelta = Number.NEGATIVE_INFINITY
  let exactTimestamps = true
  let at = from
  for (let i = 0; i < count; i++) {
    let length = at < to ? bytes[at++] : beyond(i)
    if (length > 0x7f) {
      length = varint(bytes, at - 1, to, i)
      at = next
    } else length = (length >>> 1) ^ -(length & 1)
    const end = at + length
    if (length < MIN_RECORD_SIZE - 1 || end > to) throw malformed(i, `has ${length} bytes, ${to - at} are left`)
    at++ // attributes, of which no bit has a meaning yet
    let delta = bytes[at++]
    if (delta > 0x7f) {
      delta = varlong(bytes, at - 1, end, i)
      at = next
      if (!Number.isSafeInteger(delta)) exactTimestamps = false
    } else delta = (delta >>> 1) ^ -(delta & 1)
    if (delta < minTimestampDelta) minTimestampDelta = delta
    if (delta > maxTimestampDelta) maxTimestampDelta = delta
    let offset = at < end ? bytes[at++] : beyond(i)
    if (offset > 0x7f) {
      offset = varint(bytes, at - 1, end, i)
      at = next
    } else offset = (offset >>> 1) ^ -(offset & 1)
    if (offset !== i) consecutive = false
    let size = at < end ? bytes[at++] : beyond(i)
    if (size > 0x7f) {
      size = varint(bytes, at - 1, end, i)
      at = next
    } else size = (size >>> 1) ^ -(size & 1)
    if (size < 0) keyless++
    else at += size
    size = at < end ? bytes[at++] : beyond(i)
    if (size > 0x7f) {
      size = varint(bytes, at - 1, end, i)
      at = next
    } else size = (size >>> 1) ^ -(size & 1)
    if (size > 0) at += size
    const headers = at < end ? bytes[at++] : beyond(i)
    if (headers !== 0) at = skipHeaders(bytes, at - 1, end, i)
    if (at !== end) throw malformed(i, `ends ${Math.abs(end - at)} bytes ${at < end ? 'before' : 'behind'} where it says`)
  }
  if (at !== to) throw new DecodeError(`${to - at} bytes behind the ${count} records of a batch`)
  return { keyless, consecutive, minTimestampDelta, maxTimestampDelta, exactTimestamps }
}

/** Returns where they end. */
function skipHeaders(bytes: Uint8Array, at: number, end: number, record: number): number {
  const count = varint(bytes, at, end, record)
  at = next
  // A header takes two bytes or more: without this a count alone could keep us busy.
  if (count < 0 || count * 2 > end - at) throw malformed(record, `has ${count} headers in ${end - at} bytes`)
  for (let i = 0; i < count; i++) {
    const key = varint(bytes, at, end, record)
    if (key < 0) throw malformed(record, 'has a header without a key')
    const value = varint(bytes, next + key, end, record)
    at = next + Math.max(0, value)
  }
  return at
}

/** Zigzag, 32 bits, of at most five bytes. */
function varint(bytes: Uint8Array, at: number, end: number, record: number): number {
  let value = 0
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = at < end ? bytes[at++] : beyond(record)
    value |= (byte & 0x7f) << shift
    if (byte > 0x7f) continue
    if (shift === 28 && byte > 0x0f) break
    next = at
    return (value >>> 1) ^ -(value & 1)
  }
  throw malformed(record, 'has a varint of more than 32 bits')
}

/** Zigzag, 64 bits, of at most ten bytes. NaN where a number may not hold it. */
function varlong(bytes: Uint8Array, at: number, end: number, record: number): number {
  let value = 0
  let scale = 1
  for (let length = 1; length <= 10; length++) {
    const byte = at < end ? bytes[at++] : beyond(record)
    value += (byte & 0x7f) * scale
    scale *= 128
    if (byte > 0x7f) continue
    if (length === 10 && byte > 1) break
    next = at
    if (length > 7) return Number.NaN
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2
  }
  throw malformed(record, 'has a timestamp of more than 64 bits')
}

function beyond(record: number): never {
  throw malformed(record, 'is cut short')
}

function malformed(record: number, what: string): DecodeError {
  return new DecodeError(`record ${record} of the batch ${what}`)
}

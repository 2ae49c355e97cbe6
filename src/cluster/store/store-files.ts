// The embedded store's files.
//
//   snapshot        header, revision int64, count, entries, CRC-32C of all that
//   log-<revision>  header, then frames: what was committed after that revision (that of the snapshot)
//   frame           length int32, CRC-32C of the payload, payload: the commits of one write, which one sync made durable
//
// A frame is written only after the one before it is durable. So a broken frame with a good one behind it is not the torn
// end of a crash but damage, and is never cut off.

import { crc32c } from '../../bytes/crc32c.ts'
import { DecodeError, Reader } from '../../bytes/reader.ts'
import { Writer } from '../../bytes/writer.ts'
import { type Entry, type Event, type Revision, StoreError } from './metadata-store.ts'

/** "MDMS" and a format version. */
const MAGIC = 0x4d444d53
const FORMAT = 1
/** magic, format, store id, revision */
export const HEADER_SIZE = 4 + 1 + 16 + 8
const FRAME_HEADER_SIZE = 8
/** The longest frame: a batch of commits, each bounded by the store's limits. Anything longer is not a length. */
const FRAME_MAX = 1 << 30

export interface Batch {
  readonly revision: Revision
  readonly events: readonly Event[]
}

export function encodeHeader(storeId: string, revision: Revision): Buffer {
  const writer = new Writer(HEADER_SIZE)
  writeHeader(writer, storeId, revision)
  return writer.toBuffer()
}

export function encodeFrame(batches: readonly Batch[]): Buffer {
  const writer = new Writer(1024)
  writer.int64(0n)
  writer.unsignedVarint(batches.length)
  for (const { revision, events } of batches) {
    writer.int64(BigInt(revision))
    writer.unsignedVarint(events.length)
    for (const event of events) {
      if ('put' in event) {
        writer.uint8(1)
        writeEntry(writer, event.put)
      } else {
        writer.uint8(0)
        writeText(writer, event.delete)
      }
    }
  }
  const frame = writer.toBuffer()
  const payload = frame.subarray(FRAME_HEADER_SIZE)
  frame.writeUInt32BE(payload.length, 0)
  frame.writeUInt32BE(crc32c(payload), 4)
  return frame
}

export interface ReadLog {
  readonly storeId: string
  readonly base: Revision
  readonly batches: readonly Batch[]
  /** Bytes that hold together; what follows is the torn end of a crash. */
  readonly validLength: number
}

/** @throws {StoreError} corrupt. The header was made in one step with the file, so that there is no torn one. */
export function readLog(path: string, bytes: Buffer): ReadLog {
  if (bytes.length < HEADER_SIZE) throw new StoreError('corrupt', `${path} is shorter than its header`)
  const { storeId, revision } = readHeader(path, bytes)
  const batches: Batch[] = []
  let position = HEADER_SIZE
  let last = revision
  for (;;) {
    const frame = readFrame(bytes, position, last)
    if (frame === undefined) break
    for (const batch of frame.batches) batches.push(batch)
    last = frame.batches.at(-1)?.revision ?? last
    position = frame.end
  }
  refuseDamage(path, bytes, position, last)
  return { storeId, base: revision, batches, validLength: position }
}

/** A frame that could only have been written after the broken one had been made durable. */
function refuseDamage(path: string, bytes: Buffer, broken: number, last: Revision): void {
  for (let position = broken + 1; position + FRAME_HEADER_SIZE < bytes.length; position++) {
    if (readFrame(bytes, position, last) !== undefined) {
      throw new StoreError(
        'corrupt',
        `${path} is damaged at byte ${broken}: what follows at byte ${position} was written later and is whole`,
      )
    }
  }
}

/** Undefined where no whole frame begins at `position`. */
function readFrame(bytes: Buffer, position: number, after: Revision): { batches: Batch[]; end: number } | undefined {
  if (bytes.length - position <= FRAME_HEADER_SIZE) return undefined
  const length = bytes.readUInt32BE(position)
  const start = position + FRAME_HEADER_SIZE
  const end = start + length
  if (length === 0 || length > FRAME_MAX || end > bytes.length) return undefined
  if (crc32c(bytes.subarray(start, end)) !== bytes.readUInt32BE(position + 4)) return undefined
  try {
    const reader = new Reader(bytes, start, end)
    const count = reader.count(reader.unsignedVarint(), 9)
    const batches: Batch[] = []
    let last = after
    for (let i = 0; i < count; i++) {
      const revision = readRevision(reader)
      if (revision <= last) return undefined
      last = revision
      batches.push({ revision, events: readEvents(reader) })
    }
    return { batches, end }
  } catch (error) {
    if (error instanceof DecodeError) return undefined
    throw error
  }
}

function readEvents(reader: Reader): Event[] {
  const count = reader.count(reader.unsignedVarint(), 2)
  const events: Event[] = []
  for (let i = 0; i < count; i++) events.push(reader.uint8() === 1 ? { put: readEntry(reader) } : { delete: readText(reader) })
  return events
}

export function encodeSnapshot(storeId: string, revision: Revision, entries: readonly Entry[]): Buffer {
  const writer = new Writer(64 * 1024)
  writeHeader(writer, storeId, revision)
  writer.unsignedVarint(entries.length)
  for (const entry of entries) writeEntry(writer, entry)
  const body = writer.toBuffer()
  const sum = Buffer.alloc(4)
  sum.writeUInt32BE(crc32c(body))
  return Buffer.concat([body, sum])
}

/** @throws {StoreError} corrupt: it was replaced in one step, so that there is no torn one */
export function readSnapshot(path: string, bytes: Buffer): { storeId: string; revision: Revision; entries: Entry[] } {
  if (bytes.length < HEADER_SIZE + 5 || crc32c(bytes.subarray(0, -4)) !== bytes.readUInt32BE(bytes.length - 4)) {
    throw new StoreError('corrupt', `${path} is damaged: its checksum does not match`)
  }
  const header = readHeader(path, bytes)
  const reader = new Reader(bytes, HEADER_SIZE, bytes.length - 4)
  const count = reader.count(reader.unsignedVarint(), 2)
  const entries: Entry[] = []
  for (let i = 0; i < count; i++) entries.push(readEntry(reader))
  return { ...header, entries }
}

function writeHeader(writer: Writer, storeId: string, revision: Revision): void {
  writer.uint32(MAGIC)
  writer.uint8(FORMAT)
  writer.uuid(storeId)
  writer.int64(BigInt(revision))
}

function readHeader(path: string, bytes: Buffer): { storeId: string; revision: Revision } {
  const reader = new Reader(bytes)
  if (reader.uint32() !== MAGIC) throw new StoreError('corrupt', `${path} is not a file of the metadata store`)
  const format = reader.uint8()
  if (format !== FORMAT) throw new StoreError('corrupt', `${path} has format ${format}; this version reads format ${FORMAT}`)
  return { storeId: reader.uuid(), revision: readRevision(reader) }
}

function writeEntry(writer: Writer, entry: Entry): void {
  writeText(writer, entry.key)
  writer.int64(BigInt(entry.created))
  writer.int64(BigInt(entry.modified))
  writeText(writer, entry.lease ?? '')
  writer.unsignedVarint(entry.value.length)
  writer.bytes(asBuffer(entry.value))
}

function readEntry(reader: Reader): Entry {
  const key = readText(reader)
  const created = readRevision(reader)
  const modified = readRevision(reader)
  const lease = readText(reader) || null
  // A copy: a view would keep the whole file in memory.
  return { key, value: Buffer.from(reader.view(reader.unsignedVarint())), created, modified, lease }
}

function writeText(writer: Writer, text: string): void {
  const length = Buffer.byteLength(text)
  writer.unsignedVarint(length)
  writer.utf8(text, length)
}

function readText(reader: Reader): string {
  return reader.utf8(reader.unsignedVarint())
}

function readRevision(reader: Reader): Revision {
  const revision = Number(reader.int64())
  if (!Number.isSafeInteger(revision) || revision < 0) throw new DecodeError(`revision ${revision}`)
  return revision
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

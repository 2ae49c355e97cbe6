// The records of one batch, one at a time. The cursor moves over the bytes and allocates nothing until asked for a key, a
// value or a header; `decodeRecords` makes an object of each record. Both see through compression.

import { decompress } from '../../bytes/compression/codecs.ts'
import { DecodeError, Reader } from '../../bytes/reader.ts'
import {
  BATCH_HEADER_SIZE,
  baseOffset,
  baseTimestamp,
  batchSize,
  codecId,
  isLogAppendTime,
  maxTimestamp,
  recordCount,
} from './batch-header.ts'
import { type KafkaRecord, NO_HEADERS, type RecordHeader } from './record.ts'
import { checkFrame, MIN_RECORD_SIZE } from './record-batch.ts'

export interface DecodeOptions {
  /** Records that decompress to more are refused with CompressionError. */
  readonly maxDecompressedBytes?: number
  /** The records, decompressed, where they are known: decompressing is what costs. */
  readonly records?: Buffer
}

/** As much as a request may hold uncompressed by default (socket.request.max.bytes): compression should not admit more. */
export const MAX_DECOMPRESSED_BYTES = 100 * 1024 * 1024

/**
 * The bytes of the records, decompressed.
 * @throws DecodeError (CompressionError is one)
 */
export function recordBytes(
  batch: Buffer,
  at = 0,
  { maxDecompressedBytes = MAX_DECOMPRESSED_BYTES, records }: DecodeOptions = {},
): Buffer {
  if (records !== undefined) return records
  const problem = checkFrame(batch, at)
  if (problem !== undefined) throw new DecodeError(problem.message)
  const bytes = batch.subarray(at + BATCH_HEADER_SIZE, at + batchSize(batch, at))
  const codec = codecId(batch, at)
  // Compaction leaves batches without records, whatever their codec. Uncompressed bytes are in memory already: no limit.
  return codec === 0 || bytes.length === 0 ? bytes : decompress(codec, bytes, maxDecompressedBytes)
}

/**
 * `while (cursor.next()) …`. All that the cursor gives is of the record last moved to. Keys and values are views of the
 * batch, or of what it decompressed to. Sums wrap around at 64 bits, as they do in Kafka. Checks every length, but neither
 * checksum nor order: see record-batch.ts.
 * @throws DecodeError
 */
export class RecordCursor {
  /** Records in the batch, by its header. */
  readonly count: number
  private readonly reader: Reader
  private readonly baseOffset: bigint
  private readonly baseTimestamp: bigint
  /** Overrides the timestamps of the records. */
  private readonly appendTime: bigint | undefined
  private index = 0

  offsetDelta = 0
  private timestampDelta = 0n
  private keyPosition = 0
  private keyLength = -1
  private valuePosition = 0
  private valueLength = -1
  private headersPosition = 0
  private headerCount = 0

  constructor(batch: Buffer, at = 0, options?: DecodeOptions) {
    this.reader = new Reader(recordBytes(batch, at, options))
    this.baseOffset = baseOffset(batch, at)
    this.baseTimestamp = baseTimestamp(batch, at)
    this.appendTime = isLogAppendTime(batch, at) ? maxTimestamp(batch, at) : undefined
    this.count = recordCount(batch, at)
    if (this.count < 0 || this.count * MIN_RECORD_SIZE > this.reader.remaining) {
      throw new DecodeError(`record batch of ${this.count} records in ${this.reader.remaining} bytes`)
    }
  }

  /** Whether there is one more record, which then is the current one. */
  next(): boolean {
    const reader = this.reader
    if (this.index === this.count) {
      if (reader.remaining > 0) throw new DecodeError(`${reader.remaining} bytes behind the ${this.count} records of a batch`)
      return false
    }
    this.index++
    const length = reader.varint()
    const end = reader.position + length
    if (length < MIN_RECORD_SIZE - 1 || end > reader.end) {
      throw new DecodeError(`record of ${length} bytes, ${reader.remaining} left`)
    }
    reader.advance(1) // attributes, of which no bit has a meaning yet
    this.timestampDelta = reader.varlong()
    this.offsetDelta = reader.varint()
    this.keyLength = reader.varint()
    this.keyPosition = this.skip(this.keyLength)
    this.valueLength = reader.varint()
    this.valuePosition = this.skip(this.valueLength)
    this.headerCount = reader.varint()
    this.headersPosition = reader.position
    // A header takes two bytes or more: without this a count alone could keep us busy.
    if (this.headerCount < 0 || this.headerCount * 2 > end - reader.position) {
      throw new DecodeError(`record with ${this.headerCount} headers in ${end - reader.position} bytes`)
    }
    for (let i = 0; i < this.headerCount; i++) {
      reader.advance(reader.varint())
      this.skip(reader.varint())
    }
    if (reader.position !== end) throw new DecodeError(`record of ${length} bytes ends ${reader.position - end} bytes off`)
    return true
  }

  get offset(): bigint {
    return BigInt.asIntN(64, this.baseOffset + BigInt(this.offsetDelta))
  }

  /** Milliseconds since 1970, -1 for none: when the record was created or, if the batch says so, appended. */
  get timestamp(): bigint {
    return this.appendTime ?? BigInt.asIntN(64, this.baseTimestamp + this.timestampDelta)
  }

  get hasKey(): boolean {
    return this.keyLength >= 0
  }

  get hasValue(): boolean {
    return this.valueLength >= 0
  }

  get key(): Buffer | null {
    return this.view(this.keyPosition, this.keyLength)
  }

  get value(): Buffer | null {
    return this.view(this.valuePosition, this.valueLength)
  }

  get headers(): readonly RecordHeader[] {
    if (this.headerCount === 0) return NO_HEADERS
    const reader = new Reader(this.reader.buffer, this.headersPosition)
    const headers: RecordHeader[] = []
    for (let i = 0; i < this.headerCount; i++) {
      const key = reader.utf8(reader.varint())
      const length = reader.varint()
      headers.push({ key, value: length < 0 ? null : reader.view(length) })
    }
    return headers
  }

  /** The current record as an object of its own. */
  record(): KafkaRecord {
    return { offset: this.offset, timestamp: this.timestamp, key: this.key, value: this.value, headers: this.headers }
  }

  /** Any negative length means null. */
  private skip(length: number): number {
    return this.reader.advance(Math.max(0, length))
  }

  private view(position: number, length: number): Buffer | null {
    return length < 0 ? null : this.reader.buffer.subarray(position, position + length)
  }
}

/**
 * Every record of a batch, as objects whose keys and values are views.
 * @throws DecodeError, possibly after some records
 */
export function* decodeRecords(batch: Buffer, at = 0, options?: DecodeOptions): Generator<KafkaRecord, void, undefined> {
  const cursor = new RecordCursor(batch, at, options)
  while (cursor.next()) yield cursor.record()
}

// Makes record batches: from records as a producer or coordinator has them, and from other batches with another codec or
// with fewer records, for recompression and compaction.

import { CompressionCodec, compress } from '../../bytes/compression/codecs.ts'
import { varintSize, varlongSize, Writer } from '../../bytes/writer.ts'
import { NO_PRODUCER_ID } from '../ids.ts'
import {
  BATCH_HEADER_SIZE,
  baseOffset,
  baseSequence,
  baseTimestamp,
  codecId,
  hasDeleteHorizon,
  isControl,
  isLogAppendTime,
  isTransactional,
  lastOffsetDelta,
  leaderEpoch,
  maxTimestamp,
  NO_LEADER_EPOCH,
  NO_SEQUENCE,
  producerEpoch,
  producerId,
  recordCount,
  writeBatchHeader,
} from './batch-header.ts'
import { NO_HEADERS, NO_TIMESTAMP, type RecordHeader, type RecordInput } from './record.ts'
import { type DecodeOptions, RecordCursor, recordBytes } from './record-cursor.ts'

export const NO_PRODUCER_EPOCH = -1

export interface BatchOptions {
  /** Default: none. */
  readonly codecId?: number
  /** Of compression; see `compress`. */
  readonly level?: number
  /** Default: 0, which is what producers send. */
  readonly baseOffset?: bigint
  readonly leaderEpoch?: number
  readonly producerId?: bigint
  readonly producerEpoch?: number
  readonly baseSequence?: number
  readonly transactional?: boolean
  readonly control?: boolean
  /** Default: that of the last record. Compaction keeps the one the batch had. */
  readonly lastOffsetDelta?: number
  /** The time of every record, whatever their own say. */
  readonly logAppendTime?: bigint
}

const ROOM_FOR_HEADER = Buffer.alloc(BATCH_HEADER_SIZE)

/**
 * Collects records, encoded as they come, and makes one batch of them. A builder is for one batch.
 *
 * @param deleteHorizon the time from which the cleaner may drop the tombstones and markers of this batch (KIP-534). It takes
 *   the place of the base timestamp, which otherwise is that of the first record.
 */
export class RecordBatchBuilder {
  private readonly writer: Writer
  private readonly deleteHorizon: boolean
  private baseTimestamp: bigint
  private maxTimestamp = NO_TIMESTAMP
  private lastOffsetDelta = -1
  private records = 0

  constructor({ sizeHint = 1024, deleteHorizon }: { sizeHint?: number; deleteHorizon?: bigint } = {}) {
    this.writer = new Writer(BATCH_HEADER_SIZE + sizeHint)
    this.writer.copy(ROOM_FOR_HEADER)
    this.deleteHorizon = deleteHorizon !== undefined
    this.baseTimestamp = deleteHorizon ?? NO_TIMESTAMP
  }

  get count(): number {
    return this.records
  }

  /** Bytes of the batch as it stands, uncompressed. */
  get size(): number {
    return this.writer.length
  }

  /** @returns bytes of the batch with this record, uncompressed */
  append(record: RecordInput, offsetDelta = this.lastOffsetDelta + 1): number {
    const { timestamp, key = null, value = null, headers = NO_HEADERS } = record
    if (this.records === 0 && !this.deleteHorizon) this.baseTimestamp = timestamp
    const timestampDelta = BigInt.asIntN(64, timestamp - this.baseTimestamp)
    const writer = this.writer
    writer.varint(
      1 + varlongSize(timestampDelta) + varintSize(offsetDelta) + nullableSize(key) + nullableSize(value) + headersSize(headers),
    )
    writer.uint8(0)
    writer.varlong(timestampDelta)
    writer.varint(offsetDelta)
    writeNullable(writer, key)
    writeNullable(writer, value)
    writer.varint(headers.length)
    for (const header of headers) {
      const length = Buffer.byteLength(header.key)
      writer.varint(length)
      writer.utf8(header.key, length)
      writeNullable(writer, header.value)
    }
    if (this.records === 0 || timestamp > this.maxTimestamp) this.maxTimestamp = timestamp
    this.lastOffsetDelta = offsetDelta
    this.records++
    return writer.length
  }

  /** The whole batch, of at least one record, in one piece of memory of its own. The builder is used up. */
  build(options: BatchOptions = {}): Buffer {
    if (this.records === 0) throw new RangeError('a record batch needs a record')
    let batch = this.writer.toBuffer()
    const codec = options.codecId ?? CompressionCodec.none
    if (codec !== CompressionCodec.none) batch = withHeaderRoom(compress(codec, batch.subarray(BATCH_HEADER_SIZE), options.level))
    writeBatchHeader(batch, {
      baseOffset: options.baseOffset ?? 0n,
      leaderEpoch: options.leaderEpoch ?? NO_LEADER_EPOCH,
      codecId: codec,
      logAppendTime: options.logAppendTime !== undefined,
      transactional: options.transactional ?? false,
      control: options.control ?? false,
      deleteHorizon: this.deleteHorizon,
      lastOffsetDelta: options.lastOffsetDelta ?? this.lastOffsetDelta,
      baseTimestamp: this.baseTimestamp,
      maxTimestamp: options.logAppendTime ?? this.maxTimestamp,
      producerId: options.producerId ?? NO_PRODUCER_ID,
      producerEpoch: options.producerEpoch ?? NO_PRODUCER_EPOCH,
      baseSequence: options.baseSequence ?? NO_SEQUENCE,
      recordCount: this.records,
    })
    return batch
  }
}

/** Bytes that a record adds to a batch, uncompressed: never too few, by some bytes too many. */
export function maxRecordSize({ key = null, value = null, headers = NO_HEADERS }: RecordInput): number {
  const lengthAndAttributes = 5 + 1
  const deltas = 10 + 5
  return lengthAndAttributes + deltas + nullableSize(key) + nullableSize(value) + headersSize(headers)
}

/**
 * The batch with its records in another codec and all else as it was.
 * @throws DecodeError
 */
export function recompress(batch: Buffer, at: number, codec: number, options: DecodeOptions & { level?: number } = {}): Buffer {
  const made = withHeaderRoom(compress(codec, recordBytes(batch, at, options), options.level))
  writeBatchHeader(made, {
    ...headerOf(batch, at),
    codecId: codec,
    logAppendTime: isLogAppendTime(batch, at),
    deleteHorizon: hasDeleteHorizon(batch, at),
    lastOffsetDelta: lastOffsetDelta(batch, at),
    baseTimestamp: baseTimestamp(batch, at),
    maxTimestamp: maxTimestamp(batch, at),
    recordCount: recordCount(batch, at),
  })
  return made
}

/**
 * The batch with its records at the offsets 0, 1, 2, … whatever they said themselves, and all else as it was.
 * @throws DecodeError
 */
export function renumber(batch: Buffer, at = 0, options: DecodeOptions = {}): Buffer {
  const builder = new RecordBatchBuilder()
  const cursor = new RecordCursor(batch, at, options)
  while (cursor.next()) builder.append(cursor)
  return builder.build(headerOf(batch, at))
}

export interface RetainOptions extends DecodeOptions {
  readonly level?: number
  /** Sets the delete horizon, unless the batch has one. */
  readonly deleteHorizon?: bigint
}

/**
 * The batch with only those records that `keep` wants, at the offsets they had: it covers the same span of offsets, and has
 * the same producer, codec and kind. With none left it is a bare header.
 * @throws DecodeError
 */
export function retainRecords(
  batch: Buffer,
  at: number,
  keep: (record: RecordCursor) => boolean,
  options: RetainOptions = {},
): Buffer {
  const deleteHorizon = hasDeleteHorizon(batch, at) ? baseTimestamp(batch, at) : options.deleteHorizon
  const builder = new RecordBatchBuilder({ deleteHorizon })
  const cursor = new RecordCursor(batch, at, options)
  while (cursor.next()) if (keep(cursor)) builder.append(cursor, cursor.offsetDelta)
  if (builder.count === 0) return withoutRecords(batch, at)
  return builder.build({
    ...headerOf(batch, at),
    level: options.level,
    lastOffsetDelta: lastOffsetDelta(batch, at),
    logAppendTime: isLogAppendTime(batch, at) ? maxTimestamp(batch, at) : undefined,
  })
}

/** Tells what the producer has written last and which offsets are taken, no more. The time is the newest that the records had. */
function withoutRecords(batch: Buffer, at: number): Buffer {
  const made = Buffer.alloc(BATCH_HEADER_SIZE)
  writeBatchHeader(made, {
    ...headerOf(batch, at),
    codecId: CompressionCodec.none,
    logAppendTime: isLogAppendTime(batch, at),
    deleteHorizon: false,
    lastOffsetDelta: lastOffsetDelta(batch, at),
    baseTimestamp: maxTimestamp(batch, at),
    maxTimestamp: maxTimestamp(batch, at),
    recordCount: 0,
  })
  return made
}

/** What stays the same whatever is done to the records. */
function headerOf(batch: Buffer, at: number) {
  return {
    baseOffset: baseOffset(batch, at),
    leaderEpoch: leaderEpoch(batch, at),
    codecId: codecId(batch, at),
    transactional: isTransactional(batch, at),
    control: isControl(batch, at),
    producerId: producerId(batch, at),
    producerEpoch: producerEpoch(batch, at),
    baseSequence: baseSequence(batch, at),
  }
}

function withHeaderRoom(records: Buffer): Buffer {
  const batch = Buffer.allocUnsafe(BATCH_HEADER_SIZE + records.length)
  records.copy(batch, BATCH_HEADER_SIZE)
  return batch
}

function nullableSize(bytes: Buffer | null): number {
  return bytes === null ? 1 : varintSize(bytes.length) + bytes.length
}

function headersSize(headers: readonly RecordHeader[]): number {
  let size = varintSize(headers.length)
  for (const { key, value } of headers) {
    const length = Buffer.byteLength(key)
    size += varintSize(length) + length + nullableSize(value)
  }
  return size
}

function writeNullable(writer: Writer, bytes: Buffer | null): void {
  if (bytes === null) return writer.varint(-1)
  writer.varint(bytes.length)
  writer.copy(bytes)
}

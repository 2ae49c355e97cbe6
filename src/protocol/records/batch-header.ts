// The header of a record batch, message format v2: 61 bytes in front of the records, read and stamped in place.
// Functions take the buffer and the position of the batch in it, so that looking at a batch allocates nothing.
// Layout: https://kafka.apache.org/documentation/#recordbatch

import { crc32c } from '../../bytes/crc32c.ts'

const BASE_OFFSET = 0
const LENGTH = 8
const LEADER_EPOCH = 12
const MAGIC = 16
const CRC = 17
const ATTRIBUTES = 21
const LAST_OFFSET_DELTA = 23
const BASE_TIMESTAMP = 27
const MAX_TIMESTAMP = 35
const PRODUCER_ID = 43
const PRODUCER_EPOCH = 51
const BASE_SEQUENCE = 53
const RECORD_COUNT = 57

export const BATCH_HEADER_SIZE = 61
/** Base offset and length: what precedes the bytes that `length` counts. */
export const BATCH_PREFIX_SIZE = 12
export const MAGIC_V2 = 2
export const NO_SEQUENCE = -1
/** A batch without a leader epoch: producers send it, or anything else, and the broker stamps its own. */
export const NO_LEADER_EPOCH = -1

/** Bits of the attributes, below them the codec (bits 0 to 2). */
const CODEC = 0x07
const LOG_APPEND_TIME = 0x08
const TRANSACTIONAL = 0x10
const CONTROL = 0x20
const DELETE_HORIZON = 0x40

/** An int64 is put together here from two halves: half the time that Buffer takes with bigint arithmetic. */
const scratch = new DataView(new ArrayBuffer(8))

function int64(batch: Buffer, at: number): bigint {
  scratch.setInt32(0, batch.readInt32BE(at))
  scratch.setInt32(4, batch.readInt32BE(at + 4))
  return scratch.getBigInt64(0)
}

export const baseOffset = (batch: Buffer, at = 0): bigint => int64(batch, at + BASE_OFFSET)
/** Bytes of the whole batch, prefix included. What the field claims: check it against what is there. */
export const batchSize = (batch: Buffer, at = 0): number => batch.readInt32BE(at + LENGTH) + BATCH_PREFIX_SIZE
export const leaderEpoch = (batch: Buffer, at = 0): number => batch.readInt32BE(at + LEADER_EPOCH)
/** Stands at the same place in message formats v0 and v1. */
export const magic = (batch: Buffer, at = 0): number => batch.readInt8(at + MAGIC)
export const storedCrc = (batch: Buffer, at = 0): number => batch.readUInt32BE(at + CRC)
export const attributes = (batch: Buffer, at = 0): number => batch.readInt16BE(at + ATTRIBUTES)
export const lastOffsetDelta = (batch: Buffer, at = 0): number => batch.readInt32BE(at + LAST_OFFSET_DELTA)
export const lastOffset = (batch: Buffer, at = 0): bigint => baseOffset(batch, at) + BigInt(lastOffsetDelta(batch, at))
export const baseTimestamp = (batch: Buffer, at = 0): bigint => int64(batch, at + BASE_TIMESTAMP)
export const maxTimestamp = (batch: Buffer, at = 0): bigint => int64(batch, at + MAX_TIMESTAMP)
export const producerId = (batch: Buffer, at = 0): bigint => int64(batch, at + PRODUCER_ID)
export const producerEpoch = (batch: Buffer, at = 0): number => batch.readInt16BE(at + PRODUCER_EPOCH)
export const baseSequence = (batch: Buffer, at = 0): number => batch.readInt32BE(at + BASE_SEQUENCE)
export const recordCount = (batch: Buffer, at = 0): number => batch.readInt32BE(at + RECORD_COUNT)

export const codecId = (batch: Buffer, at = 0): number => attributes(batch, at) & CODEC
export const isLogAppendTime = (batch: Buffer, at = 0): boolean => (attributes(batch, at) & LOG_APPEND_TIME) !== 0
export const isTransactional = (batch: Buffer, at = 0): boolean => (attributes(batch, at) & TRANSACTIONAL) !== 0
export const isControl = (batch: Buffer, at = 0): boolean => (attributes(batch, at) & CONTROL) !== 0
/** The base timestamp is then the time from which the cleaner may drop tombstones (KIP-534). */
export const hasDeleteHorizon = (batch: Buffer, at = 0): boolean => (attributes(batch, at) & DELETE_HORIZON) !== 0

/** Where in a batch the bytes begin that its checksum covers, to its end. */
export const CHECKSUMMED_FROM = ATTRIBUTES

/** Of everything from the attributes to the end: offset and leader epoch can be stamped without touching it. */
export function computedCrc(batch: Buffer, at = 0): number {
  return crc32c(batch.subarray(at + CHECKSUMMED_FROM, at + batchSize(batch, at)))
}

/** Gives the batch its place in the log. Outside the checksum. */
export function stampOffsetAndEpoch(batch: Buffer, at: number, offset: bigint, epoch: number): void {
  batch.writeBigInt64BE(offset, at + BASE_OFFSET)
  batch.writeInt32BE(epoch, at + LEADER_EPOCH)
}

/** Makes `timestamp` that of every record in the batch, whatever their deltas say, and mends the checksum. */
export function stampLogAppendTime(batch: Buffer, at: number, timestamp: bigint): void {
  batch.writeInt16BE(attributes(batch, at) | LOG_APPEND_TIME, at + ATTRIBUTES)
  batch.writeBigInt64BE(timestamp, at + MAX_TIMESTAMP)
  batch.writeUInt32BE(computedCrc(batch, at), at + CRC)
}

/** Says of the records what is true, where their producer has not, and mends the checksum. */
export function stampMaxTimestamp(batch: Buffer, at: number, timestamp: bigint): void {
  batch.writeBigInt64BE(timestamp, at + MAX_TIMESTAMP)
  batch.writeUInt32BE(computedCrc(batch, at), at + CRC)
}

export interface BatchHeader {
  readonly baseOffset: bigint
  readonly leaderEpoch: number
  readonly codecId: number
  readonly logAppendTime: boolean
  readonly transactional: boolean
  readonly control: boolean
  readonly deleteHorizon: boolean
  readonly lastOffsetDelta: number
  readonly baseTimestamp: bigint
  readonly maxTimestamp: bigint
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly recordCount: number
}

/** Writes the header over the first 61 bytes of a batch whose records stand behind it, checksum last. */
export function writeBatchHeader(batch: Buffer, header: BatchHeader): void {
  batch.writeBigInt64BE(header.baseOffset, BASE_OFFSET)
  batch.writeInt32BE(batch.length - BATCH_PREFIX_SIZE, LENGTH)
  batch.writeInt32BE(header.leaderEpoch, LEADER_EPOCH)
  batch.writeInt8(MAGIC_V2, MAGIC)
  const bits =
    header.codecId |
    (header.logAppendTime ? LOG_APPEND_TIME : 0) |
    (header.transactional ? TRANSACTIONAL : 0) |
    (header.control ? CONTROL : 0) |
    (header.deleteHorizon ? DELETE_HORIZON : 0)
  batch.writeInt16BE(bits, ATTRIBUTES)
  batch.writeInt32BE(header.lastOffsetDelta, LAST_OFFSET_DELTA)
  batch.writeBigInt64BE(header.baseTimestamp, BASE_TIMESTAMP)
  batch.writeBigInt64BE(header.maxTimestamp, MAX_TIMESTAMP)
  batch.writeBigInt64BE(header.producerId, PRODUCER_ID)
  batch.writeInt16BE(header.producerEpoch, PRODUCER_EPOCH)
  batch.writeInt32BE(header.baseSequence, BASE_SEQUENCE)
  batch.writeInt32BE(header.recordCount, RECORD_COUNT)
  batch.writeUInt32BE(computedCrc(batch), CRC)
}

// What stands in a log or a request: record batches, one behind the other. Walking over them, and the checks a batch must
// pass before it is believed, each on its own because they differ in cost and not every caller needs all of them.

import { DecodeError } from '../../bytes/reader.ts'
import { ErrorCode } from '../error-codes.ts'
import {
  BATCH_HEADER_SIZE,
  BATCH_PREFIX_SIZE,
  baseOffset,
  baseSequence,
  batchSize,
  codecId,
  computedCrc,
  isControl,
  isLogAppendTime,
  lastOffset,
  lastOffsetDelta,
  MAGIC_V2,
  magic,
  producerId,
  recordCount,
  storedCrc,
} from './batch-header.ts'

/** What is wrong with a batch, and how a producer is told. */
export interface BatchProblem {
  readonly kind: 'incomplete' | 'length' | 'old-format' | 'magic' | 'crc' | 'counts' | 'codec' | 'not-for-producers'
  readonly errorCode: number
  readonly message: string
}

const problem = (kind: BatchProblem['kind'], errorCode: number, message: string): BatchProblem => ({ kind, errorCode, message })
const { CORRUPT_MESSAGE, INVALID_RECORD, INVALID_TIMESTAMP, UNSUPPORTED_COMPRESSION_TYPE } = ErrorCode

const INCOMPLETE = problem('incomplete', INVALID_RECORD, 'the bytes end before the record batch does')
const LENGTH = problem('length', CORRUPT_MESSAGE, 'the length of the record batch does not even cover its header')
// docs/decisions/0002-message-format.md
const OLD_FORMAT = problem('old-format', INVALID_RECORD, 'message formats v0 and v1 (magic 0 and 1) are no longer supported')
const MAGIC = problem('magic', CORRUPT_MESSAGE, 'the magic byte names no message format')
const CRC = problem('crc', CORRUPT_MESSAGE, 'the checksum of the record batch does not match its bytes')
const COUNTS = problem('counts', INVALID_RECORD, 'the counts and offsets of the record batch contradict each other')
const PRODUCED_COUNTS = problem('counts', INVALID_RECORD, 'a produced batch has records, one for each offset')
const CODEC = problem('codec', UNSUPPORTED_COMPRESSION_TYPE, 'the record batch is compressed by an unknown codec')
const BASE_OFFSET = problem('not-for-producers', INVALID_RECORD, 'the base offset of a produced batch is 0')
const CONTROL = problem('not-for-producers', INVALID_RECORD, 'producers do not write control batches')
const SEQUENCE = problem('not-for-producers', INVALID_RECORD, 'a batch with a producer id has a sequence number')
const APPEND_TIME = problem('not-for-producers', INVALID_TIMESTAMP, 'the log append time is not for producers to set')

/** Up to the magic byte the layout is the same in every message format. */
const COMMON_SIZE = 17
/** Lengths and deltas of an empty record take one byte each, its attributes one more. */
export const MIN_RECORD_SIZE = 7
const LAST_CODEC = 4

/**
 * Whether a whole batch of message format v2 lies at `at`, with nothing of it at or behind `end`. The other functions that
 * take a batch rely on it. Only the header is read: for a batch in a file, `end` may lie beyond what of it is in the buffer.
 */
export function checkFrame(buffer: Buffer, at = 0, end = buffer.length): BatchProblem | undefined {
  if (end - at < COMMON_SIZE) return INCOMPLETE
  const size = batchSize(buffer, at)
  if (size < COMMON_SIZE) return LENGTH
  const format = magic(buffer, at)
  if (format !== MAGIC_V2) return format === 0 || format === 1 ? OLD_FORMAT : MAGIC
  if (size < BATCH_HEADER_SIZE) return LENGTH
  if (size > end - at) return INCOMPLETE
  return undefined
}

/** Reads every byte of the batch. */
export function checkCrc(buffer: Buffer, at = 0): BatchProblem | undefined {
  return computedCrc(buffer, at) === storedCrc(buffer, at) ? undefined : CRC
}

/** What holds for any batch, also one from which compaction has taken records: no more of them than offsets, or than fit. */
export function checkCounts(buffer: Buffer, at = 0): BatchProblem | undefined {
  const count = recordCount(buffer, at)
  const delta = lastOffsetDelta(buffer, at)
  if (count < 0 || delta < 0 || count > delta + 1) return COUNTS
  if (codecId(buffer, at) === 0 && count * MIN_RECORD_SIZE > batchSize(buffer, at) - BATCH_HEADER_SIZE) return COUNTS
  // Neither below zero nor beyond what an int64 holds.
  if (baseOffset(buffer, at) < 0n || BigInt.asIntN(64, lastOffset(buffer, at)) < 0n) return COUNTS
  return undefined
}

/** All three, the cheap ones first. */
export function checkBatch(buffer: Buffer, at = 0, end = buffer.length): BatchProblem | undefined {
  return checkFrame(buffer, at, end) ?? checkCounts(buffer, at) ?? checkCrc(buffer, at)
}

/** What a producer may send, beyond what holds for any batch. */
export function checkProduced(buffer: Buffer, at = 0): BatchProblem | undefined {
  const count = recordCount(buffer, at)
  if (baseOffset(buffer, at) !== 0n) return BASE_OFFSET
  if (count <= 0 || lastOffsetDelta(buffer, at) !== count - 1) return PRODUCED_COUNTS
  if (codecId(buffer, at) > LAST_CODEC) return CODEC
  if (isControl(buffer, at)) return CONTROL
  if (isLogAppendTime(buffer, at)) return APPEND_TIME
  // kafkajs without idempotence sends the producer id -1 with epoch and sequence 0: only the id tells.
  if (producerId(buffer, at) >= 0n && baseSequence(buffer, at) < 0) return SEQUENCE
  return undefined
}

/**
 * Yields the position of every whole batch. An incomplete one at the end is left out: a fetch is cut by size, not at a batch.
 * @throws DecodeError where no batch of message format v2 begins
 */
export function* eachBatch(buffer: Buffer, at = 0, end = buffer.length): Generator<number, void, undefined> {
  while (end - at >= BATCH_PREFIX_SIZE) {
    const found = checkFrame(buffer, at, end)
    if (found === INCOMPLETE) return
    if (found !== undefined) throw new DecodeError(`at position ${at}: ${found.message}`)
    // Read now: the buffer may be stamped or reused while the caller holds the position.
    const next = at + batchSize(buffer, at)
    yield at
    at = next
  }
}

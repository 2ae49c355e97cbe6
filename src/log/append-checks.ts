// What a producer's batch must pass before it gets into a log, and what the topic makes of it: another codec, another clock.
// One walk over the records finds what a header may hide; only where something is wrong are they looked at one by one.

import { CompressionCodec } from '../bytes/compression/codecs.ts'
import { DecodeError } from '../bytes/reader.ts'
import { errorName, KafkaError, type RecordError } from '../protocol/error-codes.ts'
import { recompress, renumber } from '../protocol/records/batch-builder.ts'
import {
  baseOffset,
  baseTimestamp,
  batchSize,
  codecId,
  hasDeleteHorizon,
  lastOffset,
  maxTimestamp,
  recordCount,
  stampLogAppendTime,
  stampMaxTimestamp,
} from '../protocol/records/batch-header.ts'
import { NO_TIMESTAMP } from '../protocol/records/record.ts'
import { type BatchProblem, checkCounts, checkCrc, checkFrame, checkProduced } from '../protocol/records/record-batch.ts'
import { MAX_DECOMPRESSED_BYTES, RecordCursor, recordBytes } from '../protocol/records/record-cursor.ts'
import { type RecordSummary, walkRecords } from '../protocol/records/record-walk.ts'
import { type LogConfig, UNLIMITED } from './log-config.ts'

/** Records named to a producer as those to blame, at most: an answer must not outgrow its request. */
const MAX_RECORD_ERRORS = 1000

/** How many bytes the compressed batches of one request may still become. Each use takes from it. */
export interface DecompressionAllowance {
  bytes: number
}

/** Some batches of the largest size: a request that is all compression must not fill the memory, nor keep the broker busy. */
export function decompressionAllowance(): DecompressionAllowance {
  return { bytes: 256 * 1024 * 1024 }
}

function refuse(problem: BatchProblem | undefined): void {
  if (problem !== undefined) throw new KafkaError(errorName(problem.errorCode), problem.message)
}

/** That the bytes are whole batches that fit into a segment together, and what holds for any batch. Throws KafkaError. */
export function checkBatches(batches: Buffer, config: LogConfig): void {
  if (batches.length > config.segmentBytes) {
    throw new KafkaError(
      'RECORD_LIST_TOO_LARGE',
      `${batches.length} bytes, a segment holds ${config.segmentBytes} (segment.bytes)`,
    )
  }
  checkWhole(batches)
}

function checkWhole(batches: Buffer): void {
  for (let at = 0; at < batches.length; at += batchSize(batches, at)) {
    refuse(checkFrame(batches, at))
    refuse(checkCounts(batches, at))
    refuse(checkCrc(batches, at))
  }
}

/**
 * That copied batches are whole and go on where the log ends. There may be holes, for the leader's log may have been compacted, and they
 * may be more than one segment holds.
 */
export function checkCopied(batches: Buffer, endOffset: bigint): void {
  checkWhole(batches)
  let expected = endOffset
  for (let at = 0; at < batches.length; at += batchSize(batches, at)) {
    if (baseOffset(batches, at) < expected) {
      const message = `the leader sent offset ${baseOffset(batches, at)} where ${expected} or more must come`
      throw new KafkaError('OFFSET_OUT_OF_RANGE', message)
    }
    expected = lastOffset(batches, at) + 1n
  }
}

/**
 * One batch from a producer, in the form in which the topic keeps it: usually the very bytes.
 * Throws KafkaError: INVALID_RECORD, CORRUPT_MESSAGE, MESSAGE_TOO_LARGE, RECORD_LIST_TOO_LARGE, INVALID_TIMESTAMP,
 * UNSUPPORTED_COMPRESSION_TYPE.
 */
export function admitProduced(
  batch: Buffer,
  config: LogConfig,
  nowMs: number,
  allowance: DecompressionAllowance = decompressionAllowance(),
): Buffer {
  if (batch.length === 0) throw new KafkaError('INVALID_RECORD', 'no record batch')
  refuse(checkFrame(batch))
  if (batchSize(batch) !== batch.length)
    throw new KafkaError('INVALID_RECORD', 'exactly one record batch may be produced at a time')
  checkSize(batch, config)
  if (batch.length > config.segmentBytes) {
    throw new KafkaError('RECORD_LIST_TOO_LARGE', `${batch.length} bytes, a segment holds ${config.segmentBytes} (segment.bytes)`)
  }
  refuse(checkCounts(batch))
  refuse(checkCrc(batch))
  refuse(checkProduced(batch))
  if (hasDeleteHorizon(batch)) throw new KafkaError('INVALID_RECORD', 'the delete horizon is not for producers to set')
  try {
    return admitRecords(batch, config, nowMs, allowance)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    throw new KafkaError('INVALID_RECORD', error.message, { cause: error })
  }
}

/** Throws DecodeError, too. */
function admitRecords(batch: Buffer, config: LogConfig, nowMs: number, allowance: DecompressionAllowance): Buffer {
  const records = recordBytes(batch, 0, { maxDecompressedBytes: Math.min(MAX_DECOMPRESSED_BYTES, allowance.bytes) })
  if (codecId(batch) !== CompressionCodec.none) allowance.bytes -= records.length
  const summary = walkRecords(records, 0, records.length, recordCount(batch))
  const createTime = config.messageTimestampType === 'CreateTime'
  if ((config.compacts && summary.keyless > 0) || (createTime && !isInTime(batch, summary, config, nowMs)))
    checkRecords(batch, config, nowMs)
  if (!summary.consecutive) {
    batch = renumber(batch)
    checkSize(batch, config)
    return inCodec(batch, config, nowMs)
  }
  if (createTime) mendMaxTimestamp(batch, summary)
  return inCodec(batch, config, nowMs, records)
}

function checkSize(batch: Buffer, config: LogConfig): void {
  if (batch.length <= config.maxMessageBytes) return
  throw new KafkaError(
    'MESSAGE_TOO_LARGE',
    `${batch.length} bytes, the topic takes ${config.maxMessageBytes} (max.message.bytes)`,
  )
}

/** Surely: where a number cannot tell, the answer is no. */
function isInTime(batch: Buffer, summary: RecordSummary, config: LogConfig, nowMs: number): boolean {
  if (!summary.exactTimestamps) return false
  const base = Number(baseTimestamp(batch))
  if (base + summary.maxTimestampDelta - nowMs > config.messageTimestampAfterMaxMs) return false
  const beforeMaxMs = config.messageTimestampBeforeMaxMs
  return beforeMaxMs >= UNLIMITED || nowMs - (base + summary.minTimestampDelta) <= beforeMaxMs
}

/** Lookups by time and retention go by what the header says. */
function mendMaxTimestamp(batch: Buffer, summary: RecordSummary): void {
  const newest = summary.exactTimestamps
    ? BigInt.asIntN(64, baseTimestamp(batch) + BigInt(summary.maxTimestampDelta))
    : newestOf(batch)
  const wanted = newest > NO_TIMESTAMP ? newest : NO_TIMESTAMP
  if (wanted !== maxTimestamp(batch)) stampMaxTimestamp(batch, 0, wanted)
}

function newestOf(batch: Buffer): bigint {
  let newest = NO_TIMESTAMP
  const cursor = new RecordCursor(batch)
  while (cursor.next()) if (cursor.timestamp > newest) newest = cursor.timestamp
  return newest
}

/** Throws KafkaError with the records that are to blame (KIP-467), if there are any. */
function checkRecords(batch: Buffer, config: LogConfig, nowMs: number): void {
  const recordErrors: RecordError[] = []
  let timestamps = false
  const cursor = new RecordCursor(batch)
  const checkTime = config.messageTimestampType === 'CreateTime'
  for (let batchIndex = 0; cursor.next() && recordErrors.length < MAX_RECORD_ERRORS; batchIndex++) {
    if (config.compacts && !cursor.hasKey) {
      recordErrors.push({ batchIndex, batchIndexErrorMessage: 'a record of a compacted topic needs a key' })
    } else if (checkTime && cursor.timestamp !== NO_TIMESTAMP) {
      const age = nowMs - Number(cursor.timestamp)
      if (age <= config.messageTimestampBeforeMaxMs && -age <= config.messageTimestampAfterMaxMs) continue
      timestamps = true
      recordErrors.push({ batchIndex, batchIndexErrorMessage: timestampProblem(cursor.timestamp, age, config) })
    }
  }
  if (recordErrors.length === 0) return
  throw new KafkaError(timestamps ? 'INVALID_TIMESTAMP' : 'INVALID_RECORD', recordErrors[0].batchIndexErrorMessage ?? undefined, {
    recordErrors,
  })
}

function timestampProblem(timestamp: bigint, ageMs: number, config: LogConfig): string {
  const { messageTimestampBeforeMaxMs, messageTimestampAfterMaxMs } = config
  return ageMs > 0
    ? `timestamp ${timestamp} is ${ageMs} ms ago: message.timestamp.before.max.ms is ${messageTimestampBeforeMaxMs}`
    : `timestamp ${timestamp} is ${-ageMs} ms ahead: message.timestamp.after.max.ms is ${messageTimestampAfterMaxMs}`
}

/** @param records of the batch, decompressed, where they are known */
function inCodec(batch: Buffer, config: LogConfig, nowMs: number, records?: Buffer): Buffer {
  const { compressionType } = config
  const wanted =
    compressionType === 'producer'
      ? codecId(batch)
      : CompressionCodec[compressionType === 'uncompressed' ? 'none' : compressionType]
  if (codecId(batch) !== wanted) {
    const levels = { gzip: config.compressionGzipLevel, zstd: config.compressionZstdLevel }
    batch = recompress(batch, 0, wanted, { level: levels[compressionType as keyof typeof levels], records })
    checkSize(batch, config)
  }
  if (config.messageTimestampType === 'LogAppendTime') stampLogAppendTime(batch, 0, BigInt(nowMs))
  return batch
}

// What a producer's batch must pass before it gets into a log, and what the topic makes of it: another codec, another clock.
// Only topics that need it have their records looked at one by one.

import { CompressionCodec } from '../bytes/compression/codecs.ts'
import { DecodeError } from '../bytes/reader.ts'
import { errorName, KafkaError, type RecordError } from '../protocol/error-codes.ts'
import { recompress } from '../protocol/records/batch-builder.ts'
import {
  baseOffset,
  batchSize,
  codecId,
  hasDeleteHorizon,
  lastOffset,
  maxTimestamp,
  stampLogAppendTime,
} from '../protocol/records/batch-header.ts'
import { NO_TIMESTAMP } from '../protocol/records/record.ts'
import { type BatchProblem, checkCounts, checkCrc, checkFrame, checkProduced } from '../protocol/records/record-batch.ts'
import { RecordCursor } from '../protocol/records/record-cursor.ts'
import { type LogConfig, UNLIMITED } from './log-config.ts'

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
  for (let at = 0; at < batches.length; at += batchSize(batches, at)) {
    refuse(checkFrame(batches, at))
    refuse(checkCounts(batches, at))
    refuse(checkCrc(batches, at))
  }
}

/** That copied batches go on where the log ends. There may be holes: the leader's log may have been compacted. */
export function checkCopied(batches: Buffer, endOffset: bigint): void {
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
export function admitProduced(batch: Buffer, config: LogConfig, nowMs: number): Buffer {
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
  const createTime = config.messageTimestampType === 'CreateTime'
  if (createTime) checkNewest(batch, config, nowMs)
  if (config.compacts || (createTime && config.messageTimestampBeforeMaxMs < UNLIMITED)) checkRecords(batch, config, nowMs)
  batch = inCodec(batch, config)
  if (!createTime) stampLogAppendTime(batch, 0, BigInt(nowMs))
  return batch
}

function checkSize(batch: Buffer, config: LogConfig): void {
  if (batch.length <= config.maxMessageBytes) return
  throw new KafkaError(
    'MESSAGE_TOO_LARGE',
    `${batch.length} bytes, the topic takes ${config.maxMessageBytes} (max.message.bytes)`,
  )
}

/** The header has the newest timestamp; it is believed, for the records are not read. */
function checkNewest(batch: Buffer, config: LogConfig, nowMs: number): void {
  const newest = Number(maxTimestamp(batch))
  if (newest - nowMs <= config.messageTimestampAfterMaxMs) return
  throw new KafkaError(
    'INVALID_TIMESTAMP',
    `timestamp ${newest} is more than ${config.messageTimestampAfterMaxMs} ms ahead of ${nowMs} (message.timestamp.after.max.ms)`,
  )
}

function checkRecords(batch: Buffer, config: LogConfig, nowMs: number): void {
  const recordErrors: RecordError[] = []
  let timestamps = false
  try {
    const cursor = new RecordCursor(batch)
    const checkTime = config.messageTimestampType === 'CreateTime'
    for (let batchIndex = 0; cursor.next(); batchIndex++) {
      if (config.compacts && !cursor.hasKey) {
        recordErrors.push({ batchIndex, batchIndexErrorMessage: 'a record of a compacted topic needs a key' })
      } else if (checkTime && cursor.timestamp !== NO_TIMESTAMP) {
        const age = nowMs - Number(cursor.timestamp)
        if (age <= config.messageTimestampBeforeMaxMs && -age <= config.messageTimestampAfterMaxMs) continue
        timestamps = true
        const message = `timestamp ${cursor.timestamp} is out of the topic's range at ${nowMs}`
        recordErrors.push({ batchIndex, batchIndexErrorMessage: message })
      }
    }
  } catch (error) {
    throw undecodable(error)
  }
  if (recordErrors.length === 0) return
  throw new KafkaError(timestamps ? 'INVALID_TIMESTAMP' : 'INVALID_RECORD', recordErrors[0].batchIndexErrorMessage ?? undefined, {
    recordErrors,
  })
}

function inCodec(batch: Buffer, config: LogConfig): Buffer {
  if (config.compressionType === 'producer') return batch
  const wanted = CompressionCodec[config.compressionType === 'uncompressed' ? 'none' : config.compressionType]
  if (codecId(batch) === wanted) return batch
  const levels = { gzip: config.compressionGzipLevel, lz4: config.compressionLz4Level, zstd: config.compressionZstdLevel }
  try {
    const level = levels[config.compressionType as keyof typeof levels]
    const made = recompress(batch, 0, wanted, { level })
    checkSize(made, config)
    return made
  } catch (error) {
    throw undecodable(error)
  }
}

function undecodable(error: unknown): unknown {
  return error instanceof DecodeError ? new KafkaError('INVALID_RECORD', `records: ${error.message}`, { cause: error }) : error
}

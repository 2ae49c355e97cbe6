// What a batch must be to be believed, and walking over many.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompressionCodec } from '../../bytes/compression/codecs.ts'
import { DecodeError } from '../../bytes/reader.ts'
import { ErrorCode } from '../error-codes.ts'
import { RecordBatchBuilder } from './batch-builder.ts'
import { computedCrc, stampLogAppendTime, stampOffsetAndEpoch } from './batch-header.ts'
import { fuzz } from './record-batch.fuzz.ts'
import { type BatchProblem, checkBatch, checkCounts, checkFrame, checkProduced, eachBatch } from './record-batch.ts'

function batchOf(count: number, options = {}): Buffer {
  const builder = new RecordBatchBuilder()
  for (let i = 0; i < count; i++) builder.append({ timestamp: 1000n + BigInt(i), value: Buffer.from(`value ${i}`) })
  return builder.build(options)
}

/** The batch with some bytes of its header overwritten, and its checksum mended. */
function forged(batch: Buffer, position: number, hex: string): Buffer {
  const copy = Buffer.from(batch)
  copy.write(hex, position, 'hex')
  copy.writeUInt32BE(computedCrc(copy), 17)
  return copy
}

function refused(problem: BatchProblem | undefined, kind: BatchProblem['kind'], errorCode: number) {
  assert.deepEqual([problem?.kind, problem?.errorCode], [kind, errorCode])
}

test('a batch as producers send it passes every check', () => {
  const batch = batchOf(3)
  assert.equal(checkBatch(batch), undefined)
  assert.equal(checkProduced(batch), undefined)
})

test('a batch cut short anywhere is incomplete', () => {
  const batch = batchOf(3)
  for (let end = 0; end < batch.length; end++) refused(checkFrame(batch, 0, end), 'incomplete', ErrorCode.INVALID_RECORD)
  assert.equal(checkFrame(Buffer.concat([batch, batch]), batch.length), undefined)
})

test('a length that does not cover the header is corrupt', () => {
  const batch = batchOf(1)
  for (const length of [48, 5, 4, 0, -1, -2147483648]) {
    batch.writeInt32BE(length, 8)
    refused(checkBatch(batch), 'length', ErrorCode.CORRUPT_MESSAGE)
  }
})

test('message formats v0 and v1 are told apart from corruption', () => {
  // A message set v1 of one message without key and value: shorter than a header of v2.
  const messageSet = Buffer.alloc(12 + 22)
  messageSet.writeInt32BE(22, 8)
  for (const magic of [0, 1]) {
    messageSet[16] = magic
    refused(checkBatch(messageSet), 'old-format', ErrorCode.INVALID_RECORD)
    assert.throws(() => [...eachBatch(messageSet)], /v0 and v1/)
  }
  for (const magic of [3, 127, 255]) {
    messageSet[16] = magic
    refused(checkBatch(messageSet), 'magic', ErrorCode.CORRUPT_MESSAGE)
  }
})

test('a flipped bit anywhere behind the checksum is found', () => {
  const batch = batchOf(2)
  for (let position = 17; position < batch.length; position++) {
    batch[position] ^= 0x10
    assert.notEqual(checkBatch(batch), undefined, `position ${position}`)
    batch[position] ^= 0x10
  }
  batch[batch.length - 1] ^= 1
  refused(checkBatch(batch), 'crc', ErrorCode.CORRUPT_MESSAGE)
})

test('giving a batch its offset and leader epoch leaves the checksum right', () => {
  const batch = batchOf(2)
  stampOffsetAndEpoch(batch, 0, 123_456_789_012n, 42)
  assert.equal(checkBatch(batch), undefined)
  stampLogAppendTime(batch, 0, 99n)
  assert.equal(checkBatch(batch), undefined)
})

test('counts that contradict each other or the bytes are refused', () => {
  const batch = batchOf(3)
  const delta = 23
  const count = 57
  for (const bad of [
    forged(batch, count, 'ffffffff'),
    forged(batch, delta, 'ffffffff'),
    forged(batch, count, '00000004'),
    forged(forged(batch, count, '7fffffff'), delta, '7fffffff'),
    forged(batch, 0, 'ffffffffffffffff'),
    forged(batch, 0, '7fffffffffffffff'),
  ]) {
    refused(checkCounts(bad), 'counts', ErrorCode.INVALID_RECORD)
    refused(checkBatch(bad), 'counts', ErrorCode.INVALID_RECORD)
  }
})

test('a batch from which compaction took records is sound, but not for a producer to send', () => {
  const compacted = forged(batchOf(3), 23, '00000009')
  assert.equal(checkBatch(compacted), undefined)
  refused(checkProduced(compacted), 'counts', ErrorCode.INVALID_RECORD)
})

test('what only brokers write is refused from producers', () => {
  const { INVALID_RECORD, INVALID_TIMESTAMP, UNSUPPORTED_COMPRESSION_TYPE } = ErrorCode
  refused(checkProduced(batchOf(1, { baseOffset: 5n })), 'not-for-producers', INVALID_RECORD)
  refused(checkProduced(batchOf(1, { control: true })), 'not-for-producers', INVALID_RECORD)
  refused(checkProduced(batchOf(1, { logAppendTime: 1n })), 'not-for-producers', INVALID_TIMESTAMP)
  refused(checkProduced(batchOf(1, { producerId: 0n, producerEpoch: 0 })), 'not-for-producers', INVALID_RECORD)
  refused(checkProduced(forged(batchOf(1), 57, '00000000')), 'counts', INVALID_RECORD)
  for (const codec of ['0005', '0006', '0007']) {
    refused(checkProduced(forged(batchOf(1), 21, codec)), 'codec', UNSUPPORTED_COMPRESSION_TYPE)
  }
})

test('a batch without a producer id may have any epoch and sequence: kafkajs sends 0 and 0', () => {
  assert.equal(checkProduced(batchOf(1, { producerEpoch: 0, baseSequence: 0 })), undefined)
  assert.equal(checkProduced(batchOf(1, { producerEpoch: 0, baseSequence: -1 })), undefined)
})

test('walking over batches leaves out an incomplete last one', () => {
  const first = batchOf(3)
  const second = batchOf(1, { codecId: CompressionCodec.gzip })
  const both = Buffer.concat([first, second])
  assert.deepEqual([...eachBatch(both)], [0, first.length])
  assert.deepEqual([...eachBatch(both, first.length)], [first.length])
  for (let end = 0; end < both.length; end++) {
    assert.deepEqual([...eachBatch(both.subarray(0, end))], end < first.length ? [] : [0])
    assert.deepEqual([...eachBatch(both, 0, end)], end < first.length ? [] : [0])
  }
})

test('walking over batches stops with an error where no batch begins', () => {
  const batch = batchOf(1)
  const walk = eachBatch(Buffer.concat([batch, Buffer.alloc(100)]))
  assert.equal(walk.next().value, 0)
  assert.throws(() => walk.next(), DecodeError)
})

test('mutated batches give problems and DecodeErrors, nothing worse', async () => {
  await fuzz(3000, 1)
})

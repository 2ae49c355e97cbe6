// What comes out of a batch, and what a batch with sound framing but senseless records is refused for.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompressionCodec, compress } from '../../bytes/compression/codecs.ts'
import { CompressionError } from '../../bytes/compression/compression-error.ts'
import { DecodeError } from '../../bytes/reader.ts'
import { RecordBatchBuilder } from './batch-builder.ts'
import { BATCH_HEADER_SIZE, stampLogAppendTime, writeBatchHeader } from './batch-header.ts'
import { decodeRecords, RecordCursor } from './record-cursor.ts'

/** A sound header in front of whatever bytes. */
function batchOf(records: Buffer, { recordCount = 1, codecId = 0 } = {}): Buffer {
  const batch = Buffer.concat([Buffer.alloc(BATCH_HEADER_SIZE), compress(codecId, records)])
  writeBatchHeader(batch, {
    baseOffset: 10n,
    leaderEpoch: 0,
    codecId,
    logAppendTime: false,
    transactional: false,
    control: false,
    deleteHorizon: false,
    lastOffsetDelta: 0,
    baseTimestamp: 1000n,
    maxTimestamp: 1000n,
    producerId: -1n,
    producerEpoch: -1,
    baseSequence: -1,
    recordCount,
  })
  return batch
}

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
const decodedHex = (text: string, recordCount = 1) => [...decodeRecords(batchOf(hex(text), { recordCount }))]

test('a record of the fewest bytes is empty: no key, no value, no headers', () => {
  assert.deepEqual(decodedHex('0c 00 00 00 01 01 00'), [{ offset: 10n, timestamp: 1000n, key: null, value: null, headers: [] }])
})

test('timestamps may go back and forth within a batch', () => {
  const builder = new RecordBatchBuilder()
  const timestamps = [1000n, 500n, 2000n, -1n, 999n]
  for (const timestamp of timestamps) builder.append({ timestamp })
  assert.deepEqual(
    [...decodeRecords(builder.build())].map((record) => record.timestamp),
    timestamps,
  )
})

test('with log append time every record has the time of the batch', () => {
  const builder = new RecordBatchBuilder()
  builder.append({ timestamp: 1n })
  builder.append({ timestamp: 2n })
  const batch = builder.build()
  stampLogAppendTime(batch, 0, 777n)
  assert.deepEqual(
    [...decodeRecords(batch)].map((record) => record.timestamp),
    [777n, 777n],
  )
})

test('a cursor tells null from empty without making a view', () => {
  const builder = new RecordBatchBuilder()
  builder.append({ timestamp: 0n, key: Buffer.alloc(0), value: null })
  builder.append({ timestamp: 0n, key: null, value: Buffer.alloc(0) })
  const cursor = new RecordCursor(builder.build())
  const seen = []
  while (cursor.next()) seen.push([cursor.hasKey, cursor.hasValue, cursor.key?.length, cursor.value?.length, cursor.offsetDelta])
  assert.deepEqual(seen, [
    [true, false, 0, undefined, 0],
    [false, true, undefined, 0, 1],
  ])
  assert.equal(cursor.count, 2)
})

test('keys and values of uncompressed batches are views of the batch, wherever in a buffer it lies', () => {
  const builder = new RecordBatchBuilder()
  builder.append({ timestamp: 0n, value: Buffer.from('here') })
  const batch = builder.build()
  const buffer = Buffer.concat([Buffer.alloc(7), batch, Buffer.alloc(9)])
  const [record] = decodeRecords(buffer, 7)
  buffer[buffer.indexOf('here')] = 'H'.charCodeAt(0)
  assert.equal(record.value?.toString(), 'Here')
})

test('lengths that leave the record or the batch are refused', () => {
  for (const [what, bytes] of Object.entries({
    'no record at all': '',
    'a record longer than the batch': '0e 00 00 00 01 01 00',
    'a record of negative length': '0b 00 00 00 01 01 00',
    'a record too short to be one': '0a 00 00 00 01 01',
    'a key longer than the batch': '0c 00 00 00 20 01 00',
    'a key beyond the record': '0c 00 00 00 02 01 00 00 00',
    'a value of 2 GiB': '14 00 00 00 01 fe ff ff ff 0f 00',
    'more headers than bytes': '0c 00 00 00 01 01 02',
    'a negative number of headers': '0c 00 00 00 01 01 01',
    'a header without a key': '10 00 00 00 01 01 02 01 00',
    'bytes left in the record': '0e 00 00 00 01 01 00 00',
    'bytes left in the batch': '0c 00 00 00 01 01 00 00',
    'a length of six bytes': '80 80 80 80 80 00 00 00 00 01 01 00',
    'a timestamp of eleven bytes': '20 00 80 80 80 80 80 80 80 80 80 80 00 00 01 01 00',
  })) {
    assert.throws(() => decodedHex(bytes), DecodeError, what)
  }
})

test('more records than bytes could hold are refused before the first', () => {
  const batch = batchOf(Buffer.alloc(70), { recordCount: 11 })
  assert.throws(() => new RecordCursor(batch), DecodeError)
  assert.throws(() => new RecordCursor(batchOf(Buffer.alloc(70), { recordCount: -1 })), DecodeError)
})

test('fewer records than counted are refused, after those that are there', () => {
  const records = decodeRecords(batchOf(hex('0c 00 00 00 01 01 00'.repeat(2)), { recordCount: 3, codecId: 0 }))
  assert.throws(() => [...records], DecodeError)
})

test('a header may have an empty key and no value', () => {
  assert.deepEqual(decodedHex('10 00 00 00 01 01 02 00 01')[0].headers, [{ key: '', value: null }])
})

test('any negative length means null, as it does to Kafka', () => {
  assert.equal(decodedHex('0c 00 00 00 03 05 00')[0].key, null)
})

test('records that decompress to more than the limit are refused', () => {
  const builder = new RecordBatchBuilder()
  builder.append({ timestamp: 0n, value: Buffer.alloc(1_000_000) })
  const plain = builder.build().subarray(BATCH_HEADER_SIZE)
  for (const codecId of [CompressionCodec.gzip, CompressionCodec.snappy, CompressionCodec.lz4, CompressionCodec.zstd]) {
    const batch = batchOf(plain, { codecId })
    assert.equal([...decodeRecords(batch, 0, { maxDecompressedBytes: plain.length })].length, 1)
    assert.throws(() => [...decodeRecords(batch, 0, { maxDecompressedBytes: plain.length - 1 })], CompressionError)
  }
})

test('a batch that does not lie whole in the buffer, or of another format, is refused', () => {
  const batch = batchOf(hex('0c 00 00 00 01 01 00'))
  assert.throws(() => new RecordCursor(batch.subarray(0, -1)), DecodeError)
  batch[16] = 1
  assert.throws(() => new RecordCursor(batch), /v0 and v1/)
})

// Batches made from records, and from other batches.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CompressionCodec } from '../../bytes/compression/codecs.ts'
import { maxRecordSize, RecordBatchBuilder, recompress, retainRecords } from './batch-builder.ts'
import * as header from './batch-header.ts'
import type { RecordInput } from './record.ts'
import { checkBatch } from './record-batch.ts'
import { decodeRecords } from './record-cursor.ts'

const records: RecordInput[] = [
  { timestamp: 100n, key: Buffer.from('a'), value: Buffer.from('1') },
  { timestamp: 300n, key: Buffer.from('b'), value: Buffer.alloc(5000, 'b') },
  { timestamp: 200n, key: Buffer.from('a'), value: null, headers: [{ key: 'h', value: Buffer.from('v') }] },
]

function batchOf(options = {}): Buffer {
  const builder = new RecordBatchBuilder()
  for (const record of records) builder.append(record)
  return builder.build(options)
}

test('the size grows as records are appended, and is that of the batch', () => {
  const builder = new RecordBatchBuilder({ sizeHint: 1 })
  assert.equal(builder.size, header.BATCH_HEADER_SIZE)
  let size = builder.size
  for (const record of records) {
    const grown = builder.append(record)
    assert.equal(grown, builder.size)
    assert.ok(grown > size && grown - size <= maxRecordSize(record))
    size = grown
  }
  assert.equal(builder.count, 3)
  assert.equal(builder.build().length, size)
})

test('without options a batch is what a plain producer sends', () => {
  const batch = batchOf()
  assert.equal(checkBatch(batch), undefined)
  assert.equal(header.baseOffset(batch), 0n)
  assert.equal(header.attributes(batch), 0)
  assert.equal(header.leaderEpoch(batch), -1)
  assert.deepEqual([header.producerId(batch), header.producerEpoch(batch), header.baseSequence(batch)], [-1n, -1, -1])
  assert.deepEqual([header.baseTimestamp(batch), header.maxTimestamp(batch)], [100n, 300n])
  assert.deepEqual([header.recordCount(batch), header.lastOffsetDelta(batch)], [3, 2])
})

test('a batch without records cannot be built', () => {
  assert.throws(() => new RecordBatchBuilder().build(), RangeError)
})

test('the latest timestamp may be a negative one', () => {
  const builder = new RecordBatchBuilder()
  builder.append({ timestamp: -50n })
  builder.append({ timestamp: -70n })
  const batch = builder.build()
  assert.deepEqual([header.baseTimestamp(batch), header.maxTimestamp(batch)], [-50n, -50n])
})

test('recompressing changes the codec and nothing that a reader sees', () => {
  const options = { baseOffset: 42n, leaderEpoch: 3, producerId: 7n, producerEpoch: 1, baseSequence: 9, transactional: true }
  for (const from of Object.values(CompressionCodec)) {
    for (const to of Object.values(CompressionCodec)) {
      const original = batchOf({ ...options, codecId: from })
      const made = recompress(original, 0, to)
      assert.equal(checkBatch(made), undefined)
      assert.equal(header.codecId(made), to)
      assert.deepEqual([...decodeRecords(made)], [...decodeRecords(original)])
      assert.deepEqual(made.subarray(23, 61), original.subarray(23, 61))
      if (to === from) assert.deepEqual(made, original)
    }
  }
})

test('recompressing keeps log append time', () => {
  const made = recompress(batchOf({ logAppendTime: 999n }), 0, CompressionCodec.zstd)
  assert.equal(header.isLogAppendTime(made), true)
  assert.equal(header.maxTimestamp(made), 999n)
})

test('records retained by compaction keep their offsets, and the batch its span', () => {
  const original = batchOf({ baseOffset: 42n, leaderEpoch: 3, producerId: 7n, producerEpoch: 1, baseSequence: 9, codecId: 4 })
  const made = retainRecords(original, 0, (record) => record.key?.toString() === 'b')
  assert.equal(checkBatch(made), undefined)
  const [kept, ...others] = decodeRecords(made)
  assert.deepEqual(others, [])
  assert.deepEqual([kept.offset, kept.timestamp, kept.key?.toString()], [43n, 300n, 'b'])
  assert.deepEqual([header.baseOffset(made), header.lastOffset(made), header.recordCount(made)], [42n, 44n, 1])
  assert.deepEqual([header.producerId(made), header.baseSequence(made), header.codecId(made)], [7n, 9, 4])
  assert.equal(header.maxTimestamp(made), 300n)
})

test('a batch with no record left is a bare header that still tells its offsets, producer and time', () => {
  const made = retainRecords(
    batchOf({ baseOffset: 42n, producerId: 7n, producerEpoch: 1, baseSequence: 9, codecId: 2 }),
    0,
    () => false,
  )
  assert.equal(made.length, header.BATCH_HEADER_SIZE)
  assert.equal(checkBatch(made), undefined)
  assert.deepEqual([header.baseOffset(made), header.lastOffset(made), header.recordCount(made)], [42n, 44n, 0])
  assert.deepEqual([header.producerId(made), header.baseSequence(made), header.codecId(made)], [7n, 9, 0])
  assert.equal(header.maxTimestamp(made), 300n)
  assert.deepEqual([...decodeRecords(made)], [])
  assert.deepEqual(
    retainRecords(made, 0, () => true),
    made,
  )
})

test('a delete horizon is set once, and leaves the timestamps of the records as they were', () => {
  const made = retainRecords(batchOf(), 0, (record) => !record.hasValue, { deleteHorizon: 9_999n })
  assert.equal(header.hasDeleteHorizon(made), true)
  assert.equal(header.baseTimestamp(made), 9_999n)
  assert.equal([...decodeRecords(made)][0].timestamp, 200n)
  const again = retainRecords(made, 0, () => true, { deleteHorizon: 20_000n })
  assert.deepEqual(again, made)
})

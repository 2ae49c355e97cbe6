// The markers that end transactions, in Kafka's bytes.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError } from '../../bytes/reader.ts'
import { RecordBatchBuilder } from './batch-builder.ts'
import * as header from './batch-header.ts'
import { endTransactionMarker, readControlRecord } from './control-record.ts'
import { checkBatch, checkProduced } from './record-batch.ts'
import { decodeRecords } from './record-cursor.ts'

const MARKER = { producerId: 12n, producerEpoch: 3, coordinatorEpoch: 5, timestamp: 1000n }

function controlBatch(key: string | null, value: string | null): Buffer {
  const builder = new RecordBatchBuilder()
  const bytes = (hex: string | null) => (hex === null ? null : Buffer.from(hex, 'hex'))
  builder.append({ timestamp: 0n, key: bytes(key), value: bytes(value) })
  return builder.build({ control: true })
}

test('a marker is a transactional control batch of one record, without a sequence', () => {
  const batch = endTransactionMarker({ ...MARKER, result: 'commit', leaderEpoch: 9, baseOffset: 77n })
  assert.equal(checkBatch(batch), undefined)
  assert.equal(header.isControl(batch) && header.isTransactional(batch), true)
  assert.deepEqual([header.producerId(batch), header.producerEpoch(batch), header.baseSequence(batch)], [12n, 3, -1])
  assert.deepEqual([header.baseOffset(batch), header.lastOffset(batch), header.leaderEpoch(batch)], [77n, 77n, 9])
  const [record] = decodeRecords(batch)
  assert.equal(record.key?.toString('hex'), '00000001')
  assert.equal(record.value?.toString('hex'), '000000000005')
  // As kafka-dump-log shows it: 61 bytes of header, 17 of record.
  assert.equal(batch.length, 78)
})

test('a marker reads back', () => {
  for (const result of ['commit', 'abort'] as const) {
    assert.deepEqual(readControlRecord(endTransactionMarker({ ...MARKER, result })), { type: result, coordinatorEpoch: 5 })
  }
})

test('a producer cannot send a marker', () => {
  assert.notEqual(checkProduced(endTransactionMarker({ ...MARKER, result: 'abort' })), undefined)
})

test('later versions of a marker may add fields, other types are skipped', () => {
  assert.deepEqual(readControlRecord(controlBatch('0001000100ff', '0001000000070000')), { type: 'commit', coordinatorEpoch: 7 })
  assert.deepEqual(readControlRecord(controlBatch('00000002', null)), { type: 'other', id: 2 })
})

test('a marker that cannot be one is refused', () => {
  for (const [key, value] of [
    [null, '000000000005'],
    ['0000', '000000000005'],
    ['ffff0001', '000000000005'],
    ['00000001', null],
    ['00000001', '00000000'],
    ['00000001', 'ffff00000005'],
  ]) {
    assert.throws(() => readControlRecord(controlBatch(key, value)), DecodeError)
  }
})

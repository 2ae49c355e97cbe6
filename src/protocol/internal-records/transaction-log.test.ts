import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError } from '../../bytes/reader.ts'
import { decodeTransactionLogRecord, TransactionLogRecord } from './transaction-log.ts'

const key = { transactionalId: 'tx' }
const value = {
  producerId: 4000n,
  previousProducerId: -1n,
  nextProducerId: -1n,
  producerEpoch: 5,
  nextProducerEpoch: -1,
  transactionTimeoutMs: 60000,
  transactionStatus: 1,
  transactionPartitions: [{ topic: 't', partitionIds: [0, 3] }],
  transactionLastUpdateTimestampMs: 1000n,
  transactionStartTimestampMs: 900n,
  clientTransactionVersion: 0,
  lastProducerEpoch: -1,
}

test('a transaction is stored byte for byte as Kafka stores it', () => {
  assert.equal(TransactionLogRecord.encodeKey(key).toString('hex'), '0000' + '00027478')
  assert.equal(
    TransactionLogRecord.encodeValue({ ...value, clientTransactionVersion: 2 }).toString('hex'),
    //version  producer id          epoch    timeout      state
    '0001' +
      '0000000000000fa0' +
      '0005' +
      '0000ea60' +
      '01' +
      // partitions: one topic, its name, two ids, no tags
      '02' +
      '0274' +
      '03' +
      '00000000' +
      '00000003' +
      '00' +
      // updated             started              one tag: 2, two bytes
      '00000000000003e8' +
      '0000000000000384' +
      '01' +
      '02' +
      '02' +
      '0002',
  )
})

test('records read back as what was written', () => {
  for (const more of [
    {},
    { transactionPartitions: null },
    { previousProducerId: 1n, lastProducerEpoch: 32766 },
    { nextProducerId: 9n, clientTransactionVersion: 2 },
  ]) {
    const stored = TransactionLogRecord.encodeValue({ ...value, ...more })
    assert.deepEqual(decodeTransactionLogRecord(TransactionLogRecord.encodeKey(key), stored), {
      type: 'TransactionLog',
      key,
      value: { ...value, ...more },
    })
  }
})

test('values of version 0 are read, and so are tags of a later Kafka', () => {
  const versionZero =
    '0000' + '0000000000000fa0' + '0005' + '0000ea60' + '00' + 'ffffffff' + '00000000000003e8' + 'ffffffffffffffff'
  const empty = { ...value, transactionStatus: 0, transactionPartitions: null, transactionStartTimestampMs: -1n }
  const read = decodeTransactionLogRecord(TransactionLogRecord.encodeKey(key), Buffer.from(versionZero, 'hex'))
  assert.deepEqual(read?.value, empty)
  const later =
    '0001' +
    '0000000000000fa0' +
    '0005' +
    '0000ea60' +
    '00' +
    '00' +
    '00000000000003e8' +
    'ffffffffffffffff' +
    '01' +
    '09' +
    '01' +
    'aa'
  assert.deepEqual(decodeTransactionLogRecord(TransactionLogRecord.encodeKey(key), Buffer.from(later, 'hex'))?.value, empty)
})

test('a record without a value forgets the transactional id', () => {
  assert.deepEqual(decodeTransactionLogRecord(TransactionLogRecord.encodeKey(key), null), {
    type: 'TransactionLog',
    key,
    value: null,
  })
})

test('a version that is not known is a DecodeError', () => {
  assert.throws(() => decodeTransactionLogRecord(TransactionLogRecord.encodeKey(key), Buffer.from('0002', 'hex')), DecodeError)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DecodeError } from '../../bytes/reader.ts'
import { decodeGroupRecord, GroupMetadataRecord, OffsetCommitRecord } from './group-records.ts'

const key = { group: 'g', topic: 't', partition: 3 }
const commit = { offset: 42n, leaderEpoch: 4, metadata: 'note', commitTimestamp: 1000n }
const group = {
  protocolType: 'consumer',
  generation: 7,
  protocol: 'range',
  leader: 'm',
  currentStateTimestamp: 1000n,
  members: [
    {
      memberId: 'm',
      groupInstanceId: 'i',
      clientId: 'c',
      clientHost: '/127.0.0.1',
      rebalanceTimeout: 60000,
      sessionTimeout: 45000,
      subscription: Buffer.from('s'),
      assignment: Buffer.from('a'),
    },
  ],
}

test('an offset commit is stored byte for byte as Kafka stores it', () => {
  //                                                          type group    topic    partition
  assert.equal(OffsetCommitRecord.encodeKey(key).toString('hex'), '0001' + '000167' + '000174' + '00000003')
  assert.equal(
    OffsetCommitRecord.encodeValue(commit).toString('hex'),
    //version  offset              epoch        metadata           time
    '0003' + '000000000000002a' + '00000004' + '00046e6f7465' + '00000000000003e8',
  )
})

test('a value is written in the oldest version that holds all of it', () => {
  assert.equal(OffsetCommitRecord.encodeValue(commit).readInt16BE(), 3)
  assert.equal(OffsetCommitRecord.encodeValue({ ...commit, expireTimestamp: 5n }).readInt16BE(), 1)
  assert.equal(OffsetCommitRecord.encodeValue({ ...commit, topicId: '0123456789abcdefABCDEQ' }).readInt16BE(), 4)
  assert.equal(GroupMetadataRecord.encodeValue(group).readInt16BE(), 3)
})

test('records read back as what was written', () => {
  const topicId = '0123456789abcdefABCDEQ'
  for (const more of [{}, { expireTimestamp: 5n, leaderEpoch: -1 }, { topicId }]) {
    const record = decodeGroupRecord(OffsetCommitRecord.encodeKey(key), OffsetCommitRecord.encodeValue({ ...commit, ...more }))
    assert.deepEqual(record, {
      type: 'OffsetCommit',
      key,
      value: { ...commit, expireTimestamp: -1n, topicId: 'AAAAAAAAAAAAAAAAAAAAAA', ...more },
    })
  }
  const record = decodeGroupRecord(GroupMetadataRecord.encodeKey({ group: 'g' }), GroupMetadataRecord.encodeValue(group))
  assert.deepEqual(record, { type: 'GroupMetadata', key: { group: 'g' }, value: group })
})

test('a record without a value deletes what its key names', () => {
  assert.deepEqual(decodeGroupRecord(OffsetCommitRecord.encodeKey(key), null), { type: 'OffsetCommit', key, value: null })
})

test('keys of type 0, from old brokers, are offset commits too', () => {
  const old = OffsetCommitRecord.encodeKey(key)
  old.writeInt16BE(0)
  assert.equal(decodeGroupRecord(old, null)?.type, 'OffsetCommit')
})

test('values of versions 0 to 4 are read', () => {
  const versions = [
    '0000 000000000000002a 0000 00000000000003e8',
    '0001 000000000000002a 0000 00000000000003e8 0000000000000005',
    '0002 000000000000002a 0000 00000000000003e8',
    '0003 000000000000002a ffffffff 0000 00000000000003e8',
    '0004 000000000000002a ffffffff 01 00000000000003e8 00',
  ]
  for (const hex of versions) {
    const record = decodeGroupRecord(OffsetCommitRecord.encodeKey(key), Buffer.from(hex.replaceAll(' ', ''), 'hex'))
    assert.ok(record?.type === 'OffsetCommit')
    assert.equal(record.value?.offset, 42n)
    assert.equal(record.value.leaderEpoch, -1)
  }
})

test('a type that is not known is passed over, a version of a known type that is not known is not', () => {
  assert.equal(decodeGroupRecord(Buffer.from('0063ffff', 'hex'), Buffer.from('00')), undefined)
  assert.throws(() => decodeGroupRecord(OffsetCommitRecord.encodeKey(key), Buffer.from('0005', 'hex')), DecodeError)
  assert.throws(() => decodeGroupRecord(Buffer.from('00', 'hex'), null), DecodeError)
})

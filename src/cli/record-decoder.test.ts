import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeMetadataRecord } from '../protocol/internal-records/cluster-metadata.ts'
import { TransactionLogRecord } from '../protocol/internal-records/transaction-log.ts'
import { clusterMetadataDecoder, offsetsDecoder, transactionLogDecoder } from './record-decoder.ts'

const ID = 'AAAAAAAAAAAAAAAAAAAAAQ'

test('records of __transaction_state are shown without what is at its default', () => {
  const key = TransactionLogRecord.encodeKey({ transactionalId: 't' })
  const value = TransactionLogRecord.encodeValue({
    producerId: 6n,
    producerEpoch: 1,
    transactionTimeoutMs: 60000,
    transactionStatus: 1,
    transactionPartitions: [{ topic: 'a', partitionIds: [0, 2] }],
    transactionLastUpdateTimestampMs: 5n,
    transactionStartTimestampMs: 4n,
    clientTransactionVersion: 2,
  })
  assert.deepEqual(transactionLogDecoder(key, value, 0n), {
    key: '{"type":"0","data":{"transactionalId":"t"}}',
    value:
      '{"version":"1","data":{"producerId":6,"producerEpoch":1,"transactionTimeoutMs":60000,"transactionStatus":1,' +
      '"transactionPartitions":[{"topic":"a","partitionIds":[0,2]}],"transactionLastUpdateTimestampMs":5,' +
      '"transactionStartTimestampMs":4,"clientTransactionVersion":2}}',
  })
  assert.equal(transactionLogDecoder(key, null, 0n).value, '<DELETE>')
  assert.match(transactionLogDecoder(key, Buffer.of(0, 9), 7n).key!, /^Error at offset 7, skipping\. /)
  assert.equal(transactionLogDecoder(Buffer.of(0, 9), null, 7n).key, 'Unknown record type 9 at offset 7, skipping.')
})

test('records of groups of the new protocol are shown as a Kafka wrote them, with what her generator takes for a default', () => {
  const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')
  const key = hex('0005 0001 67 0001 6d')
  // A tagged struct that is null travels, as a zero; one that is there begins with a one.
  const member = '0000 00 00 02 63 02 68 02 02 74 01 000493e0 00'
  const shown =
    '{"version":"0","data":{"instanceId":null,"rackId":null,"clientId":"c","clientHost":"h","subscribedTopicNames":["t"],' +
    '"subscribedTopicRegex":"","rebalanceTimeoutMs":300000,"serverAssignor":null,"classicMemberMetadata":'
  assert.deepEqual(offsetsDecoder(key, hex(`${member} 01 00 01 00`), 0n), {
    key: '{"type":"5","data":{"groupId":"g","memberId":"m"}}',
    value: `${shown}null}}`,
  })
  const classic = hex(`${member} 01 00 0c 01 00007530 02 02 70 02 ff 00 00`)
  assert.equal(
    offsetsDecoder(key, classic, 0n).value,
    `${shown}{"sessionTimeoutMs":30000,"supportedProtocols":[{"name":"p","metadata":"/w=="}]}}}`,
  )
})

test('metadata records are shown with their type, and numbers as Java writes them', () => {
  const shown = (record: Buffer) => clusterMetadataDecoder(null, record, 3n).value
  assert.equal(
    shown(encodeMetadataRecord('TopicRecord', { name: 't', topicId: ID })),
    `{"type":"TOPIC_RECORD","version":0,"data":{"name":"t","topicId":"${ID}"}}`,
  )
  const quota = (value: number) =>
    shown(encodeMetadataRecord('ClientQuotaRecord', { entity: [], key: 'k', value, remove: false }))
  for (const [value, text] of [
    [1024, '1024.0'],
    [0.25, '0.25'],
    [1e7, '1.0E7'],
    [1.5e-5, '1.5E-5'],
  ] as const) {
    assert.equal(
      quota(value),
      `{"type":"CLIENT_QUOTA_RECORD","version":0,"data":{"entity":[],"key":"k","value":${text},"remove":false}}`,
    )
  }
  // Of tagged fields only those that are not at their default: an empty list is not null.
  const change = { brokerId: 1, brokerEpoch: 2n, cordonedLogDirs: [] }
  assert.equal(
    shown(encodeMetadataRecord('BrokerRegistrationChangeRecord', change)),
    '{"type":"BROKER_REGISTRATION_CHANGE_RECORD","version":3,"data":{"brokerId":1,"brokerEpoch":2,"cordonedLogDirs":[]}}',
  )
  assert.equal(shown(Buffer.of(1, 100, 0)), 'Unknown record at offset 3, skipping.')
  assert.match(shown(Buffer.of(1))!, /^Error at 3, skipping\. /)
})

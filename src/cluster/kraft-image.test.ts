import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TopicId } from '../protocol/ids.ts'
import {
  decodeMetadataRecord,
  encodeMetadataRecord,
  type MetadataRecordName,
} from '../protocol/internal-records/cluster-metadata.ts'
import { KraftImage } from './kraft-image.ts'

const [A, B] = ['AAAAAAAAAAAAAAAAAAAAAQ', 'AAAAAAAAAAAAAAAAAAAAAg'] as TopicId[]

/** An image of records, each written and read as it would be in the log. */
function image(...records: readonly Buffer[]): KraftImage {
  const image = new KraftImage()
  for (const record of records) image.apply(decodeMetadataRecord(record)!)
  return image
}

const record = encodeMetadataRecord
const topic = (id: TopicId, name: string) => record('TopicRecord', { topicId: id, name })
const partition = (id: TopicId, partitionId: number, isr: number[] = [1]) =>
  record('PartitionRecord', {
    topicId: id,
    partitionId,
    replicas: [1],
    isr,
    removingReplicas: [],
    addingReplicas: [],
    leader: 1,
    leaderEpoch: 4,
    partitionEpoch: 0,
    directories: [A],
  })
const config = (resourceType: number, resourceName: string, name: string, value: string | null) =>
  record('ConfigRecord', { resourceType, resourceName, name, value })

test('topics come with their partitions, and go with their configuration', () => {
  const both = [
    topic(A, 'a'),
    partition(A, 0),
    partition(A, 1),
    config(2, 'a', 'retention.ms', '1'),
    topic(B, 'b'),
    partition(B, 0),
  ]
  const { topics, configs } = image(...both)
  assert.deepEqual(
    [...topics.values()].map(({ name, partitions }) => [name, [...partitions.keys()]]),
    [
      ['a', [0, 1]],
      ['b', [0]],
    ],
  )
  assert.equal(configs.size, 1)
  const removed = image(...both, record('RemoveTopicRecord', { topicId: A }))
  assert.deepEqual([...removed.topics.keys()], [B])
  assert.equal(removed.configs.size, 0)
})

test('a change of leader begins a leader epoch, also to the same one, and what is not named stays', () => {
  const change = (fields: object) => record('PartitionChangeRecord', { topicId: A, partitionId: 0, ...fields })
  const of = (...changes: Buffer[]) =>
    image(topic(A, 'a'), partition(A, 0), ...changes)
      .topics.get(A)!
      .partitions.get(0)
  assert.deepEqual(of(change({ leader: 1 })), { replicas: [1], isr: [1], elr: [], leaderEpoch: 5 })
  assert.deepEqual(of(change({ isr: [], eligibleLeaderReplicas: [1], leader: -1 })), {
    replicas: [1],
    isr: [],
    elr: [1],
    leaderEpoch: 5,
  })
  assert.deepEqual(of(change({ replicas: [2, 1] })), { replicas: [2, 1], isr: [1], elr: [], leaderEpoch: 4 })
  assert.equal(of(change({ eligibleLeaderReplicas: [1] }), record('ClearElrRecord', { topicName: 'a' }))?.elr.length, 0)
})

test('a value is changed and taken away', () => {
  const { configs } = image(config(4, '', 'a', '1'), config(4, '', 'b', '1'), config(4, '', 'a', '2'), config(4, '', 'b', null))
  assert.deepEqual([...configs.values()], [{ resourceType: 4, resourceName: '', values: new Map([['a', '2']]) }])
  assert.equal(image(config(4, '', 'a', '1'), config(4, '', 'a', null)).configs.size, 0)
})

test('of a transaction nothing counts before its end, and nothing after its abort', () => {
  const begin = record('BeginTransactionRecord', {})
  const names = (...records: Buffer[]) => [...image(...records).topics.values()].map(({ name }) => name)
  assert.deepEqual(names(topic(A, 'a'), begin, topic(B, 'b')), ['a'])
  assert.deepEqual(names(topic(A, 'a'), begin, topic(B, 'b'), record('EndTransactionRecord', {})), ['a', 'b'])
  assert.deepEqual(names(topic(A, 'a'), begin, topic(B, 'b'), record('AbortTransactionRecord', { reason: 'no' })), ['a'])
})

test('what somebody must be told of is kept apart, and goes when it is removed', () => {
  const entry = {
    id: A,
    resourceType: 2,
    resourceName: 't',
    patternType: 3,
    principal: 'User:u',
    host: '*',
    operation: 3,
    permissionType: 3,
  }
  const secrets = { salt: Buffer.of(1), storedKey: Buffer.of(2), serverKey: Buffer.of(3), iterations: 4096 }
  const quota = { entity: [{ entityType: 'user', entityName: null }], key: 'producer_byte_rate', value: 1024.5 }
  const added = [
    record('AccessControlEntryRecord', entry),
    record('UserScramCredentialRecord', { name: 'u', mechanism: 1, ...secrets }),
    record('ClientQuotaRecord', { ...quota, remove: false }),
    record('ProducerIdsRecord', { brokerId: 1, nextProducerId: 3000n }),
  ]
  const { acls, scramUsers, quotas, nextProducerId } = image(...added)
  assert.deepEqual([acls.size, scramUsers.size, [...quotas.values()][0].value, nextProducerId], [1, 1, 1024.5, 3000n])
  const removed = image(
    ...added,
    record('RemoveAccessControlEntryRecord', { id: A }),
    record('RemoveUserScramCredentialRecord', { name: 'u', mechanism: 1 }),
    record('ClientQuotaRecord', { ...quota, remove: true }),
  )
  assert.deepEqual([removed.acls.size, removed.scramUsers.size, removed.quotas.size], [0, 0, 0])
})

test('records of types and versions that are not known are told from those that are', () => {
  assert.equal(decodeMetadataRecord(Buffer.of(1, 100, 0)), undefined)
  assert.equal(decodeMetadataRecord(Buffer.of(1, 2, 9, 0)), undefined)
  assert.throws(() => decodeMetadataRecord(Buffer.of(2, 2, 0)), /version 2/)
  const known: MetadataRecordName = 'NoOpRecord'
  assert.equal(decodeMetadataRecord(record(known, {}))?.type, known)
})

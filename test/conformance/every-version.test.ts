// Every API that is announced answers in every version that is announced, in bytes that are exactly what the schema says: nothing behind
// them, defaults left out, tags ascending (rules 1, 8, 9 and 10 of Kafka's subtleties).

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Reader } from '../../src/bytes/reader.ts'
import { apisByKey } from '../../src/protocol/apis.ts'
import { decodeResponseHeader, encodeResponse } from '../../src/protocol/headers.ts'
import { ApiVersions } from '../../src/protocol/messages/18-api-versions.ts'
import { type Api, within } from '../../src/protocol/schema.ts'
import { againstKafka } from '../support/broker-process.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { RawClient } from './raw-client.ts'
import { batchOf, coordinatorReady, createTopic, type Topic, uniqueName } from './requests.ts'

let broker: BrokerUnderTest
let client: RawClient
before(async () => {
  broker = await startBrokerUnderTest()
  client = await RawClient.connect(broker.bootstrapServers)
})
after(async () => {
  client?.close()
  await broker?.close()
})

interface Setting {
  readonly topic: Topic
  readonly groupId: string
}

/** A request that makes sense, by the name of its API; fields of all versions together, of which each version takes its own. */
const REQUESTS: Readonly<Record<string, (setting: Setting) => Record<string, unknown>>> = {
  Produce: ({ topic }) => ({
    acks: -1,
    timeoutMs: 1000,
    topicData: [{ name: topic.name, topicId: topic.id, partitionData: [{ index: 0, records: batchOf(['x']) }] }],
  }),
  Fetch: ({ topic }) => ({
    maxWaitMs: 0,
    minBytes: 1,
    topics: [{ topic: topic.name, topicId: topic.id, partitions: [{ partition: 0, fetchOffset: 0n, partitionMaxBytes: 1000 }] }],
    forgottenTopicsData: [],
  }),
  ListOffsets: ({ topic }) => ({
    replicaId: -1,
    isolationLevel: 0,
    topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, timestamp: -1n }] }],
    timeoutMs: 1000,
  }),
  Metadata: ({ topic }) => ({ topics: [{ name: topic.name, topicId: topic.id }] }),
  OffsetCommit: ({ topic, groupId }) => ({
    groupId,
    memberId: '',
    topics: [
      {
        name: topic.name,
        topicId: topic.id,
        partitions: [{ partitionIndex: 0, committedOffset: 1n, committedMetadata: 'metadata' }],
      },
    ],
  }),
  OffsetFetch: ({ topic, groupId }) => {
    const topics = [{ name: topic.name, topicId: topic.id, partitionIndexes: [0] }]
    return { groupId, topics, groups: [{ groupId, topics }] }
  },
  FindCoordinator: ({ groupId }) => ({ key: groupId, coordinatorKeys: [groupId] }),
  JoinGroup: () => ({
    groupId: uniqueName('group'),
    sessionTimeoutMs: 10_000,
    rebalanceTimeoutMs: 10_000,
    memberId: '',
    protocolType: 'other-than-consumer',
    protocols: [{ name: 'protocol', metadata: Buffer.from('metadata') }],
  }),
  Heartbeat: ({ groupId }) => ({ groupId, generationId: 1, memberId: 'nobody' }),
  LeaveGroup: ({ groupId }) => ({ groupId, memberId: 'nobody', members: [{ memberId: 'nobody' }] }),
  SyncGroup: ({ groupId }) => ({
    groupId,
    generationId: 1,
    memberId: 'nobody',
    protocolType: 'a',
    protocolName: 'b',
    assignments: [],
  }),
  DescribeGroups: ({ groupId }) => ({ groups: [groupId], includeAuthorizedOperations: true }),
  ListGroups: () => ({ statesFilter: [], typesFilter: [] }),
  SaslHandshake: () => ({ mechanism: 'PLAIN' }),
  SaslAuthenticate: () => ({ authBytes: Buffer.alloc(0) }),
  ApiVersions: () => ({ clientSoftwareName: 'conformance', clientSoftwareVersion: '1' }),
  CreateTopics: () => ({
    topics: [{ name: uniqueName('topic'), numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
    timeoutMs: 1000,
  }),
  DeleteTopics: () => ({ topics: [{ name: 'never-created' }], topicNames: ['never-created'], timeoutMs: 1000 }),
  DeleteRecords: ({ topic }) => ({
    topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, offset: 0n }] }],
    timeoutMs: 1000,
  }),
  InitProducerId: () => ({ transactionalId: null, transactionTimeoutMs: 1000 }),
  OffsetForLeaderEpoch: ({ topic }) => ({ topics: [{ topic: topic.name, partitions: [{ partition: 0, leaderEpoch: 0 }] }] }),
  DescribeConfigs: ({ topic }) => ({
    resources: [{ resourceType: 2, resourceName: topic.name, configurationKeys: null }],
    includeSynonyms: true,
    includeDocumentation: true,
  }),
  AlterConfigs: ({ topic }) => ({
    resources: [{ resourceType: 2, resourceName: topic.name, configs: [{ name: 'retention.ms', value: '60000' }] }],
    validateOnly: true,
  }),
  DescribeLogDirs: ({ topic }) => ({ topics: [{ topic: topic.name, partitions: [0] }] }),
  CreatePartitions: ({ topic }) => ({
    topics: [{ name: topic.name, count: 1, assignments: null }],
    timeoutMs: 1000,
    validateOnly: true,
  }),
  DeleteGroups: () => ({ groupsNames: [uniqueName('group')] }),
  ElectLeaders: ({ topic }) => ({ electionType: 0, topicPartitions: [{ topic: topic.name, partitions: [0] }], timeoutMs: 1000 }),
  IncrementalAlterConfigs: ({ topic }) => ({
    resources: [
      { resourceType: 2, resourceName: topic.name, configs: [{ name: 'retention.ms', configOperation: 0, value: '60000' }] },
    ],
    validateOnly: true,
  }),
  AlterPartitionReassignments: () => ({ topics: [] }),
  ListPartitionReassignments: () => ({ topics: null }),
  OffsetDelete: ({ groupId, topic }) => ({ groupId, topics: [{ name: topic.name, partitions: [{ partitionIndex: 0 }] }] }),
  DescribeClientQuotas: () => ({ components: [], strict: false }),
  AlterClientQuotas: () => ({ entries: [], validateOnly: true }),
  DescribeCluster: () => ({ includeClusterAuthorizedOperations: true }),
  DescribeProducers: ({ topic }) => ({ topics: [{ name: topic.name, partitionIndexes: [0] }] }),
  DescribeTransactions: () => ({ transactionalIds: [] }),
  ListTransactions: () => ({ stateFilters: [], producerIdFilters: [] }),
  ListConfigResources: () => ({ resourceTypes: [] }),
  DescribeTopicPartitions: ({ topic }) => ({ topics: [{ name: topic.name }] }),
  AddPartitionsToTxn: ({ topic }) => {
    const identity = { producerId: 1n, producerEpoch: 0, topics: [{ name: topic.name, partitions: [0] }] }
    return {
      v3AndBelowTransactionalId: 'nobody',
      v3AndBelowProducerId: 1n,
      v3AndBelowProducerEpoch: 0,
      v3AndBelowTopics: identity.topics,
      transactions: [{ transactionalId: 'nobody', verifyOnly: false, ...identity }],
    }
  },
  AddOffsetsToTxn: ({ groupId }) => ({ transactionalId: 'nobody', producerId: 1n, producerEpoch: 0, groupId }),
  EndTxn: () => ({ transactionalId: 'nobody', producerId: 1n, producerEpoch: 0, committed: true }),
  WriteTxnMarkers: () => ({ markers: [] }),
  UnregisterBroker: () => ({ brokerId: 12345 }),
  TxnOffsetCommit: ({ groupId }) => ({
    transactionalId: 'nobody',
    groupId,
    producerId: 1n,
    producerEpoch: 0,
    memberId: '',
    topics: [],
  }),
}

/** Of what we know of Kafka's APIs; ours announces nothing that we know no schema of. */
async function announced(): Promise<{ api: Api; version: number }[]> {
  const { apiKeys } = await client.request(ApiVersions, 0, { clientSoftwareName: '', clientSoftwareVersion: '' })
  return apiKeys.flatMap(({ apiKey, minVersion, maxVersion }) => {
    const api = apisByKey.get(apiKey)
    assert.ok(api !== undefined || againstKafka, `key ${apiKey} is announced and nobody knows it`)
    if (api === undefined) return []
    const versions = Array.from({ length: maxVersion - minVersion + 1 }, (_, i) => minVersion + i)
    // Produce is announced from 0 on for librdkafka's sake, and served from 3 (rule 6).
    return versions.filter((version) => within(api.versions, version)).map((version) => ({ api, version }))
  })
}

test('every announced API answers in every announced version, with the bytes that its schema would write', async () => {
  const groupId = uniqueName('group')
  await coordinatorReady(client, groupId)
  const setting = { topic: await createTopic(client), groupId }
  const all = await announced()
  assert.ok(all.length > 100)
  for (const { api, version } of all) {
    const request = REQUESTS[api.name]
    assert.ok(request !== undefined, `write a request for ${api.name} into this test`)
    // A connection of its own, so that the failure of one is not taken for that of the next.
    using one = await RawClient.connect(broker.bootstrapServers)
    const what = `${api.name} v${version}`
    const { correlationId } = one.send(api, version, request(setting))
    const frame = await one.frame().catch((error) => assert.fail(`${what}: ${error.message}`))
    const reader = new Reader(frame)
    assert.equal(decodeResponseHeader(reader, api, version), correlationId, what)
    const response = api.response.decode(reader, version)
    assert.equal(reader.remaining, 0, `${what} has bytes behind it`)
    const again = Buffer.concat(encodeResponse(api, version, correlationId, response)).subarray(4)
    assert.equal(again.toString('hex'), frame.toString('hex'), `${what} is not written as its schema would`)
    assert.notEqual((response as { errorCode?: number }).errorCode, -1, `${what} failed`)
  }
})

test('the lowest and the highest version of a range are its ends: one below and one above are not served', async () => {
  const { apiKeys } = await client.request(ApiVersions, 0, { clientSoftwareName: '', clientSoftwareVersion: '' })
  for (const { apiKey, minVersion, maxVersion } of apiKeys) {
    if (apiKey === ApiVersions.key) continue
    for (const version of [minVersion - 1, maxVersion + 1]) {
      using one = await RawClient.connect(broker.bootstrapServers)
      const header = Buffer.from([0, apiKey, 0, 0, 0, 0, 0, 1, 0, 0, 0])
      header.writeInt16BE(version, 2)
      one.sendFrame(header)
      await one.closedByBroker()
    }
  }
})

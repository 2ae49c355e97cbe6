// Section E of Kafka's subtleties: metadata, topics and what is configured, as clients and tools ask for them.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ZERO_UUID } from '../../src/protocol/ids.ts'
import { Metadata } from '../../src/protocol/messages/03-metadata.ts'
import { ApiVersions } from '../../src/protocol/messages/18-api-versions.ts'
import { CreateTopics } from '../../src/protocol/messages/19-create-topics.ts'
import { DeleteTopics } from '../../src/protocol/messages/20-delete-topics.ts'
import { DescribeConfigs } from '../../src/protocol/messages/32-describe-configs.ts'
import { AlterConfigs } from '../../src/protocol/messages/33-alter-configs.ts'
import { CreatePartitions } from '../../src/protocol/messages/37-create-partitions.ts'
import { IncrementalAlterConfigs } from '../../src/protocol/messages/44-incremental-alter-configs.ts'
import { DescribeCluster } from '../../src/protocol/messages/60-describe-cluster.ts'
import { DescribeTopicPartitions } from '../../src/protocol/messages/75-describe-topic-partitions.ts'
import type { RequestInput } from '../../src/protocol/schema.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { RawClient } from './raw-client.ts'
import {
  assertError,
  createTopic,
  deleteRecords,
  fetchFrom,
  metadataOf,
  produced,
  recordsIn,
  type Topic,
  uniqueName,
} from './requests.ts'

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

const UNASKED = -0x80000000
const TOPIC = 2
const BROKER = 4

// ── metadata ────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a topic that is asked for by name is created where both broker and request allow it', async () => {
  // 64
  for (const version of [0, 1, 3, 4, 9, 13]) {
    const name = uniqueName(`auto-${version}`)
    const topics = [{ name, topicId: ZERO_UUID }]
    const found = await eventually(async () => {
      const [topic] = (await client.request(Metadata, version, { topics, allowAutoTopicCreation: true })).topics
      // Before that: UNKNOWN_TOPIC_OR_PARTITION or LEADER_NOT_AVAILABLE, never no error without partitions.
      if (topic!.errorCode !== 0) return false
      assert.ok(topic!.partitions.length > 0, 'no error and no partitions')
      return topic!
    })
    assert.equal(found.name, name)
  }
})

test('a request that does not want its topics created gets UNKNOWN_TOPIC_OR_PARTITION without partitions', async () => {
  // 64
  const name = uniqueName('unwanted')
  for (const version of [4, 8, 12]) {
    const [topic] = (await metadataOf(client, [name], version)).topics
    assertError(topic!.errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.deepEqual(topic!.partitions, [])
  }
})

test('a broker with auto.create.topics.enable=false creates nothing, whatever the request says', async () => {
  // 64
  const strict = await startBrokerUnderTest({ 'auto.create.topics.enable': 'false', 'delete.topic.enable': 'false' })
  try {
    using client = await RawClient.connect(strict.bootstrapServers)
    const topics = [{ name: uniqueName('never'), topicId: ZERO_UUID }]
    for (let i = 0; i < 3; i++) {
      const [topic] = (await client.request(Metadata, 9, { topics, allowAutoTopicCreation: true })).topics
      assertError(topic!.errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
    }
    // 69
    const { name } = await createTopic(client)
    for (const [version, error] of [
      [1, 'INVALID_REQUEST'],
      [2, 'INVALID_REQUEST'],
      [3, 'TOPIC_DELETION_DISABLED'],
      [6, 'TOPIC_DELETION_DISABLED'],
    ] as const) {
      const request = { topicNames: [name], topics: [{ name, topicId: ZERO_UUID }], timeoutMs: 10_000 }
      // Kafka answers newer requests for several topics with none at all.
      for (const { errorCode } of (await client.request(DeleteTopics, version, request)).responses) assertError(errorCode, error)
    }
    assertError((await metadataOf(client, [name])).topics[0]!.errorCode, 'NONE')
  } finally {
    await strict.close()
  }
})

test('names that no topic can have are INVALID_TOPIC_EXCEPTION, in metadata and in creation', async () => {
  // 64, 67
  for (const name of ['', '.', '..', 'a b', 'a/b', 'č', 'x'.repeat(250)]) {
    const [topic] = (await client.request(Metadata, 9, { topics: [{ name, topicId: ZERO_UUID }] })).topics
    assertError(topic!.errorCode, 'INVALID_TOPIC_EXCEPTION', name)
    assertError(await creationError({ name }), 'INVALID_TOPIC_EXCEPTION', name)
  }
})

test('the controller is one of the brokers, and serves admin requests', async () => {
  // 65
  const { brokers, controllerId } = await metadataOf(client, [])
  assert.ok(brokers.some(({ nodeId }) => nodeId === controllerId))
  const cluster = await client.request(DescribeCluster, 0, { includeClusterAuthorizedOperations: false })
  assert.ok(cluster.brokers.some(({ brokerId }) => brokerId === cluster.controllerId))
  assert.ok(cluster.clusterId.length > 0)
})

test('authorized operations are told to who asks for them only', async () => {
  // 66
  const { name } = await createTopic(client)
  const ask = async (asked: boolean) => {
    const topics = [{ name, topicId: ZERO_UUID }]
    const flags = { includeTopicAuthorizedOperations: asked, includeClusterAuthorizedOperations: asked }
    const answer = await client.request(Metadata, 8, { topics, ...flags })
    return [answer.clusterAuthorizedOperations, answer.topics[0]!.topicAuthorizedOperations]
  }
  assert.deepEqual(await ask(false), [UNASKED, UNASKED])
  for (const operations of await ask(true)) assert.ok(operations > 0)
})

test('metadata finds topics by id from version 12 on, and answers an unknown id with a null name', async () => {
  // 66
  const topic = await createTopic(client)
  const unknown = 'AAAAAAAAAAAAAAAAAAAAEQ'
  for (const version of [12, 13]) {
    const topics = [topic.id, unknown].map((topicId) => ({ topicId, name: null }))
    const answer = (await client.request(Metadata, version, { topics })).topics
    const found = answer.find(({ topicId }) => topicId === topic.id)!
    assert.deepEqual([found.errorCode, found.name, found.partitions.length], [0, topic.name, 1])
    const missing = answer.find(({ topicId }) => topicId === unknown)!
    assertError(missing.errorCode, 'UNKNOWN_TOPIC_ID')
    assert.equal(missing.name, null)
  }
})

// ── topics ──────────────────────────────────────────────────────────────────────────────────────────────────────────

type NewTopic = RequestInput<typeof CreateTopics>['topics'][number]

function newTopic(topic: Partial<NewTopic>): NewTopic {
  return { name: uniqueName('topic'), numPartitions: 1, replicationFactor: 1, assignments: [], configs: [], ...topic }
}

async function creation(topics: readonly Partial<NewTopic>[], { validateOnly = false, version = 7 } = {}) {
  return (await client.request(CreateTopics, version, { topics: topics.map(newTopic), timeoutMs: 10_000, validateOnly })).topics
}

async function creationError(topic: Partial<NewTopic>): Promise<number> {
  return (await creation([topic]))[0]!.errorCode
}

test('a name may be 249 characters long, and may not differ from another only in dots and underscores', async () => {
  // 67
  assertError(await creationError({ name: uniqueName('x').padEnd(249, 'x') }), 'NONE')
  const name = uniqueName('a.b_c')
  assertError(await creationError({ name }), 'NONE')
  await eventually(async () => {
    assertError(await creationError({ name: name.replace('a.b_c', 'a_b.c') }), 'INVALID_TOPIC_EXCEPTION')
    return true
  })
})

test('CreateTopics refuses counts, assignments and values that cannot be', async () => {
  // 68
  const assignment = (...brokers: number[][]) => brokers.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds }))
  const gap = [{ partitionIndex: 1, brokerIds: [1] }]
  const manual = { numPartitions: -1, replicationFactor: -1 }
  const config = (name: string, value: string | null) => ({ configs: [{ name, value }] })
  const cases: readonly [what: string, topic: Partial<NewTopic>, error: string][] = [
    ['no partitions', { numPartitions: 0 }, 'INVALID_PARTITIONS'],
    ['negative partitions', { numPartitions: -2 }, 'INVALID_PARTITIONS'],
    ['no replicas', { replicationFactor: 0 }, 'INVALID_REPLICATION_FACTOR'],
    ['more replicas than brokers', { replicationFactor: 2 }, 'INVALID_REPLICATION_FACTOR'],
    ['assignment and partitions', { numPartitions: 1, replicationFactor: -1, assignments: assignment([1]) }, 'INVALID_REQUEST'],
    ['assignment and replicas', { numPartitions: -1, replicationFactor: 1, assignments: assignment([1]) }, 'INVALID_REQUEST'],
    ['a gap in the assignment', { ...manual, assignments: gap }, 'INVALID_REPLICA_ASSIGNMENT'],
    ['an unknown broker', { ...manual, assignments: assignment([77]) }, 'INVALID_REPLICA_ASSIGNMENT'],
    ['a broker twice', { ...manual, assignments: assignment([1, 1]) }, 'INVALID_REPLICA_ASSIGNMENT'],
    ['an empty replica list', { ...manual, assignments: assignment([]) }, 'INVALID_REPLICA_ASSIGNMENT'],
    ['null for a value', config('retention.ms', null), 'INVALID_CONFIG'],
    ['a key that is none', config('no.such.key', '1'), 'INVALID_CONFIG'],
    ['a value that is none', config('retention.ms', 'soon'), 'INVALID_CONFIG'],
  ]
  for (const [what, topic, error] of cases) assertError(await creationError(topic), error, what)
  assertError(await creationError({ ...manual, assignments: assignment([1], [1]) }), 'NONE')
})

test('CreateTopics takes -1 for the defaults and tells from version 5 on what came of it, from 7 on with the id', async () => {
  // 68
  for (const version of [5, 6, 7]) {
    const topic = { numPartitions: -1, replicationFactor: -1, configs: [{ name: 'retention.ms', value: '1234' }] }
    const [created] = await creation([topic], { version })
    assertError(created!.errorCode, 'NONE')
    assert.deepEqual([created!.numPartitions, created!.replicationFactor], [1, 1])
    const retention = created!.configs!.find(({ name }) => name === 'retention.ms')!
    assert.deepEqual([retention.value, retention.configSource], ['1234', 1])
    assert.equal(created!.topicId !== ZERO_UUID, version === 7)
  }
})

test('a topic that exists, and one that is named twice, are refused; others in the request are not', async () => {
  // 68
  const { name } = await createTopic(client)
  const twice = uniqueName('twice')
  const fine = uniqueName('fine')
  const answers = new Map((await creation([{ name }, { name: twice }, { name: fine }, { name: twice }])).map((t) => [t.name, t]))
  assertError(answers.get(name)!.errorCode, 'TOPIC_ALREADY_EXISTS')
  assertError(answers.get(twice)!.errorCode, 'INVALID_REQUEST')
  assertError(answers.get(fine)!.errorCode, 'NONE')
})

test('validateOnly answers as if and changes nothing', async () => {
  // 68
  const name = uniqueName('only-validated')
  const [valid] = await creation([{ name, numPartitions: 3 }], { validateOnly: true })
  assertError(valid!.errorCode, 'NONE')
  assert.equal(valid!.numPartitions, 3)
  assertError((await creation([{ name, numPartitions: 0 }], { validateOnly: true }))[0]!.errorCode, 'INVALID_PARTITIONS')
  assertError((await metadataOf(client, [name])).topics[0]!.errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
})

test('DeleteTopics works by name and, from version 6 on, by id; what is unknown is told', async () => {
  // 69
  const remove = async (version: number, name: string | null, topicId = ZERO_UUID) => {
    const request = { topicNames: [name ?? ''], topics: [{ name, topicId }], timeoutMs: 10_000 }
    return (await client.request(DeleteTopics, version, request)).responses[0]!
  }
  for (const version of [1, 3, 5, 6]) {
    const { name } = await createTopic(client)
    assertError((await remove(version, name)).errorCode, 'NONE')
    await eventually(async () => (await metadataOf(client, [name])).topics[0]!.errorCode === 3)
    assertError((await remove(version, name)).errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
  }
  const { id, name } = await createTopic(client)
  const removed = await remove(6, null, id)
  assertError(removed.errorCode, 'NONE')
  assert.deepEqual([removed.name, removed.topicId], [name, id])
  assertError((await remove(6, null, id)).errorCode, 'UNKNOWN_TOPIC_ID')
})

test('CreatePartitions only adds, and counts the whole', async () => {
  // 70
  const { name } = await createTopic(client, { partitions: 2 })
  const grow = async (count: number, of = name, validateOnly = false) => {
    const topics = [{ name: of, count, assignments: null }]
    return (await client.request(CreatePartitions, 3, { topics, timeoutMs: 10_000, validateOnly })).results[0]!.errorCode
  }
  for (const count of [-1, 0, 1, 2]) assertError(await grow(count), 'INVALID_PARTITIONS', `${count}`)
  assertError(await grow(3, 'never-created'), 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError(await grow(4, name, true), 'NONE')
  assert.equal((await metadataOf(client, [name])).topics[0]!.partitions.length, 2)
  assertError(await grow(4), 'NONE')
  await eventually(async () => (await metadataOf(client, [name])).topics[0]!.partitions.length === 4)
})

test('DeleteRecords moves the log start, mid-batch if need be, and not beyond the high watermark', async () => {
  // 71
  const topic = await createTopic(client)
  await produced(client, topic, ['a', 'b', 'c', 'd'])
  const moved = await deleteRecords(client, topic, 2n)
  assert.deepEqual([moved.errorCode, moved.lowWatermark], [0, 2n])
  assertError((await fetchFrom(client, topic, 1n)).errorCode, 'OFFSET_OUT_OF_RANGE')
  // The batch is served whole all the same.
  assert.equal(recordsIn((await fetchFrom(client, topic, 2n)).records).length, 4)
  assertError((await deleteRecords(client, topic, 5n)).errorCode, 'OFFSET_OUT_OF_RANGE')
  assertError((await deleteRecords(client, topic, -2n)).errorCode, 'OFFSET_OUT_OF_RANGE')
  assert.equal((await deleteRecords(client, topic, 1n)).lowWatermark, 2n, 'never back')
  assert.equal((await deleteRecords(client, topic, -1n)).lowWatermark, 4n)
  assertError((await deleteRecords(client, { name: 'never-created', id: '' }, 0n)).errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
})

test('DeleteRecords needs a topic that deletes', async () => {
  // 71
  for (const [policy, error] of [
    ['compact', 'POLICY_VIOLATION'],
    ['compact,delete', 'NONE'],
  ] as const) {
    const topic = await createTopic(client, { configs: { 'cleanup.policy': policy } })
    assertError((await deleteRecords(client, topic, -1n)).errorCode, error)
  }
})

// ── configuration ───────────────────────────────────────────────────────────────────────────────────────────────────

async function describe(resourceType: number, resourceName: string, configurationKeys: string[] | null = null, version = 4) {
  const request = { resources: [{ resourceType, resourceName, configurationKeys }], includeSynonyms: true }
  return (await client.request(DescribeConfigs, version, request)).results[0]!
}

type Change = [name: string, operation: number, value: string | null]

async function alter(resourceType: number, resourceName: string, changes: readonly Change[], validateOnly = false) {
  const configs = changes.map(([name, configOperation, value]) => ({ name, configOperation, value }))
  const request = { resources: [{ resourceType, resourceName, configs }], validateOnly }
  return (await client.request(IncrementalAlterConfigs, 1, request)).responses[0]!.errorCode
}

const SET = 0
const DELETE = 1
const APPEND = 2
const SUBTRACT = 3

async function topicValue(topic: Topic, key: string): Promise<string | null> {
  return (await describe(TOPIC, topic.name, [key])).configs[0]!.value
}

test('DescribeConfigs tells for each value where it comes from, and the ones it prevailed over, the effective first', async () => {
  // 72
  const topic = await createTopic(client, { configs: { 'retention.ms': '1234' } })
  for (const version of [1, 2, 3, 4]) {
    const { configs } = await describe(TOPIC, topic.name, null, version)
    const retention = configs.find(({ name }) => name === 'retention.ms')!
    assert.deepEqual(
      [retention.value, retention.configSource, retention.isSensitive, retention.readOnly],
      ['1234', 1, false, false],
    )
    assert.deepEqual(retention.synonyms[0], { name: 'retention.ms', value: '1234', source: 1 })
    const flush = configs.find(({ name }) => name === 'max.message.bytes')!
    assert.equal(flush.configSource, 5)
    assert.deepEqual(
      flush.synonyms.map(({ name }) => name),
      ['message.max.bytes'],
    )
  }
})

test('DescribeConfigs of a topic that is not there, or cannot be, is refused', async () => {
  // 72
  const missing = await describe(TOPIC, 'never-created')
  assertError(missing.errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
  assert.deepEqual(missing.configs, [])
  assertError((await describe(TOPIC, 'a b')).errorCode, 'INVALID_TOPIC_EXCEPTION')
})

test('a broker answers for its own configuration, and under the empty name for what holds for all brokers', async () => {
  // 73
  const own = await describe(BROKER, '1')
  assertError(own.errorCode, 'NONE')
  assert.ok(own.configs.length > 50)
  assertError((await describe(BROKER, '2')).errorCode, 'INVALID_REQUEST')
  assertError((await describe(BROKER, 'one')).errorCode, 'INVALID_REQUEST')
  const before = await describe(BROKER, '')
  assertError(before.errorCode, 'NONE')
  assertError(await alter(BROKER, '', [['log.cleaner.threads', SET, '2']]), 'NONE')
  await eventually(async () => {
    const { configs } = await describe(BROKER, '')
    return configs.some((config) => config.name === 'log.cleaner.threads' && config.value === '2' && config.configSource === 3)
  })
  const effective = (await describe(BROKER, '1', ['log.cleaner.threads'])).configs[0]!
  assert.deepEqual([effective.value, effective.configSource], ['2', 3])
  assertError(await alter(BROKER, '', [['log.cleaner.threads', DELETE, null]]), 'NONE')
})

test('keys that cannot change while a broker runs are refused', async () => {
  // 73
  assertError(await alter(BROKER, '1', [['node.id', SET, '7']]), 'INVALID_REQUEST')
  assertError(await alter(BROKER, '', [['log.dirs', SET, '/elsewhere']]), 'INVALID_REQUEST')
})

test('IncrementalAlterConfigs sets, deletes, appends and subtracts', async () => {
  // 74
  const topic = await createTopic(client, { configs: { 'cleanup.policy': 'delete', 'retention.ms': '5000' } })
  const becomes = (key: string, value: string) => eventually(async () => (await topicValue(topic, key)) === value)
  assertError(await alter(TOPIC, topic.name, [['retention.ms', SET, '6000']]), 'NONE')
  await becomes('retention.ms', '6000')
  assertError(await alter(TOPIC, topic.name, [['cleanup.policy', APPEND, 'compact']]), 'NONE')
  await becomes('cleanup.policy', 'delete,compact')
  assertError(await alter(TOPIC, topic.name, [['cleanup.policy', SUBTRACT, 'delete']]), 'NONE')
  await becomes('cleanup.policy', 'compact')
  assertError(await alter(TOPIC, topic.name, [['retention.ms', DELETE, null]]), 'NONE')
  await becomes('retention.ms', '604800000')
})

test('IncrementalAlterConfigs refuses what makes no sense, and changes nothing then or when it only validates', async () => {
  // 74
  const topic = await createTopic(client)
  const cases: readonly [what: string, changes: Change[], error: string][] = [
    ['append to a number', [['retention.ms', APPEND, '1']], 'INVALID_CONFIG'],
    ['subtract from a number', [['retention.ms', SUBTRACT, '1']], 'INVALID_CONFIG'],
    ['null where something is set', [['retention.ms', SET, null]], 'INVALID_REQUEST'],
    ['a value that is none', [['retention.ms', SET, 'soon']], 'INVALID_CONFIG'],
    ['a key that is none', [['no.such.key', SET, '1']], 'INVALID_CONFIG'],
    [
      'a key twice',
      [
        ['retention.ms', SET, '1'],
        ['retention.ms', SET, '2'],
      ],
      'INVALID_REQUEST',
    ],
  ]
  for (const [what, changes, error] of cases) assertError(await alter(TOPIC, topic.name, changes), error, what)
  assertError(await alter(TOPIC, 'never-created', [['retention.ms', SET, '1']]), 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError(await alter(TOPIC, topic.name, [['retention.ms', SET, '1']], true), 'NONE')
  assert.equal(await topicValue(topic, 'retention.ms'), '604800000')
})

test('a resource named twice is refused', async () => {
  // 74
  const topic = await createTopic(client)
  const resource = (value: string) => ({
    resourceType: TOPIC,
    resourceName: topic.name,
    configs: [{ name: 'retention.ms', configOperation: SET, value }],
  })
  const request = { resources: [resource('1'), resource('2')], validateOnly: false }
  for (const { errorCode } of (await client.request(IncrementalAlterConfigs, 0, request)).responses) {
    assertError(errorCode, 'INVALID_REQUEST')
  }
})

test('AlterConfigs replaces everything that was set', async () => {
  // 74
  const topic = await createTopic(client, { configs: { 'retention.ms': '5000', 'max.message.bytes': '5000' } })
  for (const [version, value] of [
    [0, '6000'],
    [1, '7000'],
    [2, '8000'],
  ] as const) {
    const resources = [{ resourceType: TOPIC, resourceName: topic.name, configs: [{ name: 'retention.ms', value }] }]
    assertError((await client.request(AlterConfigs, version, { resources, validateOnly: false })).responses[0]!.errorCode, 'NONE')
    await eventually(async () => (await topicValue(topic, 'retention.ms')) === value)
    assert.notEqual(await topicValue(topic, 'max.message.bytes'), '5000')
  }
})

test('what admin clients try first is served, or absent from the announced ranges', async () => {
  // 75
  const { apiKeys } = await client.request(ApiVersions, 0, { clientSoftwareName: '', clientSoftwareVersion: '' })
  const announced = new Set(apiKeys.map(({ apiKey }) => apiKey))
  assert.ok(announced.has(60))
  assert.ok(announced.has(75))
  const topics = await Promise.all([createTopic(client, { partitions: 3 }), createTopic(client, { partitions: 2 })])
  const names = topics.map(({ name }) => ({ name })).sort((a, b) => (a.name < b.name ? -1 : 1))
  const pages: string[] = []
  let cursor: { topicName: string; partitionIndex: number } | null = null
  do {
    const request = { topics: names, responsePartitionLimit: 2, cursor }
    const answer: Awaited<ReturnType<typeof page>> = await page(request)
    for (const { errorCode, name, partitions } of answer.topics) {
      assertError(errorCode, 'NONE')
      for (const { partitionIndex } of partitions) pages.push(`${name}-${partitionIndex}`)
    }
    cursor = answer.nextCursor
  } while (cursor !== null)
  const all = topics.flatMap(({ name }, i) => (i === 0 ? [0, 1, 2] : [0, 1]).map((partition) => `${name}-${partition}`))
  assert.deepEqual(pages.sort(), all.sort())
  const [missing] = (await page({ topics: [{ name: 'never-created' }], responsePartitionLimit: 2, cursor: null })).topics
  assertError(missing!.errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
})

const page = (request: RequestInput<typeof DescribeTopicPartitions>) => client.request(DescribeTopicPartitions, 0, request)

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ScriptedBroker } from '../../test/support/scripted-broker.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { Metadata } from '../protocol/messages/03-metadata.ts'
import { FindCoordinator } from '../protocol/messages/10-find-coordinator.ts'
import { ListGroups } from '../protocol/messages/16-list-groups.ts'
import { ApiVersions } from '../protocol/messages/18-api-versions.ts'
import { DeleteTopics } from '../protocol/messages/20-delete-topics.ts'
import { DescribeTopicPartitions } from '../protocol/messages/75-describe-topic-partitions.ts'
import { orThrow } from './admin/results.ts'
import { Admin } from './admin.ts'
import { parseBootstrapServers } from './bootstrap.ts'
import { CoordinatorType } from './cluster-client.ts'
import { ClientClosedError, ConnectionError, TimeoutError } from './errors.ts'

test('bootstrap servers are host and port, in a list or with commas between them', () => {
  assert.deepEqual(parseBootstrapServers('a:1, b:2,'), [
    { host: 'a', port: 1 },
    { host: 'b', port: 2 },
  ])
  assert.deepEqual(parseBootstrapServers(['[::1]:9092', 'PLAINTEXT://c:3']), [
    { host: '::1', port: 9092 },
    { host: 'c', port: 3 },
  ])
  for (const bad of ['', ' , ', 'a', 'a:', 'a:0', 'a:65536', 'a:b', '::1:9092']) {
    assert.throws(() => parseBootstrapServers(bad), TypeError, bad)
  }
})

test('one bootstrap server that answers is enough', async () => {
  await using broker = await ScriptedBroker.start()
  broker.onMetadata({ t: 2 })
  const cluster = broker.client({ bootstrapServers: `127.0.0.1:1,127.0.0.1:${broker.port},127.0.0.1:2` })
  assert.equal((await cluster.topic('t')).partitions.length, 2)
  assert.equal(await cluster.leader('t', 1), 1)
  await cluster.close()
})

test('no server that answers is a ConnectionError that names one', async () => {
  await using broker = await ScriptedBroker.start()
  const cluster = broker.client({ bootstrapServers: '127.0.0.1:1' })
  await assert.rejects(cluster.anyBroker(), (error: Error) => {
    assert.ok(error instanceof ConnectionError)
    assert.match(error.message, /cannot connect to 127\.0\.0\.1:1: .*ECONNREFUSED/)
    return true
  })
})

test('what is known of a topic is not asked for again until it is too old', async () => {
  await using broker = await ScriptedBroker.start()
  broker.onMetadata({ t: 1 })
  const cluster = broker.client({ metadataMaxAgeMs: 60_000 })
  await cluster.topic('t')
  await cluster.topic('t')
  assert.equal(broker.asked.filter((name) => name === 'Metadata').length, 1)
  const forgetful = broker.client({ metadataMaxAgeMs: -1 })
  await forgetful.topic('t')
  await forgetful.topic('t')
  assert.equal(broker.asked.filter((name) => name === 'Metadata').length, 3)
  await Promise.all([cluster.close(), forgetful.close()])
})

test('a topic that is not there is looked for until the time is up', async () => {
  await using broker = await ScriptedBroker.start()
  broker.onMetadata({})
  const cluster = broker.client()
  await assert.rejects(cluster.topic('t', { timeoutMs: 30 }), (error: Error) => {
    assert.ok(error instanceof TimeoutError)
    assert.equal((error.cause as KafkaError).code, 'UNKNOWN_TOPIC_OR_PARTITION')
    return true
  })
  await cluster.close()
})

test('a connection that breaks is replaced by the next call', async () => {
  await using broker = await ScriptedBroker.start()
  broker.onMetadata({ t: 1 })
  const cluster = broker.client()
  await cluster.metadata(null)
  broker.dropConnections()
  assert.equal((await cluster.retrying('reading metadata', 2000, () => cluster.metadata(null))).topics.length, 1)
  await cluster.close()
})

test('a coordinator that moves is found again', async () => {
  await using broker = await ScriptedBroker.start()
  broker.onMetadata({})
  let found = 0
  broker.on(FindCoordinator, (request) => {
    found++
    const errorCode = found === 1 ? 15 : 0
    const { host, port, nodeId } = broker
    const coordinators = request.coordinatorKeys.map((key) => ({ key, nodeId, host, port, errorCode, errorMessage: null }))
    return { errorCode: 0, errorMessage: null, nodeId, host, port, coordinators }
  })
  let asked = 0
  broker.on(ListGroups, () => ({ errorCode: ++asked === 1 ? 16 : 0, groups: [] }))
  const cluster = broker.client()
  await cluster.retrying('asking the coordinator', 2000, async () => {
    const connection = await cluster.coordinator(CoordinatorType.GROUP, 'g')
    const { errorCode } = await connection.request(ListGroups, {})
    if (errorCode === 16) throw new KafkaError('NOT_COORDINATOR')
  })
  assert.deepEqual([found, asked], [3, 2])
  await cluster.close()
})

test('a closed client takes no more calls, and rejects those under way', async () => {
  await using broker = await ScriptedBroker.start()
  broker.onMetadata({})
  broker.on(ListGroups, () => 'silence')
  const cluster = broker.client()
  const asked = (await cluster.anyBroker()).request(ListGroups, {})
  await cluster.close()
  await assert.rejects(asked, ClientClosedError)
  await assert.rejects(cluster.metadata(null), ClientClosedError)
})

test('the controller is asked again when it has moved', async () => {
  await using broker = await ScriptedBroker.start()
  broker.onMetadata({ t: 1 })
  let asked = 0
  broker.on(DeleteTopics, (request) => ({
    responses: request.topics.map(({ name, topicId }) => ({ name, topicId, errorCode: ++asked === 1 ? 41 : 0 })),
  }))
  const cluster = broker.client()
  orThrow(await new Admin(cluster).topics.delete(['t']))
  assert.equal(asked, 2)
  await cluster.close()
})

test('topics are described page by page, one that is cut in two put together', async () => {
  await using broker = await ScriptedBroker.start()
  const partition = (partitionIndex: number) => {
    return { errorCode: 0, partitionIndex, leaderId: 1, replicaNodes: [1], isrNodes: [1], offlineReplicas: [] }
  }
  const id = Buffer.alloc(16, 1).toString('base64url')
  broker.on(DescribeTopicPartitions, ({ topics, cursor }) => {
    if (cursor === null) {
      assert.deepEqual(topics, [{ name: 'a' }, { name: 'b' }])
      return {
        topics: [{ errorCode: 0, name: 'a', topicId: id, partitions: [partition(0)] }],
        nextCursor: { topicName: 'a', partitionIndex: 1 },
      }
    }
    return {
      topics: [
        { errorCode: 0, name: 'a', topicId: id, partitions: [partition(1)] },
        { errorCode: 3, name: 'b', topicId: id, partitions: [] },
      ],
    }
  })
  const cluster = broker.client()
  const described = await new Admin(cluster).topics.describe(['b', 'a'], { partitionLimit: 1 })
  const a = described.get('a')
  assert.ok(a !== undefined && !(a instanceof KafkaError))
  assert.deepEqual(
    a.partitions.map(({ index }) => index),
    [0, 1],
  )
  assert.ok(described.get('b') instanceof KafkaError)
  await cluster.close()
})

test('a broker without pages describes topics by metadata', async () => {
  await using broker = await ScriptedBroker.start()
  broker.on(ApiVersions, () => ({
    errorCode: 0,
    apiKeys: [
      { apiKey: ApiVersions.key, minVersion: 0, maxVersion: 3 },
      { apiKey: Metadata.key, minVersion: 0, maxVersion: 8 },
    ],
  }))
  broker.onMetadata({ a: 2 })
  const cluster = broker.client()
  const described = await new Admin(cluster).topics.describe(['a', 'b'])
  const a = described.get('a')
  assert.ok(a !== undefined && !(a instanceof KafkaError))
  assert.equal(a.partitions.length, 2)
  assert.equal(a.partitions[0].eligibleLeaderReplicas, null)
  assert.equal((described.get('b') as KafkaError).code, 'UNKNOWN_TOPIC_OR_PARTITION')
  await cluster.close()
})

// What a cluster must not do in silence: elect who may lack records, and lead by metadata that have gone back in time.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RawClient } from '../../test/conformance/raw-client.ts'
import { assertError, batchOf } from '../../test/conformance/requests.ts'
import { eventually } from '../../test/support/eventually.ts'
import { clusterPrefix, encodePartition, keys, newPartition } from '../cluster/metadata-records.ts'
import { realClock } from '../host/clock.ts'
import type { TopicId } from '../protocol/ids.ts'
import { Produce } from '../protocol/messages/00-produce.ts'
import { CreateTopics } from '../protocol/messages/19-create-topics.ts'
import { IncrementalAlterConfigs } from '../protocol/messages/44-incremental-alter-configs.ts'
import { DescribeCluster } from '../protocol/messages/60-describe-cluster.ts'
import type { SimEtcd } from '../sim/etcd.ts'
import { startCluster, type TestCluster } from './start-cluster.ts'

const lines: string[] = []
const note = (line: string) => void lines.push(line)
const logger = () => ({ info: note, warn: note, error: note })
const told = (what: RegExp) => assert.ok(lines.some((line) => what.test(line)))

async function createTopic(cluster: TestCluster, configs: Record<string, string> = {}): Promise<string> {
  using client = await RawClient.connect(cluster.broker(1).address)
  const topic = {
    name: 'events',
    numPartitions: -1,
    replicationFactor: -1,
    assignments: [{ partitionIndex: 0, brokerIds: [1, 2] }],
    configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
  }
  const { topics } = await client.request(CreateTopics, 7, { topics: [topic], timeoutMs: 10_000 })
  assertError(topics[0]!.errorCode, 'NONE')
  return topics[0]!.topicId
}

async function produce(cluster: TestCluster, leader = cluster.partition('events', 0)!.leader): Promise<number> {
  using client = await RawClient.connect(cluster.broker(leader).address)
  const topicData = [{ name: 'events', partitionData: [{ index: 0, records: batchOf(['x']) }] }]
  const { responses } = await client.request(Produce, 12, { acks: -1, timeoutMs: 10_000, topicData })
  return responses[0]!.partitionResponses[0]!.errorCode
}

test('an election that may lose records is told', async () => {
  lines.length = 0
  await using cluster = await startCluster({ brokers: 3, logger })
  await createTopic(cluster, { 'unclean.leader.election.enable': 'true' })
  await cluster.broker(2).kill()
  await eventually(() => assert.deepEqual(cluster.partition('events', 0)!.isr, [1]))
  assertError(await produce(cluster), 'NONE')
  await cluster.broker(1).kill()
  await cluster.broker(2).start()
  await eventually(() => assert.equal(cluster.partition('events', 0)!.leader, 2))
  await eventually(() => told(/^events-0: broker 2 leads, though it may lack records/))
})

test('a broker does not lead in an epoch that its log has seen, and says so', async () => {
  lines.length = 0
  await using cluster = await startCluster({ brokers: 2, logger })
  const topicId = await createTopic(cluster)
  for (const to of [2, 1, 2, 1]) {
    await cluster.moveLeader('events', 0, to)
    await eventually(async () => assertError(await produce(cluster), 'NONE'))
  }
  using client = await RawClient.connect(cluster.broker(1).address)
  const { clusterId } = await client.request(DescribeCluster, 1, { includeClusterAuthorizedOperations: false })
  // As if the store had been restored from a backup under running brokers.
  const store = (cluster as unknown as { etcd: SimEtcd }).etcd.handle('operator', realClock)
  const old = { ...newPartition([2, 1]), leaderEpoch: 1, partitionEpoch: 100 }
  const key = clusterPrefix(clusterId) + keys.partition(topicId as TopicId, 0)
  await store.commit([], [{ put: key, value: encodePartition(old) }], [])
  await eventually(() => told(/^events-0: does not lead in epoch 1, for its log has records of epoch \d/))
  assertError(await produce(cluster, 2), 'NOT_LEADER_OR_FOLLOWER')
  await store.close()
})

test('another number of fetchers is taken over by those that follow already', async () => {
  await using cluster = await startCluster({ brokers: 2 })
  await createTopic(cluster)
  assertError(await produce(cluster), 'NONE')
  using client = await RawClient.connect(cluster.broker(1).address)
  for (const value of ['7', '1']) {
    const configs = [{ name: 'num.replica.fetchers', configOperation: 0, value }]
    const resources = [{ resourceType: 4, resourceName: '', configs }]
    const { responses } = await client.request(IncrementalAlterConfigs, 1, { resources, validateOnly: false })
    assertError(responses[0]!.errorCode, 'NONE')
    for (let i = 0; i < 3; i++) assertError(await produce(cluster), 'NONE')
    assert.equal(cluster.partition('events', 0)!.isr.length, 2)
  }
})

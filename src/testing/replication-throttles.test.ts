// Throttled reassignments, as kafka-reassign-partitions --throttle sets them up: what moves goes at the rate, what is in sync does not wait.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RawClient } from '../../test/conformance/raw-client.ts'
import { assertError, batchOf } from '../../test/conformance/requests.ts'
import { eventually } from '../../test/support/eventually.ts'
import { Produce } from '../protocol/messages/00-produce.ts'
import { CreateTopics } from '../protocol/messages/19-create-topics.ts'
import { IncrementalAlterConfigs } from '../protocol/messages/44-incremental-alter-configs.ts'
import { AlterPartitionReassignments } from '../protocol/messages/45-alter-partition-reassignments.ts'
import { startCluster, type TestCluster } from './start-cluster.ts'

const TOPIC = 2
const BROKER = 4
const SET = 0

async function configure(client: RawClient, type: number, name: string, configs: Record<string, string>): Promise<void> {
  const changes = Object.entries(configs).map(([key, value]) => ({ name: key, configOperation: SET, value }))
  const resources = [{ resourceType: type, resourceName: name, configs: changes }]
  const { responses } = await client.request(IncrementalAlterConfigs, 1, { resources, validateOnly: false })
  assertError(responses[0]!.errorCode, 'NONE', responses[0]!.errorMessage ?? undefined)
}

async function produce(cluster: TestCluster, topic: string, bytes: number): Promise<void> {
  using client = await RawClient.connect(cluster.broker(cluster.partition(topic, 0)!.leader).address)
  const records = batchOf([{ timestamp: 1n, value: Buffer.alloc(bytes, 'x') }])
  const topicData = [{ name: topic, partitionData: [{ index: 0, records }] }]
  const { responses } = await client.request(Produce, 12, { acks: -1, timeoutMs: 10_000, topicData })
  assertError(responses[0]!.partitionResponses[0]!.errorCode, 'NONE')
}

for (const side of ['leader', 'follower'] as const) {
  test(`a partition moves as fast as its ${side} may copy, and members of the ISR are not held up`, async () => {
    await using cluster = await startCluster({ brokers: 3, config: { 'replica.fetch.max.bytes': '50000' } })
    using client = await RawClient.connect(cluster.broker(1).address)
    const topic = (name: string, brokerIds: number[]) => ({
      name,
      numPartitions: -1,
      replicationFactor: -1,
      assignments: [{ partitionIndex: 0, brokerIds }],
      configs: [],
    })
    const topics = [topic('moved', [1]), topic('in-sync', [1, 2])]
    for (const { errorCode } of (await client.request(CreateTopics, 7, { topics, timeoutMs: 10_000 })).topics)
      assertError(errorCode, 'NONE')
    for (let i = 0; i < 10; i++) await produce(cluster, 'moved', 40_000)

    const broker = side === 'leader' ? 1 : 2
    await configure(client, BROKER, String(broker), { [`${side}.replication.throttled.rate`]: '20000' })
    await configure(client, TOPIC, 'moved', { [`${side}.replication.throttled.replicas`]: `0:${broker}` })
    await configure(client, TOPIC, 'in-sync', { [`${side}.replication.throttled.replicas`]: '*' })
    const moves = [{ name: 'moved', partitions: [{ partitionIndex: 0, replicas: [2] }] }]
    await client.request(AlterPartitionReassignments, 1, { topics: moves, timeoutMs: 10_000, allowReplicationFactorChange: true })

    // 400 kB at 20 kB a second would take 20 seconds.
    const start = performance.now()
    for (let i = 0; i < 5; i++) await produce(cluster, 'in-sync', 40_000)
    assert.deepEqual(cluster.partition('moved', 0)!.isr, [1])
    assert.ok(performance.now() - start < 10_000)
    await configure(client, BROKER, String(broker), { [`${side}.replication.throttled.rate`]: '200000' })
    await eventually(() => assert.deepEqual(cluster.partition('moved', 0)!.replicas, [2]))
    assert.ok(performance.now() - start > 1000, 'a second for what is left at 200 kB a second')
  })
}

// A client that comes to a broker that does not lead, or does not lead any more, is told who does (KIP-951).

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RawClient } from '../../test/conformance/raw-client.ts'
import { assertError, batchOf } from '../../test/conformance/requests.ts'
import { eventually } from '../../test/support/eventually.ts'
import { Produce } from '../protocol/messages/00-produce.ts'
import { Fetch } from '../protocol/messages/01-fetch.ts'
import { Metadata } from '../protocol/messages/03-metadata.ts'
import { CreateTopics } from '../protocol/messages/19-create-topics.ts'
import { startCluster, type TestCluster } from './start-cluster.ts'

const endpointOf = (cluster: TestCluster, id: number) => {
  const [host, port] = cluster.broker(id).address.split(':')
  return { nodeId: id, host, port: Number(port), rack: null }
}

async function createTopic(client: RawClient, name: string): Promise<string> {
  const topic = { name, numPartitions: 1, replicationFactor: 2, assignments: [], configs: [] }
  const { topics } = await client.request(CreateTopics, 7, { topics: [topic], timeoutMs: 10_000 })
  assertError(topics[0]!.errorCode, 'NONE')
  return topics[0]!.topicId
}

/** Every broker has heard of the topic. */
async function known(cluster: TestCluster, topic: string): Promise<void> {
  for (const { address } of cluster.brokers) {
    using client = await RawClient.connect(address)
    await eventually(async () => {
      const { topics } = await client.request(Metadata, 9, { topics: [{ name: topic }], allowAutoTopicCreation: false })
      assertError(topics[0]!.errorCode, 'NONE')
    })
  }
}

test('whoever produces to or fetches from a broker that does not lead is told who does, and where', async () => {
  await using cluster = await startCluster({ brokers: 3 })
  using any = await RawClient.connect(cluster.broker(1).address)
  const topicId = await createTopic(any, 'events')
  await known(cluster, 'events')
  const { leader, leaderEpoch } = cluster.partition('events', 0)!
  const currentLeader = { leaderId: leader, leaderEpoch }
  for (const { id, address } of cluster.brokers) {
    if (id === leader) continue
    using client = await RawClient.connect(address)
    const produce = (version: number) =>
      client.request(Produce, version, {
        acks: -1,
        timeoutMs: 1000,
        topicData: [{ name: 'events', topicId, partitionData: [{ index: 0, records: batchOf(['x']) }] }],
      })
    for (const version of [12, 13]) {
      const { responses, nodeEndpoints } = await produce(version)
      assertError(responses[0]!.partitionResponses[0]!.errorCode, 'NOT_LEADER_OR_FOLLOWER')
      assert.deepEqual(responses[0]!.partitionResponses[0]!.currentLeader, currentLeader)
      assert.deepEqual(nodeEndpoints, [endpointOf(cluster, leader)])
    }
    // Before version 10 there is no place for it.
    assertError((await produce(9)).responses[0]!.partitionResponses[0]!.errorCode, 'NOT_LEADER_OR_FOLLOWER')

    // Without a replica there is nothing to read here, however close.
    if (cluster.partition('events', 0)!.replicas.includes(id)) continue
    const partition = { partition: 0, fetchOffset: 0n, partitionMaxBytes: 1000, currentLeaderEpoch: leaderEpoch }
    const fetched = await client.request(Fetch, 16, {
      maxWaitMs: 0,
      minBytes: 1,
      topics: [{ topic: 'events', topicId, partitions: [partition] }],
      forgottenTopicsData: [],
    })
    assertError(fetched.responses[0]!.partitions[0]!.errorCode, 'NOT_LEADER_OR_FOLLOWER')
    assert.deepEqual(fetched.responses[0]!.partitions[0]!.currentLeader, currentLeader)
    assert.deepEqual(fetched.nodeEndpoints, [endpointOf(cluster, leader)])
  }
})

test('a consumer with an old leader epoch is told of the new leader by the one before it', async () => {
  await using cluster = await startCluster({ brokers: 2 })
  using any = await RawClient.connect(cluster.broker(1).address)
  const topicId = await createTopic(any, 'events')
  await known(cluster, 'events')
  const before = cluster.partition('events', 0)!
  await cluster.broker(before.leader).stop()
  await cluster.broker(before.leader).start()
  await known(cluster, 'events')
  const { leader, leaderEpoch } = cluster.partition('events', 0)!
  assert.notEqual(leader, before.leader)
  using client = await RawClient.connect(cluster.broker(before.leader).address)
  const partition = { partition: 0, fetchOffset: 0n, partitionMaxBytes: 1000, currentLeaderEpoch: before.leaderEpoch }
  const request = { maxWaitMs: 0, minBytes: 1, topics: [{ topicId, partitions: [partition] }], forgottenTopicsData: [] }
  const { responses, nodeEndpoints } = await client.request(Fetch, 17, request)
  assertError(responses[0]!.partitions[0]!.errorCode, 'FENCED_LEADER_EPOCH')
  assert.deepEqual(responses[0]!.partitions[0]!.currentLeader, { leaderId: leader, leaderEpoch })
  assert.deepEqual(nodeEndpoints, [endpointOf(cluster, leader)])
})

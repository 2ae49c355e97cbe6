// Consumers that read from the replica in their own rack (KIP-392), over the wire.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Connection } from '../client/connection.ts'
import { RACK_AWARE_SELECTOR } from '../cluster/replication/preferred-replica.ts'
import { defaultLogConfig } from '../log/log-config.ts'
import { ErrorCode } from '../protocol/error-codes.ts'
import { Fetch } from '../protocol/messages/01-fetch.ts'
import { ListOffsets } from '../protocol/messages/02-list-offsets.ts'
import { ReplicaCluster } from './replica-cluster.ts'
import { led, produce, settled, until } from './replica-fixture.ts'
import { SimClock, Simulation } from './simulation.ts'

async function clusterInRacks(): Promise<ReplicaCluster> {
  const simulation = new Simulation(3)
  const cluster = new ReplicaCluster(simulation, {
    brokers: 3,
    config: { ...defaultLogConfig, flushPolicy: 'os' },
    racks: { 1: 'a', 2: 'b', 3: 'c' },
    settings: { 'replica.selector.class': RACK_AWARE_SELECTOR },
  })
  await simulation.settle(cluster.start())
  cluster.createTopic('t', [[1, 2]])
  const written = produce(await led(cluster), 'a')
  await until(cluster, 'the acknowledgement', () => written.outcome === 'there')
  await settled(cluster)
  return cluster
}

/** What a consumer is answered that asks a broker for the topic's only partition. */
async function fetch(cluster: ReplicaCluster, broker: number, rackId: string, fetchOffset = 0n) {
  const { network, simulation } = cluster
  const asking = async () => {
    const connection = await Connection.open({
      network: network.host('consumer'),
      clock: new SimClock(simulation),
      endpoint: { host: `broker-${broker}`, port: 9092 },
      clientId: 'consumer',
      connectTimeoutMs: 1000,
      requestTimeoutMs: 10_000,
      softwareVersion: '1',
    })
    const partitions = [{ partition: 0, fetchOffset, partitionMaxBytes: 1000, currentLeaderEpoch: cluster.record().leaderEpoch }]
    const topics = [{ topicId: cluster.image.topic('t')!.id, partitions }]
    return connection.request(Fetch, { maxWaitMs: 100, minBytes: 1, rackId, topics, forgottenTopicsData: [] })
  }
  const response = await simulation.settle(asking())
  return response.responses[0].partitions[0]
}

test('a consumer is sent to the replica in its rack, which serves it; where there is none, the leader does', async () => {
  const cluster = await clusterInRacks()
  const sent = await fetch(cluster, 1, 'b')
  assert.deepEqual([sent.preferredReadReplica, (sent.records as Buffer).length], [2, 0])
  const served = await fetch(cluster, 2, 'b')
  assert.equal(served.preferredReadReplica, -1)
  assert.ok((served.records as Buffer).length > 0)
  for (const rack of ['a', 'c', '']) {
    const atLeader = await fetch(cluster, 1, rack)
    assert.equal(atLeader.preferredReadReplica, -1)
    assert.ok((atLeader.records as Buffer).length > 0)
  }
})

test('a follower serves no more than it knows to be committed, and refuses what it does not have', async () => {
  const cluster = await clusterInRacks()
  cluster.network.isolate('broker-1', ['broker-2'])
  produce(cluster.broker(1), 'b', {}, 1)
  await cluster.simulation.advance(50)
  // The leader knows that the replica does not have it, and keeps the consumer.
  assert.equal((await fetch(cluster, 1, 'b', 2n)).preferredReadReplica, -1)
  assert.equal((await fetch(cluster, 2, 'b', 2n)).errorCode, ErrorCode.OFFSET_OUT_OF_RANGE)
  const waiting = await fetch(cluster, 2, 'b', 1n)
  assert.deepEqual([waiting.errorCode, (waiting.records as Buffer).length], [ErrorCode.NONE, 0])
})

test('the end of a partition is not told before a new leader knows it (KIP-207)', async () => {
  const cluster = await clusterInRacks()
  cluster.network.isolate('broker-1', ['broker-2'])
  const { id } = cluster.image.topic('t')!
  const record = cluster.record()
  produce(cluster.broker(1), 'b', {}, 1)
  await cluster.simulation.advance(5)
  // It leads again, and does not know whether the other has what it wrote.
  cluster.put(id, 0, { ...record, leaderEpoch: record.leaderEpoch + 1, partitionEpoch: record.partitionEpoch + 1 })
  const leader = await led(cluster)
  assert.deepEqual([leader.partition()!.highWatermark, leader.partition()!.leader!.epochStart], [1n, 2n])
  const ask = async (version: number) => {
    const { network, simulation } = cluster
    const connection = await Connection.open({
      network: network.host('consumer'),
      clock: new SimClock(simulation),
      endpoint: { host: 'broker-1', port: 9092 },
      clientId: 'consumer',
      connectTimeoutMs: 1000,
      requestTimeoutMs: 10_000,
      softwareVersion: '1',
    })
    const partitions = [{ partitionIndex: 0, timestamp: -1n }]
    const topics = [{ name: 't', partitions }]
    const request = { replicaId: -1, isolationLevel: 0, topics, timeoutMs: 0 }
    const response = await connection.request(ListOffsets, request, { maxVersion: version })
    return response.topics[0].partitions[0]
  }
  assert.equal((await cluster.simulation.settle(ask(7))).errorCode, ErrorCode.OFFSET_NOT_AVAILABLE)
  assert.equal((await cluster.simulation.settle(ask(4))).errorCode, ErrorCode.LEADER_NOT_AVAILABLE)
  cluster.network.healAll()
  await settled(cluster)
  const known = await cluster.simulation.settle(ask(7))
  assert.deepEqual([known.errorCode, known.offset], [ErrorCode.NONE, 2n])
})

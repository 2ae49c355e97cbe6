// Clusters as their users meet them: KafkaJS on real sockets, brokers that die, stop, pause and come back.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Admin, CompressionTypes, Kafka, logLevel } from 'kafkajs'
import { eventually } from '../../test/support/eventually.ts'
import { startCluster, type TestCluster } from './start-cluster.ts'

const clientOf = (cluster: TestCluster) =>
  new Kafka({
    brokers: cluster.bootstrapServers.split(','),
    logLevel: logLevel.NOTHING,
    retry: { retries: 30, initialRetryTime: 50, maxRetryTime: 500 },
  })

async function partitionOf(admin: Admin, topic: string, index = 0) {
  const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
  return topics[0].partitions.find(({ partitionId }) => partitionId === index)!
}

/** Sends `count` numbered records one after the other, each acknowledged by all in-sync replicas. */
async function* numbered(kafka: Kafka, topic: string, count: number): AsyncGenerator<number> {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  try {
    for (let n = 0; n < count; n++) {
      await producer.send({
        topic,
        acks: -1,
        compression: CompressionTypes.None,
        messages: [{ key: String(n), value: String(n) }],
      })
      yield n
    }
  } finally {
    await producer.disconnect()
  }
}

async function consume(kafka: Kafka, topic: string, count: number): Promise<string[]> {
  const consumer = kafka.consumer({ groupId: `readers-of-${topic}` })
  const values: string[] = []
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({ eachMessage: async ({ message }) => void values.push(String(message.value)) })
  try {
    await eventually(() => assert.equal(values.length, count), { withinMs: 30_000 })
  } finally {
    await consumer.disconnect()
  }
  return values
}

const numbers = (count: number) => Array.from({ length: count }, (_, n) => String(n))

test('records are on every replica, and survive the leader', async () => {
  await using cluster = await startCluster({ brokers: 3 })
  const kafka = clientOf(cluster)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'events', numPartitions: 1, replicationFactor: 3 }], waitForLeaders: true })
  const before = await partitionOf(admin, 'events')
  assert.deepEqual([...before.isr].sort(), [1, 2, 3])
  for await (const n of numbered(kafka, 'events', 60)) {
    if (n === 20) await cluster.broker(before.leader).kill()
  }
  const after = await partitionOf(admin, 'events')
  assert.notEqual(after.leader, before.leader)
  assert.deepEqual(await consume(kafka, 'events', 60), numbers(60))

  await cluster.broker(before.leader).start()
  await eventually(() => assert.equal(cluster.partition('events', 0)!.isr.length, 3))
  await admin.disconnect()
})

test('a broker that is stopped hands over first: producers notice nothing', async () => {
  await using cluster = await startCluster({ brokers: 3 })
  const kafka = clientOf(cluster)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'events', numPartitions: 1, replicationFactor: 3 }], waitForLeaders: true })
  const leaders = new Set<number>()
  for await (const n of numbered(kafka, 'events', 90)) {
    if (n % 30 !== 10) continue
    const { leader } = await partitionOf(admin, 'events')
    leaders.add(leader)
    await cluster.broker(leader).stop()
    await cluster.broker(leader).start()
    await eventually(() => assert.equal(cluster.partition('events', 0)!.isr.length, 3))
  }
  assert.ok(leaders.size > 1, `${leaders.size} brokers led`)
  assert.deepEqual(await consume(kafka, 'events', 90), numbers(90))
  await admin.disconnect()
})

test('a leader that is cut off acknowledges nothing more, and what it had taken alone is gone when it is back', async () => {
  await using cluster = await startCluster({ brokers: 3, config: { 'min.insync.replicas': '2' } })
  const kafka = clientOf(cluster)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'events', numPartitions: 1, replicationFactor: 3 }], waitForLeaders: true })
  const leader = cluster.partition('events', 0)!.leader
  let healed: Promise<unknown> | undefined
  for await (const n of numbered(kafka, 'events', 40)) {
    if (n !== 10) continue
    // The client may stay with the old leader for as long as that does not know better.
    cluster.cutOff(leader)
    healed = eventually(() => assert.ok(![leader, -1].includes(cluster.partition('events', 0)!.leader))).finally(() =>
      cluster.heal(),
    )
  }
  await healed
  await eventually(() => assert.equal(cluster.partition('events', 0)!.isr.length, 3))
  assert.deepEqual(await consume(kafka, 'events', 40), numbers(40))
  await admin.disconnect()
})

test('groups and transactions go on with another coordinator', async () => {
  await using cluster = await startCluster({ brokers: 3 })
  const kafka = clientOf(cluster)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'orders', numPartitions: 3, replicationFactor: 3 }], waitForLeaders: true })
  const producer = kafka.producer({ transactionalId: 'shop', idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let n = 0; n < 30; n++) {
    if (n === 10) await cluster.broker(1).kill()
    if (n === 20) {
      await cluster.broker(1).start()
      await cluster.broker(2).kill()
    }
    const transaction = await producer.transaction()
    await transaction.send({ topic: 'orders', messages: [{ key: String(n), value: String(n) }] })
    await (n % 3 === 2 ? transaction.abort() : transaction.commit())
  }
  await producer.disconnect()
  const values = await consume(kafka, 'orders', 20)
  assert.deepEqual(
    values.map(Number).sort((a, b) => a - b),
    Array.from({ length: 30 }, (_, n) => n).filter((n) => n % 3 !== 2),
  )
  await admin.disconnect()
})

test('a leader is moved to the replica that a test names, and only to a replica', async () => {
  await using cluster = await startCluster({ brokers: 3 })
  const kafka = clientOf(cluster)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({
    topics: [{ topic: 'events', replicaAssignment: [{ partition: 0, replicas: [1, 2] }] }],
    waitForLeaders: true,
  })
  await admin.disconnect()
  for await (const n of numbered(kafka, 'events', 30)) if (n % 10 === 5) await cluster.moveLeader('events', 0, n === 15 ? 1 : 2)
  assert.equal(cluster.partition('events', 0)!.leader, 2)
  await assert.rejects(cluster.moveLeader('events', 0, 3), { code: 'INVALID_REPLICA_ASSIGNMENT' })
  assert.deepEqual(await consume(kafka, 'events', 30), numbers(30))
})

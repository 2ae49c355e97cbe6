// Seed 2: producer and consumers as separate processes; one group shares the work, each group gets everything.

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { connectedAdmin, createTopics, kafkaFor } from '../support/kafkajs.ts'
import { type Program, startProgram } from '../support/programs.ts'
import type { ConsumerEvent } from './programs/consumer.ts'
import type { Sent } from './programs/producer.ts'

let broker: BrokerUnderTest
before(async () => {
  // Consumers that die here are noticed within two seconds.
  broker = await startBrokerUnderTest({ 'group.min.session.timeout.ms': '1000' })
})
after(() => broker?.close())

const startConsumer = (t: TestContext, groupId: string, topic: string) =>
  startProgram<ConsumerEvent>(t, 'consumer', [broker.bootstrapServers, groupId, topic])

function assignment(consumer: Program<ConsumerEvent>): number[] {
  return consumer.events.findLast((event) => event.type === 'assigned')?.partitions ?? []
}

function values(consumer: Program<ConsumerEvent>): (string | undefined)[] {
  return consumer.events.filter((event) => event.type === 'message').map(({ value }) => value)
}

async function produce(t: TestContext, topic: string, count: number): Promise<Sent[]> {
  const producer = startProgram<Sent>(t, 'producer', [broker.bootstrapServers, topic, `${count}`])
  assert.equal(await producer.ended, 0)
  assert.equal(producer.events.length, count)
  return producer.events
}

async function createTopic(t: TestContext, topic: string, numPartitions: number): Promise<void> {
  const admin = await connectedAdmin(t, kafkaFor(t, broker.bootstrapServers))
  await createTopics(admin, [{ topic, numPartitions }])
}

test('consumers with one group id share the events of a producer in another process', async (t) => {
  await createTopic(t, 'shared', 4)
  const [first, second] = [startConsumer(t, 'workers', 'shared'), startConsumer(t, 'workers', 'shared')]
  await eventually(() => {
    assert.deepEqual([assignment(first).length, assignment(second).length], [2, 2])
    assert.deepEqual([...assignment(first), ...assignment(second)].sort(), [0, 1, 2, 3])
  })

  const sent = await produce(t, 'shared', 40)
  await eventually(() => assert.equal(values(first).length + values(second).length, 40))
  for (const consumer of [first, second]) {
    const mine = new Set(assignment(consumer))
    assert.deepEqual(
      values(consumer).sort(),
      sent
        .filter(({ partition }) => mine.has(partition))
        .map(({ value }) => value)
        .sort(),
    )
    // Without keys the events went round: there was something for each.
    assert.equal(values(consumer).length, 20)
  }
})

test('consumers with different group ids each get everything', async (t) => {
  await createTopic(t, 'broadcast', 2)
  const [early, alsoEarly] = [startConsumer(t, 'mail', 'broadcast'), startConsumer(t, 'billing', 'broadcast')]
  const sent = (await produce(t, 'broadcast', 20)).map(({ value }) => value).sort()
  const late = startConsumer(t, 'analytics', 'broadcast')
  await eventually(() => {
    for (const consumer of [early, alsoEarly, late]) assert.deepEqual(values(consumer).sort(), sent)
  })
})

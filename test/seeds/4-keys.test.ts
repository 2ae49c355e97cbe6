// Seed 4: which partition a message goes to: by key, by number, by a partitioner of one's own, round robin.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { connectedAdmin, connectedProducer, consuming, createTopics, kafkaFor } from '../support/kafkajs.ts'
import { tool } from '../support/tools.ts'

/** key → partition of 3 and of 12, computed by Java: `Utils.toPositive(Utils.murmur2(key)) % partitions` of kafka-clients 4.3.1. */
const PARTITION_OF_KEY: readonly (readonly [key: string, of3: number, of12: number])[] = [
  ['user1', 0, 6],
  ['user2', 2, 5],
  ['user3', 2, 11],
  ['', 0, 9],
  ['a', 1, 4],
  ['ab', 2, 2],
  ['abc', 0, 3],
  ['abcd', 2, 8],
  ['payment-done', 0, 3],
  ['order-4711', 1, 7],
  ['Zürich', 1, 1],
  ['東京', 1, 7],
  ['🌊', 2, 5],
  ['the-quick-brown-fox-jumps-over-the-lazy-dog', 2, 11],
  ['00000000-0000-0000-0000-000000000000', 0, 9],
]

let broker: BrokerUnderTest
before(async () => {
  broker = await startBrokerUnderTest()
})
after(() => broker?.close())

test('all messages of user1 come from one partition to one consumer, in order', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const admin = await connectedAdmin(t, kafka)
  await createTopics(admin, [{ topic: 'clicks', numPartitions: 3 }])
  const consumers = await Promise.all([1, 2, 3].map(() => consuming(t, kafka, { groupId: 'clicks', topics: ['clicks'] })))
  await eventually(() =>
    assert.deepEqual(
      consumers.map((consumer) => consumer.assigned('clicks')?.length),
      [1, 1, 1],
    ),
  )
  const producer = await connectedProducer(t, kafka)
  for (let i = 0; i < 20; i++) {
    await producer.send({ topic: 'clicks', messages: ['user1', 'user2', 'user3'].map((key) => ({ key, value: `${key} ${i}` })) })
  }
  await eventually(() => assert.equal(consumers.flatMap(({ received }) => received).length, 60))
  for (const [key, partition] of PARTITION_OF_KEY.slice(0, 3)) {
    const having = consumers.filter(({ received }) => received.some((message) => message.key === key))
    assert.equal(having.length, 1, key)
    const messages = having[0]!.received.filter((message) => message.key === key)
    assert.deepEqual(new Set(messages.map((message) => message.partition)), new Set([partition]))
    assert.deepEqual(
      messages.map(({ value }) => value),
      Array.from({ length: 20 }, (_, i) => `${key} ${i}`),
    )
  }
})

test('a key goes to the partition that Java would pick, from KafkaJS and from the console', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const admin = await connectedAdmin(t, kafka)
  const topics = [
    { topic: 'of-3', numPartitions: 3 },
    { topic: 'of-12', numPartitions: 12 },
  ]
  await createTopics(admin, topics)
  const producer = await connectedProducer(t, kafka)
  const messages = PARTITION_OF_KEY.map(([key]) => ({ key, value: 'KafkaJS' }))
  await producer.sendBatch({ topicMessages: topics.map(({ topic }) => ({ topic, messages })) })
  const keyed = ['--reader-property', 'parse.key=true', '--reader-property', 'key.separator=|']
  const input = PARTITION_OF_KEY.map(([key]) => `${key}|console\n`).join('')
  for (const { topic } of topics) {
    await tool('kafka-console-producer', ['--topic', topic, ...keyed, '--bootstrap-server', broker.bootstrapServers], input)
  }

  const { received } = await consuming(t, kafka, { groupId: 'table', topics: topics.map(({ topic }) => topic) })
  await eventually(() => assert.equal(received.length, 4 * PARTITION_OF_KEY.length))
  const actual = new Map(received.map(({ topic, key, value, partition }) => [`${topic} ${key} ${value}`, partition]))
  const expected = new Map(
    PARTITION_OF_KEY.flatMap(([key, of3, of12]) =>
      ['KafkaJS', 'console'].flatMap((from): [string, number][] => [
        [`of-3 ${key} ${from}`, of3],
        [`of-12 ${key} ${from}`, of12],
      ]),
    ),
  )
  assert.deepEqual(actual, expected)
})

test('an explicit partition wins over the key, a partitioner of one’s own over both, and without a key it goes round', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const admin = await connectedAdmin(t, kafka)
  await createTopics(
    admin,
    ['explicit', 'custom', 'round-robin'].map((topic) => ({ topic, numPartitions: 3 })),
  )

  const producer = await connectedProducer(t, kafka)
  const explicit = [2, 0, 1, 2].map((partition, i) => ({ partition, key: 'user1', value: `${i}` }))
  const sent = await producer.send({ topic: 'explicit', messages: explicit })
  assert.deepEqual(sent.map(({ partition }) => partition).sort(), [0, 1, 2])
  await producer.send({ topic: 'round-robin', messages: Array.from({ length: 9 }, (_, i) => ({ value: `${i}` })) })

  const bySize =
    () =>
    ({ message }: { message: { value: Buffer | string | null } }) =>
      String(message.value).length > 5 ? 1 : 2
  const custom = await connectedProducer(t, kafka, { createPartitioner: bySize })
  await custom.send({ topic: 'custom', messages: ['small', 'rather large', 'tiny'].map((value) => ({ key: 'user1', value })) })

  const { received } = await consuming(t, kafka, { groupId: 'placed', topics: ['explicit', 'custom', 'round-robin'] })
  await eventually(() => assert.equal(received.length, 4 + 3 + 9))
  const of = (topic: string) => received.filter((message) => message.topic === topic)
  const placed = (topic: string) =>
    of(topic)
      .map(({ partition, value }) => `${value} in ${partition}`)
      .sort()
  assert.deepEqual(placed('explicit'), ['0 in 2', '1 in 0', '2 in 1', '3 in 2'])
  assert.deepEqual(placed('custom'), ['rather large in 1', 'small in 2', 'tiny in 2'])
  for (const partition of [0, 1, 2]) {
    assert.equal(of('round-robin').filter((message) => message.partition === partition).length, 3)
  }
})

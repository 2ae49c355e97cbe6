// Seed 7: the same first hour with @platformatic/kafka, which speaks the newest versions of the protocol. (kcat: test/interop.)

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import {
  Admin,
  Consumer,
  type Message,
  type MessageToProduce,
  Producer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka'
import { RestartableBroker } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'

let broker: RestartableBroker
before(async () => {
  broker = await RestartableBroker.start()
})
after(() => broker?.close())

type Strings = Message<string, string, string, string>

const client = (clientId: string) => ({ clientId, bootstrapBrokers: [broker.bootstrapServers], retries: 20, retryDelay: 100 })

function connectedAdmin(t: TestContext): Admin {
  const admin = new Admin(client('admin'))
  t.after(() => admin.close())
  return admin
}

function connectedProducer(t: TestContext, idempotent = false): Producer<string, string, string, string> {
  const producer = new Producer({ ...client('producer'), serializers: stringSerializers, idempotent, autocreateTopics: true })
  t.after(() => producer.close())
  return producer
}

/** Resolves when each partition answers: this client sends a whole request again if one of its partitions is not there yet. */
async function createTopic(t: TestContext, topic: string, partitions: number): Promise<Admin> {
  const admin = connectedAdmin(t)
  const [created] = await admin.createTopics({ topics: [topic], partitions, replicas: 1 })
  assert.deepEqual([created?.name, created?.partitions, created?.replicas], [topic, partitions, 1])
  const earliest = Array.from({ length: partitions }, (_, partitionIndex) => ({ partitionIndex, timestamp: -2n }))
  await eventually(() => admin.listOffsets({ topics: [{ name: topic, partitions: earliest }] }))
  return admin
}

interface Consuming {
  readonly consumer: Consumer<string, string, string, string>
  readonly received: Strings[]
  values(): string[]
  close(): Promise<void>
}

async function consuming(t: TestContext, groupId: string, topic: string, autocommit: boolean | number = 100): Promise<Consuming> {
  const consumer = new Consumer({ ...client(groupId), groupId, deserializers: stringDeserializers })
  let closed: Promise<void> | undefined
  const close = () => {
    closed ??= consumer.close(true)
    return closed
  }
  t.after(close)
  const stream = await consumer.consume({
    topics: [topic],
    mode: 'committed',
    fallbackMode: 'earliest',
    autocommit,
    heartbeatInterval: 300,
    maxWaitTime: 200,
  })
  const received: Strings[] = []
  // At least once: what a rebalance brings again, before its commit has gone out, counts once.
  const seen = new Set<string>()
  stream.on('data', (message) => {
    const position = `${message.topic} ${message.partition} ${message.offset}`
    if (!seen.has(position)) received.push(message)
    seen.add(position)
  })
  return { consumer, received, close, values: () => received.map(({ value }) => value) }
}

const events = (topic: string, count: number, first = 0): MessageToProduce<string, string, string, string>[] =>
  Array.from({ length: count }, (_, i) => ({ topic, value: `event ${first + i}` }))
const valuesOf = (messages: readonly { value?: string | undefined }[]) => messages.map(({ value }) => value)

test('create a topic, produce with keys and headers, consume from the beginning', async (t) => {
  const admin = await createTopic(t, 'quickstart-events', 3)
  assert.deepEqual(await admin.listTopics(), ['quickstart-events'])

  const producer = connectedProducer(t)
  const sent = Array.from({ length: 30 }, (_, i) => ({
    topic: 'quickstart-events',
    key: `user${i % 3}`,
    value: `event ${i}`,
    headers: { number: `${i}` },
  }))
  await producer.send({ messages: sent, acks: -1 })

  const { received } = await consuming(t, 'quickstart', 'quickstart-events')
  await eventually(() => assert.equal(received.length, 30))
  for (const key of ['user0', 'user1', 'user2']) {
    const mine = received.filter((message) => message.key === key)
    assert.equal(new Set(mine.map(({ partition }) => partition)).size, 1)
    assert.deepEqual(
      mine.map(({ value }) => value),
      sent.filter((message) => message.key === key).map(({ value }) => value),
    )
  }
  for (const { value, headers } of received) assert.deepEqual([...headers], [['number', value.slice('event '.length)]])
})

test('two consumers of a group share the partitions, and one takes over when the other leaves', async (t) => {
  const admin = await createTopic(t, 'shared', 4)
  const [first, second] = [await consuming(t, 'sharing', 'shared'), await consuming(t, 'sharing', 'shared')]
  const partitions = ({ consumer }: Consuming) => consumer.assignments?.find(({ topic }) => topic === 'shared')?.partitions ?? []
  await eventually(() => {
    assert.deepEqual([partitions(first).length, partitions(second).length], [2, 2])
    assert.deepEqual([...partitions(first), ...partitions(second)].sort(), [0, 1, 2, 3])
  })
  const group = (await admin.describeGroups({ groups: ['sharing'] })).get('sharing')!
  assert.deepEqual([String(group.state), group.protocolType, group.members.size], ['Stable', 'consumer', 2])

  const producer = connectedProducer(t)
  await producer.send({ messages: Array.from({ length: 8 }, (_, i) => ({ topic: 'shared', partition: i % 4, value: `${i}` })) })
  // A fetch that was under way when a partition moved may bring its records to the old owner, too.
  const together = () => [...new Set([...first.values(), ...second.values()])].sort()
  await eventually(() => assert.deepEqual(together(), ['0', '1', '2', '3', '4', '5', '6', '7']))

  await second.close()
  await eventually(() => assert.deepEqual(partitions(first).toSorted(), [0, 1, 2, 3]))
})

test('all codecs, from an idempotent producer', async (t) => {
  await createTopic(t, 'compressed', 1)
  const producer = connectedProducer(t, true)
  const filler = 'to be compressed, '.repeat(200)
  const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
  for (const compression of codecs) {
    const { offsets } = await producer.send({
      compression,
      messages: [{ topic: 'compressed', value: `${compression} ${filler}` }],
    })
    assert.equal(offsets?.[0]?.offset, BigInt(codecs.indexOf(compression)))
  }
  const { values } = await consuming(t, 'decompresses', 'compressed')
  await eventually(() =>
    assert.deepEqual(
      values(),
      codecs.map((codec) => `${codec} ${filler}`),
    ),
  )
})

test('a group stands where it committed by hand, also after a restart of the broker', async (t) => {
  await createTopic(t, 'manual', 1)
  const producer = connectedProducer(t)
  await producer.send({ messages: events('manual', 5) })
  const first = await consuming(t, 'manual', 'manual', false)
  await eventually(() => assert.deepEqual(first.values(), valuesOf(events('manual', 5))))
  await first.received[2]!.commit()
  await first.close()

  await broker.stop()
  await broker.startAgain()
  await eventually(() => producer.send({ messages: events('manual', 2, 5) }))
  const second = await consuming(t, 'manual', 'manual')
  await eventually(() => assert.deepEqual(second.values(), valuesOf(events('manual', 4, 3))))
})

// Seed 9: transactions as KafkaJS and @platformatic/kafka run them. Committed ones are read whole, aborted ones by nobody who asked for
// committed records; positions travel with them; the newest producer with a transactional id is the only one that can write.

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import {
  type Message,
  Consumer as PlatformaticConsumer,
  Producer as PlatformaticProducer,
  stringDeserializers,
  stringSerializers,
} from '@platformatic/kafka'
import type { Kafka, Transaction } from 'kafkajs'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { connectedAdmin, connectedProducer, consuming, createTopics, kafkaFor } from '../support/kafkajs.ts'

let broker: BrokerUnderTest
before(async () => {
  broker = await startBrokerUnderTest()
})
after(() => broker?.close())

async function scene(t: TestContext, topic: string): Promise<Kafka> {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  await createTopics(await connectedAdmin(t, kafka), [{ topic, numPartitions: 1 }])
  return kafka
}

/** Positions of the group in partition 0, as an administrator sees them. */
async function committed(t: TestContext, groupId: string, topic: string): Promise<string | undefined> {
  const [offsets] = await (await connectedAdmin(t, kafkaFor(t, broker.bootstrapServers))).fetchOffsets({
    groupId,
    topics: [topic],
  })
  return offsets?.partitions.find(({ partition }) => partition === 0)?.offset
}

// ── KafkaJS ─────────────────────────────────────────────────────────────────────────────────────────────────────────

const transactional = (t: TestContext, kafka: Kafka, transactionalId: string) =>
  connectedProducer(t, kafka, { transactionalId, idempotent: true, maxInFlightRequests: 1 })

const sendWith = (transaction: Transaction, topic: string, ...values: string[]) =>
  transaction.send({ topic, messages: values.map((value) => ({ value, partition: 0 })) })

test('KafkaJS reads what is committed and not what is aborted, unless it reads uncommitted records', async (t) => {
  const kafka = await scene(t, 'js-levels')
  const careful = await consuming(t, kafka, { groupId: 'js-committed', topics: ['js-levels'] })
  const hasty = await consuming(t, kafka, { groupId: 'js-uncommitted', topics: ['js-levels'], readUncommitted: true })
  const producer = await transactional(t, kafka, 'js-levels')
  const first = await producer.transaction()
  await sendWith(first, 'js-levels', 'a', 'b')
  await eventually(() => assert.deepEqual(hasty.values(), ['a', 'b']))
  assert.deepEqual(careful.values(), [])
  await first.commit()
  await eventually(() => assert.deepEqual(careful.values(), ['a', 'b']))
  const second = await producer.transaction()
  await sendWith(second, 'js-levels', 'lost')
  await second.abort()
  const third = await producer.transaction()
  await sendWith(third, 'js-levels', 'c')
  await third.commit()
  await eventually(() => assert.deepEqual(careful.values(), ['a', 'b', 'c']))
  await eventually(() => assert.deepEqual(hasty.values(), ['a', 'b', 'lost', 'c']))
})

test('KafkaJS commits positions with a transaction, or not at all', async (t) => {
  const kafka = await scene(t, 'js-offsets')
  const producer = await transactional(t, kafka, 'js-offsets')
  const at = (offset: string) => ({
    consumerGroupId: 'js-positions',
    topics: [{ topic: 'js-offsets', partitions: [{ partition: 0, offset }] }],
  })
  const first = await producer.transaction()
  await sendWith(first, 'js-offsets', 'a')
  await first.sendOffsets(at('3'))
  assert.equal(await committed(t, 'js-positions', 'js-offsets'), '-1')
  await first.commit()
  await eventually(async () => assert.equal(await committed(t, 'js-positions', 'js-offsets'), '3'))
  // KafkaJS waits for the end of the last transaction when it sends records, and not when it sends positions.
  const second = await producer.transaction()
  await sendWith(second, 'js-offsets', 'b')
  await second.sendOffsets(at('9'))
  await second.abort()
  const third = await producer.transaction()
  await sendWith(third, 'js-offsets', 'c')
  await third.sendOffsets(at('5'))
  await third.commit()
  await eventually(async () => assert.equal(await committed(t, 'js-positions', 'js-offsets'), '5'))
})

test('KafkaJS is fenced by a second producer with its transactional id', async (t) => {
  const kafka = await scene(t, 'js-fenced')
  const reader = await consuming(t, kafka, { groupId: 'js-fenced', topics: ['js-fenced'] })
  const zombie = await (await transactional(t, kafka, 'js-fenced')).transaction()
  await sendWith(zombie, 'js-fenced', 'zombie')
  const heir = await (await transactional(t, kafka, 'js-fenced')).transaction()
  await sendWith(heir, 'js-fenced', 'heir')
  const fenced = { name: 'KafkaJSProtocolError', type: 'INVALID_PRODUCER_EPOCH' }
  await assert.rejects(sendWith(zombie, 'js-fenced', 'late'), fenced)
  await assert.rejects(zombie.commit(), fenced)
  await heir.commit()
  await eventually(() => assert.deepEqual(reader.values(), ['heir']))
})

// ── @platformatic/kafka ─────────────────────────────────────────────────────────────────────────────────────────────

const client = (clientId: string) => ({ clientId, bootstrapBrokers: [broker.bootstrapServers], retries: 20, retryDelay: 50 })

function platformaticProducer(t: TestContext, transactionalId: string) {
  const options = { ...client(transactionalId), serializers: stringSerializers, idempotent: true, transactionalId }
  const producer = new PlatformaticProducer(options)
  t.after(() => producer.close(true).catch(() => {}))
  return producer
}

const READ_UNCOMMITTED = 0
const READ_COMMITTED = 1

async function platformaticReader(t: TestContext, groupId: string, topic: string, isolationLevel: number) {
  const consumer = new PlatformaticConsumer({ ...client(groupId), groupId, deserializers: stringDeserializers })
  t.after(() => consumer.close(true))
  const stream = await consumer.consume({
    topics: [topic],
    mode: 'earliest',
    autocommit: false,
    heartbeatInterval: 300,
    maxWaitTime: 100,
    isolationLevel,
  })
  const received: Message<string, string, string, string>[] = []
  stream.on('data', (message) => received.push(message))
  return { consumer, received, values: () => received.map(({ value }) => value) }
}

const messages = (topic: string, ...values: string[]) => ({ messages: values.map((value) => ({ topic, value, partition: 0 })) })

test('@platformatic/kafka reads what is committed and not what is aborted, unless it reads uncommitted records', async (t) => {
  await scene(t, 'pf-levels')
  const careful = await platformaticReader(t, 'pf-committed', 'pf-levels', READ_COMMITTED)
  const hasty = await platformaticReader(t, 'pf-uncommitted', 'pf-levels', READ_UNCOMMITTED)
  const producer = platformaticProducer(t, 'pf-levels')
  const first = await producer.beginTransaction()
  await first.send(messages('pf-levels', 'a', 'b'))
  await eventually(() => assert.deepEqual(hasty.values(), ['a', 'b']))
  assert.deepEqual(careful.values(), [])
  await first.commit()
  await eventually(() => assert.deepEqual(careful.values(), ['a', 'b']))
  const second = await producer.beginTransaction()
  await second.send(messages('pf-levels', 'lost'))
  await second.abort()
  const third = await producer.beginTransaction()
  await third.send(messages('pf-levels', 'c'))
  await third.commit()
  await eventually(() => assert.deepEqual(careful.values(), ['a', 'b', 'c']))
  await eventually(() => assert.deepEqual(hasty.values(), ['a', 'b', 'lost', 'c']))
})

test('@platformatic/kafka commits positions with a transaction, or not at all', async (t) => {
  const kafka = await scene(t, 'pf-offsets')
  const source = await connectedProducer(t, kafka)
  await source.send({ topic: 'pf-offsets', messages: ['x', 'y', 'z'].map((value) => ({ value })) })
  const { consumer, received } = await platformaticReader(t, 'pf-positions', 'pf-offsets', READ_COMMITTED)
  await eventually(() => assert.equal(received.length, 3))
  const producer = platformaticProducer(t, 'pf-offsets')
  const first = await producer.beginTransaction()
  await first.addConsumer(consumer)
  await first.addOffset(received[0]!)
  assert.equal(await committed(t, 'pf-positions', 'pf-offsets'), '-1')
  await first.commit()
  const one = await eventually(async () => {
    const offset = await committed(t, 'pf-positions', 'pf-offsets')
    return offset !== '-1' && offset
  })
  const second = await producer.beginTransaction()
  await second.addConsumer(consumer)
  await second.addOffset(received[2]!)
  await second.abort()
  const third = await producer.beginTransaction()
  await third.addConsumer(consumer)
  await third.addOffset(received[1]!)
  await third.commit()
  await eventually(async () => assert.equal(await committed(t, 'pf-positions', 'pf-offsets'), String(Number(one) + 1)))
})

test('@platformatic/kafka is fenced by a second producer with its transactional id', async (t) => {
  await scene(t, 'pf-fenced')
  const reader = await platformaticReader(t, 'pf-fenced', 'pf-fenced', READ_COMMITTED)
  const zombie = await platformaticProducer(t, 'pf-fenced').beginTransaction()
  await zombie.send(messages('pf-fenced', 'zombie'))
  // It asks for the next epoch of producer 0 unless told that it is nobody yet.
  const heir = await platformaticProducer(t, 'pf-fenced').beginTransaction({ producerId: -1n, producerEpoch: -1 })
  await heir.send(messages('pf-fenced', 'heir'))
  await assert.rejects(zombie.send(messages('pf-fenced', 'late')))
  await assert.rejects(zombie.commit())
  await heir.commit()
  await eventually(() => assert.deepEqual(reader.values(), ['heir']))
})

// Section C of Kafka's subtleties, as far as it is about producers without transactions: sequence numbers, epochs, producer ids.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { InitProducerId } from '../../src/protocol/messages/22-init-producer-id.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { RawClient } from './raw-client.ts'
import { assertError, batchOf, createTopic, endOffset, produce, type Topic } from './requests.ts'

let broker: BrokerUnderTest
let client: RawClient
before(async () => {
  broker = await startBrokerUnderTest()
  client = await RawClient.connect(broker.bootstrapServers)
})
after(async () => {
  client?.close()
  await broker?.close()
})

const INT32_MAX = 0x7fffffff

const initProducerId = (version: number, transactionalId: string | null, producerId = -1n, producerEpoch = -1) =>
  client.request(InitProducerId, version, { transactionalId, transactionTimeoutMs: 60_000, producerId, producerEpoch })

async function newProducer(): Promise<bigint> {
  return eventually(async () => {
    const { errorCode, producerId } = await initProducerId(4, null)
    assertError(errorCode, 'NONE')
    return producerId
  })
}

/** As many records as the batch shall have. */
function append(topic: Topic, producerId: bigint, baseSequence: number, records = 1, producerEpoch = 0, via = client) {
  const values = Array.from({ length: records }, (_, i) => `${baseSequence}+${i}`)
  return produce(via, topic, batchOf(values, { producerId, producerEpoch, baseSequence }))
}

async function appended(topic: Topic, producerId: bigint, baseSequence: number, records = 1, producerEpoch = 0): Promise<bigint> {
  const { errorCode, baseOffset } = await append(topic, producerId, baseSequence, records, producerEpoch)
  assertError(errorCode, 'NONE', `sequence ${baseSequence}`)
  return baseOffset
}

async function refused(topic: Topic, producerId: bigint, baseSequence: number, error: string, records = 1, producerEpoch = 0) {
  const before = await endOffset(client, topic)
  const { errorCode, baseOffset } = await append(topic, producerId, baseSequence, records, producerEpoch)
  assertError(errorCode, error, `sequence ${baseSequence}`)
  assert.equal(baseOffset, -1n)
  assert.equal(await endOffset(client, topic), before)
}

test('any of the last five batches sent again gets its first answer again, and nothing is appended', async () => {
  // 29
  const topic = await createTopic(client)
  const producer = await newProducer()
  const offsets = []
  for (let i = 0; i < 6; i++) offsets.push(await appended(topic, producer, i * 2, 2))
  for (const i of [5, 1, 3, 2, 4]) assert.equal(await appended(topic, producer, i * 2, 2), offsets[i])
  assert.equal(await endOffset(client, topic), 12n)
})

test('a batch that is older than the last five, or only overlaps with one of them, is out of order', async () => {
  // 29, 31
  const topic = await createTopic(client)
  const producer = await newProducer()
  for (let i = 0; i < 6; i++) await appended(topic, producer, i * 2, 2)
  await refused(topic, producer, 0, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 2)
  await refused(topic, producer, 10, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 1)
  await refused(topic, producer, 10, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 3)
  await refused(topic, producer, 11, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 1)
})

test('the next sequence follows the last one, also from the largest to zero', async () => {
  // 30
  const topic = await createTopic(client)
  const producer = await newProducer()
  await appended(topic, producer, INT32_MAX - 4, 4)
  await refused(topic, producer, INT32_MAX - 2, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 4)
  await appended(topic, producer, INT32_MAX, 3)
  await refused(topic, producer, 3, 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  await refused(topic, producer, 0, 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  await appended(topic, producer, 2)
})

test('a lower epoch is fenced with INVALID_PRODUCER_EPOCH, a higher one starts at sequence zero', async () => {
  // 30
  const topic = await createTopic(client)
  const producer = await newProducer()
  await appended(topic, producer, 0, 3, 1)
  await refused(topic, producer, 3, 'INVALID_PRODUCER_EPOCH', 1, 0)
  await refused(topic, producer, 3, 'OUT_OF_ORDER_SEQUENCE_NUMBER', 1, 2)
  await appended(topic, producer, 0, 1, 2)
  await refused(topic, producer, 3, 'INVALID_PRODUCER_EPOCH', 1, 1)
})

test('a producer that the partition does not know may begin at any sequence', async () => {
  // 31
  const topic = await createTopic(client, { partitions: 2 })
  const producer = await newProducer()
  await appended(topic, producer, 1000)
  await refused(topic, producer, 1002, 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  await appended(topic, producer, 1001)
  // Nor does anybody ask who gave the id.
  await appended(topic, 123_456_789n, 7, 1, 3)
})

test('what is known of a producer is forgotten producer.id.expiration.ms after its last write', async () => {
  // 32
  const forgetful = await startBrokerUnderTest({
    'producer.id.expiration.ms': '1',
    'producer.id.expiration.check.interval.ms': '5',
  })
  try {
    using client = await RawClient.connect(forgetful.bootstrapServers)
    const topic = await createTopic(client)
    const first = await append(topic, 77n, 0, 1, 0, client)
    assertError(first.errorCode, 'NONE')
    await eventually(async () => (await append(topic, 77n, 500, 1, 0, client)).errorCode === 0)
  } finally {
    await forgetful.close()
  }
})

test('only the producer id tells idempotent batches: kafkajs sends epoch and sequence 0 without one', async () => {
  // 33
  const topic = await createTopic(client)
  const batch = batchOf(['x'], { producerId: -1n, producerEpoch: 0, baseSequence: 0 })
  for (const expected of [0n, 1n, 2n]) {
    const { errorCode, baseOffset } = await produce(client, topic, batch)
    assertError(errorCode, 'NONE')
    assert.equal(baseOffset, expected)
  }
})

test('InitProducerId without a transactional id gives a new id each time, at epoch 0', async () => {
  // 34
  const seen = new Set<bigint>()
  for (const version of [0, 1, 2, 3, 4, 5]) {
    const { errorCode, producerId, producerEpoch } = await initProducerId(version, null)
    assertError(errorCode, 'NONE')
    assert.equal(producerEpoch, 0)
    assert.ok(producerId >= 0n)
    seen.add(producerId)
  }
  assert.equal(seen.size, 6)
})

test('InitProducerId refuses an empty transactional id, and a producer id and epoch that do not come together', async () => {
  // 34
  for (const [transactionalId, producerId, producerEpoch] of [
    ['', -1n, -1],
    [null, 5n, -1],
    [null, -1n, 5],
  ] as const) {
    const answer = await initProducerId(4, transactionalId, producerId, producerEpoch)
    assertError(answer.errorCode, 'INVALID_REQUEST')
    assert.equal(answer.producerId, -1n)
  }
})

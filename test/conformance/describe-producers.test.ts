// DescribeProducers, with which administrators look for transactions that nobody will ever end (KIP-664).

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { DescribeProducers } from '../../src/protocol/messages/61-describe-producers.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { RawClient } from './raw-client.ts'
import { assertError, batchOf, createTopic, produce, type Topic } from './requests.ts'

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

const PRODUCER = 77_001n

async function describe({ name }: Pick<Topic, 'name'>, partition = 0) {
  const answer = await client.request(DescribeProducers, 0, { topics: [{ name, partitionIndexes: [partition] }] })
  assert.equal(answer.topics[0]!.name, name)
  return answer.topics[0]!.partitions[0]!
}

test('producers of a partition are described by their last batch', async () => {
  const topic = await createTopic(client)
  const described = await describe(topic)
  assertError(described.errorCode, 'NONE')
  assert.deepEqual(described.activeProducers, [])

  const timestamp = BigInt(Date.now())
  const records = ['a', 'b'].map((value) => ({ timestamp, value: Buffer.from(value) }))
  const batch = batchOf(records, { producerId: PRODUCER, producerEpoch: 3, baseSequence: 0 })
  assertError((await produce(client, topic, batch)).errorCode, 'NONE')
  assertError((await produce(client, topic, batchOf(['c']))).errorCode, 'NONE')
  assert.deepEqual((await describe(topic)).activeProducers, [
    {
      producerId: PRODUCER,
      producerEpoch: 3,
      lastSequence: 1,
      lastTimestamp: timestamp,
      coordinatorEpoch: -1,
      currentTxnStartOffset: -1n,
    },
  ])
})

test('a partition that is not there has its own error', async () => {
  const topic = await createTopic(client)
  assertError((await describe(topic, 5)).errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError((await describe({ name: 'nobody-made-this' })).errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
})

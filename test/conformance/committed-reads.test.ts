// Section C of Kafka's subtleties, as far as it is about readers of committed records: how far they see, and what they are told.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Produce } from '../../src/protocol/messages/00-produce.ts'
import { FindCoordinator } from '../../src/protocol/messages/10-find-coordinator.ts'
import { InitProducerId } from '../../src/protocol/messages/22-init-producer-id.ts'
import { EndTxn } from '../../src/protocol/messages/26-end-txn.ts'
import { DescribeProducers } from '../../src/protocol/messages/61-describe-producers.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { RawClient } from './raw-client.ts'
import {
  assertError,
  batchOf,
  createTopic,
  fetchFrom,
  LATEST,
  listOffset,
  produced,
  produceRequest,
  recordsIn,
  type Topic,
  uniqueName,
  valuesIn,
} from './requests.ts'

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

const READ_COMMITTED = { isolationLevel: 1 }

/** A producer by the rules of transaction version 2: writing begins a transaction, and each has its own epoch. */
class Producer {
  readonly transactionalId = uniqueName('txn')
  producerId = -1n
  private producerEpoch = -1
  private sequence = 0

  async init(): Promise<this> {
    const request = { transactionalId: this.transactionalId, transactionTimeoutMs: 60_000, producerId: -1n, producerEpoch: -1 }
    await eventually(async () => {
      await client.request(FindCoordinator, 1, { key: this.transactionalId, keyType: 1 })
      const { errorCode, producerId, producerEpoch } = await client.request(InitProducerId, 5, request)
      assertError(errorCode, 'NONE')
      this.producerId = producerId
      this.producerEpoch = producerEpoch
      return true
    })
    return this
  }

  async write(topic: Topic, ...values: string[]): Promise<bigint> {
    const { producerId, producerEpoch, sequence: baseSequence, transactionalId } = this
    const batch = batchOf(values, { producerId, producerEpoch, baseSequence, transactional: true })
    this.sequence += values.length
    return eventually(async () => {
      const { responses } = await client.request(Produce, 12, { transactionalId, ...produceRequest(topic, batch) })
      const { errorCode, baseOffset } = responses[0]!.partitionResponses[0]!
      assertError(errorCode, 'NONE')
      return baseOffset
    })
  }

  async end(committed: boolean): Promise<void> {
    const { transactionalId, producerId, producerEpoch } = this
    const answer = await client.request(EndTxn, 5, { transactionalId, producerId, producerEpoch, committed })
    assertError(answer.errorCode, 'NONE')
    this.producerId = answer.producerId
    this.producerEpoch = answer.producerEpoch
    this.sequence = 0
  }
}

/** Resolves when a reader of committed records sees all there is. */
const settled = (topic: Topic) =>
  eventually(async () => {
    const [all, stable] = [await listOffset(client, topic, LATEST), await listOffset(client, topic, LATEST, READ_COMMITTED)]
    return stable.offset === all.offset
  })

test('readers of committed records stop where the earliest open transaction begins, others do not', async () => {
  // 45
  const topic = await createTopic(client)
  const producer = await new Producer().init()
  await produced(client, topic, ['before'])
  await producer.write(topic, 'in')
  await produced(client, topic, ['behind'])
  assert.equal((await listOffset(client, topic, LATEST)).offset, 3n)
  assert.equal((await listOffset(client, topic, LATEST, READ_COMMITTED)).offset, 1n)
  const committed = await fetchFrom(client, topic, 0n, READ_COMMITTED)
  assert.deepEqual([committed.highWatermark, committed.lastStableOffset, recordsIn(committed.records).length], [3n, 1n, 1])
  const all = await fetchFrom(client, topic, 0n)
  assert.deepEqual([all.highWatermark, all.lastStableOffset, recordsIn(all.records).length], [3n, 1n, 3])
  await producer.end(true)
  await settled(topic)
  assert.equal((await listOffset(client, topic, LATEST)).offset, 4n, 'the marker takes an offset')
})

test('a fetch of committed records that is parked is answered when the transaction ends', async () => {
  const topic = await createTopic(client)
  const producer = await new Producer().init()
  await producer.write(topic, 'a')
  const reader = await RawClient.connect(broker.bootstrapServers)
  const parked = fetchFrom(reader, topic, 0n, { ...READ_COMMITTED, maxWaitMs: 30_000, minBytes: 1 })
  await producer.end(true)
  const { records, lastStableOffset } = await parked
  reader.close()
  assert.deepEqual(valuesIn(records).slice(0, 1), ['a'])
  assert.equal(lastStableOffset, 2n)
})

test('aborted records are served with the list of their transactions, where they overlap with what is read', async () => {
  // 46
  const topic = await createTopic(client)
  const producer = await new Producer().init()
  const { producerId } = producer
  const first = await producer.write(topic, 'a', 'b')
  await producer.write(topic, 'c')
  await producer.end(false)
  await settled(topic)
  const second = await producer.write(topic, 'd')
  await producer.end(true)
  await settled(topic)
  const whole = await fetchFrom(client, topic, 0n, READ_COMMITTED)
  assert.deepEqual(whole.abortedTransactions, [{ producerId, firstOffset: first }])
  assert.equal((await fetchFrom(client, topic, 0n)).abortedTransactions, null)
  assert.deepEqual((await fetchFrom(client, topic, 2n, READ_COMMITTED)).abortedTransactions, [{ producerId, firstOffset: first }])
  assert.deepEqual((await fetchFrom(client, topic, second, READ_COMMITTED)).abortedTransactions, [])
})

test('an open transaction is described with its first offset', async () => {
  const topic = await createTopic(client)
  const producer = await new Producer().init()
  await produced(client, topic, ['before'])
  await producer.write(topic, 'a')
  const described = async () => {
    const topics = [{ name: topic.name, partitionIndexes: [0] }]
    const [partition] = (await client.request(DescribeProducers, 0, { topics })).topics[0]!.partitions
    const { producerId, currentTxnStartOffset } = partition!.activeProducers[0]!
    return [producerId, currentTxnStartOffset]
  }
  assert.deepEqual(await described(), [producer.producerId, 1n])
  const { producerId } = producer
  await producer.end(false)
  await settled(topic)
  assert.deepEqual(await described(), [producerId, -1n])
})

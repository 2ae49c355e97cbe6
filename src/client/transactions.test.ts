// Transactions of this client from end to end, on a broker. With TEST_BROKER=apache-kafka it is Kafka's.

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { type BrokerUnderTest, startBrokerUnderTest } from '../../test/support/broker-under-test.ts'
import { eventually } from '../../test/support/eventually.ts'
import { realClock } from '../host/clock.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { orThrow } from './admin/results.ts'
import { Admin } from './admin.ts'
import { ClusterClient } from './cluster-client.ts'
import { Consumer } from './consumer.ts'
import { FencedError, TransactionAbortableError, TransactionStateError } from './errors.ts'
import { GroupConsumer } from './group-consumer.ts'
import { fetchGroupOffsets } from './group-offsets.ts'
import { type IsolationLevel, listOffsets, OffsetSpec } from './list-offsets.ts'
import { Producer, type ProducerOptions } from './producer.ts'

let broker: BrokerUnderTest
let cluster: ClusterClient
let admin: Admin

const newCluster = () =>
  new ClusterClient({ bootstrapServers: broker.bootstrapServers, network: realNetwork, clock: realClock, random: realRandom })

before(async () => {
  broker = await startBrokerUnderTest({
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '100',
    'group.min.session.timeout.ms': '100',
  })
  cluster = newCluster()
  admin = new Admin(cluster)
})

after(async () => {
  await cluster?.close()
  await broker?.close()
})

function transactional(t: TestContext, transactionalId: string, options: ProducerOptions = {}): Producer {
  const producer = new Producer(cluster, { transactionalId, lingerMs: 0, ...options })
  t.after(() => producer.close())
  return producer
}

const createTopic = async (name: string, partitions = 1) => {
  orThrow(await admin.topics.create([{ name, partitions }]))
}

const sendAll = (producer: Producer, topic: string, values: readonly string[]) =>
  Promise.all(values.map((value) => producer.send({ topic, value })))

/** What a reader sees from the beginning to where the isolation level ends, and the position that it comes to. */
async function read(topic: string, isolationLevel: IsolationLevel, partition = 0) {
  const consumer = new Consumer(cluster, { isolationLevel, fetchMaxWaitMs: 50 })
  try {
    const query = { topic, partition, timestamp: OffsetSpec.LATEST }
    const [end] = (await listOffsets(cluster, [query], { isolationLevel })).values()
    assert.ok(end !== undefined && !(end instanceof KafkaError))
    consumer.assign([{ topic, partition }])
    consumer.seek({ topic, partition }, 0n)
    const values: string[] = []
    while (consumer.position({ topic, partition })! < end.offset) {
      // Short: what moves the position alone ends no poll.
      for (const record of await consumer.poll(20)) values.push(record.value!.toString())
    }
    return { values, position: consumer.position({ topic, partition })! }
  } finally {
    await consumer.close()
  }
}

const committed = async (groupId: string, topic: string, partition = 0) =>
  (await fetchGroupOffsets(cluster, groupId, [{ topic, partition }], { requireStable: true })).get(`${topic}/${partition}`)
    ?.offset

test('what is committed is read, what is aborted is not, and read_uncommitted reads both at once', async (t) => {
  await createTopic('levels')
  const producer = transactional(t, 'levels')
  await producer.begin()
  await sendAll(producer, 'levels', ['a', 'b'])
  assert.deepEqual(await read('levels', 'read_uncommitted'), { values: ['a', 'b'], position: 2n })
  assert.deepEqual(await read('levels', 'read_committed'), { values: [], position: 0n })
  await producer.commit()
  await eventually(async () => assert.deepEqual(await read('levels', 'read_committed'), { values: ['a', 'b'], position: 3n }))

  await producer.begin()
  await sendAll(producer, 'levels', ['lost'])
  await producer.abort()
  await producer.begin()
  await sendAll(producer, 'levels', ['c'])
  await producer.commit()
  await eventually(async () =>
    assert.deepEqual(await read('levels', 'read_committed'), { values: ['a', 'b', 'c'], position: 7n }),
  )
  assert.deepEqual((await read('levels', 'read_uncommitted')).values, ['a', 'b', 'lost', 'c'])
})

test('a transaction spans partitions, and many follow one another', async (t) => {
  await createTopic('many', 3)
  const producer = transactional(t, 'many')
  const expected: string[] = []
  for (let number = 0; number < 20; number++) {
    await producer.begin()
    const sent = [0, 1, 2].map((partition) => producer.send({ topic: 'many', partition, value: `${number}` }))
    if (number % 3 === 2) await producer.abort()
    else {
      await producer.commit()
      expected.push(`${number}`)
    }
    await Promise.allSettled(sent)
  }
  for (const partition of [0, 1, 2]) {
    await eventually(async () => assert.deepEqual((await read('many', 'read_committed', partition)).values, expected))
  }
})

test('an empty transaction can be committed or aborted', async (t) => {
  const producer = transactional(t, 'empty')
  await producer.begin()
  await producer.commit()
  await producer.begin()
  await producer.abort()
  await producer.begin()
  await producer.sendOffsets([], { groupId: 'empty' })
  await producer.commit()
})

test('calls out of order are refused, and change nothing', async (t) => {
  await createTopic('order')
  const producer = transactional(t, 'order')
  await assert.rejects(producer.commit(), TransactionStateError)
  await assert.rejects(producer.send({ topic: 'order', value: 'early' }), TransactionStateError)
  await producer.begin()
  await assert.rejects(producer.begin(), TransactionStateError)
  await sendAll(producer, 'order', ['a'])
  await producer.commit()
  await assert.rejects(producer.abort(), TransactionStateError)
  await assert.rejects(producer.send({ topic: 'order', value: 'late' }), TransactionStateError)
  await eventually(async () => assert.deepEqual((await read('order', 'read_committed')).values, ['a']))
})

test('offsets count when their transaction is committed, and not when it is aborted', async (t) => {
  await createTopic('source')
  const producer = transactional(t, 'offsets')
  const offset = { topic: 'source', partition: 0, metadata: 'noted' }
  await producer.begin()
  await producer.sendOffsets([{ ...offset, offset: 5n }], { groupId: 'counting' })
  const pending = await fetchGroupOffsets(cluster, 'counting', [offset])
  assert.equal(pending.size, 0)
  await assert.rejects(
    fetchGroupOffsets(cluster, 'counting', [offset], { requireStable: true, timeoutMs: 1 }),
    /UNSTABLE_OFFSET_COMMIT/,
  )
  await producer.commit()
  assert.equal(await committed('counting', 'source'), 5n)
  await producer.begin()
  await producer.sendOffsets([{ ...offset, offset: 9n }], { groupId: 'counting' })
  await producer.abort()
  assert.equal(await committed('counting', 'source'), 5n)
})

test('a second producer with the id fences the first and aborts what it left open', async (t) => {
  await createTopic('fenced')
  const first = transactional(t, 'fenced')
  await first.begin()
  await sendAll(first, 'fenced', ['zombie'])
  const second = transactional(t, 'fenced')
  await second.begin()
  await sendAll(second, 'fenced', ['heir'])
  await assert.rejects(sendAll(first, 'fenced', ['late']))
  await assert.rejects(first.commit())
  await assert.rejects(first.abort(), FencedError)
  await assert.rejects(first.begin(), FencedError)
  await second.commit()
  await eventually(async () => assert.deepEqual((await read('fenced', 'read_committed')).values, ['heir']))
})

test('a fenced producer learns it from its commit, too', async (t) => {
  await createTopic('fenced-at-commit')
  const first = transactional(t, 'fenced-at-commit')
  await first.begin()
  await sendAll(first, 'fenced-at-commit', ['zombie'])
  await transactional(t, 'fenced-at-commit').initTransactions()
  await assert.rejects(first.commit(), FencedError)
  await eventually(async () => assert.deepEqual(await read('fenced-at-commit', 'read_committed'), { values: [], position: 2n }))
})

test('a transaction that takes too long is aborted by its coordinator, and its producer can go on', async (t) => {
  await createTopic('slow')
  const producer = transactional(t, 'slow', { transactionTimeoutMs: 300 })
  await producer.begin()
  await sendAll(producer, 'slow', ['late'])
  await eventually(async () => assert.deepEqual(await read('slow', 'read_committed'), { values: [], position: 2n }))
  await assert.rejects(producer.commit(), (error) => error instanceof KafkaError && error.code === 'INVALID_TXN_STATE')
  await producer.abort()
  await producer.begin()
  await sendAll(producer, 'slow', ['late, too'])
  await eventually(async () => assert.equal((await read('slow', 'read_committed')).position, 4n))
  await assert.rejects(sendAll(producer, 'slow', ['even later']), KafkaError)
  await producer.abort()
  await producer.begin()
  await sendAll(producer, 'slow', ['in time'])
  await producer.commit()
  await eventually(async () => assert.deepEqual((await read('slow', 'read_committed')).values, ['in time']))
})

test('a transaction with a record that was refused can only be aborted, and the next goes well', async (t) => {
  orThrow(await admin.topics.create([{ name: 'strict', partitions: 1, configs: { 'max.message.bytes': '1000' } }]))
  const producer = transactional(t, 'strict')
  await producer.begin()
  await sendAll(producer, 'strict', ['a'])
  await assert.rejects(
    sendAll(producer, 'strict', ['x'.repeat(5000)]),
    (error) => error instanceof KafkaError && error.code === 'MESSAGE_TOO_LARGE',
  )
  await assert.rejects(sendAll(producer, 'strict', ['b']), TransactionAbortableError)
  await assert.rejects(producer.commit(), TransactionAbortableError)
  await producer.abort()
  await producer.begin()
  await sendAll(producer, 'strict', ['c', 'd'])
  await producer.commit()
  await eventually(async () => assert.deepEqual((await read('strict', 'read_committed')).values, ['c', 'd']))
})

test('positions of a generation that has passed are refused, and the transaction can be aborted', async (t) => {
  await createTopic('rebalanced')
  const member = async () => {
    const consumer = new GroupConsumer(cluster, { groupId: 'rebalanced', heartbeatIntervalMs: 50, fetchMaxWaitMs: 50 })
    consumer.subscribe(['rebalanced'])
    await eventually(async () => {
      await consumer.poll(50)
      return consumer.member.generationId >= 0
    })
    return consumer
  }
  const first = await member()
  const past = { ...first.groupMetadata }
  await first.close()
  const second = await member()
  const producer = transactional(t, 'rebalanced')
  const offsets = [{ topic: 'rebalanced', partition: 0, offset: 3n }]
  await producer.begin()
  await assert.rejects(
    producer.sendOffsets(offsets, past),
    (error) => error instanceof KafkaError && ['UNKNOWN_MEMBER_ID', 'ILLEGAL_GENERATION'].includes(error.code),
  )
  await assert.rejects(producer.commit(), TransactionAbortableError)
  await producer.abort()
  await producer.begin()
  await assert.rejects(producer.sendOffsets(offsets, first.groupMetadata), /not a member/)
  await producer.abort()
  await producer.begin()
  await producer.sendOffsets(offsets, second.groupMetadata)
  await producer.commit()
  assert.equal(await committed('rebalanced', 'rebalanced'), 3n)
  await second.close()
})

test('a producer that is closed aborts what it has begun', async (t) => {
  await createTopic('abandoned')
  const producer = transactional(t, 'abandoned')
  await producer.begin()
  await sendAll(producer, 'abandoned', ['a'])
  await producer.close()
  await eventually(async () => assert.deepEqual(await read('abandoned', 'read_committed'), { values: [], position: 2n }))
})

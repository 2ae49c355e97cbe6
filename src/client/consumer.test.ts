import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ScriptedBroker } from '../../test/support/scripted-broker.ts'
import { realClock } from '../host/clock.ts'
import { seededRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { Fetch } from '../protocol/messages/01-fetch.ts'
import { ListOffsets } from '../protocol/messages/02-list-offsets.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { startBroker, type TestBroker } from '../testing/start-broker.ts'
import { orThrow } from './admin/results.ts'
import { Admin } from './admin.ts'
import { ClusterClient } from './cluster-client.ts'
import { Consumer, type ConsumerOptions, NoOffsetError } from './consumer.ts'
import { ClientClosedError } from './errors.ts'
import type { ConsumerRecord } from './fetched-records.ts'
import { Producer, type ProducerOptions } from './producer.ts'

let broker: TestBroker
let cluster: ClusterClient
let admin: Admin

before(async () => {
  broker = await startBroker()
  cluster = new ClusterClient({
    bootstrapServers: broker.bootstrapServers,
    network: realNetwork,
    clock: realClock,
    random: seededRandom(1),
  })
  admin = new Admin(cluster)
})

after(async () => {
  await cluster.close()
  await broker.close()
})

async function topic(name: string, partitions = 1): Promise<string> {
  orThrow(await admin.topics.create([{ name, partitions }]))
  return name
}

async function produce(
  name: string,
  values: readonly string[],
  options: ProducerOptions & { partition?: number } = {},
): Promise<void> {
  const producer = new Producer(cluster, { lingerMs: 0, ...options })
  await Promise.all(values.map((value) => producer.send({ topic: name, value, partition: options.partition })))
  await producer.close()
}

async function read(consumer: Consumer, count: number): Promise<ConsumerRecord[]> {
  const records: ConsumerRecord[] = []
  while (records.length < count) records.push(...(await consumer.poll(1000)))
  return records
}

const values = (records: readonly ConsumerRecord[]) => records.map((record) => record.value?.toString())

async function consuming<T>(options: ConsumerOptions, work: (consumer: Consumer) => Promise<T>): Promise<T> {
  const consumer = new Consumer(cluster, { fetchMaxWaitMs: 100, ...options })
  try {
    return await work(consumer)
  } finally {
    await consumer.close()
  }
}

test('a consumer reads an assigned partition from the beginning, in order', async () => {
  await topic('from-beginning')
  const sent = Array.from({ length: 1500 }, (_, index) => String(index))
  await produce('from-beginning', sent)
  await consuming({ autoOffsetReset: 'earliest', maxPollRecords: 100 }, async (consumer) => {
    consumer.assign([{ topic: 'from-beginning', partition: 0 }])
    const records = await read(consumer, sent.length)
    assert.deepEqual(values(records), sent)
    assert.deepEqual(
      records.map(({ offset }) => offset),
      sent.map((_, index) => BigInt(index)),
    )
    assert.equal(consumer.position({ topic: 'from-beginning', partition: 0 }), 1500n)
  })
})

test('every codec comes back as it went', async () => {
  await topic('codecs')
  const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const
  for (const compression of codecs) await produce('codecs', [compression.repeat(100)], { compression })
  await consuming({ autoOffsetReset: 'earliest' }, async (consumer) => {
    consumer.assign([{ topic: 'codecs', partition: 0 }])
    assert.deepEqual(
      values(await read(consumer, 5)),
      codecs.map((codec) => codec.repeat(100)),
    )
  })
})

test('seeking forward, back and to either end', async () => {
  await topic('seeking')
  await produce('seeking', ['a', 'b', 'c'])
  const partition = { topic: 'seeking', partition: 0 }
  await consuming({}, async (consumer) => {
    consumer.assign([partition])
    consumer.seek(partition, 1n)
    assert.deepEqual(values(await read(consumer, 2)), ['b', 'c'])
    consumer.seek(partition, 0n)
    assert.deepEqual(values(await read(consumer, 3)), ['a', 'b', 'c'])
    consumer.seekTo('earliest')
    assert.deepEqual(values(await read(consumer, 3)), ['a', 'b', 'c'])
    consumer.seekTo('latest')
    assert.deepEqual(await consumer.poll(50), [])
    await produce('seeking', ['d'])
    assert.deepEqual(values(await read(consumer, 1)), ['d'])
  })
})

test('a paused partition gives nothing until it is resumed', async () => {
  await topic('pausing', 2)
  const [first, second] = [0, 1].map((partition) => ({ topic: 'pausing', partition }))
  await produce('pausing', ['in 0'], { partition: 0 })
  await produce('pausing', ['in 1'], { partition: 1 })
  await consuming({ autoOffsetReset: 'earliest' }, async (consumer) => {
    consumer.assign([first, second])
    consumer.pause([first])
    assert.deepEqual(values(await read(consumer, 1)), ['in 1'])
    assert.deepEqual(await consumer.poll(50), [])
    consumer.resume([first])
    assert.deepEqual(values(await read(consumer, 1)), ['in 0'])
  })
})

test('a position that the log no longer has is reset as the policy says', async () => {
  await topic('cut')
  await produce('cut', ['a', 'b', 'c'])
  const partition = { topic: 'cut', partition: 0 }
  orThrow(await admin.topics.deleteRecords([{ ...partition, offset: 2n }]))
  await consuming({ autoOffsetReset: 'earliest' }, async (consumer) => {
    consumer.assign([partition])
    consumer.seek(partition, 0n)
    assert.deepEqual(values(await read(consumer, 1)), ['c'])
  })
  await consuming({ autoOffsetReset: 'none' }, async (consumer) => {
    consumer.assign([partition])
    consumer.seek(partition, 0n)
    await assert.rejects(read(consumer, 1), NoOffsetError)
  })
})

test('without a position and without a policy a poll says so', async () => {
  await topic('nowhere')
  await consuming({ autoOffsetReset: 'none' }, async (consumer) => {
    consumer.assign([{ topic: 'nowhere', partition: 0 }])
    await assert.rejects(read(consumer, 1), NoOffsetError)
  })
})

test('a closed consumer rejects polls, also those that wait', async () => {
  await topic('closing')
  const consumer = new Consumer(cluster)
  consumer.assign([{ topic: 'closing', partition: 0 }])
  const polled = assert.rejects(consumer.poll(10_000), ClientClosedError)
  await consumer.close()
  await polled
})

test('a seek while a fetch is under way makes its records void', async () => {
  await using scripted = await ScriptedBroker.start()
  scripted.onMetadata({ t: 1 })
  const { promise: asked, resolve: seen } = Promise.withResolvers<void>()
  const { promise: released, resolve: release } = Promise.withResolvers<void>()
  scripted.on(Fetch, async (request) => {
    const [{ partitions, topicId, topic }] = request.topics
    const offset = partitions[0].fetchOffset
    if (offset === 0n) {
      seen()
      await released
    }
    const builder = new RecordBatchBuilder()
    builder.append({ timestamp: 1n, value: Buffer.from(`at ${offset}`) })
    const records = builder.build({ baseOffset: offset })
    const partition = { partitionIndex: 0, errorCode: 0, highWatermark: 100n, abortedTransactions: null, records }
    return { responses: [{ topic, topicId, partitions: [partition] }] }
  })
  const client = scripted.client()
  const consumer = new Consumer(client)
  const partition = { topic: 't', partition: 0 }
  consumer.assign([partition])
  consumer.seek(partition, 0n)
  const polled = consumer.poll(5000)
  await asked
  consumer.seek(partition, 50n)
  release()
  assert.deepEqual(values(await polled), ['at 50'])
  await consumer.close()
  await client.close()
})

test('a leader that has moved is looked up again', async () => {
  await using scripted = await ScriptedBroker.start()
  scripted.onMetadata({ t: 1 })
  let refused = 0
  scripted.on(ListOffsets, () => {
    refused++
    const offset = { partitionIndex: 0, errorCode: refused < 3 ? 6 : 0, offset: 7n }
    return { topics: [{ name: 't', partitions: [offset] }] }
  })
  const client = scripted.client()
  const { listOffsets, OffsetSpec } = await import('./list-offsets.ts')
  const offsets = await listOffsets(client, [{ topic: 't', partition: 0, timestamp: OffsetSpec.LATEST }])
  assert.deepEqual(offsets.get('t/0'), { offset: 7n, timestamp: -1n, leaderEpoch: -1 })
  assert.ok(scripted.asked.filter((name) => name === 'Metadata').length >= 3)
  await client.close()
})

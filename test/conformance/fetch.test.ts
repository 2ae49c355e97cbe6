// Section D of Kafka's subtleties: when a fetch answers, what it holds, and how sessions shorten it.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CompressionCodec } from '../../src/bytes/compression/codecs.ts'
import { Fetch } from '../../src/protocol/messages/01-fetch.ts'
import { DeleteTopics } from '../../src/protocol/messages/20-delete-topics.ts'
import { OffsetForLeaderEpoch } from '../../src/protocol/messages/23-offset-for-leader-epoch.ts'
import { leaderEpoch } from '../../src/protocol/records/batch-header.ts'
import type { RequestInput } from '../../src/protocol/schema.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { RawClient } from './raw-client.ts'
import {
  assertError,
  batchOf,
  createTopic,
  deleteRecords,
  fetchFrom,
  fetchRequest,
  metadataOf,
  produce,
  produced,
  recordsIn,
  type Topic,
  uniqueName,
  valuesIn,
} from './requests.ts'

type FetchBody = RequestInput<typeof Fetch>

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

const connect = () => RawClient.connect(broker.bootstrapServers)
/** A fetch that waited this long would be noticed by the patience of the client. */
const FOR_EVER = 60_000
const MISSING: Topic = { name: 'never-created', id: 'AAAAAAAAAAAAAAAAAAAAEQ' }

/** Of one fetch over several partitions, in the order of the answer. */
async function fetchAll(topic: Topic, fetches: readonly [partition: number, offset: bigint, maxBytes?: number][], options = {}) {
  const partitions = fetches.map(([partition, fetchOffset, partitionMaxBytes = 1 << 20]) => ({
    partition,
    fetchOffset,
    partitionMaxBytes,
  }))
  const request = { ...fetchRequest(topic, 0n, options), topics: [{ topic: topic.name, topicId: topic.id, partitions }] }
  return (await client.request(Fetch, 12, request)).responses.flatMap((response) => response.partitions)
}

test('a fetch answers at once when it may not wait, asks for nothing, or has its bytes', async () => {
  // 49
  const topic = await createTopic(client)
  const nothing = await fetchFrom(client, topic, 0n, { maxWaitMs: 0 })
  assertError(nothing.errorCode, 'NONE')
  assert.equal(nothing.records?.length, 0)
  const noPartitions = await client.request(Fetch, 12, { ...fetchRequest(topic, 0n, { maxWaitMs: FOR_EVER }), topics: [] })
  assert.deepEqual(noPartitions.responses, [])
  await produced(client, topic, ['enough'])
  assert.deepEqual(valuesIn((await fetchFrom(client, topic, 0n, { maxWaitMs: FOR_EVER })).records), ['enough'])
  assert.equal((await fetchFrom(client, topic, 1n, { maxWaitMs: FOR_EVER, minBytes: 0 })).records?.length, 0)
})

test('a fetch answers at once when any of its partitions has an error', async () => {
  // 49
  const topic = await createTopic(client, { partitions: 2 })
  const [empty, beyond] = await fetchAll(
    topic,
    [
      [0, 0n],
      [1, 5n],
    ],
    { maxWaitMs: FOR_EVER },
  )
  assertError(empty!.errorCode, 'NONE')
  assertError(beyond!.errorCode, 'OFFSET_OUT_OF_RANGE')
})

test('otherwise it waits for its bytes, over as many appends as that takes', async () => {
  // 49
  using consumer = await connect()
  const topic = await createTopic(client)
  const size = batchOf(['x']).length
  const sent = consumer.send(Fetch, 12, fetchRequest(topic, 0n, { maxWaitMs: FOR_EVER, minBytes: size * 3 }))
  for (const value of ['a', 'b', 'c']) await produced(client, topic, [value])
  const { responses } = await consumer.answer(sent)
  assert.deepEqual(valuesIn(responses[0]!.partitions[0]!.records), ['a', 'b', 'c'])
})

test('or until max_wait_ms is over', async () => {
  // 49
  const topic = await createTopic(client)
  await produced(client, topic, ['too little'])
  const { records } = await fetchFrom(client, topic, 0n, { maxWaitMs: 20, minBytes: 1 << 20 })
  assert.deepEqual(valuesIn(records), ['too little'])
})

test('min_bytes counts no further than max_bytes', async () => {
  // 49
  const topic = await createTopic(client)
  await produced(client, topic, ['one'])
  const options = { maxWaitMs: FOR_EVER, minBytes: 1 << 30, maxBytes: 10 }
  assert.deepEqual(valuesIn((await fetchFrom(client, topic, 0n, options)).records), ['one'])
})

test('the first batch comes whole however small the limits, so that a consumer always gets on', async () => {
  // 50
  const topic = await createTopic(client)
  const value = 'x'.repeat(5000)
  await produced(client, topic, [value])
  await produced(client, topic, ['second'])
  for (const limits of [{ maxBytes: 1 }, { partitionMaxBytes: 1 }, { maxBytes: 0, partitionMaxBytes: 0 }]) {
    const [first] = valuesIn((await fetchFrom(client, topic, 0n, limits)).records)
    assert.equal(first?.length, value.length)
  }
})

test('the guarantee holds for the first partition with data, in the order of the request; later ones are cut', async () => {
  // 50
  const topic = await createTopic(client, { partitions: 3 })
  for (const partition of [1, 2]) await produced(client, topic, ['x'.repeat(1000)], partition)
  for (const order of [
    [0, 1, 2],
    [0, 2, 1],
  ] as const) {
    const answer = await fetchAll(
      topic,
      order.map((partition) => [partition, 0n] as [number, bigint]),
      { maxBytes: 100 },
    )
    const sizes = new Map(answer.map(({ partitionIndex, records }) => [partitionIndex, records!.length]))
    assert.equal(sizes.get(0), 0)
    assert.ok(sizes.get(order[1])! > 1000)
    assert.ok(sizes.get(order[2])! <= 100)
  }
})

test('batches come as they are stored: the first may begin before the fetch offset, and is never split', async () => {
  // 51
  const topic = await createTopic(client)
  const batch = batchOf(['a', 'b', 'c', 'd'], { codecId: CompressionCodec.gzip })
  assertError((await produce(client, topic, batch)).errorCode, 'NONE')
  for (const offset of [0n, 1n, 3n]) {
    const { records } = await fetchFrom(client, topic, offset)
    assert.equal(records?.length, batch.length)
    assert.deepEqual(
      recordsIn(records).map((record) => record.offset),
      [0n, 1n, 2n, 3n],
    )
  }
})

test('what is cut by size is cut behind a batch or within one, never before the limit is used', async () => {
  // 51
  const topic = await createTopic(client)
  for (const value of ['a', 'b', 'c', 'd']) await produced(client, topic, [value])
  const size = batchOf(['a']).length
  const { records } = await fetchFrom(client, topic, 0n, { partitionMaxBytes: size * 2 + 10 })
  assert.ok(records!.length >= size * 2 && records!.length <= size * 2 + 10)
  assert.deepEqual(valuesIn(records), ['a', 'b'])
})

test('a read begins with the batch that holds the offset, not with one before it', async () => {
  // 52
  const topic = await createTopic(client)
  for (let i = 0; i < 200; i++) await produced(client, topic, [`${i}`, `${i}`])
  for (const offset of [0n, 1n, 2n, 3n, 150n, 151n, 398n, 399n]) {
    const { records } = await fetchFrom(client, topic, offset)
    assert.equal(recordsIn(records)[0]!.offset, offset - (offset % 2n))
  }
})

test('before the log start and behind the log end is OFFSET_OUT_OF_RANGE, at the end there is nothing yet', async () => {
  // 53, 54
  const topic = await createTopic(client)
  await produced(client, topic, ['a', 'b', 'c'])
  await deleteRecords(client, topic, 1n)
  for (const offset of [0n, 4n, -1n, 1n << 62n]) {
    const { errorCode, records, ...rest } = await fetchFrom(client, topic, offset, { maxWaitMs: FOR_EVER })
    assertError(errorCode, 'OFFSET_OUT_OF_RANGE')
    assert.equal(records?.length, 0)
    assert.deepEqual([rest.highWatermark, rest.lastStableOffset, rest.logStartOffset], [-1n, -1n, -1n])
  }
  const { errorCode, highWatermark } = await fetchFrom(client, topic, 3n)
  assertError(errorCode, 'NONE')
  assert.equal(highWatermark, 3n)
})

test('a partition with an error has empty records, not null, and no watermarks', async () => {
  // 11, 54
  for (const version of [4, 5, 11, 12]) {
    const { errorCode, records, ...rest } = await fetchFrom(client, MISSING, 0n, { version })
    assertError(errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
    assert.ok(records !== null && records.length === 0)
    assert.deepEqual([rest.highWatermark, rest.lastStableOffset, rest.logStartOffset], [-1n, -1n, -1n])
  }
})

test('log start offset and high watermark are told with every answer', async () => {
  // 54
  const topic = await createTopic(client)
  await produced(client, topic, ['a', 'b', 'c'])
  await deleteRecords(client, topic, 2n)
  const answer = await fetchFrom(client, topic, 2n, { version: 5 })
  assert.equal(answer.logStartOffset, 2n)
  assert.equal(answer.highWatermark, 3n)
  assert.equal(answer.lastStableOffset, 3n)
})

test('the list of aborted transactions is null for who reads everything, empty for who reads what is committed', async () => {
  // 11
  const topic = await createTopic(client)
  await produced(client, topic, ['x'])
  assert.equal((await fetchFrom(client, topic, 0n, { isolationLevel: 0 })).abortedTransactions, null)
  assert.deepEqual((await fetchFrom(client, topic, 0n, { isolationLevel: 1 })).abortedTransactions, [])
})

// ── sessions ────────────────────────────────────────────────────────────────────────────────────────────────────────

async function inSession(sessionId: number, sessionEpoch: number, body: FetchBody, version = 12) {
  const { errorCode, responses, ...rest } = await client.request(Fetch, version, { ...body, sessionId, sessionEpoch })
  const found = responses.flatMap(({ partitions }) => partitions)
  return { errorCode, sessionId: rest.sessionId, found, indexes: found.map(({ partitionIndex }) => partitionIndex) }
}

const partitionsOf = (topic: Topic, ...partitions: [partition: number, offset: bigint][]): FetchBody['topics'] => [
  {
    topic: topic.name,
    topicId: topic.id,
    partitions: partitions.map(([partition, fetchOffset]) => ({ partition, fetchOffset, partitionMaxBytes: 1 << 20 })),
  },
]

test('a session begins with epoch 0 and then names only what changed; -1 asks for none', async () => {
  // 55, 56
  const topic = await createTopic(client, { partitions: 3 })
  const base = fetchRequest(topic, 0n)
  const first = await inSession(0, 0, { ...base, topics: partitionsOf(topic, [0, 0n], [1, 0n], [2, 0n]) })
  assert.deepEqual(first.indexes, [0, 1, 2], 'a full answer names every partition')
  assert.notEqual(first.sessionId, 0)
  const none = await inSession(0, -1, { ...base, topics: partitionsOf(topic, [0, 0n]) })
  assert.equal(none.sessionId, 0)

  const { sessionId } = first
  const quiet = await inSession(sessionId, 1, { ...base, topics: [] })
  assert.deepEqual([quiet.sessionId, quiet.indexes], [sessionId, []])
  await produced(client, topic, ['news'], 1)
  const news = await inSession(sessionId, 2, { ...base, topics: [] })
  assert.deepEqual(news.indexes, [1])
  assert.deepEqual(valuesIn(news.found[0]!.records), ['news'])
  const moved = await inSession(sessionId, 3, { ...base, topics: partitionsOf(topic, [1, 1n]) })
  assert.deepEqual(moved.indexes, [])
  await deleteRecords(client, topic, -1n, 1)
  const start = await inSession(sessionId, 4, { ...base, topics: [] })
  assert.deepEqual(start.indexes, [1], 'a log start that moved is news')
})

test('a session forgets partitions on request', async () => {
  // 56
  const topic = await createTopic(client, { partitions: 2 })
  const base = fetchRequest(topic, 0n)
  const { sessionId } = await inSession(0, 0, { ...base, topics: partitionsOf(topic, [0, 0n], [1, 0n]) })
  const forgottenTopicsData = [{ topic: topic.name, topicId: topic.id, partitions: [1] }]
  await inSession(sessionId, 1, { ...base, topics: [], forgottenTopicsData })
  await produced(client, topic, ['of no interest'], 1)
  await produced(client, topic, ['news'], 0)
  assert.deepEqual((await inSession(sessionId, 2, { ...base, topics: [] })).indexes, [0])
})

test('an unknown session, a wrong epoch and a session that changes from names to ids are refused as such', async () => {
  // 55
  const topic = await createTopic(client)
  const base = { ...fetchRequest(topic, 0n), topics: partitionsOf(topic, [0, 0n]) }
  assertError((await inSession(123_456_789, 1, base)).errorCode, 'FETCH_SESSION_ID_NOT_FOUND')
  const { sessionId } = await inSession(0, 0, base)
  for (const epoch of [2, 7]) assertError((await inSession(sessionId, epoch, base)).errorCode, 'INVALID_FETCH_SESSION_EPOCH')
  assertError((await inSession(sessionId, 1, base)).errorCode, 'NONE')
  assertError((await inSession(sessionId, 2, base, 13)).errorCode, 'FETCH_SESSION_TOPIC_ID_ERROR')
})

test('a session that is closed with epoch -1 is gone', async () => {
  // 55
  const topic = await createTopic(client)
  const base = { ...fetchRequest(topic, 0n), topics: partitionsOf(topic, [0, 0n]) }
  const { sessionId } = await inSession(0, 0, base)
  assert.equal((await inSession(sessionId, -1, base)).sessionId, 0)
  assertError((await inSession(sessionId, 1, base)).errorCode, 'FETCH_SESSION_ID_NOT_FOUND')
})

// ── topic ids, epochs ───────────────────────────────────────────────────────────────────────────────────────────────

test('from version 13 on topics go by id alone, and a topic that is created again has another one', async () => {
  // 57
  const topic = await createTopic(client, { name: uniqueName('again') })
  await produced(client, topic, ['by id'])
  for (const version of [13, 14, 15, 16, 17, 18]) {
    const { responses } = await client.request(Fetch, version, fetchRequest({ ...topic, name: 'ignored' }, 0n))
    assert.deepEqual([responses[0]!.topic, responses[0]!.topicId], ['', topic.id])
    assert.deepEqual(valuesIn(responses[0]!.partitions[0]!.records), ['by id'])
  }
  assertError((await fetchFrom(client, MISSING, 0n, { version: 13 })).errorCode, 'UNKNOWN_TOPIC_ID')

  await client.request(DeleteTopics, 6, { topics: [{ name: topic.name, topicId: 'AAAAAAAAAAAAAAAAAAAAAA' }], timeoutMs: 10_000 })
  const again = await eventually(() => createTopic(client, { name: topic.name }))
  assert.notEqual(again.id, topic.id)
  assertError((await fetchFrom(client, topic, 0n, { version: 13 })).errorCode, 'UNKNOWN_TOPIC_ID')
  assertError((await fetchFrom(client, again, 0n, { version: 13 })).errorCode, 'NONE')
})

test('a leader epoch that is ahead of ours is unknown, our own and none at all are fine; it is the same everywhere', async () => {
  // 58
  const topic = await createTopic(client)
  await produced(client, topic, ['x'])
  const { leaderEpoch: current } = (await metadataOf(client, [topic.name])).topics[0]!.partitions[0]!
  const error = async (currentLeaderEpoch: number) =>
    (await fetchFrom(client, topic, 0n, { version: 9, currentLeaderEpoch })).errorCode
  assertError(await error(-1), 'NONE')
  assertError(await error(current), 'NONE')
  assertError(await error(current + 1), 'UNKNOWN_LEADER_EPOCH')
  assert.equal(leaderEpoch((await fetchFrom(client, topic, 0n)).records!), current)
  const asked = { partition: 0, currentLeaderEpoch: current + 1, leaderEpoch: current }
  const { topics } = await client.request(OffsetForLeaderEpoch, 4, { topics: [{ topic: topic.name, partitions: [asked] }] })
  assertError(topics[0]!.partitions[0]!.errorCode, 'UNKNOWN_LEADER_EPOCH')
})

test('OffsetForLeaderEpoch tells where an epoch ends, and -1 without an error for one that never was', async () => {
  // 59
  const topic = await createTopic(client)
  await produced(client, topic, ['a', 'b', 'c'])
  const { leaderEpoch: current } = (await metadataOf(client, [topic.name])).topics[0]!.partitions[0]!
  const endOf = async (leaderEpoch: number) => {
    const partitions = [{ partition: 0, leaderEpoch }]
    return (await client.request(OffsetForLeaderEpoch, 3, { topics: [{ topic: topic.name, partitions }] })).topics[0]!
      .partitions[0]!
  }
  assert.deepEqual(await endOf(current), { errorCode: 0, partition: 0, leaderEpoch: current, endOffset: 3n })
  assert.deepEqual(await endOf(current + 5), { errorCode: 0, partition: 0, leaderEpoch: -1, endOffset: -1n })
})

test('a consumer that has read further than our log goes in that epoch is told where the two part', async () => {
  // 59
  const topic = await createTopic(client)
  await produced(client, topic, ['a', 'b', 'c'])
  const { leaderEpoch: current } = (await metadataOf(client, [topic.name])).topics[0]!.partitions[0]!
  const apart = await fetchFrom(client, topic, 100n, { lastFetchedEpoch: current, maxWaitMs: FOR_EVER })
  assertError(apart.errorCode, 'NONE')
  assert.deepEqual(apart.divergingEpoch, { epoch: current, endOffset: 3n })
  assert.equal(apart.records?.length, 0)
  const together = await fetchFrom(client, topic, 1n, { lastFetchedEpoch: current })
  assert.deepEqual(together.divergingEpoch, { epoch: -1, endOffset: -1n })
  assert.deepEqual(valuesIn(together.records), ['a', 'b', 'c'])
  // An epoch that never was: there is no place to send the consumer to.
  const never = await fetchFrom(client, topic, 1n, { lastFetchedEpoch: current + 5 })
  assertError(never.errorCode, 'OFFSET_OUT_OF_RANGE')
})

test('no replica is preferred: -1, for 0 would be a broker', async () => {
  // 60
  const topic = await createTopic(client)
  const { responses } = await client.request(Fetch, 11, { ...fetchRequest(topic, 0n), rackId: 'rack-1' })
  assert.equal(responses[0]!.partitions[0]!.preferredReadReplica, -1)
})

test('fetches that are parked when their clients vanish hold nobody up', async () => {
  // 13, 49
  const topic = await createTopic(client)
  for (let i = 0; i < 20; i++) {
    using consumer = await connect()
    consumer.send(Fetch, 12, fetchRequest(topic, 0n, { maxWaitMs: FOR_EVER }))
  }
  assert.equal(await produced(client, topic, ['x']), 0n)
})

// Section D of Kafka's subtleties: offsets by timestamp and by the sentinels that stand for ends of the log.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CompressionCodec } from '../../src/bytes/compression/codecs.ts'
import { ListOffsets } from '../../src/protocol/messages/02-list-offsets.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { RawClient } from './raw-client.ts'
import {
  assertError,
  batchOf,
  createTopic,
  deleteRecords,
  EARLIEST,
  LATEST,
  listOffset,
  metadataOf,
  produce,
  produced,
  type Topic,
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

const MAX_TIMESTAMP = -3n
const EARLIEST_LOCAL = -4n
const LATEST_TIERED = -5n
const EARLIEST_PENDING_UPLOAD = -6n

/** Offsets 0 to 5 in three batches, compressed, times not in order within them. */
async function topicWithTimes(): Promise<Topic> {
  const topic = await createTopic(client)
  for (const times of [[1000n, 3000n], [2000n, 5000n, 4000n], [4500n]]) {
    const records = times.map((timestamp) => ({ timestamp, value: Buffer.from('x') }))
    assertError((await produce(client, topic, batchOf(records, { codecId: CompressionCodec.gzip }))).errorCode, 'NONE')
  }
  return topic
}

const found = async (topic: Topic, timestamp: bigint, version?: number) => {
  const { errorCode, offset, timestamp: at } = await listOffset(client, topic, timestamp, { version })
  assertError(errorCode, 'NONE')
  return [offset, at]
}

test('the sentinels find the ends of the log, with no timestamp', async () => {
  // 62
  const topic = await createTopic(client)
  await produced(client, topic, ['a', 'b', 'c', 'd'])
  await deleteRecords(client, topic, 2n)
  for (const version of [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]) {
    assert.deepEqual(await found(topic, LATEST, version), [4n, -1n])
    assert.deepEqual(await found(topic, EARLIEST, version), [2n, -1n])
  }
  assert.deepEqual(await found(topic, EARLIEST_LOCAL, 8), [2n, -1n])
  assert.equal((await listOffset(client, topic, LATEST, { isolationLevel: 1 })).offset, 4n)
})

test('a sentinel that is newer than the version of the request is refused', async () => {
  // 62
  const topic = await createTopic(client)
  for (const [sentinel, since] of [
    [MAX_TIMESTAMP, 7],
    [EARLIEST_LOCAL, 8],
    [LATEST_TIERED, 9],
    [EARLIEST_PENDING_UPLOAD, 11],
  ] as const) {
    assertError((await listOffset(client, topic, sentinel, { version: since })).errorCode, 'NONE', `${sentinel} in ${since}`)
    const older = await listOffset(client, topic, sentinel, { version: since - 1 })
    assertError(older.errorCode, 'UNSUPPORTED_VERSION', `${sentinel} in ${since - 1}`)
    assert.deepEqual([older.offset, older.timestamp], [-1n, -1n])
  }
  assertError((await listOffset(client, topic, -7n, { version: 11 })).errorCode, 'UNSUPPORTED_VERSION')
})

test('a time finds the very record, inside its compressed batch, that is the first at it or later', async () => {
  // 62, 63
  const topic = await topicWithTimes()
  assert.deepEqual(await found(topic, 0n), [0n, 1000n])
  assert.deepEqual(await found(topic, 1000n), [0n, 1000n])
  assert.deepEqual(await found(topic, 1001n), [1n, 3000n])
  assert.deepEqual(await found(topic, 3001n), [3n, 5000n])
  assert.deepEqual(await found(topic, 5000n), [3n, 5000n])
})

test('a time behind all records, and a time in an empty log, find nothing, which is no error', async () => {
  // 62
  assert.deepEqual(await found(await topicWithTimes(), 5001n), [-1n, -1n])
  assert.deepEqual(await found(await createTopic(client), 0n), [-1n, -1n])
})

test('the largest timestamp is found with the offset of its record', async () => {
  // 63
  assert.deepEqual(await found(await topicWithTimes(), MAX_TIMESTAMP), [3n, 5000n])
  assert.deepEqual(await found(await createTopic(client), MAX_TIMESTAMP), [-1n, -1n])
})

test('records below the log start are not found by time', async () => {
  // 62
  const topic = await topicWithTimes()
  await deleteRecords(client, topic, 4n)
  assert.deepEqual(await found(topic, 0n), [4n, 4000n])
})

test('a partition asked for twice is refused', async () => {
  // 62
  const { name } = await createTopic(client, { partitions: 2 })
  const ask = (partitionIndex: number, timestamp: bigint) => ({ partitionIndex, timestamp })
  const topics = [{ name, partitions: [ask(0, LATEST), ask(1, LATEST), ask(0, EARLIEST)] }]
  const answer = await client.request(ListOffsets, 7, { replicaId: -1, isolationLevel: 0, topics })
  const codes = answer.topics.flatMap(({ partitions }) => partitions)
  for (const { partitionIndex, errorCode } of codes) assertError(errorCode, partitionIndex === 0 ? 'INVALID_REQUEST' : 'NONE')
})

test('leader epochs are checked, and told with what is found', async () => {
  // 58
  const topic = await createTopic(client)
  await produced(client, topic, ['x'])
  const { leaderEpoch } = (await metadataOf(client, [topic.name])).topics[0]!.partitions[0]!
  const known = await listOffset(client, topic, LATEST, { currentLeaderEpoch: leaderEpoch })
  assertError(known.errorCode, 'NONE')
  assert.equal(known.leaderEpoch, leaderEpoch)
  const ahead = await listOffset(client, topic, LATEST, { currentLeaderEpoch: leaderEpoch + 1 })
  assertError(ahead.errorCode, 'UNKNOWN_LEADER_EPOCH')
})

test('an unknown partition is unknown', async () => {
  // 62
  const topic = await createTopic(client)
  assertError((await listOffset(client, topic, LATEST, { partition: 1 })).errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError((await listOffset(client, { name: 'never-created', id: '' }, LATEST)).errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
})

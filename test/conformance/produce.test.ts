// Section B of Kafka's subtleties: what a produce request may hold, what becomes of its batches, what is answered.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { CompressionCodec, compress } from '../../src/bytes/compression/codecs.ts'
import { Produce } from '../../src/protocol/messages/00-produce.ts'
import { ApiVersions } from '../../src/protocol/messages/18-api-versions.ts'
import {
  BATCH_HEADER_SIZE,
  codecId,
  computedCrc,
  isLogAppendTime,
  leaderEpoch,
  storedCrc,
} from '../../src/protocol/records/batch-header.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { RawClient } from './raw-client.ts'
import {
  assertError,
  batchOf,
  coordinatorReady,
  createTopic,
  deleteRecords,
  endOffset,
  fetchFrom,
  metadataOf,
  partitionsReady,
  produce,
  produced,
  produceRequest,
  recordsIn,
  type Topic,
  tampered,
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

const connect = (clientId?: string) => RawClient.connect(broker.bootstrapServers, { clientId })
const SOFTWARE = { clientSoftwareName: 'conformance', clientSoftwareVersion: '1.0' }
const MISSING: Topic = { name: 'never-created', id: 'AAAAAAAAAAAAAAAAAAAAEQ' }
const now = () => BigInt(Date.now())

/** Where a batch keeps what tests tamper with. */
const BASE_OFFSET = 0
const MAGIC = 16
const CRC = 17
const ATTRIBUTES = 21
const LAST_OFFSET_DELTA = 23
const BASE_TIMESTAMP = 27
const BASE_SEQUENCE = 53
const RECORD_COUNT = 57

/** The stored batch at an offset, as it is served. */
async function stored(topic: Topic, offset = 0n): Promise<Buffer> {
  const { records } = await fetchFrom(client, topic, offset)
  return records!
}

async function refused(topic: Topic, batch: Buffer | null, error: string, version?: number) {
  const before = await endOffset(client, topic)
  const response = await produce(client, topic, batch, { version })
  assertError(response.errorCode, error)
  assert.equal(response.baseOffset, -1n)
  assert.equal(await endOffset(client, topic), before, 'nothing is appended')
  return response
}

test('acks=0 is never answered, not with a single byte', async () => {
  // 16
  using producer = await connect()
  const topic = await createTopic(client)
  for (const version of [3, 8, 9, 12]) producer.send(Produce, version, produceRequest(topic, batchOf(['silent']), { acks: 0 }))
  // Had there been an answer, it would come before this one.
  await producer.request(ApiVersions, 0, SOFTWARE)
  assert.equal(await endOffset(client, topic), 4n)
})

test('acks=0 closes the connection if a partition refused its batch, so that the client looks where it went wrong', async () => {
  // 16
  const topic = await createTopic(client)
  const corrupt = batchOf(['corrupt'])
  corrupt.writeUInt32BE(0xdeadbeef, CRC)
  for (const [of, records] of [
    [MISSING, batchOf(['nowhere'])],
    [topic, corrupt],
  ] as const) {
    using producer = await connect()
    producer.send(Produce, 9, produceRequest(of, records, { acks: 0 }))
    await producer.closedByBroker()
  }
})

test('acks=0 closes the connection where the whole request is refused', async () => {
  // 16
  using producer = await connect()
  const topic = await createTopic(client)
  const transactional = batchOf(['x'], { producerId: 1n, producerEpoch: 0, baseSequence: 0, transactional: true })
  producer.send(Produce, 9, produceRequest(topic, transactional, { acks: 0 }))
  await producer.closedByBroker()
})

test('acks that are neither -1 nor 0 nor 1 are refused for each partition', async () => {
  // 16
  const topic = await createTopic(client)
  for (const acks of [2, -2, 32767]) {
    const { errorCode, baseOffset } = await produce(client, topic, batchOf(['x']), { acks })
    assertError(errorCode, 'INVALID_REQUIRED_ACKS')
    assert.equal(baseOffset, -1n)
  }
  assert.equal(await endOffset(client, topic), 0n)
})

test('a partition takes exactly one batch per request', async () => {
  // 17
  const topic = await createTopic(client)
  await refused(topic, Buffer.concat([batchOf(['one']), batchOf(['two'])]), 'INVALID_RECORD')
  await refused(topic, Buffer.alloc(0), 'INVALID_RECORD')
})

test('batches of message formats before v2 are refused', async () => {
  // 17, 106
  const topic = await createTopic(client)
  for (const magic of [0, 1]) {
    await refused(
      topic,
      tampered(batchOf(['old']), (batch) => batch.writeInt8(magic, MAGIC)),
      'INVALID_RECORD',
    )
  }
})

test('zstd is for Produce 7 and newer', async () => {
  // 17
  const topic = await createTopic(client)
  const batch = batchOf(['dense'], { codecId: CompressionCodec.zstd })
  await refused(topic, batch, 'UNSUPPORTED_COMPRESSION_TYPE', 6)
  assertError((await produce(client, topic, batch, { version: 7 })).errorCode, 'NONE')
})

test('a batch whose header contradicts itself, or says what producers may not say, is refused', async () => {
  // 18
  const topic = await createTopic(client)
  const batch = batchOf(['one', 'two'])
  const bad: Record<string, (batch: Buffer) => void> = {
    'count is zero': (b) => b.writeInt32BE(0, RECORD_COUNT),
    'count is negative': (b) => b.writeInt32BE(-1, RECORD_COUNT),
    'count is less than the span': (b) => b.writeInt32BE(1, RECORD_COUNT),
    'count is more than the span': (b) => b.writeInt32BE(3, RECORD_COUNT),
    'last offset delta is negative': (b) => b.writeInt32BE(-1, LAST_OFFSET_DELTA),
    'control bit': (b) => b.writeInt16BE(1 << 5, ATTRIBUTES),
    'producer id without a sequence': (b) => {
      b.writeBigInt64BE(77n, 43)
      b.writeInt16BE(0, 51)
      b.writeInt32BE(-1, BASE_SEQUENCE)
    },
  }
  for (const [what, change] of Object.entries(bad)) {
    await refused(topic, tampered(batch, change), 'INVALID_RECORD').catch((error) => {
      throw new Error(`${what}: ${error.message}`, { cause: error })
    })
  }
  await refused(
    topic,
    tampered(batch, (b) => b.writeBigInt64BE(5n, BASE_OFFSET)),
    'INVALID_RECORD',
  )
})

test('a batch is refused whose records are none, or not as many as it says, compressed or not', async () => {
  // 18
  const topic = await createTopic(client)
  const sound = batchOf(['one', 'two'])
  const withRecords = (records: Buffer, codec: number, count: number) =>
    tampered(Buffer.concat([sound.subarray(0, BATCH_HEADER_SIZE), compress(codec, records)]), (b) => {
      b.writeInt32BE(b.length - 12, 8)
      b.writeInt16BE(codec, ATTRIBUTES)
      b.writeInt32BE(count - 1, LAST_OFFSET_DELTA)
      b.writeInt32BE(count, RECORD_COUNT)
    })
  const records = sound.subarray(BATCH_HEADER_SIZE)
  for (const codec of [CompressionCodec.none, CompressionCodec.gzip, CompressionCodec.lz4, CompressionCodec.zstd]) {
    await refused(topic, withRecords(Buffer.alloc(100, 4), codec, 2), 'INVALID_RECORD')
    await refused(topic, withRecords(records, codec, 3), 'INVALID_RECORD')
    await refused(topic, withRecords(records, codec, 1), 'INVALID_RECORD')
    assertError((await produce(client, topic, withRecords(records, codec, 2))).errorCode, 'NONE')
  }
})

test('a batch whose checksum does not match is corrupt', async () => {
  // 18
  const topic = await createTopic(client)
  const batch = batchOf(['corrupt'])
  batch[batch.length - 2]! ^= 1
  await refused(topic, batch, 'CORRUPT_MESSAGE')
})

test('timestamps may go back within a batch, and lie before that of its first record', async () => {
  // 18
  const topic = await createTopic(client)
  const times = [now(), now() - 10_000n, now() - 5n, now() - 100_000n]
  const batch = batchOf(times.map((timestamp) => ({ timestamp, value: Buffer.from('x') })))
  assertError((await produce(client, topic, batch)).errorCode, 'NONE')
  const records = recordsIn(await stored(topic))
  assert.deepEqual(
    records.map(({ timestamp }) => timestamp),
    times,
  )
})

test('a batch larger than max.message.bytes is refused, counted with its header', async () => {
  // 19
  const batch = batchOf(['x'.repeat(1000)])
  const small = await createTopic(client, { configs: { 'max.message.bytes': String(batch.length - 1) } })
  const enough = await createTopic(client, { configs: { 'max.message.bytes': String(batch.length) } })
  await refused(small, batch, 'MESSAGE_TOO_LARGE')
  assertError((await produce(client, enough, batch)).errorCode, 'NONE')
})

test('what recompression makes larger than max.message.bytes is refused', async () => {
  // 19
  const batch = batchOf(['x'.repeat(10_000)], { codecId: CompressionCodec.gzip })
  const topic = await createTopic(client, { configs: { 'max.message.bytes': '2000', 'compression.type': 'uncompressed' } })
  assert.ok(batch.length < 2000)
  await refused(topic, batch, 'MESSAGE_TOO_LARGE')
})

test('records that no segment could hold are refused', async () => {
  // 19
  const topic = await createTopic(client, { configs: { 'segment.bytes': '1048576', 'max.message.bytes': '4000000' } })
  await refused(topic, batchOf(['x'.repeat(1_100_000)]), 'RECORD_LIST_TOO_LARGE')
})

test('base offset and leader epoch are stamped into the batch, its checksum stays, and what a producer wrote there is ignored', async () => {
  // 20
  const topic = await createTopic(client)
  const { leaderEpoch: current } = (await metadataOf(client, [topic.name])).topics[0]!.partitions[0]!
  for (const sent of [-1, 0, 1234]) {
    const batch = batchOf(['a', 'b', 'c'], { leaderEpoch: sent })
    const { baseOffset } = await produce(client, topic, batch)
    const kept = await stored(topic, baseOffset)
    assert.equal(kept.readBigInt64BE(BASE_OFFSET), baseOffset)
    assert.equal(leaderEpoch(kept), current)
    assert.equal(storedCrc(kept), storedCrc(batch))
    assert.ok(kept.subarray(CRC).equals(batch.subarray(CRC)))
  }
})

test('LogAppendTime gives every record the time of its append, tells the producer, and leaves the deltas alone', async () => {
  // 21
  const topic = await createTopic(client, { configs: { 'message.timestamp.type': 'LogAppendTime' } })
  const before = now()
  const batch = batchOf([{ timestamp: 1000n }, { timestamp: 2000n }])
  const { errorCode, logAppendTimeMs } = await produce(client, topic, batch)
  assertError(errorCode, 'NONE')
  assert.ok(logAppendTimeMs >= before && logAppendTimeMs <= now())
  const kept = await stored(topic)
  assert.ok(isLogAppendTime(kept))
  assert.equal(storedCrc(kept), computedCrc(kept))
  assert.ok(kept.subarray(BATCH_HEADER_SIZE).equals(batch.subarray(BATCH_HEADER_SIZE)))
  for (const { timestamp } of recordsIn(kept)) assert.equal(timestamp, logAppendTimeMs)
})

test('with CreateTime there is no append time to tell', async () => {
  // 21
  const { logAppendTimeMs } = await produce(client, await createTopic(client), batchOf(['x']))
  assert.equal(logAppendTimeMs, -1n)
})

test('a timestamp beyond message.timestamp.after.max.ms, or before its counterpart, is refused; none at all is not', async () => {
  // 22
  const HOUR = 3_600_000n
  const topic = await createTopic(client)
  await refused(topic, batchOf([{ timestamp: now() + 2n * HOUR }]), 'INVALID_TIMESTAMP')
  for (const timestamp of [-1n, 0n, now() + HOUR / 2n]) {
    assertError((await produce(client, topic, batchOf([{ timestamp }]))).errorCode, 'NONE', `${timestamp}`)
  }
  const recent = await createTopic(client, { configs: { 'message.timestamp.before.max.ms': '60000' } })
  await refused(recent, batchOf([{ timestamp: now() - HOUR }]), 'INVALID_TIMESTAMP')
  assertError((await produce(client, recent, batchOf([{ timestamp: -1n }]))).errorCode, 'NONE')
  const patient = await createTopic(client, { configs: { 'message.timestamp.after.max.ms': '9223372036854775807' } })
  assertError((await produce(client, patient, batchOf([{ timestamp: now() + 1000n * HOUR }]))).errorCode, 'NONE')
})

test('the bit for log append time is not for producers to set', async () => {
  // 22; Kafka lets it pass in a topic with CreateTime
  const topic = await createTopic(client, { configs: { 'message.timestamp.type': 'LogAppendTime' } })
  await refused(topic, batchOf(['x'], { logAppendTime: now() }), 'INVALID_TIMESTAMP')
})

test('a compacted topic refuses a batch with a record that has no key, and says which one', async () => {
  // 23
  const topic = await createTopic(client, { configs: { 'cleanup.policy': 'compact' } })
  const key = Buffer.from('key')
  const batch = batchOf([{ timestamp: now(), key }, { timestamp: now() }, { timestamp: now(), key }, { timestamp: now() }])
  const { recordErrors, errorMessage } = await refused(topic, batch, 'INVALID_RECORD', 8)
  assert.deepEqual(
    recordErrors.map(({ batchIndex }) => batchIndex),
    [1, 3],
  )
  assert.ok(errorMessage !== null)
  await refused(topic, batch, 'INVALID_RECORD', 7)
})

test('one timestamp out of range makes the whole batch an INVALID_TIMESTAMP', async () => {
  // 23
  const topic = await createTopic(client, { configs: { 'message.timestamp.before.max.ms': '60000' } })
  const batch = batchOf([{ timestamp: now() }, { timestamp: now() - 100_000n }, { timestamp: now() }])
  const { recordErrors } = await refused(topic, batch, 'INVALID_TIMESTAMP', 9)
  assert.deepEqual(
    recordErrors.map(({ batchIndex }) => batchIndex),
    [1],
  )
})

test('compression.type=producer keeps the bytes as sent, whatever the codec; another one recompresses', async () => {
  // 24
  const values = ['compressible '.repeat(100), 'twice '.repeat(100)]
  const asSent = await createTopic(client)
  const made: Record<string, Topic> = {}
  for (const type of ['gzip', 'snappy', 'lz4', 'zstd', 'uncompressed']) {
    made[type] = await createTopic(client, { configs: { 'compression.type': type } })
  }
  for (const sent of [0, 1, 2, 3, 4]) {
    const batch = batchOf(values, { codecId: sent })
    const { baseOffset } = await produce(client, asSent, batch)
    const kept = await stored(asSent, baseOffset)
    assert.ok(kept.subarray(CRC).equals(batch.subarray(CRC)))
    for (const [type, topic] of Object.entries(made)) {
      const { baseOffset, errorCode } = await produce(client, topic, batch)
      assertError(errorCode, 'NONE')
      const kept = await stored(topic, baseOffset)
      assert.equal(codecId(kept), CompressionCodec[type === 'uncompressed' ? 'none' : (type as 'gzip')], `${sent} to ${type}`)
      assert.equal(storedCrc(kept), computedCrc(kept))
      assert.deepEqual(valuesIn(kept), values)
    }
  }
})

test('snappy is understood in both framings: the blocks of Java and the bare block of librdkafka', async () => {
  // 24
  const topic = await createTopic(client, { configs: { 'compression.type': 'uncompressed' } })
  const plain = batchOf(['in blocks', 'or bare'])
  const xerial = compress(CompressionCodec.snappy, plain.subarray(BATCH_HEADER_SIZE))
  // Magic, versions and the length of the only block stand in front of it.
  const bare = xerial.subarray(16 + 4)
  for (const records of [xerial, bare]) {
    const batch = Buffer.concat([plain.subarray(0, BATCH_HEADER_SIZE), records])
    batch.writeInt32BE(batch.length - 12, 8)
    const compressed = tampered(batch, (b) => b.writeInt16BE(CompressionCodec.snappy, ATTRIBUTES))
    const { errorCode, baseOffset } = await produce(client, topic, compressed)
    assertError(errorCode, 'NONE')
    assert.deepEqual(valuesIn(await stored(topic, baseOffset)), ['in blocks', 'or bare'])
  }
})

test('clients may not write to internal topics, but for the admin client', async () => {
  // 25
  await coordinatorReady(client, uniqueName('group'))
  const offsets: Topic = { name: '__consumer_offsets', id: (await metadataOf(client, ['__consumer_offsets'])).topics[0]!.topicId }
  await partitionsReady(client, offsets.name, 50)
  // A tombstone, so that nobody who reads the topic has to know its key.
  const batch = () => batchOf([{ timestamp: now(), key: Buffer.from([0, 2, 0, 1, 120]) }])
  assertError((await produce(client, offsets, batch())).errorCode, 'INVALID_TOPIC_EXCEPTION')
  using admin = await connect('__admin_client')
  assertError((await produce(admin, offsets, batch())).errorCode, 'NONE')
})

test('what does not exist is unknown: by name up to version 12, by id from 13 on', async () => {
  // 25
  const topic = await createTopic(client)
  const error = async (of: Topic, version: number, partition = 0) =>
    (await produce(client, of, batchOf(['x']), { version, partition })).errorCode
  assertError(await error(MISSING, 12), 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError(await error(topic, 12, 1), 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError(await error(topic, 12, -1), 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError(await error(MISSING, 13), 'UNKNOWN_TOPIC_ID')
  assertError(await error(topic, 13, 1), 'UNKNOWN_TOPIC_OR_PARTITION')
  assertError(await error(topic, 13), 'NONE')
})

test('acks=all asks for no more in-sync replicas than there are replicas, acks=1 never asks', async () => {
  // 26: with one replica NOT_ENOUGH_REPLICAS cannot come
  const topic = await createTopic(client, { configs: { 'min.insync.replicas': '2' } })
  for (const acks of [-1, 1]) assertError((await produce(client, topic, batchOf(['x']), { acks })).errorCode, 'NONE')
})

test('partitions succeed and fail on their own', async () => {
  // 27
  const topic = await createTopic(client, { partitions: 3 })
  const corrupt = batchOf(['x'])
  corrupt.writeUInt32BE(0, CRC)
  const partitionData = [
    { index: 0, records: batchOf(['fine']) },
    { index: 1, records: corrupt },
    { index: 7, records: batchOf(['nowhere']) },
    { index: 2, records: batchOf(['fine']) },
  ]
  const request = { acks: -1, timeoutMs: 10_000, topicData: [{ name: topic.name, partitionData }] }
  const answered = (await client.request(Produce, 9, request)).responses.flatMap((response) => response.partitionResponses)
  const byIndex = new Map(answered.map((response) => [response.index, response]))
  assertError(byIndex.get(0)!.errorCode, 'NONE')
  assertError(byIndex.get(1)!.errorCode, 'CORRUPT_MESSAGE')
  assertError(byIndex.get(2)!.errorCode, 'NONE')
  assertError(byIndex.get(7)!.errorCode, 'UNKNOWN_TOPIC_OR_PARTITION')
})

test('of a partition named twice the last batch counts, and it gets one answer', async () => {
  // 27
  const topic = await createTopic(client)
  const partitionData = [
    { index: 0, records: batchOf(['first']) },
    { index: 0, records: batchOf(['last']) },
  ]
  const request = { acks: -1, timeoutMs: 10_000, topicData: [{ name: topic.name, partitionData }] }
  const { responses } = await client.request(Produce, 9, request)
  assert.equal(responses[0]!.partitionResponses.length, 1)
  assert.deepEqual(valuesIn(await stored(topic)), ['last'])
})

test('the answer has the offset of the first record, and from version 5 on where the log starts', async () => {
  // 28
  const topic = await createTopic(client)
  await produced(client, topic, ['a', 'b', 'c'])
  await deleteRecords(client, topic, 2n)
  const response = await produce(client, topic, batchOf(['d', 'e']), { version: 5 })
  assert.equal(response.baseOffset, 3n)
  assert.equal(response.logStartOffset, 2n)
  assert.equal((await produce(client, topic, batchOf(['f']), { version: 4 })).logStartOffset, -1n)
})

test('a batch may begin at any timestamp: a base timestamp before its records is no matter', async () => {
  // 18
  const topic = await createTopic(client)
  const batch = tampered(batchOf([{ timestamp: 5000n, value: Buffer.from('x') }]), (b) => b.writeBigInt64BE(0n, BASE_TIMESTAMP))
  assertError((await produce(client, topic, batch)).errorCode, 'NONE')
})

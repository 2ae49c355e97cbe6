// Sections C and H of Kafka's subtleties, where they show from outside: what a restart and a crash leave, and what retention takes.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { OffsetForLeaderEpoch } from '../../src/protocol/messages/23-offset-for-leader-epoch.ts'
import { againstKafka } from '../support/broker-process.ts'
import { type BrokerUnderTest, RestartableBroker, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { RawClient } from './raw-client.ts'
import {
  assertError,
  batchOf,
  createTopic,
  deleteRecords,
  EARLIEST,
  endOffset,
  fetchFrom,
  listOffset,
  metadataOf,
  partitionsReady,
  produce,
  produced,
  type Topic,
  valuesIn,
} from './requests.ts'

/** The smallest that Kafka 4 allows. */
const SEGMENT_BYTES = 1 << 20

let broker: BrokerUnderTest
let client: RawClient
before(async () => {
  // Kafka first looks half a minute after its start.
  const soon: Record<string, string> = againstKafka ? { 'log.initial.task.delay.ms': '0' } : {}
  broker = await startBrokerUnderTest({ 'log.retention.check.interval.ms': '20', ...soon })
  client = await RawClient.connect(broker.bootstrapServers)
})
after(async () => {
  client?.close()
  await broker?.close()
})

const logStart = async (topic: Topic) => (await listOffset(client, topic, EARLIEST)).offset
const half = (timestamp: bigint) => batchOf([{ timestamp, value: Buffer.alloc(600_000) }])
const now = () => BigInt(Date.now())

test('retention by size takes whole segments, oldest first, and the log then starts at the next', async () => {
  // 102
  const configs = { 'segment.bytes': String(SEGMENT_BYTES), 'retention.bytes': '1300000', 'retention.ms': '-1' }
  const topic = await createTopic(client, { configs })
  // One record to a segment.
  for (let i = 0; i < 5; i++) assertError((await produce(client, topic, half(now()))).errorCode, 'NONE')
  await eventually(async () => (await logStart(topic)) === 2n)
  assert.equal(await endOffset(client, topic), 5n)
  assertError((await fetchFrom(client, topic, 1n)).errorCode, 'OFFSET_OUT_OF_RANGE')
  const { errorCode, logStartOffset } = await fetchFrom(client, topic, 2n)
  assertError(errorCode, 'NONE')
  assert.equal(logStartOffset, 2n)
})

test('retention by time looks at the newest record of a segment, takes the active one too, and is stopped by a younger segment', async () => {
  // 102
  const configs = {
    'segment.bytes': String(SEGMENT_BYTES),
    'retention.ms': '3600000',
    'message.timestamp.before.max.ms': '9223372036854775807',
  }
  const old = now() - 7_200_000n
  const topic = await createTopic(client, { configs })
  for (const timestamp of [old, old, now(), old]) assertError((await produce(client, topic, half(timestamp))).errorCode, 'NONE')
  await eventually(async () => (await logStart(topic)) === 2n)
  const gone = await createTopic(client, { configs })
  assertError((await produce(client, gone, half(old))).errorCode, 'NONE')
  await eventually(async () => (await logStart(gone)) === 1n)
  assert.equal(await endOffset(client, gone), 1n)
  assert.equal(await logStart(topic), 2n, 'the young record holds what comes after it')
})

test('what brokers keep is there after a crash and after a stop: records, log starts, sequences, epochs that only grow', async () => {
  // 32, 58, 59, 107
  const restartable = await RestartableBroker.start()
  try {
    let client = await RawClient.connect(restartable.bootstrapServers)
    const topic = await createTopic(client)
    const producer = (baseSequence: number) => ({ producerId: 4711n, producerEpoch: 3, baseSequence })
    const epochOf = async () => (await metadataOf(client, [topic.name])).topics[0]!.partitions[0]!.leaderEpoch
    for (const sequence of [0, 1, 2]) {
      assertError((await produce(client, topic, batchOf([`${sequence}`], producer(sequence)))).errorCode, 'NONE')
    }
    assertError((await deleteRecords(client, topic, 1n)).errorCode, 'NONE')

    for (const [round, stop] of [() => restartable.kill(), () => restartable.stop()].entries()) {
      const before = await epochOf()
      const end = await endOffset(client, topic)
      client.close()
      await stop()
      await restartable.startAgain()
      client = await RawClient.connect(restartable.bootstrapServers)
      await partitionsReady(client, topic.name, 1)

      assert.equal(await endOffset(client, topic), end)
      // Kafka writes log starts down once a minute.
      if (!againstKafka) assert.equal((await listOffset(client, topic, EARLIEST)).offset, 1n)
      assert.deepEqual(valuesIn((await fetchFrom(client, topic, 1n)).records).slice(0, 2), ['1', '2'])
      const again = await produce(client, topic, batchOf(['2'], producer(2)))
      assert.deepEqual([again.errorCode, again.baseOffset], [0, 2n], 'a duplicate is one after a restart too')
      const gap = await produce(client, topic, batchOf(['x'], producer(10)))
      assertError(gap.errorCode, 'OUT_OF_ORDER_SEQUENCE_NUMBER')

      const current = await epochOf()
      assert.ok(current >= before)
      if (current > before) {
        const stale = await fetchFrom(client, topic, 1n, { currentLeaderEpoch: before })
        assertError(stale.errorCode, 'FENCED_LEADER_EPOCH')
        const listed = await listOffset(client, topic, EARLIEST, { currentLeaderEpoch: before })
        assertError(listed.errorCode, 'FENCED_LEADER_EPOCH')
      }
      const partitions = [{ partition: 0, currentLeaderEpoch: current, leaderEpoch: before }]
      const { topics } = await client.request(OffsetForLeaderEpoch, 4, { topics: [{ topic: topic.name, partitions }] })
      assert.equal(topics[0]!.partitions[0]!.endOffset, end, 'the epoch before ended where the log did')
      await produced(client, topic, [`after restart ${round}`])
    }
    client.close()
  } finally {
    await restartable.close()
  }
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import type { Clock } from '../host/clock.ts'
import { seededRandom } from '../host/random.ts'
import type { FetchRequest } from '../protocol/messages/01-fetch.ts'
import { Fetch } from '../protocol/messages/01-fetch.ts'
import type { RequestInput } from '../protocol/schema.ts'
import { type FetchContext, type FetchPartition, FetchSessions, type PartitionResponse } from './fetch-sessions.ts'

let nowMs = 0
const clock: Clock = { wallMs: () => nowMs, monotonicMs: () => nowMs, timer: () => ({ cancel() {} }), soon() {} }
const sessions = (slots = 10) => new FetchSessions(slots, clock, seededRandom(1))

function request(
  session: { id?: number; epoch?: number },
  topics: Record<string, number[]>,
  forget: Record<string, number[]> = {},
): FetchRequest {
  const input: RequestInput<typeof Fetch> = {
    maxWaitMs: 0,
    minBytes: 0,
    sessionId: session.id ?? 0,
    sessionEpoch: session.epoch ?? 0,
    topics: Object.entries(topics).map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map((partition) => ({ partition, fetchOffset: 0n, partitionMaxBytes: 100 })),
    })),
    forgottenTopicsData: Object.entries(forget).map(([topic, partitions]) => ({ topic, partitions })),
  }
  const writer = new Writer()
  Fetch.request.encode(writer, 12, input)
  return Fetch.request.decode(new Reader(writer.toBuffer()), 12)
}

const names = (context: FetchContext) => [...context.partitions].map(({ topic, partition }) => `${topic}/${partition}`)
const noName = () => ''

function answer(partition: FetchPartition, highWatermark: bigint, records = Buffer.alloc(0)): PartitionResponse {
  return {
    partitionIndex: partition.partition,
    errorCode: 0,
    highWatermark,
    logStartOffset: 0n,
    abortedTransactions: null,
    records,
  }
}

test('a session remembers its partitions, takes changes and forgets on request', () => {
  const cache = sessions()
  const { sessionId } = cache.contextFor(request({}, { a: [0, 1] }), 12, noName)
  assert.notEqual(sessionId, 0)
  assert.deepEqual(names(cache.contextFor(request({ id: sessionId, epoch: 1 }, {}), 12, noName)), ['a/0', 'a/1'])
  assert.deepEqual(names(cache.contextFor(request({ id: sessionId, epoch: 2 }, { b: [3] }, { a: [0] }), 12, noName)), [
    'a/1',
    'b/3',
  ])
})

test('an incremental answer leaves out partitions with nothing new', () => {
  const cache = sessions()
  const first = cache.contextFor(request({}, { a: [0] }), 12, noName)
  for (const partition of first.partitions) assert.equal(first.include(partition, answer(partition, 5n)), true)
  const second = cache.contextFor(request({ id: first.sessionId, epoch: 1 }, {}), 12, noName)
  for (const partition of second.partitions) assert.equal(second.include(partition, answer(partition, 5n)), false)
  const third = cache.contextFor(request({ id: first.sessionId, epoch: 2 }, {}), 12, noName)
  for (const partition of third.partitions) assert.equal(third.include(partition, answer(partition, 6n)), true)
})

test('a partition that had records goes to the back of the line', () => {
  const cache = sessions()
  const { sessionId } = cache.contextFor(request({}, { a: [0, 1] }), 12, noName)
  const context = cache.contextFor(request({ id: sessionId, epoch: 1 }, {}), 12, noName)
  const [first] = context.partitions
  context.include(first, answer(first, 9n, Buffer.alloc(10)))
  assert.deepEqual(names(cache.contextFor(request({ id: sessionId, epoch: 2 }, {}), 12, noName)), ['a/1', 'a/0'])
})

test('an unknown session answers FETCH_SESSION_ID_NOT_FOUND, a wrong epoch INVALID_FETCH_SESSION_EPOCH', () => {
  const cache = sessions()
  assert.throws(() => cache.contextFor(request({ id: 77, epoch: 1 }, {}), 12, noName), { code: 'FETCH_SESSION_ID_NOT_FOUND' })
  const { sessionId } = cache.contextFor(request({}, { a: [0] }), 12, noName)
  assert.throws(() => cache.contextFor(request({ id: sessionId, epoch: 2 }, {}), 12, noName), {
    code: 'INVALID_FETCH_SESSION_EPOCH',
  })
})

test('a session of names asked by ids answers FETCH_SESSION_TOPIC_ID_ERROR', () => {
  const cache = sessions()
  const { sessionId } = cache.contextFor(request({}, { a: [0] }), 12, noName)
  assert.throws(() => cache.contextFor(request({ id: sessionId, epoch: 1 }, {}), 13, noName), {
    code: 'FETCH_SESSION_TOPIC_ID_ERROR',
  })
})

test('epoch -1 makes no session and ends the one it names', () => {
  const cache = sessions()
  const { sessionId } = cache.contextFor(request({}, { a: [0] }), 12, noName)
  assert.equal(cache.contextFor(request({ id: sessionId, epoch: -1 }, { a: [0] }), 12, noName).sessionId, 0)
  assert.equal(cache.size, 0)
})

test('a full cache grants no session until one of them goes stale', () => {
  const cache = sessions(1)
  cache.contextFor(request({}, { a: [0] }), 12, noName)
  assert.equal(cache.contextFor(request({}, { b: [0] }), 12, noName).sessionId, 0)
  nowMs += 121_000
  assert.notEqual(cache.contextFor(request({}, { b: [0] }), 12, noName).sessionId, 0)
  assert.equal(cache.size, 1)
})

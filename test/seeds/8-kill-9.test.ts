// Seed 8: the broker is killed twenty times in the middle of producing. What it acknowledged is there, in order, once if the
// producer is idempotent; consumers and producers go on by themselves; committed offsets never go back.

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import type { Admin, Producer } from 'kafkajs'
import { RestartableBroker } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import {
  type Consuming,
  connectedAdmin,
  connectedProducer,
  consuming,
  createTopics,
  kafkaFor,
  type Received,
} from '../support/kafkajs.ts'

const ROUNDS = 20
const PARTITIONS = [0, 1]
/** Messages of a send: they are acknowledged together. */
const BATCH = 5
/** Kept busy by one producer each: `once` by an idempotent one. */
const TOPICS = ['once', 'at-least-once'] as const
/** Clients ask often, and for as long as a slow machine takes to start a broker. */
const RETRY = { initialRetryTime: 30, maxRetryTime: 250, retries: 200 }

let broker: RestartableBroker
before(async () => {
  // Should the consumer lose its membership, it is missed for no longer than this.
  broker = await RestartableBroker.start({ 'group.min.session.timeout.ms': '1000' })
})
after(() => broker?.close())

type Topic = (typeof TOPICS)[number]

interface Acknowledged {
  /** Number of the first message; the others follow. */
  readonly first: number
  readonly baseOffset: number
}

/** Sends the numbers from 0 up to one partition, a batch at a time, until it is told to stop. */
class Sequence {
  readonly topic: Topic
  readonly partition: number
  readonly acknowledged: Acknowledged[] = []
  readonly #producer: Producer
  readonly #running: Promise<void>
  #stopped = false

  constructor(topic: Topic, partition: number, producer: Producer) {
    this.topic = topic
    this.partition = partition
    this.#producer = producer
    this.#running = this.#run()
  }

  async #run(): Promise<void> {
    const { topic, partition } = this
    for (let first = 0; !this.#stopped; first += BATCH) {
      const messages = Array.from({ length: BATCH }, (_, i) => ({ partition, value: `${first + i}` }))
      const [metadata] = await this.#producer.send({ topic, acks: -1, messages })
      this.acknowledged.push({ first, baseOffset: Number(metadata!.baseOffset) })
    }
  }

  /** Resolves when the last send is acknowledged. Rejects if one ever failed. */
  stop(): Promise<void> {
    this.#stopped = true
    return this.#running
  }

  of(received: readonly Received[]): Received[] {
    return received.filter(({ topic, partition }) => topic === this.topic && partition === this.partition)
  }
}

/** `topic partition` → the offset that the group's last acknowledged commit named. */
function watchCommits({ consumer }: Consuming): Map<string, number> {
  const committed = new Map<string, number>()
  consumer.on(consumer.events.COMMIT_OFFSETS, ({ payload }) => {
    for (const { topic, partitions } of payload.topics) {
      for (const { partition, offset } of partitions) committed.set(`${topic} ${partition}`, Number(offset))
    }
  })
  return committed
}

async function assertCommitsKept(admin: Admin, groupId: string, committed: ReadonlyMap<string, number>): Promise<void> {
  const positions = await eventually(() => admin.fetchOffsets({ groupId, topics: [...TOPICS] }))
  for (const { topic, partitions } of positions) {
    for (const { partition, offset } of partitions) {
      const acknowledged = committed.get(`${topic} ${partition}`) ?? -1
      assert.ok(Number(offset) >= acknowledged, `${topic} ${partition} was committed at ${acknowledged} and stands at ${offset}`)
    }
  }
}

/** Everything in the log, read by a group that starts at its beginning. */
async function readAll(t: TestContext, admin: Admin): Promise<Received[]> {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const ends = await Promise.all(TOPICS.map((topic) => admin.fetchTopicOffsets(topic)))
  const count = ends.flat().reduce((sum, { low, high }) => {
    assert.equal(low, '0')
    return sum + Number(high)
  }, 0)
  const { received } = await consuming(t, kafka, { groupId: 'audit', topics: [...TOPICS] })
  await eventually(() => assert.equal(received.length, count))
  return received
}

function assertLog({ topic, partition, acknowledged }: Sequence, log: readonly Received[]): void {
  const where = `${topic} ${partition}`
  const values = log.map(({ value }) => Number(value))
  assert.deepEqual(
    log.map(({ offset }) => Number(offset)),
    values.map((_, i) => i),
    `${where}: offsets are dense`,
  )
  for (const { first, baseOffset } of acknowledged) {
    for (let i = 0; i < BATCH; i++)
      assert.equal(values[baseOffset + i], first + i, `${where}: ${first + i} is where it was acknowledged`)
  }
  if (topic === 'once') {
    assert.deepEqual(
      values,
      values.map((_, i) => i),
      `${where}: each once`,
    )
    return
  }
  for (const [i, value] of values.slice(1).entries()) {
    const previous = values[i]!
    const batchAgain = (previous + 1) % BATCH === 0 && value === previous + 1 - BATCH
    assert.ok(value === previous + 1 || batchAgain, `${where}: ${value} comes after ${previous}`)
  }
}

function assertConsumed({ topic, partition }: Sequence, consumed: readonly Received[], log: readonly Received[]): void {
  const where = `${topic} ${partition}`
  let next = 0
  for (const { offset, value } of consumed) {
    assert.ok(Number(offset) <= next, `${where}: the consumer got ${offset} before ${next}`)
    assert.equal(value, log[Number(offset)]!.value, `${where}: offset ${offset} always shows the same record`)
    next = Math.max(next, Number(offset) + 1)
  }
  assert.equal(next, log.length, `${where}: the consumer got to the end`)
}

test(`${ROUNDS} times kill -9 in the middle of producing with acks=all`, async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers, { retry: RETRY })
  const admin = await connectedAdmin(t, kafka)
  await createTopics(
    admin,
    TOPICS.map((topic) => ({ topic, numPartitions: PARTITIONS.length })),
  )
  const groupId = 'goes-on'
  const follower = await consuming(t, kafka, {
    groupId,
    topics: [...TOPICS],
    autoCommitInterval: 50,
    sessionTimeout: 2000,
    retry: RETRY,
  })
  const committed = watchCommits(follower)
  const sequences: Sequence[] = []
  for (const topic of TOPICS) {
    for (const partition of PARTITIONS) {
      const producer = await connectedProducer(t, kafka, topic === 'once' ? { idempotent: true, maxInFlightRequests: 1 } : {})
      const sequence = new Sequence(topic, partition, producer)
      sequences.push(sequence)
      t.after(() => sequence.stop().catch(() => {}))
    }
  }

  for (let round = 0; round < ROUNDS; round++) {
    const [acknowledgedBefore, receivedBefore] = [sequences.map((s) => s.acknowledged.length), follower.received.length]
    // At another place each time, with all four producers in the middle of a send; and the consumer has gone on since the last kill.
    const atLeast = 1 + ((7 * round) % 11)
    await eventually(() => {
      for (const [i, s] of sequences.entries()) assert.ok(s.acknowledged.length >= acknowledgedBefore[i]! + atLeast)
      assert.ok(follower.received.length > receivedBefore, `the consumer goes on after kill ${round}`)
    })
    await broker.kill()
    const committedBefore = new Map(committed)
    await broker.startAgain()
    await assertCommitsKept(admin, groupId, committedBefore)
  }

  await Promise.all(sequences.map((sequence) => sequence.stop()))
  const log = await readAll(t, admin)
  for (const sequence of sequences) assertLog(sequence, sequence.of(log))
  for (const sequence of sequences) {
    const end = sequence.of(log).at(-1)!.offset
    await eventually(() => sequence.of(follower.received).some(({ offset }) => offset === end), {
      what: 'the consumer at the end',
    })
    assertConsumed(sequence, sequence.of(follower.received), sequence.of(log))
  }
})

// Strategy: a few producers commit offsets of two groups in transactions by the rules of either version, sometimes late, while others
// commit, delete offsets, groups and topics, and let offsets expire. Appends are slow or fail, the coordinator moves. All of it is drawn
// from one seed, and requests overlap.
//
// Invariants: what is answered is what the log says, as a second and slower reading of it finds. What was acknowledged is in the log.
// No producer is followed by itself in a former epoch. In the end no transaction is left open.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type ErrorName, errorName, KafkaError } from '../../protocol/error-codes.ts'
import { isMarker, type LogEntry, type Producer } from '../runtime/ports.ts'
import { drawFrom, SimulatedClock, SimulatedLog, settled } from '../runtime/simulated.ts'
import { defaultGroupConfig } from './group-config.ts'
import { GroupCoordinator } from './group-coordinator.ts'
import { groupCodec } from './group-records.ts'
import { groupsIn } from './workbench.ts'

const SEEDS = 60
const STEPS = 250
const GROUPS = ['g', 'h']
const TOPICS = ['t', 'u']
const PARTITIONS = [0, 1]
const PRODUCERS = 3

interface Reading {
  readonly offset: bigint
  readonly isUnstable: boolean
}

/** The second opinion: looks through the whole log for one partition of one group. */
function readingOf(entries: readonly LogEntry[], groupId: string, topic: string, partition: number): Reading {
  let offset = -1n
  let isUnstable = false
  entries.forEach((entry, place) => {
    if (isMarker(entry)) return
    const record = groupCodec.decode(entry.key, entry.value)!
    if (record.type !== 'OffsetCommit') return
    const { key, value } = record
    if (key.group !== groupId || key.topic !== topic || key.partition !== partition) return
    if (value === null) {
      offset = -1n
      isUnstable = false
      return
    }
    const { producer } = entry
    const end = entries.slice(place).find((later) => isMarker(later) && later.marker.producerId === producer?.producerId)
    const result = end !== undefined && isMarker(end) ? end.marker.result : undefined
    if (producer !== undefined && result === undefined) isUnstable = true
    else if (producer === undefined || result === 'commit') offset = value.offset
  })
  return { offset, isUnstable }
}

class World {
  readonly clock = new SimulatedClock()
  readonly log = new SimulatedLog()
  readonly draw: (bound: number) => number
  /** By number: where each producer is. */
  readonly producers: Producer[]
  /** Those whose transaction ends: their coordinator lets them begin no other meanwhile. */
  readonly ending = new Set<number>()
  /** Under way. */
  readonly requests = new Set<Promise<void>>()
  coordinator: GroupCoordinator
  private offsets = 0n
  failure: unknown = null

  constructor(seed: number) {
    this.draw = drawFrom(seed)
    this.producers = Array.from({ length: PRODUCERS }, (_, i) => ({ producerId: BigInt(i), producerEpoch: 0 }))
    this.coordinator = this.appoint()
  }

  private appoint(): GroupCoordinator {
    return new GroupCoordinator({
      config: { ...defaultGroupConfig, offsetsRetentionMs: 60_000 },
      partitionCount: () => 1,
      logFor: () => this.log,
      clock: this.clock,
      uuid: () => '',
      report: () => {},
    })
  }

  async move(): Promise<void> {
    this.coordinator.close()
    this.coordinator = this.appoint()
    await this.coordinator.loadPartition(0)
  }

  send(request: Promise<void>): void {
    const guarded = request
      .catch((error) => {
        this.failure ??= error
      })
      .finally(() => this.requests.delete(guarded))
    this.requests.add(guarded)
  }

  private pick<T>(from: readonly T[]): T {
    return from[this.draw(from.length)]
  }

  private offer() {
    const groupId = this.pick(GROUPS)
    const committedOffset = this.offsets++
    const partitions = PARTITIONS.filter(() => this.draw(2) === 0).map((partitionIndex) => ({
      partitionIndex,
      committedOffset,
      committedLeaderEpoch: 0,
      committedMetadata: null,
    }))
    return { groupId, committedOffset, topics: [{ name: this.pick(TOPICS), partitions }] }
  }

  /** An offset is given out once: it tells the commit. */
  private assertStored(offset: bigint, times: number): void {
    const stored = this.log.records.filter(({ key, value }) => {
      const record = groupCodec.decode(key, value)
      return record?.type === 'OffsetCommit' && record.value?.offset === offset
    })
    assert.equal(stored.length, times, `offset ${offset} was acknowledged`)
  }

  async commit(): Promise<void> {
    const { groupId, committedOffset, topics } = this.offer()
    const response = await this.coordinator.offsetCommit(
      { groupId, generationIdOrMemberEpoch: -1, memberId: '', groupInstanceId: null, retentionTimeMs: -1n, topics },
      { version: 9 },
    )
    const results = response.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorName(errorCode)))
    if (results.length > 0 && results[0] === 'NONE') this.assertStored(committedOffset, results.length)
  }

  async commitIn({ producerId, producerEpoch }: Producer): Promise<void> {
    const { groupId, committedOffset, topics } = this.offer()
    // Now and then something that was sent long ago.
    const isLate = this.draw(10) === 0 && producerEpoch > 0
    const response = await this.coordinator.txnOffsetCommit(
      {
        transactionalId: `${producerId}`,
        producerId,
        producerEpoch: isLate ? producerEpoch - 1 : producerEpoch,
        groupId,
        generationId: -1,
        memberId: '',
        groupInstanceId: null,
        topics,
      },
      { version: 5 },
    )
    const results = response.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorName(errorCode)))
    if (results.length > 0 && results[0] === 'NONE') this.assertStored(committedOffset, results.length)
  }

  /** A marker until one holds. By the rules of version 2 it brings the next epoch; by those of version 1 it may. */
  async end(number: number): Promise<void> {
    this.ending.add(number)
    const transactionVersion = 1 + this.draw(2)
    const { producerId, producerEpoch: before } = this.producers[number]
    const producer = { producerId, producerEpoch: transactionVersion === 2 || this.draw(3) === 0 ? before + 1 : before }
    this.producers[number] = producer
    const result = this.draw(2) === 0 ? 'commit' : ('abort' as const)
    for (let name: ErrorName = 'UNKNOWN_SERVER_ERROR'; name !== 'NONE'; ) {
      name = errorName(
        await this.coordinator.completeTransaction(0, { ...producer, result, coordinatorEpoch: 0, transactionVersion }),
      )
      assert.ok(name === 'NONE' || name === 'NOT_LEADER_OR_FOLLOWER', name)
      if (name !== 'NONE') await new Promise<void>((resolve) => this.clock.timer(100, resolve))
    }
    const isStored = this.log.entries.some(
      (entry) =>
        isMarker(entry) && entry.marker.producerId === producerId && entry.marker.producerEpoch === producer.producerEpoch,
    )
    assert.ok(isStored, 'a marker that was acknowledged is in the log')
    this.ending.delete(number)
  }

  async forget(): Promise<void> {
    const groupId = this.pick(GROUPS)
    const name = this.pick(TOPICS)
    switch (this.draw(4)) {
      case 0:
        await this.coordinator.deleteGroups([groupId])
        break
      case 1:
        await this.coordinator.offsetDelete({
          groupId,
          topics: [{ name, partitions: [{ partitionIndex: this.pick(PARTITIONS) }] }],
        })
        break
      case 2:
        await this.coordinator.onTopicsDeleted([name])
        break
      default:
        await this.clock.advance(this.draw(40_000))
        await this.coordinator.expireOffsets()
    }
  }

  async quiet(): Promise<void> {
    this.log.release()
    while (this.requests.size > 0) await this.clock.advance(100)
    if (this.failure !== null) throw this.failure
  }

  /** With nothing under way. */
  async check(): Promise<void> {
    const { entries } = this.log
    for (const groupId of GROUPS) {
      for (const name of TOPICS) {
        const topics = [{ name, partitionIndexes: PARTITIONS }]
        const seen = await this.coordinator.offsetFetch({ groupId, topics })
        const stable = await this.coordinator.offsetFetch({ groupId, topics, requireStable: true })
        assert.equal(errorName(seen.errorCode), 'NONE')
        const answered = seen.topics[0].partitions.map(({ committedOffset }, i) => ({
          offset: committedOffset,
          isUnstable: errorName(stable.topics[0].partitions[i].errorCode) === 'UNSTABLE_OFFSET_COMMIT',
        }))
        const expected = PARTITIONS.map((partition) => readingOf(entries, groupId, name, partition))
        assert.deepEqual(answered, expected, `${groupId} ${name}`)
      }
    }
    const epochs = new Map<bigint, number>()
    for (const entry of entries) {
      const producer = isMarker(entry) ? entry.marker : entry.producer
      if (producer === undefined) continue
      assert.ok(producer.producerEpoch >= (epochs.get(producer.producerId) ?? 0), 'epochs never go back')
      epochs.set(producer.producerId, producer.producerEpoch)
    }
  }
}

async function simulate(seed: number): Promise<World> {
  const world = new World(seed)
  const { log, draw } = world
  await world.coordinator.loadPartition(0)
  for (let step = 0; step < STEPS; step++) {
    const number = draw(PRODUCERS)
    switch (draw(12)) {
      case 0:
      case 1:
      case 2:
      case 3:
        if (!world.ending.has(number)) world.send(world.commitIn(world.producers[number]))
        break
      case 4:
      case 5:
        if (!world.ending.has(number)) world.send(world.end(number))
        break
      case 6:
        world.send(world.commit())
        break
      case 7:
        if (draw(3) === 0) world.send(world.forget())
        break
      case 8:
        log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: draw(2) === 0 }
        break
      case 9:
        log.isHeld = true
        break
      case 10:
        if (draw(4) > 0) break
        log.release()
        await world.move()
        break
      default:
        await world.quiet()
        await world.check()
    }
    if (draw(2) === 0) await settled()
  }
  log.failure = null
  await world.quiet()
  for (let number = 0; number < PRODUCERS; number++) world.send(world.end(number))
  await world.quiet()
  await world.check()
  const groups = groupsIn(log.entries)
  for (const groupId of GROUPS) assert.equal(groups.pending.hasAny(groupId), false)
  world.coordinator.close()
  return world
}

test(`offsets in transactions are what the log says, whatever happens to the coordinator (${SEEDS} seeds)`, async () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      await simulate(seed)
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
})

test('a log that is cut after any record or marker loads to what it says', async () => {
  const { log } = await simulate(4711)
  for (let count = 0; count <= log.entries.length; count++) {
    const entries = log.entries.slice(0, count)
    const groups = groupsIn(entries)
    for (const groupId of GROUPS) {
      for (const topic of TOPICS) {
        for (const partition of PARTITIONS) {
          const { offset, isUnstable } = readingOf(entries, groupId, topic, partition)
          assert.equal(groups.offsets.get(groupId, topic, partition)?.offset ?? -1n, offset)
          assert.equal(groups.pending.has(groupId, topic, partition), isUnstable)
        }
      }
      if (groups.hasOffsets(groupId)) assert.equal(groups.get(groupId)?.state, 'Empty', 'offsets belong to a group')
    }
  }
})

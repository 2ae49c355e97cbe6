// Strategy: a handful of members, static and dynamic, live by the rules of Kafka's clients through crashes, restarts, departures,
// appends that are slow or fail, and a coordinator that moves, all of it drawn from one seed. They commit with and without
// transactions, whose markers come until they are acknowledged. Then the trouble stops.
//
// Invariants: in a generation each partition has one owner. Every request is answered within the rebalance time-out. An offset whose
// commit was acknowledged is never lost, nor one whose transaction was committed; one that was aborted is never seen. What a new coordinator reads from the log is what the old one held as stored. Once the
// trouble has stopped, all members end up in one stable generation that owns every partition.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeSubscription } from '../../protocol/consumer-protocol.ts'
import { type ErrorName, errorName, KafkaError } from '../../protocol/error-codes.ts'
import { isMarker, type Producer } from '../runtime/ports.ts'
import { drawFrom, SimulatedClock, SimulatedLog, settled } from '../runtime/simulated.ts'
import { defaultGroupConfig } from './group-config.ts'
import { GroupCoordinator } from './group-coordinator.ts'
import type { Groups } from './groups.ts'
import { groupsIn } from './workbench.ts'

const SEEDS = 12
const GROUP = 'simulated'
const PARTITIONS = 12
const SESSION_MS = 10_000
const REBALANCE_MS = 20_000
/** A slow append holds up answers for at most this long. */
const SLOW_APPEND_MS = 4_000
const TROUBLE_MS = 10 * 60_000
const CALM_MS = 3 * 60_000

class World {
  readonly clock = new SimulatedClock()
  readonly log = new SimulatedLog()
  readonly draw: (bound: number) => number
  coordinator: GroupCoordinator
  isCalm = false
  /** By generation and partition, who was told that it owns it. */
  readonly owners = new Map<string, string>()
  /** By partition, the last acknowledged offset. */
  readonly committed = new Map<number, bigint>()
  /** Metadata of commits in transactions that were aborted. */
  readonly aborted = new Set<string>()
  readonly waiting = new Map<Promise<unknown>, string>()
  private ids = 0

  constructor(seed: number) {
    this.draw = drawFrom(seed)
    this.coordinator = this.appoint()
  }

  private appoint(): GroupCoordinator {
    return new GroupCoordinator({
      config: { ...defaultGroupConfig, offsetsRetentionCheckIntervalMs: 30_000 },
      partitionCount: () => 1,
      logFor: () => this.log,
      clock: this.clock,
      uuid: () => `${++this.ids}`,
      report: () => {},
    })
  }

  /** The coordinator moves: what was in memory is gone. */
  async move(): Promise<void> {
    this.coordinator.close()
    this.coordinator = this.appoint()
    await this.coordinator.loadPartition(0)
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.timer(ms, resolve))
  }

  /** What a transaction coordinator does once it has decided: a marker until one holds, whatever became of the producer. */
  async endTransaction(producer: Producer, result: 'commit' | 'abort'): Promise<void> {
    const end = { ...producer, result, coordinatorEpoch: 0, transactionVersion: 2 }
    for (;;) {
      const answer = this.coordinator.completeTransaction(0, end)
      const errorCode = await this.timed('a marker', SLOW_APPEND_MS, answer)
      if (errorCode === 0) return
      assert.equal(errorName(errorCode), 'NOT_LEADER_OR_FOLLOWER')
      await this.sleep(200)
    }
  }

  /** Holds a request to its time. */
  async timed<T>(what: string, limitMs: number, answer: Promise<T>): Promise<T> {
    const started = this.clock.monotonicMs()
    this.waiting.set(answer, what)
    const response = await answer
    this.waiting.delete(answer)
    const tookMs = this.clock.monotonicMs() - started
    assert.ok(tookMs <= limitMs, `${what} took ${tookMs} ms`)
    return response
  }
}

class SimulatedMember {
  readonly name: string
  private readonly world: World
  readonly instanceId: string | null
  private memberId = ''
  generationId = -1
  owned: number[] = []
  isAlive = true
  private producer: Producer
  private commits = 0
  /** Changes now and then, which makes the group rebalance. */
  private favourites = ['range', 'roundrobin']

  constructor(world: World, number: number, instanceId: string | null) {
    this.world = world
    this.name = `m${number}`
    this.instanceId = instanceId
    this.producer = { producerId: BigInt(number), producerEpoch: 0 }
  }

  async run(): Promise<void> {
    while (this.isAlive) {
      const error = (await this.joinAndSync()) ?? (await this.consume())
      if (!this.isAlive) return
      if (error === 'UNKNOWN_MEMBER_ID') this.memberId = ''
      if (error === 'FENCED_INSTANCE_ID') this.isAlive = false
      if (error === 'UNKNOWN_MEMBER_ID' || error === 'ILLEGAL_GENERATION') this.generationId = -1
      this.owned = []
      if (error !== 'REBALANCE_IN_PROGRESS' && error !== 'MEMBER_ID_REQUIRED') await this.world.sleep(100)
    }
  }

  /** Busy for longer than others will wait: with a heartbeat in the background, as most clients have one, or without. */
  private async maybeDawdle(generationId: number): Promise<void> {
    const { world, memberId, instanceId: groupInstanceId } = this
    if (world.isCalm || world.draw(20) > 0) return
    const beats = world.draw(3) > 0
    for (let left = world.draw(2 * REBALANCE_MS); left > 0 && this.isAlive; left -= 3_000) {
      await world.sleep(3_000)
      if (beats) world.coordinator.heartbeat({ groupId: GROUP, memberId, generationId, groupInstanceId })
    }
  }

  private async joinAndSync(): Promise<ErrorName | null> {
    const { world } = this
    await this.maybeDawdle(this.generationId)
    const context = { version: 9, clientId: this.name, clientHost: '/10.0.0.1' }
    const joined = await world.timed(
      'a join',
      REBALANCE_MS + SLOW_APPEND_MS,
      world.coordinator.joinGroup(
        {
          groupId: GROUP,
          sessionTimeoutMs: SESSION_MS,
          rebalanceTimeoutMs: REBALANCE_MS,
          memberId: this.memberId,
          groupInstanceId: this.instanceId,
          protocolType: 'consumer',
          protocols: this.favourites.map((name) => ({ name, metadata: encodeSubscription({ topics: ['t'] }) })),
          reason: null,
        },
        context,
      ),
    )
    if (!this.isAlive) return null
    if (joined.errorCode !== 0) {
      if (errorName(joined.errorCode) === 'MEMBER_ID_REQUIRED') this.memberId = joined.memberId
      return errorName(joined.errorCode)
    }
    this.memberId = joined.memberId
    const generationId = joined.generationId!
    const members = joined.members ?? []
    const assignments = joined.skipAssignment
      ? []
      : members.map(({ memberId }, i) => ({
          memberId,
          assignment: Buffer.from(Array.from({ length: PARTITIONS }, (_, p) => p).filter((p) => p % members.length === i)),
        }))
    await this.maybeDawdle(generationId)
    const synced = await world.timed(
      'a sync',
      REBALANCE_MS + SLOW_APPEND_MS,
      world.coordinator.syncGroup({
        groupId: GROUP,
        generationId,
        memberId: this.memberId,
        groupInstanceId: this.instanceId,
        protocolType: 'consumer',
        protocolName: joined.protocolName ?? null,
        assignments,
      }),
    )
    if (!this.isAlive) return null
    if (synced.errorCode !== 0) return errorName(synced.errorCode)
    this.generationId = generationId
    this.owned = [...synced.assignment]
    for (const partition of this.owned) {
      const key = `generation ${generationId} partition ${partition}`
      const owner = this.instanceId ?? this.memberId
      assert.equal(world.owners.get(key) ?? owner, owner, key)
      world.owners.set(key, owner)
    }
    return null
  }

  private async consume(): Promise<ErrorName> {
    const { world } = this
    for (;;) {
      await world.sleep(1_000 + world.draw(2_000))
      if (!this.isAlive) return 'NONE'
      const { memberId, generationId, instanceId: groupInstanceId } = this
      const beat = world.coordinator.heartbeat({ groupId: GROUP, memberId, generationId, groupInstanceId })
      if (beat.errorCode !== 0) return errorName(beat.errorCode)
      if (!world.isCalm && world.draw(60) === 0) {
        this.favourites.reverse()
        return 'REBALANCE_IN_PROGRESS'
      }
      if (this.owned.length > 0 && world.draw(2) === 0) {
        const partition = this.owned[world.draw(this.owned.length)]
        const error = world.draw(2) === 0 ? await this.commit(partition) : await this.commitInTransaction(partition)
        if (error !== 'NONE' && error !== 'COORDINATOR_NOT_AVAILABLE') return error
      }
    }
  }

  private async commit(partitionIndex: number): Promise<ErrorName> {
    const { world } = this
    const { committedOffset, topics: offered } = this.next(partitionIndex)
    const { topics } = await world.timed(
      'a commit',
      SLOW_APPEND_MS,
      world.coordinator.offsetCommit(
        {
          groupId: GROUP,
          generationIdOrMemberEpoch: this.generationId,
          memberId: this.memberId,
          groupInstanceId: this.instanceId,
          retentionTimeMs: -1n,
          topics: offered,
        },
        { version: 9 },
      ),
    )
    const error = errorName(topics[0].partitions[0].errorCode)
    if (error === 'NONE') this.hasCommitted(partitionIndex, committedOffset)
    return error
  }

  /** Stores an offset, perhaps more than once, and then goes through with it, or does not. */
  private async commitInTransaction(partitionIndex: number): Promise<ErrorName> {
    const { world, producer } = this
    const { committedOffset, committedMetadata, topics: offered } = this.next(partitionIndex)
    let error: ErrorName = 'NONE'
    for (let writes = 1 + world.draw(2); writes > 0 && error === 'NONE'; writes--) {
      const { topics } = await world.timed(
        'a commit in a transaction',
        SLOW_APPEND_MS,
        world.coordinator.txnOffsetCommit(
          {
            ...producer,
            transactionalId: this.name,
            groupId: GROUP,
            generationId: this.generationId,
            memberId: this.memberId,
            groupInstanceId: this.instanceId,
            topics: offered,
          },
          { version: 5 },
        ),
      )
      error = errorName(topics[0].partitions[0].errorCode)
    }
    if (world.draw(4) === 0) await world.sleep(world.draw(SESSION_MS))
    this.producer = { ...producer, producerEpoch: producer.producerEpoch + 1 }
    const commits = error === 'NONE' && world.draw(3) > 0
    if (!commits) world.aborted.add(committedMetadata)
    await world.endTransaction(this.producer, commits ? 'commit' : 'abort')
    if (commits) this.hasCommitted(partitionIndex, committedOffset)
    return error
  }

  private next(partitionIndex: number) {
    const committedOffset = (this.world.committed.get(partitionIndex) ?? 0n) + 1n
    const committedMetadata = `${this.name}/${this.commits++}`
    const partition = { partitionIndex, committedOffset, committedLeaderEpoch: 0, committedMetadata }
    return { committedOffset, committedMetadata, topics: [{ name: 't', partitions: [partition] }] }
  }

  private hasCommitted(partitionIndex: number, offset: bigint): void {
    const { committed } = this.world
    if ((committed.get(partitionIndex) ?? 0n) < offset) committed.set(partitionIndex, offset)
  }

  async leave(): Promise<void> {
    this.isAlive = false
    const members = [{ memberId: this.memberId, groupInstanceId: this.instanceId, reason: 'done' }]
    await this.world.coordinator.leaveGroup({ groupId: GROUP, memberId: '', members }, { version: 5 })
  }
}

/** What is stored of a group, as far as it can be compared: a group that rebalances has moved on in memory. */
function storedState(groups: Groups): unknown {
  const group = groups.get(GROUP)
  const isSettled = group?.state === 'Stable' || group?.state === 'Empty'
  return {
    offsets: [...groups.offsets.of(GROUP)].map(([topic, partitions]) => [topic, [...partitions].sort(([a], [b]) => a - b)]),
    pending: [...groups.pending.of(GROUP)].map(([topic, partitions]) => [topic, [...partitions].sort(([a], [b]) => a - b)]),
    group: isSettled && {
      state: group.state,
      generationId: group.generationId,
      protocol: [group.protocolType, group.protocolName],
      leader: group.leaderId,
      timestamp: group.stateTimestampMs,
      members: [...group.members.values()]
        .map((member) => [member.memberId, member.groupInstanceId, member.assignment.toString('hex'), member.sessionTimeoutMs])
        .sort(),
    },
  }
}

/** Reads what a live coordinator holds, once it is quiet. */
async function assertStored(world: World): Promise<void> {
  if (world.log.isHeld) return
  const fresh = groupsIn(world.log.entries)
  const described = await world.coordinator.describeGroups([GROUP], { version: 5 })
  if (described[0].errorCode !== 0) return
  const fetched = await world.coordinator.offsetFetch({ groupId: GROUP, topics: null })
  for (const { metadata } of fetched.topics.flatMap(({ partitions }) => partitions)) {
    assert.ok(!world.aborted.has(metadata), `${metadata} was aborted`)
  }
  const live = fetched.topics.flatMap(({ partitions }) => partitions.map((p) => [p.partitionIndex, p.committedOffset]))
  const read = [...(fresh.offsets.of(GROUP).get('t') ?? [])].map(([partition, { offset }]) => [partition, offset])
  assert.deepEqual(live.sort(), read.sort())
  const partitionIndexes = Array.from({ length: PARTITIONS }, (_, partition) => partition)
  const stable = await world.coordinator.offsetFetch({
    groupId: GROUP,
    topics: [{ name: 't', partitionIndexes }],
    requireStable: true,
  })
  assert.deepEqual(
    stable.topics[0].partitions.map(({ errorCode }) => errorName(errorCode) === 'UNSTABLE_OFFSET_COMMIT'),
    partitionIndexes.map((partition) => fresh.pending.has(GROUP, 't', partition)),
  )
  const group = fresh.get(GROUP)
  if (described[0].groupState !== 'Stable' || group === undefined) return
  assert.equal(group.state, 'Stable')
  assert.deepEqual(
    described[0].members.map((member) => [member.memberId, member.memberAssignment.toString('hex')]).sort(),
    [...group.members.values()].map((member) => [member.memberId, member.assignment.toString('hex')]).sort(),
  )
}

async function simulate(seed: number): Promise<World> {
  const world = new World(seed)
  await world.coordinator.loadPartition(0)
  let failed: unknown = null
  let count = 0
  const members: SimulatedMember[] = []
  const begin = (instanceId: string | null) => {
    const member = new SimulatedMember(world, count++, instanceId)
    members.push(member)
    member.run().catch((error) => {
      failed ??= error
    })
  }
  const living = () => members.filter((member) => member.isAlive)
  const pick = () => living()[world.draw(living().length)]
  for (let i = 0; i < 4; i++) begin(i < 2 ? `static-${i}` : null)

  for (let passed = 0; passed < TROUBLE_MS && failed === null; ) {
    const step = 500 + world.draw(5_000)
    passed += step
    await world.clock.advance(step)
    switch (world.draw(10)) {
      case 0:
        if (living().length < 6) begin(null)
        break
      case 1:
        if (living().length > 1) await pick().leave()
        break
      case 2: {
        // It stops without a word; a static one is started again at once.
        if (living().length < 2) break
        const victim = pick()
        victim.isAlive = false
        if (victim.instanceId !== null) begin(victim.instanceId)
        break
      }
      case 3:
        world.log.failure = { error: new KafkaError('REQUEST_TIMED_OUT'), isKept: world.draw(2) === 0 }
        break
      case 4:
        world.log.isHeld = true
        await world.clock.advance(world.draw(SLOW_APPEND_MS))
        world.log.release()
        break
      case 5:
        if (world.draw(3) === 0) await world.move()
        break
      default:
        await settled()
        await assertStored(world)
    }
  }
  world.isCalm = true
  world.log.failure = null
  await world.clock.advance(CALM_MS)
  if (failed !== null) throw failed

  const [description] = await world.coordinator.describeGroups([GROUP], { version: 6 })
  assert.equal(description.groupState, 'Stable')
  assert.equal(description.members.length, living().length, 'all who live are in the group')
  assert.equal(new Set(living().map((member) => member.generationId)).size, 1, 'all are in one generation')
  assert.deepEqual(
    living()
      .flatMap((member) => member.owned)
      .sort((a, b) => a - b),
    Array.from({ length: PARTITIONS }, (_, p) => p),
    'each partition has one owner',
  )
  const { topics } = await world.coordinator.offsetFetch({ groupId: GROUP, topics: null })
  for (const [partition, offset] of world.committed) {
    const found = topics[0].partitions.find(({ partitionIndex }) => partitionIndex === partition)
    assert.ok((found?.committedOffset ?? -1n) >= offset, `partition ${partition} was committed up to ${offset}`)
  }
  assert.deepEqual([...world.waiting.values()], [], 'nobody waits in a stable group')
  assert.ok(world.log.entries.some(isMarker), 'there were transactions')
  await assertStored(world)
  world.coordinator.close()
  return world
}

for (let seed = 1; seed <= SEEDS; seed++) {
  test(`members find together through trouble, and lose nothing that was acknowledged (seed ${seed})`, async () => {
    await simulate(seed)
  })
}

test('a log that is cut after any record loads to a group that makes sense, and is the same however often it is read', async () => {
  const { log } = await simulate(4711)
  for (let count = 0; count <= log.entries.length; count++) {
    const groups = groupsIn(log.entries.slice(0, count))
    assert.deepEqual(storedState(groupsIn(log.entries.slice(0, count))), storedState(groups))
    const group = groups.get(GROUP)
    if (group === undefined) continue
    assert.equal(group.state, group.members.size === 0 ? 'Empty' : 'Stable')
    assert.equal(group.leaderId === null, group.members.size === 0)
    if (group.leaderId !== null) assert.ok(group.members.has(group.leaderId))
    const owned = [...group.members.values()].flatMap((member) => [...member.assignment])
    assert.equal(new Set(owned).size, owned.length, 'a partition has one owner')
  }
})

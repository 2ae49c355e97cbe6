import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeSubscription } from '../../protocol/consumer-protocol.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { SimulatedClock, SimulatedLog, settled } from '../runtime/simulated.ts'
import { defaultGroupConfig, type GroupConfig } from './group-config.ts'
import type { GroupRequestContext, VerifyTransaction } from './group-coordinator.ts'
import { GroupCoordinator } from './group-coordinator.ts'

const context: GroupRequestContext = { version: 9, clientId: 'client', clientHost: '/127.0.0.1' }

function start(
  config: Partial<GroupConfig> = {},
  log = new SimulatedLog(),
  topicIdOf?: (topic: string) => string,
  verifyTransaction?: VerifyTransaction,
) {
  const clock = new SimulatedClock()
  let ids = 0
  const lines: string[] = []
  const coordinator = new GroupCoordinator({
    config: { ...defaultGroupConfig, ...config },
    partitionCount: () => 1,
    logFor: () => log,
    clock,
    uuid: () => `uuid-${ids++}`,
    topicIdOf,
    verifyTransaction,
    report: (line, cause) => lines.push(cause === undefined ? line : `${line}: ${cause}`),
  })
  return { coordinator, clock, log, lines }
}

const joining = (memberId: string, groupInstanceId: string | null = null) => ({
  groupId: 'g',
  sessionTimeoutMs: 10_000,
  rebalanceTimeoutMs: 60_000,
  memberId,
  groupInstanceId,
  protocolType: 'consumer',
  protocols: [{ name: 'range', metadata: encodeSubscription({ topics: ['t'] }) }],
  reason: null,
})

const syncing = (memberId: string, generationId: number, assignments: { memberId: string; assignment: Buffer }[] = []) => ({
  groupId: 'g',
  generationId,
  memberId,
  groupInstanceId: null,
  protocolType: 'consumer',
  protocolName: 'range',
  assignments,
})

const committing = (committedOffset: bigint, memberId = '', generation = -1) => ({
  groupId: 'g',
  generationIdOrMemberEpoch: generation,
  memberId,
  groupInstanceId: null,
  retentionTimeMs: -1n,
  topics: [
    { name: 't', partitions: [{ partitionIndex: 0, committedOffset, committedLeaderEpoch: 3, committedMetadata: 'note' }] },
  ],
})

const fetching = { groupId: 'g', topics: [{ name: 't', partitionIndexes: [0] }] }

async function oneMember(
  coordinator: GroupCoordinator,
  clock: SimulatedClock,
): Promise<{ memberId: string; generationId: number }> {
  const { memberId } = await coordinator.joinGroup(joining(''), context)
  const join = coordinator.joinGroup(joining(memberId), context)
  await clock.advance(3_000)
  const { generationId, errorCode } = await join
  assert.equal(errorCode, ErrorCode.NONE)
  const sync = await coordinator.syncGroup(syncing(memberId, generationId!, [{ memberId, assignment: Buffer.from('all') }]))
  assert.equal(sync.errorCode, ErrorCode.NONE)
  assert.equal(sync.assignment.toString(), 'all')
  return { memberId, generationId: generationId! }
}

test('a member joins, syncs, heartbeats, commits, and finds its offset', async () => {
  const { coordinator, clock } = start()
  await coordinator.loadPartition(0)
  const { memberId, generationId } = await oneMember(coordinator, clock)
  assert.deepEqual(coordinator.heartbeat({ groupId: 'g', generationId, memberId, groupInstanceId: null }), { errorCode: 0 })
  const committed = await coordinator.offsetCommit(committing(42n, memberId, generationId), context)
  assert.deepEqual(committed.topics, [{ name: 't', partitions: [{ partitionIndex: 0, errorCode: 0 }] }])
  const fetched = await coordinator.offsetFetch(fetching)
  assert.deepEqual(fetched.topics[0].partitions, [
    { partitionIndex: 0, committedOffset: 42n, committedLeaderEpoch: 3, metadata: 'note', errorCode: 0 },
  ])
})

test('what was acknowledged is there after a restart, and the member goes on where it was', async () => {
  const before = start()
  await before.coordinator.loadPartition(0)
  const { memberId, generationId } = await oneMember(before.coordinator, before.clock)
  await before.coordinator.offsetCommit(committing(42n, memberId, generationId), context)
  before.coordinator.close()

  const { coordinator } = start({}, before.log)
  await coordinator.loadPartition(0)
  assert.deepEqual(coordinator.heartbeat({ groupId: 'g', generationId, memberId, groupInstanceId: null }), { errorCode: 0 })
  const sync = await coordinator.syncGroup(syncing(memberId, generationId))
  assert.equal(sync.assignment.toString(), 'all')
  assert.equal((await coordinator.offsetFetch(fetching)).topics[0].partitions[0].committedOffset, 42n)
})

test('an append that fails is undone: the commit is refused, and the offset before it is what counts', async () => {
  const { coordinator, log } = start()
  await coordinator.loadPartition(0)
  await coordinator.offsetCommit(committing(1n), context)
  log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: false }
  const refused = await coordinator.offsetCommit(committing(2n), context)
  assert.equal(refused.topics[0].partitions[0].errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE)
  await settled()
  assert.equal((await coordinator.offsetFetch(fetching)).topics[0].partitions[0].committedOffset, 1n)
})

test('a coordinator whose log fails lets members go on: they try again, and are still in their group', async () => {
  const { coordinator, clock, log } = start()
  await coordinator.loadPartition(0)
  const { memberId, generationId } = await oneMember(coordinator, clock)
  log.failure = { error: new KafkaError('KAFKA_STORAGE_ERROR'), isKept: false }
  const refused = await coordinator.offsetCommit(committing(2n, memberId, generationId), context)
  assert.equal(refused.topics[0].partitions[0].errorCode, ErrorCode.NOT_COORDINATOR)
  await settled()
  assert.equal(coordinator.heartbeat({ groupId: 'g', generationId, memberId, groupInstanceId: null }).errorCode, 0)
  const stored = await coordinator.offsetCommit(committing(2n, memberId, generationId), context)
  assert.equal(stored.topics[0].partitions[0].errorCode, ErrorCode.NONE)
})

test('an assignment that cannot be stored is told to nobody', async () => {
  const { coordinator, clock, log } = start()
  await coordinator.loadPartition(0)
  const { memberId } = await coordinator.joinGroup(joining(''), context)
  const join = coordinator.joinGroup(joining(memberId), context)
  await clock.advance(3_000)
  const { generationId } = await join
  log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: false }
  const sync = await coordinator.syncGroup(syncing(memberId, generationId!, [{ memberId, assignment: Buffer.from('all') }]))
  assert.equal(sync.errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE)
  assert.equal(sync.assignment.length, 0)
  await settled()
  const again = await coordinator.joinGroup(joining(memberId), context)
  assert.equal(again.errorCode, ErrorCode.UNKNOWN_MEMBER_ID)
})

test('while groups are loaded requests are refused for now, but heartbeats are not', async () => {
  const { coordinator, log } = start()
  log.isHeld = true
  const loaded = coordinator.loadPartition(0)
  const loading = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS
  const beat = { groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null }
  assert.equal(coordinator.heartbeat(beat).errorCode, ErrorCode.NONE)
  assert.equal((await coordinator.joinGroup(joining('m'), context)).errorCode, loading)
  assert.equal((await coordinator.syncGroup(syncing('m', 1))).errorCode, loading)
  assert.equal((await coordinator.offsetCommit(committing(1n), context)).topics[0].partitions[0].errorCode, loading)
  assert.equal((await coordinator.offsetFetch(fetching)).errorCode, loading)
  assert.equal((await coordinator.listGroups({ statesFilter: [], typesFilter: [] })).errorCode, loading)
  assert.equal((await coordinator.describeGroups(['g'], context))[0].errorCode, loading)
  assert.deepEqual(await coordinator.deleteGroups(['g']), [{ groupId: 'g', errorCode: loading }])
  log.release()
  await loaded
  assert.equal(coordinator.heartbeat(beat).errorCode, ErrorCode.UNKNOWN_MEMBER_ID)
})

test('a group that another broker coordinates is not ours to answer for', async () => {
  const { coordinator } = start()
  const elsewhere = ErrorCode.NOT_COORDINATOR
  assert.equal((await coordinator.joinGroup(joining(''), context)).errorCode, elsewhere)
  assert.equal(
    coordinator.heartbeat({ groupId: 'g', generationId: 1, memberId: 'm', groupInstanceId: null }).errorCode,
    elsewhere,
  )
  assert.deepEqual(await coordinator.listGroups({ statesFilter: [], typesFilter: [] }), { errorCode: 0, groups: [] })
  await coordinator.loadPartition(0)
  const parked = coordinator.joinGroup(joining('', 'static'), context)
  await settled()
  coordinator.unloadPartition(0)
  assert.equal((await parked).errorCode, elsewhere)
  coordinator.close()
  assert.equal((await coordinator.offsetFetch(fetching)).errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE)
})

test('group ids are not empty, but for clients that only commit, nor longer than a record can say', async () => {
  const { coordinator } = start()
  await coordinator.loadPartition(0)
  for (const groupId of ['', 'x'.repeat(32_768)]) {
    const invalid = ErrorCode.INVALID_GROUP_ID
    assert.equal((await coordinator.joinGroup({ ...joining(''), groupId }, context)).errorCode, invalid)
    assert.equal((await coordinator.syncGroup({ ...syncing('m', 1), groupId })).errorCode, invalid)
    assert.equal(coordinator.heartbeat({ groupId, generationId: 1, memberId: 'm', groupInstanceId: null }).errorCode, invalid)
    assert.equal((await coordinator.leaveGroup({ groupId, memberId: 'm', members: [] }, context)).errorCode, invalid)
    assert.equal((await coordinator.offsetDelete({ groupId, topics: [] })).errorCode, invalid)
    assert.deepEqual(await coordinator.deleteGroups([groupId]), [{ groupId, errorCode: invalid }])
  }
  const stored = await coordinator.offsetCommit({ ...committing(3n), groupId: '' }, context)
  assert.equal(stored.topics[0].partitions[0].errorCode, ErrorCode.NONE)
  assert.equal((await coordinator.offsetFetch({ ...fetching, groupId: '' })).topics[0].partitions[0].committedOffset, 3n)
  const long = await coordinator.offsetCommit({ ...committing(3n), groupId: 'x'.repeat(32_768) }, context)
  assert.equal(long.topics[0].partitions[0].errorCode, ErrorCode.INVALID_GROUP_ID)
})

test('a session time-out outside of what the broker allows is refused', async () => {
  const { coordinator } = start({ minSessionTimeoutMs: 6_000, maxSessionTimeoutMs: 300_000 })
  await coordinator.loadPartition(0)
  for (const sessionTimeoutMs of [5_999, 300_001, -1]) {
    const { errorCode } = await coordinator.joinGroup({ ...joining(''), sessionTimeoutMs }, context)
    assert.equal(errorCode, ErrorCode.INVALID_SESSION_TIMEOUT)
  }
})

test('versions of JoinGroup: from 4 on an id is required, up to 6 no protocol is an empty name, later null', async () => {
  const { coordinator } = start()
  await coordinator.loadPartition(0)
  const refused = (version: number) => coordinator.joinGroup(joining('nobody'), { ...context, version })
  assert.equal((await refused(6)).protocolName, '')
  assert.equal((await refused(7)).protocolName, null)
  assert.equal((await coordinator.joinGroup(joining(''), { ...context, version: 4 })).errorCode, ErrorCode.MEMBER_ID_REQUIRED)
  const parked = coordinator.joinGroup(joining(''), { ...context, version: 3 })
  await settled()
  coordinator.close()
  assert.equal((await parked).errorCode, ErrorCode.COORDINATOR_NOT_AVAILABLE)
})

test('up to version 2 of LeaveGroup one member leaves, and its error is the whole answer', async () => {
  const { coordinator, clock } = start()
  await coordinator.loadPartition(0)
  const { memberId } = await oneMember(coordinator, clock)
  const leaving = (id: string) => coordinator.leaveGroup({ groupId: 'g', memberId: id, members: [] }, { version: 2 })
  assert.deepEqual(await leaving('nobody'), { errorCode: ErrorCode.UNKNOWN_MEMBER_ID, members: [] })
  assert.deepEqual(await leaving(memberId), { errorCode: ErrorCode.NONE, members: [] })
  const members = [{ memberId: 'nobody', groupInstanceId: null, reason: null }]
  const batch = await coordinator.leaveGroup({ groupId: 'g', memberId: '', members }, { version: 3 })
  assert.deepEqual(batch, {
    errorCode: ErrorCode.NONE,
    members: [{ memberId: 'nobody', groupInstanceId: null, errorCode: ErrorCode.UNKNOWN_MEMBER_ID }],
  })
})

test('the offsets of deleted topics are gone, also after a restart', async () => {
  const before = start()
  await before.coordinator.loadPartition(0)
  await before.coordinator.offsetCommit(committing(1n), context)
  await before.coordinator.onTopicsDeleted(['t'])
  before.coordinator.close()
  const { coordinator } = start({}, before.log)
  await coordinator.loadPartition(0)
  assert.deepEqual((await coordinator.offsetFetch({ groupId: 'g', topics: null })).topics, [])
})

test('offsets expire by themselves at the next check', async () => {
  const { coordinator, clock } = start({ offsetsRetentionMs: 60_000, offsetsRetentionCheckIntervalMs: 40_000 })
  await coordinator.loadPartition(0)
  await coordinator.offsetCommit(committing(1n), context)
  await clock.advance(79_999)
  assert.equal((await coordinator.offsetFetch(fetching)).topics[0].partitions[0].committedOffset, 1n)
  await clock.advance(1)
  assert.equal((await coordinator.offsetFetch(fetching)).topics[0].partitions[0].committedOffset, -1n)
  assert.deepEqual((await coordinator.listGroups({ statesFilter: [], typesFilter: [] })).groups, [])
})

test('a sweep over many groups lets others in between', async () => {
  const { coordinator, clock } = start()
  await coordinator.loadPartition(0)
  const groups = Array.from({ length: 500 }, (_, i) => `group-${i}`)
  await Promise.all(groups.map((groupId) => coordinator.offsetCommit({ ...committing(1n), groupId }, context)))
  const swept = coordinator.onTopicsDeleted(['t'])
  await settled()
  const left = await coordinator.offsetFetch({ ...fetching, groupId: 'group-499' })
  assert.equal(left.topics[0].partitions[0].committedOffset, 1n)
  await clock.advance(1)
  await swept
  const gone = await coordinator.offsetFetch({ ...fetching, groupId: 'group-499' })
  assert.equal(gone.topics[0].partitions[0].committedOffset, -1n)
})

test('nothing is left ticking after a close', async () => {
  const { coordinator, clock } = start()
  await coordinator.loadPartition(0)
  await oneMember(coordinator, clock)
  coordinator.close()
  assert.equal(clock.timers, 0)
})

test('what could not be stored later is refused at the door', async () => {
  const { coordinator } = start()
  await coordinator.loadPartition(0)
  const long = 'x'.repeat(32_767)
  const refused = ErrorCode.INVALID_REQUEST
  assert.equal((await coordinator.joinGroup(joining('', long), context)).errorCode, refused)
  assert.equal((await coordinator.joinGroup(joining(''), { ...context, clientId: long })).errorCode, refused)
  assert.equal((await coordinator.joinGroup({ ...joining(''), protocolType: `${long}x` }, context)).errorCode, refused)
  const protocols = [{ name: `${long}x`, metadata: Buffer.alloc(0) }]
  assert.equal((await coordinator.joinGroup({ ...joining(''), protocols }, context)).errorCode, refused)
})

// ── transactions ────────────────────────────────────────────────────────────────────────────────────────────────────

const producer = { producerId: 1n, producerEpoch: 0 }

const committingIn = (committedOffset: bigint, producerEpoch = 0) => ({
  transactionalId: 'tx',
  groupId: 'g',
  producerId: 1n,
  producerEpoch,
  generationId: -1,
  memberId: '',
  groupInstanceId: null,
  topics: committing(committedOffset).topics,
})

const ending = (result: 'commit' | 'abort') => ({ ...producer, result, coordinatorEpoch: 0, transactionVersion: 1 })

const codeIn = ({ topics }: { topics: readonly { partitions: readonly { errorCode: number }[] }[] }) =>
  topics[0].partitions[0].errorCode

test('an offset is committed with its transaction, also when the coordinator restarts in between', async () => {
  const before = start()
  await before.coordinator.loadPartition(0)
  const stored = await before.coordinator.txnOffsetCommit(committingIn(42n), context)
  assert.deepEqual(stored.topics, [{ name: 't', partitions: [{ partitionIndex: 0, errorCode: 0 }] }])
  before.coordinator.close()
  const { coordinator } = start({}, before.log)
  await coordinator.loadPartition(0)
  const stable = { ...fetching, requireStable: true }
  assert.equal(codeIn(await coordinator.offsetFetch(stable)), ErrorCode.UNSTABLE_OFFSET_COMMIT)
  assert.equal((await coordinator.offsetFetch(fetching)).topics[0].partitions[0].committedOffset, -1n)
  assert.equal(await coordinator.completeTransaction(0, ending('commit')), ErrorCode.NONE)
  assert.equal((await coordinator.offsetFetch(stable)).topics[0].partitions[0].committedOffset, 42n)
})

test('an append that fails leaves a transaction as the log has it: the producer and the sender of markers try again', async () => {
  const { coordinator, log } = start()
  await coordinator.loadPartition(0)
  log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: false }
  assert.equal(codeIn(await coordinator.txnOffsetCommit(committingIn(1n), context)), ErrorCode.COORDINATOR_NOT_AVAILABLE)
  await settled()
  assert.equal(codeIn(await coordinator.txnOffsetCommit(committingIn(2n), context)), ErrorCode.NONE)
  log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: false }
  assert.equal(await coordinator.completeTransaction(0, ending('commit')), ErrorCode.NOT_LEADER_OR_FOLLOWER)
  await settled()
  assert.equal((await coordinator.offsetFetch(fetching)).topics[0].partitions[0].committedOffset, -1n)
  assert.equal(await coordinator.completeTransaction(0, ending('commit')), ErrorCode.NONE)
  assert.equal((await coordinator.offsetFetch(fetching)).topics[0].partitions[0].committedOffset, 2n)
})

test('producers before version 2 take a group that is loaded for one that is not available', async () => {
  const { coordinator, log } = start()
  log.isHeld = true
  const loaded = coordinator.loadPartition(0)
  const told = async (version: number) => codeIn(await coordinator.txnOffsetCommit(committingIn(1n), { version }))
  assert.equal(await told(1), ErrorCode.COORDINATOR_NOT_AVAILABLE)
  assert.equal(await told(2), ErrorCode.COORDINATOR_LOAD_IN_PROGRESS)
  log.release()
  await loaded
  assert.equal(await told(1), ErrorCode.NONE)
})

test('markers for a partition that is not coordinated here are sent to its leader', async () => {
  const { coordinator, log } = start()
  const elsewhere = ErrorCode.NOT_LEADER_OR_FOLLOWER
  assert.equal(await coordinator.completeTransaction(0, ending('commit')), elsewhere)
  log.isHeld = true
  const loaded = coordinator.loadPartition(0)
  assert.equal(await coordinator.completeTransaction(0, ending('commit')), elsewhere)
  log.release()
  await loaded
  assert.equal(await coordinator.completeTransaction(0, { ...ending('commit'), producerId: 9n }), ErrorCode.NONE)
  coordinator.unloadPartition(0)
  assert.equal(await coordinator.completeTransaction(0, ending('commit')), elsewhere)
})

test('in a transaction nobody commits for a group without a name', async () => {
  const { coordinator } = start()
  await coordinator.loadPartition(0)
  const refused = await coordinator.txnOffsetCommit({ ...committingIn(1n), groupId: '' }, context)
  assert.equal(codeIn(refused), ErrorCode.INVALID_GROUP_ID)
})

test('the coordinator of a transaction is asked before its first offset, and not again until it has ended', async () => {
  const asked: string[] = []
  const { coordinator } = start({}, undefined, undefined, async ({ transactionalId }, partition, version) => {
    asked.push(`${transactionalId} ${partition} ${version}`)
    return ErrorCode.NONE
  })
  await coordinator.loadPartition(0)
  await coordinator.txnOffsetCommit(committingIn(1n), { version: 5 })
  await coordinator.txnOffsetCommit(committingIn(2n), { version: 5 })
  assert.deepEqual(asked, ['tx 0 5'])
  await coordinator.completeTransaction(0, ending('commit'))
  await coordinator.txnOffsetCommit(committingIn(3n), { version: 4 })
  assert.deepEqual(asked, ['tx 0 5', 'tx 0 4'])
})

test('nothing is written in a transaction that its coordinator knows nothing of', async () => {
  let errorCode: number = ErrorCode.INVALID_TXN_STATE
  const { coordinator, log } = start({}, undefined, undefined, async () => errorCode)
  await coordinator.loadPartition(0)
  assert.equal(codeIn(await coordinator.txnOffsetCommit(committingIn(1n), context)), ErrorCode.INVALID_TXN_STATE)
  errorCode = ErrorCode.NOT_ENOUGH_REPLICAS
  assert.equal(codeIn(await coordinator.txnOffsetCommit(committingIn(1n), context)), ErrorCode.COORDINATOR_NOT_AVAILABLE)
  assert.equal(log.entries.length, 0)
})

test('a transaction that ends while it is asked for is asked for again: a late offset would never be decided over', async () => {
  let answer = (_errorCode: number) => {}
  let asked = 0
  const { coordinator, log } = start({}, undefined, undefined, () => {
    asked++
    return new Promise((resolve) => (answer = resolve))
  })
  await coordinator.loadPartition(0)
  const late = coordinator.txnOffsetCommit(committingIn(1n), context)
  await settled()
  await coordinator.completeTransaction(0, ending('abort'))
  answer(ErrorCode.NONE)
  await settled()
  assert.equal(asked, 2)
  answer(ErrorCode.INVALID_TXN_STATE)
  assert.equal(codeIn(await late), ErrorCode.INVALID_TXN_STATE)
  assert.equal(log.records.length, 0)
})

test('a transaction is asked for again when the group was loaded meanwhile, but not for ever', async () => {
  let asked = 0
  const { coordinator } = start({}, undefined, undefined, async () => {
    asked++
    await coordinator.loadPartition(0)
    return ErrorCode.NONE
  })
  await coordinator.loadPartition(0)
  assert.equal(codeIn(await coordinator.txnOffsetCommit(committingIn(1n), context)), ErrorCode.COORDINATOR_NOT_AVAILABLE)
  assert.equal(asked, 3)
})

test('a verification that fails is a failure of ours, and told', async () => {
  const { coordinator, lines } = start({}, undefined, undefined, async () => {
    throw new TypeError('a bug')
  })
  await coordinator.loadPartition(0)
  assert.equal(codeIn(await coordinator.txnOffsetCommit(committingIn(1n), context)), ErrorCode.UNKNOWN_SERVER_ERROR)
  assert.match(lines.join('\n'), /could not be verified/)
})

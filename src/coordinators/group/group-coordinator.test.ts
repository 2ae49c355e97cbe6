import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeSubscription } from '../../protocol/consumer-protocol.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { SimulatedClock, SimulatedLog, settled } from '../runtime/simulated.ts'
import { defaultGroupConfig, type GroupConfig } from './group-config.ts'
import type { GroupRequestContext } from './group-coordinator.ts'
import { GroupCoordinator } from './group-coordinator.ts'

const context: GroupRequestContext = { version: 9, clientId: 'client', clientHost: '/127.0.0.1' }

function start(config: Partial<GroupConfig> = {}, log = new SimulatedLog()) {
  const clock = new SimulatedClock()
  let ids = 0
  const lines: string[] = []
  const coordinator = new GroupCoordinator({
    config: { ...defaultGroupConfig, ...config },
    partitionCount: 1,
    logFor: () => log,
    clock,
    uuid: () => `uuid-${ids++}`,
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

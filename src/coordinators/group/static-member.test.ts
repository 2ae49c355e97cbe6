import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SyncGroupResponseInput } from '../../protocol/messages/14-sync-group.ts'
import { errorOf, protocols, Workbench } from './workbench.ts'

/** Two static members, `left` leading and `right` following, stable. */
function pair(): { bench: Workbench; left: string; right: string } {
  const bench = new Workbench()
  bench.join('left', { groupInstanceId: 'left' })
  bench.join('right', { groupInstanceId: 'right' })
  bench.advance(6_000)
  const [left, right] = [bench.answer('left')!.memberId, bench.answer('right')!.memberId]
  bench.assign([left, right])
  return { bench, left, right }
}

test('a static member is not sent away first, and is named after its instance', () => {
  const { left, right } = pair()
  assert.equal(left, 'left-1')
  assert.equal(right, 'right-2')
})

test('a static follower that restarts takes its place again under a new id, without a rebalance', () => {
  const { bench, left, right } = pair()
  bench.join('back', { groupInstanceId: 'right' })
  const back = bench.answer('back')!
  assert.equal(errorOf(back), 'NONE')
  assert.equal(back.generationId, 1)
  assert.notEqual(back.memberId, right)
  assert.equal(bench.group.state, 'Stable')
  assert.equal(bench.heartbeat(left, 1, 'left'), 'NONE')
  bench.sync('sync', back.memberId, { groupInstanceId: 'right' })
  assert.equal(bench.answer<SyncGroupResponseInput>('sync')?.assignment.toString(), right)
})

test('the new id is stored: after a restart of the coordinator it is the one that is known', () => {
  const { bench, right } = pair()
  bench.join('back', { groupInstanceId: 'right' })
  const { memberId } = bench.answer('back')!
  const restarted = Workbench.restartedFrom(bench.log)
  assert.equal(restarted.heartbeat(memberId, 1, 'right'), 'NONE')
  assert.equal(restarted.heartbeat(right, 1, 'right'), 'FENCED_INSTANCE_ID')
})

test('the process that was replaced is fenced, whatever it asks', () => {
  const { bench, right } = pair()
  bench.join('back', { groupInstanceId: 'right' })
  const identity = { memberId: right, groupInstanceId: 'right' }
  assert.equal(bench.heartbeat(right, 1, 'right'), 'FENCED_INSTANCE_ID')
  assert.equal(bench.commit('t', 1n, { ...identity, generationId: 1 }), 'FENCED_INSTANCE_ID')
  assert.deepEqual(bench.leave(identity), ['FENCED_INSTANCE_ID'])
  bench.sync('sync', right, { groupInstanceId: 'right' })
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('sync')), 'FENCED_INSTANCE_ID')
  bench.join('join', identity)
  assert.equal(errorOf(bench.answer('join')), 'FENCED_INSTANCE_ID')
})

test('a static leader that returns is told to skip the assignment, and who the members are', () => {
  const { bench, right } = pair()
  bench.join('back', { groupInstanceId: 'left' })
  const back = bench.answer('back')!
  assert.equal(back.skipAssignment, true)
  assert.equal(back.leader, back.memberId)
  assert.deepEqual(back.members?.map((member) => member.memberId).sort(), [back.memberId, right].sort())
})

test('a static leader that cannot skip is told that its former self leads, so that it does not assign', () => {
  const { bench, left } = pair()
  bench.join('back', { groupInstanceId: 'left', supportsSkippingAssignment: false })
  const back = bench.answer('back')!
  assert.equal(back.skipAssignment, false)
  assert.equal(back.leader, left)
  assert.deepEqual(back.members, [])
})

test('a static member that returns with another favourite brings about a rebalance', () => {
  const bench = new Workbench()
  bench.join('a', { groupInstanceId: 'a', protocols: protocols('range', 'roundrobin') })
  bench.advance(3_000)
  bench.assign([bench.answer('a')!.memberId])
  bench.join('back', { groupInstanceId: 'a', protocols: protocols('roundrobin', 'range') })
  const back = bench.answer('back')!
  assert.equal(back.generationId, 2)
  assert.equal(back.protocolName, 'roundrobin')
})

test('a static member that returns while the leader assigns brings about a rebalance', () => {
  const bench = new Workbench()
  bench.join('a', { groupInstanceId: 'a' })
  bench.join('b', { groupInstanceId: 'b' })
  bench.advance(6_000)
  const a = bench.answer('a')!.memberId
  const b = bench.answer('b')!.memberId
  bench.sync('b syncs', b, { groupInstanceId: 'b' })
  bench.join('back', { groupInstanceId: 'b' })
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('b syncs')), 'FENCED_INSTANCE_ID')
  assert.equal(bench.group.state, 'PreparingRebalance')
  bench.join('a again', { memberId: a, groupInstanceId: 'a' })
  assert.equal(bench.answer('back')?.generationId, 2)
})

test('a join that is parked is fenced when the instance joins again', () => {
  const { bench, left, right } = pair()
  bench.join('right waits', { memberId: right, groupInstanceId: 'right', protocols: protocols('range', 'sticky') })
  bench.join('back', { groupInstanceId: 'right' })
  const fenced = bench.answer('right waits')
  assert.equal(errorOf(fenced), 'FENCED_INSTANCE_ID')
  assert.equal(fenced?.memberId, right)
  bench.join('left again', { memberId: left, groupInstanceId: 'left' })
  assert.equal(errorOf(bench.answer('back')), 'NONE')
})

test('a static member that just stops keeps its place until its session ends', () => {
  const { bench, left, right } = pair()
  bench.advance(9_000)
  assert.equal(bench.heartbeat(left, 1, 'left'), 'NONE')
  assert.equal(bench.group.members.has(right), true)
  bench.advance(1_000)
  assert.equal(bench.group.members.has(right), false)
  assert.equal(bench.group.state, 'PreparingRebalance')
})

test('static members that are late for a rebalance stay in the group', () => {
  const bench = new Workbench()
  bench.join('a', { groupInstanceId: 'a', sessionTimeoutMs: 300_000 })
  bench.join('b', { groupInstanceId: 'b', sessionTimeoutMs: 300_000 })
  bench.advance(6_000)
  const [a, b] = [bench.answer('a')!.memberId, bench.answer('b')!.memberId]
  bench.assign([a, b])
  bench.join('a again', { memberId: a, groupInstanceId: 'a' })
  bench.advance(60_000)
  assert.deepEqual(
    bench.answer('a again')?.members?.map((member) => member.groupInstanceId),
    ['a', 'b'],
  )
})

test('an instance that is not in the group is unknown', () => {
  const { bench, left } = pair()
  assert.equal(bench.heartbeat(left, 1, 'nobody'), 'UNKNOWN_MEMBER_ID')
})

test('a rebalance for which only static members are left, none of them back, goes on until one is', () => {
  const bench = new Workbench()
  bench.join('a', { groupInstanceId: 'a', sessionTimeoutMs: 300_000 })
  bench.join('b', { groupInstanceId: 'b', sessionTimeoutMs: 300_000 })
  bench.join('c', { requiresKnownMemberId: false })
  bench.advance(6_000)
  const [a, b, c] = ['a', 'b', 'c'].map((name) => bench.answer(name)!.memberId)
  bench.assign([a, b, c])
  bench.leave({ memberId: c })
  bench.advance(61_000)
  assert.equal(bench.group.state, 'PreparingRebalance')
  bench.join('a again', { memberId: a, groupInstanceId: 'a' })
  assert.equal(bench.answer('a again'), undefined)
  bench.advance(60_000)
  assert.equal(bench.answer('a again')?.generationId, 2)
})

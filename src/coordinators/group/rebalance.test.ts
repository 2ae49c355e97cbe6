import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SyncGroupResponseInput } from '../../protocol/messages/14-sync-group.ts'
import { errorOf, Workbench } from './workbench.ts'

const old = { requiresKnownMemberId: false }

test('an empty group waits for more members before its first generation', () => {
  const bench = new Workbench()
  bench.join('a', old)
  bench.advance(2_999)
  assert.equal(bench.answer('a'), undefined)
  bench.advance(1)
  assert.equal(bench.answer('a')?.generationId, 1)
})

test('each member that arrives makes an empty group wait longer, up to the rebalance time-out', () => {
  const bench = new Workbench()
  bench.join('a', { ...old, rebalanceTimeoutMs: 7_000 })
  for (const name of ['b', 'c', 'd']) {
    bench.advance(2_000)
    bench.join(name, { ...old, rebalanceTimeoutMs: 7_000 })
  }
  bench.advance(999)
  assert.equal(bench.answer('a'), undefined)
  bench.advance(1)
  for (const name of ['a', 'b', 'c', 'd']) assert.equal(bench.answer(name)?.generationId, 1, name)
})

test('the delay can be switched off', () => {
  const bench = new Workbench({ initialRebalanceDelayMs: 0 })
  bench.join('a', old)
  bench.advance(0)
  assert.equal(bench.answer('a')?.generationId, 1)
})

test('all are answered together, when the last member has rejoined', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('c', old)
  bench.join('a again', { memberId: a })
  assert.equal(bench.answer('c'), undefined)
  assert.equal(bench.answer('a again'), undefined)
  bench.join('b again', { memberId: b })
  for (const name of ['c', 'a again', 'b again']) assert.equal(bench.answer(name)?.generationId, 2, name)
})

test('who has been given an id but has not come back yet is waited for', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  bench.join('b')
  const { memberId } = bench.answer('b')!
  bench.join('a again', { memberId: a })
  assert.equal(bench.answer('a again'), undefined)
  bench.join('b again', { memberId })
  assert.equal(bench.answer('a again')?.members?.length, 2)
})

test('the barrier opens when who was only expected does not come', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  bench.join('b', { sessionTimeoutMs: 10_000 })
  bench.join('a again', { memberId: a })
  bench.advance(10_000)
  assert.equal(bench.answer('a again')?.members?.length, 1)
})

test('members that do not rejoin within the longest rebalance time-out are dropped', () => {
  const bench = new Workbench()
  bench.join('a', { ...old, rebalanceTimeoutMs: 20_000, sessionTimeoutMs: 60_000 })
  bench.join('b', { ...old, rebalanceTimeoutMs: 30_000, sessionTimeoutMs: 60_000 })
  bench.advance(6_000)
  const [a, b] = [bench.answer('a')!.memberId, bench.answer('b')!.memberId]
  bench.assign([a, b])
  bench.join('a again', { memberId: a, rebalanceTimeoutMs: 20_000 })
  bench.advance(29_999)
  assert.equal(bench.answer('a again'), undefined)
  bench.advance(1)
  assert.deepEqual(
    bench.answer('a again')?.members?.map((member) => member.memberId),
    [a],
  )
  assert.equal(bench.heartbeat(b, 2), 'UNKNOWN_MEMBER_ID')
})

test('a leader that does not rejoin is replaced by one that did', () => {
  const bench = new Workbench()
  const [, b] = bench.stable(['a', 'b'], { sessionTimeoutMs: 300_000 })
  bench.join('b again', { memberId: b, protocolType: 'consumer', protocols: [{ name: 'range', metadata: Buffer.from('new') }] })
  bench.advance(60_000)
  assert.equal(bench.answer('b again')?.leader, b)
})

test('a member that is not heard of in time is removed, and the others rebalance', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.advance(9_000)
  assert.equal(bench.heartbeat(a), 'NONE')
  bench.advance(1_000)
  assert.equal(bench.group.state, 'PreparingRebalance')
  assert.equal(bench.heartbeat(a), 'REBALANCE_IN_PROGRESS')
  assert.equal(bench.heartbeat(b), 'UNKNOWN_MEMBER_ID')
})

test('a parked member needs no heartbeat, and has its whole session ahead when it is answered', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'], { sessionTimeoutMs: 10_000, rebalanceTimeoutMs: 60_000 })
  bench.join('a again', { memberId: a })
  for (let i = 0; i < 5; i++) {
    bench.advance(9_000)
    assert.equal(bench.heartbeat(b), 'REBALANCE_IN_PROGRESS')
  }
  bench.join('b again', { memberId: b })
  assert.equal(errorOf(bench.answer('a again')), 'NONE')
  bench.advance(9_999)
  assert.equal(bench.heartbeat(a), 'NONE')
})

test('a rebalance that begins while the leader assigns calls back those who wait for it', () => {
  const bench = new Workbench()
  bench.join('a', old)
  bench.join('b', old)
  bench.advance(6_000)
  const [, b] = [bench.answer('a')!.memberId, bench.answer('b')!.memberId]
  bench.sync('b syncs', b)
  bench.join('c', old)
  const sync = bench.answer<SyncGroupResponseInput>('b syncs')
  assert.equal(errorOf(sync), 'REBALANCE_IN_PROGRESS')
  assert.equal(sync?.assignment.length, 0)
})

test('a group whose last member has gone begins an empty generation, which is stored', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  assert.deepEqual(bench.leave({ memberId: a }), ['NONE'])
  assert.equal(bench.group.state, 'Empty')
  assert.equal(bench.group.generationId, 2)
  assert.equal(bench.group.leaderId, null)
  const restarted = Workbench.restartedFrom(bench.log)
  assert.equal(restarted.group.state, 'Empty')
  assert.equal(restarted.group.generationId, 2)
  assert.equal(restarted.group.stateTimestampMs, bench.group.stateTimestampMs)
})

test('eager and cooperative members go through the same steps: who still owns something rejoins and brings about another generation', () => {
  const bench = new Workbench()
  const cooperative = { protocols: [{ name: 'cooperative-sticky', metadata: Buffer.from('owns nothing') }] }
  bench.join('a', { ...old, ...cooperative })
  bench.advance(3_000)
  const a = bench.answer('a')!.memberId
  bench.assign([a])
  bench.join('b', { ...old, ...cooperative })
  const owning = { memberId: a, protocols: [{ name: 'cooperative-sticky', metadata: Buffer.from('owns 0 and 1') }] }
  bench.join('a owns', owning)
  assert.equal(bench.answer('a owns')?.generationId, 2)
  const b = bench.answer('b')!.memberId
  bench.assign([a, b])
  // KIP-429: having given partition 1 back, it rejoins so that it can be handed on.
  const revoked = { memberId: a, protocols: [{ name: 'cooperative-sticky', metadata: Buffer.from('owns 0') }] }
  bench.join('a gave back', revoked)
  assert.equal(bench.heartbeat(b), 'REBALANCE_IN_PROGRESS')
  bench.join('b again', { memberId: b, ...cooperative })
  assert.deepEqual(
    bench.answer('a gave back')?.members?.map((member) => member.metadata.toString()),
    ['owns 0', 'owns nothing'],
  )
  assert.equal(bench.answer('b again')?.generationId, 3)
})

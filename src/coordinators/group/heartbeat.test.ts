import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Workbench } from './workbench.ts'

test('a heartbeat keeps a member in its group', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  for (let i = 0; i < 10; i++) {
    bench.advance(9_999)
    assert.equal(bench.heartbeat(a), 'NONE')
  }
  bench.advance(10_000)
  assert.equal(bench.heartbeat(a), 'UNKNOWN_MEMBER_ID')
})

test('while members rejoin a heartbeat calls to do so, and while the leader assigns it does not', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('a again', { memberId: a })
  assert.equal(bench.heartbeat(b), 'REBALANCE_IN_PROGRESS')
  bench.join('b again', { memberId: b })
  assert.equal(bench.group.state, 'CompletingRebalance')
  assert.equal(bench.heartbeat(b), 'NONE')
})

test('a heartbeat from an old generation answers ILLEGAL_GENERATION', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  assert.equal(bench.heartbeat(a, 0), 'ILLEGAL_GENERATION')
  assert.equal(bench.heartbeat(a, 2), 'ILLEGAL_GENERATION')
})

test('a commit, a join and a sync renew the session as well', () => {
  const bench = new Workbench()
  const [, b] = bench.stable(['a', 'b'])
  bench.advance(9_000)
  assert.equal(bench.commit('t', 1n, { memberId: b, generationId: 1 }), 'NONE')
  bench.advance(9_000)
  assert.equal(bench.group.members.has(b), true)
  const alone = new Workbench()
  const [leader, follower] = alone.stable(['leader', 'follower'])
  for (let i = 0; i < 3; i++) {
    alone.advance(9_000)
    assert.equal(alone.heartbeat(leader), 'NONE')
    alone.join(`join ${i}`, { memberId: follower })
    alone.advance(9_000)
    assert.equal(alone.heartbeat(leader), 'NONE')
    alone.sync(`sync ${i}`, follower)
  }
  assert.equal(alone.group.state, 'Stable')
})

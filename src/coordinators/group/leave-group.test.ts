import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorOf, Workbench } from './workbench.ts'

test('a member that leaves makes the others rebalance at once', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  assert.deepEqual(bench.leave({ memberId: a }), ['NONE'])
  assert.equal(bench.heartbeat(b), 'REBALANCE_IN_PROGRESS')
  assert.equal(bench.heartbeat(a), 'UNKNOWN_MEMBER_ID')
})

test('several leave in one request, each with its own answer, and the rest rebalances once', () => {
  const bench = new Workbench()
  const [a, b, c] = bench.stable(['a', 'b', 'c'])
  assert.deepEqual(bench.leave({ memberId: a }, { memberId: 'nobody' }, { memberId: b }, {}), [
    'NONE',
    'UNKNOWN_MEMBER_ID',
    'NONE',
    'UNKNOWN_MEMBER_ID',
  ])
  bench.join('c again', { memberId: c })
  assert.equal(bench.answer('c again')?.generationId, 2)
})

test('an administrator removes a static member by its instance id', () => {
  const bench = new Workbench()
  bench.join('a', { groupInstanceId: 'a' })
  bench.advance(3_000)
  bench.assign([bench.answer('a')!.memberId])
  assert.deepEqual(bench.leave({ groupInstanceId: 'b' }, { groupInstanceId: 'a' }), ['UNKNOWN_MEMBER_ID', 'NONE'])
  assert.equal(bench.group.state, 'Empty')
})

test('whose join is parked learns that it is no longer a member', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('a again', { memberId: a })
  bench.leave({ memberId: a })
  assert.equal(errorOf(bench.answer('a again')), 'UNKNOWN_MEMBER_ID')
  bench.join('b again', { memberId: b })
  assert.equal(errorOf(bench.answer('b again')), 'NONE')
})

test('the last one missing opens the barrier by leaving', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('a again', { memberId: a })
  bench.leave({ memberId: b })
  assert.equal(bench.answer('a again')?.members?.length, 1)
})

test('who was only given an id can leave, without disturbing anybody', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  bench.join('b')
  assert.deepEqual(bench.leave({ memberId: bench.answer('b')!.memberId }), ['NONE'])
  assert.equal(bench.heartbeat(a), 'NONE')
})

test('nobody can leave a group that is not there', () => {
  assert.deepEqual(new Workbench().leave({ memberId: 'a' }), ['UNKNOWN_MEMBER_ID'])
})

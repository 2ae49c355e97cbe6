import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SyncGroupResponseInput } from '../../protocol/messages/14-sync-group.ts'
import { errorOf, Workbench } from './workbench.ts'

const old = { requiresKnownMemberId: false }

/** Two members that have joined, the first leading, and have not yet synced. */
function assigning(): { bench: Workbench; a: string; b: string } {
  const bench = new Workbench()
  bench.join('a', old)
  bench.join('b', old)
  bench.advance(6_000)
  return { bench, a: bench.answer('a')!.memberId, b: bench.answer('b')!.memberId }
}

test('followers wait for the leader, and get what it gives them', () => {
  const { bench, a, b } = assigning()
  bench.sync('b', b)
  assert.equal(bench.answer('b'), undefined)
  bench.sync('a', a, {
    assignments: [
      { memberId: a, assignment: Buffer.from('0') },
      { memberId: b, assignment: Buffer.from('1') },
    ],
  })
  assert.deepEqual(bench.answer<SyncGroupResponseInput>('b'), {
    errorCode: 0,
    protocolType: 'consumer',
    protocolName: 'range',
    assignment: Buffer.from('1'),
  })
  assert.equal(bench.answer<SyncGroupResponseInput>('a')?.assignment.toString(), '0')
})

test('a member that the leader leaves out gets no bytes', () => {
  const { bench, a, b } = assigning()
  bench.sync('b', b)
  bench.sync('a', a, { assignments: [{ memberId: a, assignment: Buffer.from('all') }] })
  const left = bench.answer<SyncGroupResponseInput>('b')
  assert.equal(errorOf(left), 'NONE')
  assert.equal(left?.assignment.length, 0)
})

test('in a stable group everybody gets what was stored', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a', 'b'])
  bench.sync('again', a)
  assert.equal(bench.answer<SyncGroupResponseInput>('again')?.assignment.toString(), a)
})

test('while members rejoin there is nothing to sync', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('a again', { memberId: a })
  bench.sync('b', b)
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('b')), 'REBALANCE_IN_PROGRESS')
})

test('a wrong generation, member or group is refused', () => {
  const { bench, a } = assigning()
  bench.sync('generation', a, { generationId: 7 })
  bench.sync('member', 'nobody')
  bench.sync('group', a, { groupId: 'another' })
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('generation')), 'ILLEGAL_GENERATION')
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('member')), 'UNKNOWN_MEMBER_ID')
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('group')), 'UNKNOWN_MEMBER_ID')
})

test('a protocol that is not the chosen one is refused where the client tells it', () => {
  const { bench, a } = assigning()
  bench.sync('type', a, { protocolType: 'connect' })
  bench.sync('name', a, { protocolName: 'sticky' })
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('type')), 'INCONSISTENT_GROUP_PROTOCOL')
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('name')), 'INCONSISTENT_GROUP_PROTOCOL')
  bench.sync('right', a, { protocolType: 'consumer', protocolName: 'range' })
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('right')), 'NONE')
})

test('members that never sync are removed after the rebalance time-out', () => {
  const { bench, a, b } = assigning()
  bench.sync('a', a)
  for (let waited = 0; waited < 60_000; waited += 6_000) {
    assert.equal(bench.heartbeat(a), 'NONE')
    assert.equal(bench.heartbeat(b), 'NONE')
    bench.advance(6_000)
  }
  assert.equal(bench.heartbeat(b), 'UNKNOWN_MEMBER_ID')
  assert.equal(bench.heartbeat(a), 'REBALANCE_IN_PROGRESS')
})

test('a leader that never syncs is removed, and those who wait for it are called back', () => {
  const { bench, a, b } = assigning()
  bench.sync('b', b)
  for (let waited = 0; waited < 60_000; waited += 6_000) {
    bench.heartbeat(a)
    bench.advance(6_000)
  }
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('b')), 'REBALANCE_IN_PROGRESS')
  assert.deepEqual([...bench.group.members.keys()], [b])
})

test('who asks again while parked is answered once, on the newer request', () => {
  const { bench, a, b } = assigning()
  bench.sync('first', b)
  bench.sync('second', b)
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('first')), 'REBALANCE_IN_PROGRESS')
  bench.sync('a', a)
  assert.equal(errorOf(bench.answer<SyncGroupResponseInput>('second')), 'NONE')
})

test('a session counts from the assignment', () => {
  const { bench, a, b } = assigning()
  bench.advance(9_000)
  bench.sync('b', b)
  bench.sync('a', a)
  bench.advance(9_999)
  assert.equal(bench.heartbeat(a), 'NONE')
  assert.equal(bench.heartbeat(b), 'NONE')
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NEW_MEMBER_JOIN_TIMEOUT_MS } from './join-group.ts'
import { errorOf, protocols, Workbench } from './workbench.ts'

test('a client that can is sent away with a fresh id, and joins with it', () => {
  const bench = new Workbench()
  bench.join('a', { clientId: 'shop' })
  const first = bench.answer('a')
  assert.equal(errorOf(first), 'MEMBER_ID_REQUIRED')
  assert.equal(first?.memberId, 'shop-1')
  bench.join('again', { memberId: 'shop-1' })
  bench.advance(3_000)
  const second = bench.answer('again')
  assert.equal(errorOf(second), 'NONE')
  assert.equal(second?.memberId, 'shop-1')
  assert.equal(second?.leader, 'shop-1')
  assert.equal(second?.generationId, 1)
})

test('a client of an older version gets in at once', () => {
  const bench = new Workbench()
  bench.join('a', { requiresKnownMemberId: false, clientId: 'old' })
  bench.advance(3_000)
  assert.equal(bench.answer('a')?.memberId, 'old-1')
})

test('an id that was given out is forgotten when its session ends, and leaves no group behind', () => {
  const bench = new Workbench()
  bench.join('a', { sessionTimeoutMs: 10_000 })
  const memberId = bench.answer('a')!.memberId
  bench.advance(9_999)
  assert.equal(bench.group.pendingMembers.size, 1)
  bench.advance(1)
  assert.equal(bench.groups.get('g'), undefined)
  bench.join('late', { memberId })
  assert.equal(errorOf(bench.answer('late')), 'UNKNOWN_MEMBER_ID')
  assert.equal(bench.log.length, 0)
})

test('an id that nobody gave out is unknown', () => {
  const bench = new Workbench()
  bench.stable(['a'])
  bench.join('b', { memberId: 'made-up' })
  assert.equal(errorOf(bench.answer('b')), 'UNKNOWN_MEMBER_ID')
})

test('another protocol type, or no assignor in common, is inconsistent', () => {
  const bench = new Workbench()
  bench.stable(['a'], { protocols: protocols('range', 'roundrobin') })
  bench.join('type', { protocolType: 'connect' })
  bench.join('assignor', { protocols: protocols('sticky') })
  bench.join('none', { protocols: [] })
  for (const name of ['type', 'assignor', 'none']) {
    assert.equal(errorOf(bench.answer(name)), 'INCONSISTENT_GROUP_PROTOCOL', name)
  }
})

test('a group that is refused its first member does not exist', () => {
  const bench = new Workbench()
  bench.join('none', { protocols: [] })
  bench.join('typeless', { protocolType: '' })
  assert.equal(errorOf(bench.answer('none')), 'INCONSISTENT_GROUP_PROTOCOL')
  assert.equal(errorOf(bench.answer('typeless')), 'INCONSISTENT_GROUP_PROTOCOL')
  assert.equal(bench.groups.get('g'), undefined)
})

test('a full group takes nobody else, but everybody who is in it', () => {
  const bench = new Workbench({ maxSize: 2 })
  const [a] = bench.stable(['a', 'b'])
  bench.join('c')
  assert.equal(errorOf(bench.answer('c')), 'GROUP_MAX_SIZE_REACHED')
  bench.join('again', { memberId: a })
  assert.equal(bench.answer('again'), undefined)
})

test('a group that became too large loses those who rejoin last', () => {
  const big = new Workbench()
  const [a, b, c] = big.stable(['a', 'b', 'c'])
  const bench = Workbench.restartedFrom(big.log, { maxSize: 2 })
  assert.equal(bench.group.state, 'PreparingRebalance')
  bench.join('a', { memberId: a })
  bench.join('b', { memberId: b })
  bench.join('c', { memberId: c })
  assert.equal(errorOf(bench.answer('c')), 'GROUP_MAX_SIZE_REACHED')
  assert.equal(errorOf(bench.answer('a')), 'NONE')
  assert.equal(errorOf(bench.answer('b')), 'NONE')
})

test('only the leader hears who the others are', () => {
  const bench = new Workbench()
  bench.join('a', { requiresKnownMemberId: false })
  bench.join('b', { requiresKnownMemberId: false })
  bench.advance(6_000)
  const [a, b] = [bench.answer('a')!, bench.answer('b')!]
  assert.equal(a.leader, a.memberId)
  assert.equal(b.leader, a.memberId)
  assert.deepEqual(
    a.members?.map((member) => [member.memberId, member.metadata.equals(protocols('range')[0].metadata)]),
    [
      [a.memberId, true],
      [b.memberId, true],
    ],
  )
  assert.deepEqual(b.members, [])
})

test('the assignor with the most votes wins among those that all know', () => {
  const bench = new Workbench()
  bench.join('a', { requiresKnownMemberId: false, protocols: protocols('range', 'roundrobin') })
  bench.join('b', { requiresKnownMemberId: false, protocols: protocols('sticky', 'roundrobin', 'range') })
  bench.join('c', { requiresKnownMemberId: false, protocols: protocols('roundrobin', 'range') })
  bench.advance(6_000)
  // `sticky` is known to one, `roundrobin` is the favourite of two.
  assert.equal(bench.answer('a')?.protocolName, 'roundrobin')
})

test('the leader that rejoins a stable group brings about a rebalance, a follower that says the same again does not', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('b again', { memberId: b })
  const unchanged = bench.answer('b again')!
  assert.equal(unchanged.generationId, 1)
  assert.deepEqual(unchanged.members, [])
  assert.equal(bench.group.state, 'Stable')
  bench.join('a again', { memberId: a })
  assert.equal(bench.answer('a again'), undefined)
  assert.equal(bench.group.state, 'PreparingRebalance')
})

test('a follower that changes its metadata brings about a rebalance', () => {
  const bench = new Workbench()
  const [, b] = bench.stable(['a', 'b'])
  bench.join('b again', { memberId: b, protocols: protocols('range', 'roundrobin') })
  assert.equal(bench.group.state, 'PreparingRebalance')
})

test('a member whose answer was lost gets it again while the leader assigns', () => {
  const bench = new Workbench()
  bench.join('a', { requiresKnownMemberId: false })
  bench.advance(3_000)
  const first = bench.answer('a')!
  bench.join('again', { memberId: first.memberId })
  assert.deepEqual(bench.answer('again'), first)
  bench.join('changed', { memberId: first.memberId, protocols: protocols('range', 'sticky') })
  assert.equal(bench.answer('changed')?.generationId, 2)
})

test('who asks again while parked is answered once, on the newer request', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('first', { memberId: b, protocols: protocols('range', 'sticky') })
  bench.join('second', { memberId: b, protocols: protocols('range', 'sticky') })
  assert.equal(errorOf(bench.answer('first')), 'REBALANCE_IN_PROGRESS')
  bench.join('a', { memberId: a })
  assert.equal(errorOf(bench.answer('second')), 'NONE')
})

test('a new member that is parked has no session, but is given up after five minutes', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'], { rebalanceTimeoutMs: 1_000_000, sessionTimeoutMs: 1_000_000 })
  bench.join('b', { requiresKnownMemberId: false, sessionTimeoutMs: 10_000 })
  bench.advance(NEW_MEMBER_JOIN_TIMEOUT_MS - 1)
  assert.equal(bench.answer('b'), undefined)
  bench.advance(1)
  assert.equal(errorOf(bench.answer('b')), 'UNKNOWN_MEMBER_ID')
  assert.deepEqual([...bench.group.members.keys()], [a])
})

test('in version 0 the session time-out is also the time to rejoin', () => {
  const bench = new Workbench()
  bench.stable(['a'], { rebalanceTimeoutMs: -1, sessionTimeoutMs: 7_000 })
  assert.equal(bench.group.rebalanceTimeoutMs, 7_000)
})

test('bytes of a request are not kept: its buffer may be reused', () => {
  const bench = new Workbench()
  const mine = protocols('range')
  const [a] = bench.stable(['a'], { protocols: mine })
  const before = Buffer.from(mine[0].metadata)
  mine[0].metadata.fill(0)
  assert.deepEqual(bench.group.members.get(a)?.protocols[0].metadata, before)
})

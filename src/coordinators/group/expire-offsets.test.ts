import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encodeSubscription } from '../../protocol/consumer-protocol.ts'
import { GroupMetadataRecord } from '../../protocol/internal-records/group-records.ts'
import { expireOffsets } from './expire-offsets.ts'
import { GROUP, Workbench } from './workbench.ts'

const DAY = 86_400_000
/** The default of `offsets.retention.minutes`. */
const RETENTION = 7 * DAY

const expire = (bench: Workbench) => bench.take(expireOffsets(bench.groups, GROUP, bench.now))

/** Keeps a member alive. */
function live(bench: Workbench, memberId: string, ms: number): void {
  for (let left = ms; left > 0; left -= 1_000_000) {
    bench.advance(Math.min(left, 1_000_000))
    assert.equal(bench.heartbeat(memberId), 'NONE')
  }
}

test('offsets of a group that became empty are kept for the retention time from then on', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'], { sessionTimeoutMs: 1_800_000 })
  bench.commit('t', 5n, { memberId: a, generationId: 1 })
  live(bench, a, DAY)
  bench.leave({ memberId: a })
  bench.advance(RETENTION - 1)
  assert.equal(expire(bench), 0)
  assert.equal(bench.committed('t'), 5n)
  bench.advance(1)
  assert.equal(expire(bench), 1)
  assert.equal(bench.groups.get(GROUP), undefined)
  assert.equal(Workbench.restartedFrom(bench.log).groups.get(GROUP), undefined)
})

test('offsets of a client without a group are kept for the retention time from their commit on, each by itself', () => {
  const bench = new Workbench()
  bench.commit('t', 5n)
  bench.advance(DAY)
  bench.commit('u', 6n)
  bench.advance(RETENTION - DAY)
  assert.equal(expire(bench), 1)
  assert.equal(bench.committed('t'), -1n)
  assert.equal(bench.committed('u'), 6n)
  bench.advance(DAY)
  expire(bench)
  assert.equal(bench.groups.get(GROUP), undefined)
})

test('offsets of topics that a live group reads never expire, those of other topics do', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'], { sessionTimeoutMs: 1_800_000 })
  bench.commit('t', 5n, { memberId: a, generationId: 1 })
  bench.commit('former', 6n, { memberId: a, generationId: 1 })
  live(bench, a, RETENTION)
  assert.equal(expire(bench), 1)
  assert.equal(bench.committed('t'), 5n)
  assert.equal(bench.committed('former'), -1n)
})

test('while members rejoin, or where their topics are not known, nothing expires', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'], { sessionTimeoutMs: 1_800_000, rebalanceTimeoutMs: 2_000_000_000 })
  bench.commit('former', 6n, { memberId: a, generationId: 1 })
  bench.join('a again', { memberId: a, sessionTimeoutMs: 1_800_000, rebalanceTimeoutMs: 2_000_000_000 })
  for (let left = RETENTION; left > 0; left -= 1_000_000) {
    bench.advance(1_000_000)
    bench.heartbeat(b)
  }
  assert.equal(bench.group.state, 'PreparingRebalance')
  assert.equal(expire(bench), 0)
  const connect = new Workbench()
  const [worker] = connect.stable(['worker'], { protocolType: 'connect', sessionTimeoutMs: 1_800_000 })
  connect.commit('t', 5n, { memberId: worker, generationId: 1 })
  live(connect, worker, RETENTION)
  assert.equal(expire(connect), 0)
})

test('an offset that was committed with a retention of its own expires by that', () => {
  const bench = new Workbench()
  bench.commit('t', 5n, { retentionTimeMs: 1_000n, version: 4 })
  bench.commit('u', 6n)
  bench.advance(999)
  assert.equal(expire(bench), 0)
  bench.advance(1)
  assert.equal(expire(bench), 1)
  assert.equal(bench.committed('t'), -1n)
  assert.equal(bench.committed('u'), 6n)
})

test('a retention of its own survives a restart, however long it is', () => {
  const bench = new Workbench()
  bench.commit('t', 5n, { retentionTimeMs: 2n ** 63n - 1n, version: 4 })
  const restarted = Workbench.restartedFrom(bench.log)
  restarted.advance(100 * RETENTION)
  assert.equal(expire(restarted), 0)
})

test('in a group stored before Kafka 2.1 offsets are kept from their commit on', () => {
  const bench = new Workbench()
  bench.commit('t', 5n)
  const value = GroupMetadataRecord.value
  assert.equal(value.versions.min, 0)
  bench.groups.replay({
    type: 'GroupMetadata',
    key: { group: GROUP },
    value: { protocolType: 'consumer', generation: 3, protocol: null, leader: null, currentStateTimestamp: -1n, members: [] },
  })
  assert.equal(bench.group.stateTimestampMs, null)
  bench.advance(RETENTION - 1)
  assert.equal(expire(bench), 0)
  bench.advance(1)
  assert.equal(expire(bench), 1)
})

test('an empty group without offsets is forgotten, unless somebody is expected', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  bench.leave({ memberId: a })
  bench.join('b')
  expire(bench)
  assert.equal(bench.group.state, 'Empty')
  bench.advance(10_000)
  expire(bench)
  assert.equal(bench.groups.get(GROUP), undefined)
  assert.equal(bench.log.at(-1)?.value, null)
})

test('a subscription to a topic counts by what the members say now', () => {
  const bench = new Workbench()
  const reading = (topic: string) => ({
    protocols: [{ name: 'range', metadata: encodeSubscription({ topics: [topic] }) }],
    sessionTimeoutMs: 1_800_000,
  })
  const [a] = bench.stable(['a'], reading('t'))
  bench.commit('t', 5n, { memberId: a, generationId: 1 })
  bench.join('a again', { memberId: a, ...reading('u') })
  bench.assign([a])
  live(bench, a, RETENTION)
  assert.equal(expire(bench), 1)
})

test('offsets that outlived their group still expire', () => {
  const bench = new Workbench()
  bench.commit('t', 5n)
  bench.groups.replay({ type: 'GroupMetadata', key: { group: GROUP }, value: null })
  assert.equal(bench.committed('t'), 5n)
  bench.advance(RETENTION)
  assert.equal(expire(bench), 1)
})

// The rules of a leader, by themselves: who holds the high watermark back, who leaves the ISR, who may join it.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../host/random.ts'
import type { PartitionRecord } from '../metadata-records.ts'
import { type IsrRules, LeaderState } from './leader-state.ts'
import { partitionRecord } from './partition-fixture.ts'

const LAG_MS = 100
const rules: IsrRules = { lagTimeMaxMs: LAG_MS, mayJoinIsr: () => true }

function leading(record: Partial<PartitionRecord> = {}, { epochStart = 0n, rules: given = rules } = {}): LeaderState {
  return new LeaderState(1, partitionRecord({ replicas: [1, 2, 3], leaderEpoch: 5, ...record }), epochStart, given, 0)
}

/** Broker `id` has everything below `offset`; the leader has everything below `end`. */
function fetches(state: LeaderState, id: number, offset: bigint, { end = offset, atMs = 0, brokerEpoch = 1 } = {}): void {
  state.onFetch({ replicaId: id, brokerEpoch, fetchOffset: offset, logStartOffset: 0n }, end, atMs)
}

const hw = (state: LeaderState, end: bigint, { minIsr = 1, atMs = 0 } = {}) => state.highWatermark(end, end, minIsr, atMs)

test('what all of the ISR has is committed, whatever the leader has', () => {
  const state = leading()
  assert.equal(hw(state, 10n), -1n)
  fetches(state, 2, 7n, { end: 10n })
  assert.equal(hw(state, 10n), -1n)
  fetches(state, 3, 4n, { end: 10n })
  assert.equal(hw(state, 10n), 4n)
})

test('what the leader itself has not got on its disk is not committed', () => {
  const state = leading({ isr: [1] })
  assert.equal(state.highWatermark(3n, 10n, 1, 1000), 3n)
})

test('a proposed member counts before it is in, a dropped one until it is out (KIP-497)', () => {
  const state = leading({ isr: [1, 2] })
  fetches(state, 2, 9n, { end: 10n })
  fetches(state, 3, 5n, { end: 10n, atMs: -1000 })
  assert.equal(hw(state, 10n), 9n)
  const grows = state.propose([1, 2, 3])
  assert.equal(hw(state, 10n), 5n)
  state.withdraw(grows)
  assert.equal(hw(state, 10n), 9n)
  state.propose([1])
  assert.equal(hw(state, 10n), 9n)
  state.update(partitionRecord({ replicas: [1, 2, 3], leaderEpoch: 5, partitionEpoch: 1, isr: [1] }), 1000)
  assert.equal(hw(state, 10n, { atMs: 1000 }), 10n)
})

test('nothing is committed while the committed ISR is smaller than min.insync.replicas', () => {
  const state = leading({ isr: [1] })
  assert.equal(hw(state, 10n, { minIsr: 2, atMs: 1000 }), -1n)
  assert.equal(hw(state, 10n, { minIsr: 1, atMs: 1000 }), 10n)
  // A partition has as many replicas as it has.
  assert.equal(hw(leading({ replicas: [1], isr: [1] }), 10n, { minIsr: 2 }), 10n)
})

test('a follower that is about to join holds the high watermark back, one that may not join does not', () => {
  let alive = true
  const state = leading({ isr: [1, 2] }, { rules: { lagTimeMaxMs: LAG_MS, mayJoinIsr: () => alive } })
  fetches(state, 2, 10n)
  fetches(state, 3, 8n, { end: 8n })
  assert.equal(hw(state, 10n), 8n)
  assert.equal(hw(state, 10n, { atMs: LAG_MS + 1 }), 10n)
  alive = false
  assert.equal(hw(state, 10n), 10n)
})

test('a follower joins when it has what is committed, and what was there when the epoch began', () => {
  const state = leading({ isr: [1, 2] }, { epochStart: 6n })
  assert.equal(state.expansion(3, 4n), undefined, 'it has not fetched in this epoch')
  fetches(state, 3, 4n, { end: 10n })
  assert.equal(state.expansion(3, 4n), undefined, 'the high watermark of a new leader lags behind the truth')
  fetches(state, 3, 6n, { end: 10n })
  assert.deepEqual(state.expansion(3, 4n), [1, 2, 3])
  assert.equal(state.expansion(3, 7n), undefined)
})

test('a replica that was taken away and came back has nothing until it fetches again', () => {
  const state = leading({ isr: [1, 2] })
  fetches(state, 3, 10n)
  state.update(partitionRecord({ replicas: [1, 2], isr: [1, 2], leaderEpoch: 5, partitionEpoch: 1 }), 0)
  state.update(partitionRecord({ replicas: [1, 2, 3], isr: [1, 2], leaderEpoch: 5, partitionEpoch: 2 }), 0)
  assert.equal(state.expansion(3, 5n), undefined)
})

test('a broker that is not alive, or fetched in another life, does not join (KIP-841, KIP-903)', () => {
  const state = leading({ isr: [1, 2] }, { rules: { lagTimeMaxMs: LAG_MS, mayJoinIsr: (_id, epoch) => epoch === 8 } })
  fetches(state, 3, 10n, { brokerEpoch: 7 })
  assert.equal(state.expansion(3, 10n), undefined)
  fetches(state, 3, 10n, { brokerEpoch: 8 })
  assert.deepEqual(state.expansion(3, 10n), [1, 2, 3])
  assert.deepEqual(state.propose([1, 2, 3]).isr, [
    { brokerId: 1, brokerEpoch: -1 },
    { brokerId: 2, brokerEpoch: -1 },
    { brokerId: 3, brokerEpoch: 8 },
  ])
  assert.throws(() => fetches(state, 3, 10n, { brokerEpoch: 7 }), { code: 'NOT_LEADER_OR_FOLLOWER' })
})

test('a broker without a replica is told that it may know more than the leader', () => {
  assert.throws(() => fetches(leading(), 4, 0n), { code: 'UNKNOWN_LEADER_EPOCH' })
})

test('who has not been caught up for too long leaves the ISR, who has all there is does not', () => {
  const state = leading()
  fetches(state, 2, 10n)
  fetches(state, 3, 5n, { end: 10n })
  assert.equal(state.shrunk(10n, LAG_MS), undefined)
  assert.deepEqual(state.shrunk(10n, LAG_MS + 1), [1, 2])
  // It has by now all that there was when it last asked: it keeps pace.
  fetches(state, 3, 10n, { end: 20n, atMs: 90 })
  assert.equal(state.shrunk(10n, LAG_MS + 1), undefined)
  assert.deepEqual(state.shrunk(20n, 300), [1])
  state.propose([1])
  assert.equal(state.shrunk(20n, 300), undefined, 'one change at a time')
})

test('an older partition epoch, or one of another leadership, changes nothing', () => {
  const state = leading({ partitionEpoch: 4 })
  const record = partitionRecord({ replicas: [1, 2, 3], isr: [1], leaderEpoch: 5, partitionEpoch: 4 })
  assert.equal(state.update(record, 0), false)
  assert.equal(state.update({ ...record, partitionEpoch: 5, leaderEpoch: 6 }, 0), false)
  assert.deepEqual(state.isr, [1, 2, 3])
})

test('in random histories nothing counts as committed that a member of the ISR, as it may be, lacks', () => {
  const random = seededRandom(11)
  const below = (limit: number) => random.u32() % limit
  for (let run = 0; run < 500; run++) {
    const state = leading({ isr: [1, 2, 3].slice(0, 1 + below(3)) })
    const has = new Map<number, bigint>()
    let end = 0n
    let highWatermark = 0n
    let partitionEpoch = 0
    for (let step = 0, atMs = 0; step < 60; step++, atMs += below(60)) {
      end += BigInt(below(4))
      const id = 2 + below(2)
      const offset = [0n, end, (has.get(id) ?? 0n) + 1n][below(3)]
      if (offset <= end && offset >= (has.get(id) ?? 0n)) {
        fetches(state, id, offset, { end, atMs })
        has.set(id, offset)
      }
      const isr = below(2) === 0 ? state.expansion(id, highWatermark) : state.shrunk(end, atMs)
      if (isr !== undefined) state.propose(isr)
      const { pending } = state
      if (pending !== undefined && below(3) === 0) {
        // Withdrawn, or decided, by an answer or by the metadata.
        if (below(3) === 0) state.withdraw(pending)
        else {
          partitionEpoch++
          const decided = pending.isr.map(({ brokerId }) => brokerId)
          state.update(partitionRecord({ replicas: [1, 2, 3], isr: decided, leaderEpoch: 5, partitionEpoch }), atMs)
        }
      }
      const reached = state.highWatermark(end, end, 2, atMs)
      if (reached > highWatermark) highWatermark = reached
      for (const member of [2, 3]) {
        if (state.isInMaximalIsr(member)) assert.ok((has.get(member) ?? 0n) >= highWatermark, `run ${run}, step ${step}`)
      }
    }
  }
})

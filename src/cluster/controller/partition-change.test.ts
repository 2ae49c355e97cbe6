// Strategy: the rules as a table, one row for each sentence of the design; then every state that two small partitions can reach by
// failures, restarts, elections, ISR changes and reassignments, in any order.
//
// Invariants of each state: the leader is in the ISR or there is none; ISR and ELR are disjoint sets of replicas; a big enough ISR
// has no ELR beside it; epochs only grow; and, unless records were given up for an unclean election, everybody in ISR and ELR has
// all that was ever acknowledged.

import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { NO_LEADER, newPartition, type PartitionRecord } from '../metadata-records.ts'
import { changePartition, type Election, effectiveMinIsr, type PartitionTargets } from './partition-change.ts'

const partition = (change: Partial<PartitionRecord> = {}): PartitionRecord => ({ ...newPartition([1, 2, 3]), ...change })

const rules = (alive: readonly number[], minIsr = 2, election: Election = 'online', unclean: readonly number[] = []) => ({
  minIsr,
  election,
  mayLead: (id: number) => alive.includes(id),
  unclean: (id: number) => unclean.includes(id),
})

/** `leader/isr/elr`, `?` for a last known leader, `!` for a partition that recovers, and how much the leader epoch grew. */
function shown(before: PartitionRecord, after: PartitionRecord): string {
  const leader =
    after.leader === NO_LEADER ? `-${after.lastKnownLeader === NO_LEADER ? '' : `?${after.lastKnownLeader}`}` : after.leader
  const epoch = after.leaderEpoch - before.leaderEpoch
  return `${leader}/${after.isr.join('')}/${after.elr.join('')}${after.recovering ? '!' : ''} +${epoch}`
}

interface Row {
  readonly says: string
  readonly from?: Partial<PartitionRecord>
  readonly wants?: PartitionTargets
  readonly alive: readonly number[]
  readonly minIsr?: number
  readonly election?: Election
  readonly unclean?: readonly number[]
  readonly becomes: string
}

const gone = { leader: NO_LEADER, isr: [], elr: [] }

const table: readonly Row[] = [
  { says: 'a follower leaves: the leader stays, in its epoch', wants: { isr: [1, 2] }, alive: [1, 2], becomes: '1/12/ +0' },
  {
    says: 'the leader leaves: the first of the assignment that is in sync',
    wants: { isr: [2, 3] },
    alive: [2, 3],
    becomes: '2/23/ +1',
  },
  { says: 'one that is fenced is passed over', wants: { isr: [2, 3] }, alive: [3], becomes: '3/23/ +1' },
  {
    says: 'one that is not in sync is passed over',
    from: { isr: [1, 3] },
    wants: { isr: [3] },
    alive: [2, 3],
    minIsr: 1,
    becomes: '3/3/ +1',
  },
  { says: 'below min.insync.replicas who leaves stays eligible', wants: { isr: [1] }, alive: [1, 2, 3], becomes: '1/1/23 +0' },
  { says: 'and the next one besides', from: { isr: [1], elr: [2] }, wants: { isr: [] }, alive: [], becomes: '-?1//12 +1' },
  {
    says: 'one that comes back leaves the ELR',
    from: { leader: 1, isr: [1], elr: [2, 3] },
    wants: { isr: [1, 2] },
    alive: [1, 2, 3],
    minIsr: 3,
    becomes: '1/12/3 +0',
  },
  {
    says: 'a big enough ISR needs no ELR',
    from: { isr: [1], elr: [2, 3] },
    wants: { isr: [1, 2] },
    alive: [1, 2, 3],
    becomes: '1/12/ +0',
  },
  {
    says: 'without an ISR the ELR elects, and its winner is the ISR',
    from: { ...gone, elr: [2, 3], lastKnownLeader: 1 },
    alive: [3],
    becomes: '3/3/2 +1',
  },
  {
    says: 'the ELR does not elect beside an ISR',
    from: { leader: NO_LEADER, isr: [1], elr: [2] },
    alive: [2],
    becomes: '-/1/2 +0',
  },
  { says: 'nobody of the ELR is there: nobody leads', from: { ...gone, elr: [2] }, alive: [1, 3], becomes: '-//2 +0' },
  {
    says: 'an unclean restart costs the place in the ELR',
    from: { ...gone, elr: [1, 2], lastKnownLeader: 1 },
    alive: [],
    unclean: [2],
    becomes: '-?1//1 +0',
  },
  { says: 'and the one in the ISR', wants: { isr: [2, 3] }, alive: [2, 3], minIsr: 3, unclean: [1], becomes: '2/23/ +1' },
  {
    says: 'nobody is sure: the last leader, once it is alive, recovering',
    from: { ...gone, lastKnownLeader: 2 },
    alive: [2],
    becomes: '2/2/! +1',
  },
  { says: 'not somebody else meanwhile', from: { ...gone, lastKnownLeader: 2 }, alive: [1, 3], becomes: '-?2// +0' },
  {
    says: 'unless it was allowed',
    from: { ...gone, lastKnownLeader: 2 },
    alive: [1, 3],
    election: 'unclean',
    becomes: '1/1/! +1',
  },
  { says: 'then the ELR counts no more', from: { ...gone, elr: [2, 3] }, alive: [1], election: 'unclean', becomes: '1/1/! +1' },
  {
    says: 'what may be unclean is clean where it can be',
    from: { ...gone, elr: [3] },
    alive: [1, 3],
    election: 'unclean',
    becomes: '3/3/ +1',
  },
  { says: 'the preferred leader takes over', from: { leader: 2 }, alive: [1, 2, 3], election: 'preferred', becomes: '1/123/ +1' },
  {
    says: 'not when it is out of sync',
    from: { leader: 2, isr: [2, 3] },
    alive: [1, 2, 3],
    election: 'preferred',
    becomes: '2/23/ +0',
  },
  { says: 'online leaves who leads in place', from: { leader: 2 }, alive: [1, 2, 3], becomes: '2/123/ +0' },
  {
    says: 'min.insync.replicas above the replicas means all of them',
    wants: { isr: [1, 2, 3] },
    from: { isr: [1, 2], elr: [3] },
    alive: [1, 2, 3],
    minIsr: 9,
    becomes: '1/123/ +0',
  },
  {
    says: 'recovery ends when the leader says so',
    from: { leader: 2, isr: [2], recovering: true },
    wants: { recovering: false },
    alive: [2],
    minIsr: 1,
    becomes: '2/2/ +0',
  },
  { says: 'and cannot be brought about by it', wants: { recovering: true }, alive: [1, 2, 3], becomes: '1/123/ +0' },
  {
    says: 'added replicas are not in sync yet',
    wants: { replicas: [3, 4, 1, 2], adding: [4], removing: [1, 2] },
    alive: [1, 2, 3, 4],
    becomes: '1/123/ +0',
  },
  {
    says: 'once they are, the move is done, the leader with it',
    from: { replicas: [3, 4, 1, 2], adding: [4], removing: [1, 2] },
    wants: { isr: [1, 2, 3, 4] },
    alive: [1, 2, 3, 4],
    becomes: '3/34/ +1',
  },
  {
    says: 'not while those who stay are fewer than min.insync.replicas',
    from: { replicas: [3, 4, 1, 2], isr: [1, 2], adding: [4], removing: [1, 2] },
    wants: { isr: [1, 2, 4] },
    alive: [1, 2, 3, 4],
    becomes: '1/124/ +0',
  },
  {
    says: 'a removed follower begins a new epoch of the same leader',
    wants: { replicas: [1, 2, 3], removing: [3] },
    alive: [1, 2, 3],
    becomes: '1/12/ +1',
  },
  { says: 'a new order needs no move', wants: { replicas: [3, 2, 1] }, alive: [1, 2, 3], becomes: '1/123/ +0' },
]

suite('a partition changes by the rules', () => {
  for (const { says, from, wants = {}, alive, minIsr, election, unclean, becomes } of table) {
    test(says, () => {
      const before = partition(from)
      const after = changePartition(before, wants, rules(alive, minIsr, election, unclean))
      assert.equal(shown(before, after), becomes)
      if (after !== before) assert.equal(after.partitionEpoch, before.partitionEpoch + 1)
    })
  }
})

test('what changes nothing gives the same partition', () => {
  const before = partition()
  assert.equal(changePartition(before, { isr: [1, 2, 3] }, rules([1, 2, 3])), before)
})

interface State {
  readonly record: PartitionRecord
  readonly alive: readonly number[]
  /** Who has everything that was acknowledged. */
  readonly complete: readonly number[]
}

/** Everything that may happen to a partition next. */
function* moves({ record, alive, complete }: State, all: readonly number[], minIsr: number): Generator<[string, State]> {
  const without = (list: readonly number[], id: number) => list.filter((other) => other !== id)
  const change = (
    wants: PartitionTargets,
    living: readonly number[],
    election: Election = 'online',
    unclean: readonly number[] = [],
  ) => changePartition(record, wants, rules(living, minIsr, election, unclean))
  for (const id of all) {
    if (alive.includes(id)) {
      const left = without(alive, id)
      yield [`fence ${id}`, { record: change({ isr: without(record.isr, id) }, left), alive: left, complete }]
      const lost = change({ isr: without(record.isr, id) }, left, 'online', [id])
      yield [`wipe ${id}`, { record: lost, alive: left, complete: without(complete, id) }]
    } else {
      yield [`unfence ${id}`, { record: change({}, [...alive, id].sort()), alive: [...alive, id].sort(), complete }]
      const forgotten = change({}, alive, 'online', [id])
      yield [`wipe the fenced ${id}`, { record: forgotten, alive, complete: without(complete, id) }]
    }
    if (record.leader === NO_LEADER) continue
    if (record.isr.includes(id) && id !== record.leader)
      yield [`shrink by ${id}`, { record: change({ isr: without(record.isr, id) }, alive), alive, complete }]
    if (!record.isr.includes(id) && record.replicas.includes(id) && alive.includes(id) && !record.recovering) {
      const caughtUp = complete.includes(record.leader) ? [...without(complete, id), id].sort() : complete
      yield [`expand by ${id}`, { record: change({ isr: [...record.isr, id] }, alive), alive, complete: caughtUp }]
    }
  }
  yield ['elect the preferred', { record: change({}, alive, 'preferred'), alive, complete }]
  yield ['elect uncleanly', { record: change({}, alive, 'unclean'), alive, complete }]
  if (record.recovering && record.leader !== NO_LEADER)
    yield ['recover', { record: change({ recovering: false }, alive), alive, complete }]
  if (record.leader !== NO_LEADER && record.isr.length >= effectiveMinIsr(minIsr, record.replicas))
    yield ['acknowledge', { record, alive, complete: [...record.isr].sort() }]
  const moving = record.adding.length + record.removing.length > 0
  if (!moving && all.length > record.replicas.length) {
    const added = all.filter((id) => !record.replicas.includes(id))
    const kept = record.replicas.slice(1)
    const replicas = [...kept, ...added, record.replicas[0]]
    yield ['reassign', { record: change({ replicas, adding: added, removing: [record.replicas[0]] }, alive), alive, complete }]
  }
  if (moving) {
    const replicas = record.replicas.filter((id) => !record.adding.includes(id))
    const isr = record.isr.filter((id) => !record.adding.includes(id))
    if (isr.length > 0) yield ['cancel', { record: change({ replicas, isr, adding: [], removing: [] }, alive), alive, complete }]
  }
}

function check(before: PartitionRecord, { record, complete }: State, minIsr: number, how: string): void {
  const { leader, isr, elr, replicas } = record
  const context = `${how}: ${JSON.stringify(record)}, complete: ${complete}`
  assert.ok(leader === NO_LEADER || isr.includes(leader), `the leader is in the ISR: ${context}`)
  for (const id of [...isr, ...elr]) assert.ok(replicas.includes(id), `ISR and ELR are replicas: ${context}`)
  for (const id of elr) assert.ok(!isr.includes(id), `nobody is in both: ${context}`)
  if (isr.length >= effectiveMinIsr(minIsr, replicas)) assert.equal(elr.length, 0, `no ELR beside a full ISR: ${context}`)
  for (const id of [...isr, ...elr]) assert.ok(complete.includes(id), `who may lead has everything: ${context}`)
  assert.ok(record.leaderEpoch >= before.leaderEpoch && record.partitionEpoch >= before.partitionEpoch, context)
  if (leader !== before.leader) assert.ok(record.leaderEpoch > before.leaderEpoch, `a new leader has a new epoch: ${context}`)
  if (record !== before) assert.ok(record.partitionEpoch > before.partitionEpoch, `a change is told: ${context}`)
}

for (const [replicas, others, minIsr] of [
  [[1, 2, 3], [], 1],
  [[1, 2, 3], [], 2],
  [[1, 2, 3], [], 3],
  [[1, 2], [3], 1],
  [[1, 2], [3], 2],
  [[1, 2], [3], 3],
] as const) {
  test(`every state of ${replicas.length} replicas with min.insync.replicas ${minIsr}${others.length > 0 ? ' and a reassignment' : ''} is legal and loses nothing`, () => {
    const all = [...replicas, ...others]
    const first: State = { record: newPartition(replicas), alive: all, complete: replicas }
    const seen = new Set<string>()
    const keyOf = ({ record, alive, complete }: State) =>
      JSON.stringify([{ ...record, leaderEpoch: 0, partitionEpoch: 0 }, alive, complete])
    const open = [first]
    let unclean = 0
    for (let state = open.pop(); state !== undefined; state = open.pop()) {
      for (const [how, next] of moves(state, all, minIsr)) {
        const electedUncleanly =
          next.record.leaderEpoch > state.record.leaderEpoch &&
          next.record.recovering &&
          next.record.leader !== NO_LEADER &&
          !(state.record.recovering && [...state.record.isr, ...state.record.elr].includes(next.record.leader))
        if (electedUncleanly) unclean++
        // Then what this leader has is all there is.
        const judged = electedUncleanly ? { ...next, complete: [next.record.leader] } : next
        check(state.record, judged, minIsr, how)
        const key = keyOf(judged)
        if (seen.has(key)) continue
        seen.add(key)
        open.push(judged)
      }
    }
    assert.ok(seen.size > 100 && unclean > 0, `${seen.size} states, ${unclean} unclean elections`)
  })
}

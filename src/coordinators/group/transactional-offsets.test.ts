// Offsets that are committed in transactions: when they count, what they hold up, and who may not commit them.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../protocol/error-codes.ts'
import { deleteGroup } from './delete-groups.ts'
import { deleteOffsets, dropTopicOffsets } from './delete-offsets.ts'
import { expireOffsets } from './expire-offsets.ts'
import { fetchOffsets } from './fetch-offsets.ts'
import { defaultGroupConfig } from './group-config.ts'
import { GROUP, Workbench } from './workbench.ts'

const producer = { producerId: 1n, producerEpoch: 0 }
const other = { producerId: 2n, producerEpoch: 0 }
const RETENTION = defaultGroupConfig.offsetsRetentionMs

const expire = (bench: Workbench) => bench.take(expireOffsets(bench.groups, GROUP, bench.now))
const remove = (bench: Workbench) => errorName(bench.take(deleteGroup(bench.groups, GROUP)))

/** What holds live must hold for who reads the log, too. */
function everywhere(bench: Workbench, check: (bench: Workbench) => void): void {
  check(bench)
  check(Workbench.restartedFrom(bench.entries))
}

test('an offset that is committed in a transaction counts when the transaction is committed, and no sooner', () => {
  const bench = new Workbench()
  bench.commit('t', 1n)
  assert.equal(bench.commitIn(producer, 't', 5n), 'NONE')
  everywhere(bench, (bench) => assert.equal(bench.committed('t'), 1n))
  assert.equal(bench.end(producer, 'commit'), 'NONE')
  everywhere(bench, (bench) => assert.equal(bench.committed('t'), 5n))
})

test('the offset of a transaction that is aborted is forgotten', () => {
  const bench = new Workbench()
  bench.commit('t', 1n)
  bench.commitIn(producer, 't', 5n)
  assert.equal(bench.end(producer, 'abort'), 'NONE')
  everywhere(bench, (bench) => {
    assert.equal(bench.committed('t'), 1n)
    assert.equal(bench.stableOffset('t'), 1n)
  })
})

test('who insists on stable offsets is told which partitions have a pending one, and gets the others', () => {
  const bench = new Workbench()
  bench.commit('t', 1n)
  bench.commit('u', 2n)
  bench.commitIn(producer, 't', 5n)
  bench.commitIn(other, 't', 6n)
  everywhere(bench, (bench) => {
    assert.equal(bench.stableOffset('t'), 'UNSTABLE_OFFSET_COMMIT')
    assert.equal(bench.stableOffset('u'), 2n)
    const all = bench.take(fetchOffsets(bench.groups, { groupId: GROUP, topics: null, requireStable: true }))
    assert.deepEqual(
      all.topics.map(({ name, partitions }) => [name, errorName(partitions[0].errorCode), partitions[0].committedOffset]),
      [
        ['t', 'UNSTABLE_OFFSET_COMMIT', -1n],
        ['u', 'NONE', 2n],
      ],
    )
  })
  bench.end(producer, 'commit')
  assert.equal(bench.stableOffset('t'), 'UNSTABLE_OFFSET_COMMIT')
  bench.end(other, 'abort')
  everywhere(bench, (bench) => assert.equal(bench.stableOffset('t'), 5n))
})

test('a partition without any offset but a pending one is unstable, too', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  assert.equal(bench.stableOffset('t'), 'UNSTABLE_OFFSET_COMMIT')
  assert.equal(bench.committed('t'), -1n)
})

test('a marker ends the transaction of its producer and of no other', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  bench.commitIn(other, 'u', 6n)
  bench.end(other, 'commit')
  everywhere(bench, (bench) => {
    assert.equal(bench.stableOffset('t'), 'UNSTABLE_OFFSET_COMMIT')
    assert.equal(bench.committed('u'), 6n)
  })
})

test('within a transaction the last offset counts', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  bench.commitIn(producer, 't', 4n)
  bench.end(producer, 'commit')
  everywhere(bench, (bench) => assert.equal(bench.committed('t'), 4n))
})

test('of several commits the one that was written last counts, whenever its transaction is committed', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  bench.commitIn(other, 't', 6n)
  bench.commitIn(producer, 'u', 5n)
  bench.commit('u', 7n)
  bench.end(other, 'commit')
  bench.end(producer, 'commit')
  everywhere(bench, (bench) => {
    assert.equal(bench.committed('t'), 6n)
    assert.equal(bench.committed('u'), 7n)
  })
})

test('a marker for a producer that has nothing pending is written all the same: the log waits for it', () => {
  const bench = new Workbench()
  assert.equal(bench.end(producer, 'commit'), 'NONE')
  assert.equal(bench.entries.length, 1)
})

// ── members ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a producer that tells of no member commits for a group whatever state it is in, as versions before 3 do', () => {
  const bench = new Workbench()
  assert.equal(bench.commitIn(producer, 't', 1n), 'NONE')
  assert.equal(bench.group.state, 'Empty')
  const [a] = bench.stable(['a'])
  assert.equal(bench.commitIn(producer, 't', 2n), 'NONE')
  bench.join('a again', { memberId: a })
  assert.equal(bench.commitIn(producer, 't', 3n), 'NONE')
})

test('a producer commits for a member in its generation, and in no other', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'])
  assert.equal(bench.commitIn(producer, 't', 5n, { memberId: a, generationId: 1 }), 'NONE')
  assert.equal(bench.commitIn(producer, 't', 6n, { memberId: a, generationId: 0 }), 'ILLEGAL_GENERATION')
  assert.equal(bench.commitIn(producer, 't', 6n, { memberId: a, generationId: -1 }), 'ILLEGAL_GENERATION')
  assert.equal(bench.commitIn(producer, 't', 6n, { memberId: 'nobody', generationId: 1 }), 'UNKNOWN_MEMBER_ID')
  bench.end(producer, 'commit')
  assert.equal(bench.committed('t'), 5n)
})

test('a producer commits for a static member until another has taken its place', () => {
  const bench = new Workbench()
  const [a] = bench.stable(['a'], { groupInstanceId: 'instance' })
  const from = { memberId: a, generationId: 1, groupInstanceId: 'instance' }
  assert.equal(bench.commitIn(producer, 't', 5n, from), 'NONE')
  assert.equal(bench.commitIn(producer, 't', 5n, { ...from, groupInstanceId: 'nobody' }), 'UNKNOWN_MEMBER_ID')
  bench.join('successor', { groupInstanceId: 'instance' })
  assert.equal(bench.commitIn(producer, 't', 6n, from), 'FENCED_INSTANCE_ID')
})

test('a producer with a member of a group that is not there is told that its generation is over', () => {
  const bench = new Workbench()
  assert.equal(bench.commitIn(producer, 't', 5n, { memberId: 'a', generationId: 1 }), 'ILLEGAL_GENERATION')
  assert.equal(bench.groups.get(GROUP), undefined)
})

test('while the group waits for its leader a producer may still commit for a member of the new generation', () => {
  const bench = new Workbench()
  const [a, b] = bench.stable(['a', 'b'])
  bench.join('a again', { memberId: a })
  bench.join('b again', { memberId: b })
  assert.equal(bench.group.state, 'CompletingRebalance')
  assert.equal(bench.commitIn(producer, 't', 5n, { memberId: a, generationId: 2 }), 'NONE')
})

test('metadata has its limit in transactions, too', () => {
  const bench = new Workbench({ offsetMetadataMaxBytes: 4 })
  assert.equal(bench.commitIn(producer, 't', 5n, { metadata: 'longer' }), 'OFFSET_METADATA_TOO_LARGE')
  assert.equal(bench.stableOffset('t'), -1n)
})

// ── what removes offsets ────────────────────────────────────────────────────────────────────────────────────────────

test('a group that is deleted takes its pending offsets along: committing the transaction does not bring them back', () => {
  const bench = new Workbench()
  bench.commit('t', 1n)
  bench.commitIn(producer, 't', 5n)
  bench.commitIn(producer, 'u', 6n)
  bench.commitIn(other, 'u', 7n)
  const before = bench.log.length
  assert.equal(remove(bench), 'NONE')
  assert.equal(bench.log.length - before, 3, 'one tombstone for each partition, and one for the group')
  bench.end(producer, 'commit')
  bench.end(other, 'commit')
  everywhere(bench, (bench) => {
    assert.equal(bench.groups.get(GROUP), undefined)
    assert.equal(bench.groups.hasOffsets(GROUP), false)
  })
})

test('what a transaction commits after its group was deleted makes the group anew', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  remove(bench)
  bench.commitIn(producer, 'u', 6n)
  bench.end(producer, 'commit')
  everywhere(bench, (bench) => {
    assert.equal(bench.committed('t'), -1n)
    assert.equal(bench.committed('u'), 6n)
    assert.equal(bench.group.state, 'Empty')
  })
})

test('an administrator deletes pending offsets with the committed ones', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  const request = { groupId: GROUP, topics: [{ name: 't', partitions: [{ partitionIndex: 0 }, { partitionIndex: 1 }] }] }
  bench.take(deleteOffsets(bench.groups, request))
  assert.equal(bench.log.length, 2)
  assert.equal(bench.stableOffset('t'), -1n)
  bench.end(producer, 'commit')
  everywhere(bench, (bench) => assert.equal(bench.committed('t'), -1n))
})

test('the pending offsets of a topic that is deleted are dropped', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  bench.commitIn(producer, 'u', 6n)
  assert.equal(bench.take(dropTopicOffsets(bench.groups, GROUP, new Set(['t']))), 1)
  bench.end(producer, 'commit')
  everywhere(bench, (bench) => {
    assert.equal(bench.committed('t'), -1n)
    assert.equal(bench.committed('u'), 6n)
  })
})

test('an offset does not expire while a transaction is about to replace it, nor does its group', () => {
  const bench = new Workbench()
  bench.commit('t', 1n)
  bench.commit('u', 2n)
  bench.commitIn(producer, 't', 5n)
  bench.advance(RETENTION)
  assert.equal(expire(bench), 1)
  assert.equal(bench.committed('t'), 1n)
  assert.equal(bench.committed('u'), -1n)
  bench.end(producer, 'abort')
  assert.equal(expire(bench), 1)
  everywhere(bench, (bench) => assert.equal(bench.groups.get(GROUP), undefined))
})

test('a group that has nothing but pending offsets is kept until they are gone', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  bench.advance(RETENTION)
  assert.equal(expire(bench), 0)
  assert.equal(bench.group.state, 'Empty')
  assert.equal(bench.stableOffset('t'), 'UNSTABLE_OFFSET_COMMIT')
  bench.end(producer, 'abort')
  expire(bench)
  assert.equal(bench.groups.get(GROUP), undefined)
})

test('offsets are kept from their commit on, not from the end of their transaction', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  bench.advance(1_000)
  bench.end(producer, 'commit')
  bench.advance(RETENTION - 1_000)
  assert.equal(expire(bench), 1)
})

// ── fencing ─────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a producer of a former epoch commits nothing any more', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  // Its transaction took too long: the coordinator has ended it in an epoch of its own.
  bench.end({ ...producer, producerEpoch: 1 }, 'abort')
  everywhere(bench, (bench) => {
    assert.equal(bench.commitIn(producer, 't', 6n), 'INVALID_PRODUCER_EPOCH')
    assert.equal(bench.commitIn({ ...producer, producerEpoch: 1 }, 't', 7n), 'NONE')
    assert.equal(bench.commitIn(producer, 't', 6n), 'INVALID_PRODUCER_EPOCH')
  })
})

test('nobody commits in a transaction without a producer id', () => {
  const bench = new Workbench()
  assert.equal(bench.commitIn({ producerId: -1n, producerEpoch: 0 }, 't', 6n), 'INVALID_PRODUCER_ID_MAPPING')
  assert.equal(bench.commitIn({ producerId: 1n, producerEpoch: -1 }, 't', 6n), 'INVALID_PRODUCER_ID_MAPPING')
  assert.equal(bench.end({ producerId: -1n, producerEpoch: -1 }, 'commit'), 'INVALID_PRODUCER_ID_MAPPING')
  assert.deepEqual(bench.entries, [])
})

test('a marker of a former epoch is refused, one of the present epoch ends the transaction, by the rules of version 1', () => {
  const bench = new Workbench()
  const present = { ...producer, producerEpoch: 3 }
  bench.commitIn(present, 't', 5n)
  assert.equal(bench.end({ ...producer, producerEpoch: 2 }, 'commit'), 'INVALID_PRODUCER_EPOCH')
  assert.equal(bench.stableOffset('t'), 'UNSTABLE_OFFSET_COMMIT')
  assert.equal(bench.end(present, 'commit'), 'NONE')
  assert.equal(bench.end(present, 'commit'), 'NONE', 'and again, which is not told from an empty transaction')
})

test('by the rules of version 2 a marker brings the next epoch: a late one of the transaction before cannot end this one', () => {
  const bench = new Workbench()
  const next = { ...producer, producerEpoch: 1 }
  bench.commitIn(producer, 't', 5n)
  assert.equal(bench.end(producer, 'commit', 2), 'INVALID_PRODUCER_EPOCH')
  assert.equal(bench.end(next, 'commit', 2), 'NONE')
  const written = bench.entries.length
  assert.equal(bench.end(next, 'commit', 2), 'NONE', 'its answer was lost')
  assert.equal(bench.entries.length, written)
  bench.commitIn(next, 't', 6n)
  assert.equal(bench.end(next, 'commit', 2), 'INVALID_PRODUCER_EPOCH')
  everywhere(bench, (bench) => {
    assert.equal(bench.committed('t'), 5n)
    assert.equal(bench.stableOffset('t'), 'UNSTABLE_OFFSET_COMMIT')
  })
})

test('a marker of a transaction coordinator that was replaced is refused', () => {
  const bench = new Workbench()
  bench.commitIn(producer, 't', 5n)
  assert.equal(bench.end(producer, 'abort', 1, 7), 'NONE')
  everywhere(bench, (bench) => {
    bench.commitIn(producer, 't', 6n)
    assert.equal(bench.end(producer, 'commit', 1, 6), 'TRANSACTION_COORDINATOR_FENCED')
    assert.equal(bench.end(producer, 'commit', 1, 7), 'NONE')
    assert.equal(bench.committed('t'), 6n)
  })
})

test('producers that have not been heard of for long are forgotten, those with an open transaction are not', () => {
  const bench = new Workbench()
  bench.commitIn({ ...producer, producerEpoch: 5 }, 't', 5n)
  bench.end({ ...other, producerEpoch: 5 }, 'abort')
  for (let producerId = 10n; producerId < 10_010n; producerId++) bench.end({ producerId, producerEpoch: 0 }, 'abort')
  assert.equal(bench.commitIn(producer, 't', 6n), 'INVALID_PRODUCER_EPOCH')
  assert.equal(bench.commitIn(other, 't', 6n), 'NONE')
})

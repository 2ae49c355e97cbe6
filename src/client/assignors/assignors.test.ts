import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Random, seededRandom } from '../../host/random.ts'
import { partitionKey, type TopicPartition } from '../metadata.ts'
import type { Assignments, Assignor, MemberSubscription } from './assignor.ts'
import { cooperativeStickyAssignor } from './cooperative-sticky.ts'
import { rangeAssignor } from './range.ts'
import { roundRobinAssignor } from './round-robin.ts'

function member(
  memberId: string,
  topics: readonly string[],
  owned: readonly TopicPartition[] = [],
  generationId = -1,
): MemberSubscription {
  return { memberId, groupInstanceId: null, topics, ownedPartitions: owned, generationId, userData: null }
}

function text(assignments: Assignments): Record<string, string[]> {
  return Object.fromEntries([...assignments].map(([id, of]) => [id, of.map(({ topic, partition }) => `${topic}${partition}`)]))
}

test('range cuts each topic into contiguous shares, the first members getting one more', () => {
  const assignments = rangeAssignor.assign(
    [member('b', ['t', 'u']), member('a', ['t', 'u'])],
    new Map([
      ['t', 3],
      ['u', 3],
    ]),
  )
  assert.deepEqual(text(assignments), { a: ['t0', 't1', 'u0', 'u1'], b: ['t2', 'u2'] })
})

test('range orders static members by instance id, before the others', () => {
  const fixed = { ...member('z', ['t']), groupInstanceId: 'i1' }
  const assignments = rangeAssignor.assign([member('a', ['t']), fixed], new Map([['t', 1]]))
  assert.deepEqual(text(assignments), { a: [], z: ['t0'] })
})

test('round robin deals all partitions in turn, past those who do not subscribe', () => {
  const assignments = roundRobinAssignor.assign(
    [member('a', ['t']), member('b', ['t', 'u'])],
    new Map([
      ['t', 3],
      ['u', 2],
    ]),
  )
  assert.deepEqual(text(assignments), { a: ['t0', 't2'], b: ['t1', 'u0', 'u1'] })
})

test('a topic that does not exist is nobody’s', () => {
  for (const assignor of [rangeAssignor, roundRobinAssignor, cooperativeStickyAssignor]) {
    assert.deepEqual(text(assignor.assign([member('a', ['nothing'])], new Map())), { a: [] })
  }
})

test('a partition changes hands in two steps: first its owner gives it up', () => {
  const t = (partition: number) => ({ topic: 't', partition })
  const counts = new Map([['t', 4]])
  const first = cooperativeStickyAssignor.assign([member('a', ['t'], [t(0), t(1), t(2), t(3)], 1), member('b', ['t'])], counts)
  assert.equal(first.get('a')!.length, 2)
  assert.deepEqual(first.get('b'), [], 'what a still holds is not given away yet')
  const second = cooperativeStickyAssignor.assign([member('a', ['t'], first.get('a'), 2), member('b', ['t'])], counts)
  assert.deepEqual(second.get('a'), first.get('a'))
  assert.equal(second.get('b')!.length, 2)
})

test('of two who claim a partition, the one of the later generation has it', () => {
  const t0 = [{ topic: 't', partition: 0 }]
  const assignments = cooperativeStickyAssignor.assign(
    [member('a', ['t'], t0, 1), member('b', ['t'], t0, 2)],
    new Map([['t', 1]]),
  )
  assert.deepEqual(text(assignments), { a: [], b: ['t0'] })
})

test('an old member tells its generation in its user data', () => {
  const t0 = [{ topic: 't', partition: 0 }]
  const old = { ...member('a', ['t'], t0), userData: cooperativeStickyAssignor.userData!(5) }
  const assignments = cooperativeStickyAssignor.assign([old, member('b', ['t'], t0, 4)], new Map([['t', 1]]))
  assert.deepEqual(text(assignments), { a: ['t0'], b: [] })
})

/** Groups of any size, alike or not, over several generations. */
function* groups(random: Random, alike: boolean) {
  const names = ['t', 'u', 'v']
  for (let round = 0; round < 200; round++) {
    const counts = new Map(names.map((name) => [name, random.u32() % 7]))
    const ids = Array.from({ length: 1 + (random.u32() % 6) }, (_, index) => `m${index}`)
    const some = () => names.filter(() => random.u32() % 3 > 0)
    const shared = some()
    yield { counts, members: ids.map((id) => member(id, alike ? shared : some())) }
  }
}

function checkComplete(
  members: readonly MemberSubscription[],
  counts: ReadonlyMap<string, number>,
  assignments: Assignments,
): void {
  const seen = new Set<string>()
  for (const { memberId, topics } of members) {
    for (const { topic, partition } of assignments.get(memberId)!) {
      assert.ok(topics.includes(topic), `${memberId} does not subscribe to ${topic}`)
      assert.ok(!seen.has(partitionKey(topic, partition)), `${topic}-${partition} is given twice`)
      seen.add(partitionKey(topic, partition))
    }
  }
  const wanted = [...counts].filter(([topic]) => members.some((subscriber) => subscriber.topics.includes(topic)))
  assert.equal(
    seen.size,
    wanted.reduce((sum, [, count]) => sum + count, 0),
  )
}

for (const assignor of [rangeAssignor, roundRobinAssignor, cooperativeStickyAssignor] satisfies Assignor[]) {
  test(`${assignor.name} gives every partition to exactly one subscriber`, () => {
    for (const alike of [true, false]) {
      for (const { members, counts } of groups(seededRandom(3), alike))
        checkComplete(members, counts, assignor.assign(members, counts))
    }
  })
}

test('cooperative-sticky balances, moves no more than it must, and settles', () => {
  const random = seededRandom(11)
  for (const { members, counts } of groups(random, true)) {
    let assignments = cooperativeStickyAssignor.assign(members, counts)
    // Somebody leaves, somebody comes.
    const stay = members.filter((_, index) => index > 0 || members.length === 1)
    let group = [...stay, member('new', members[0].topics)]
    for (let generation = 1; generation < 4; generation++) {
      const before = assignments
      group = group.map((one) => ({ ...one, ownedPartitions: before.get(one.memberId) ?? [], generationId: generation }))
      assignments = cooperativeStickyAssignor.assign(group, counts)
      for (const one of group) {
        for (const { topic, partition } of assignments.get(one.memberId)!) {
          const holder = group.find((other) =>
            other.ownedPartitions.some((owned) => owned.topic === topic && owned.partition === partition),
          )
          assert.ok(holder === undefined || holder.memberId === one.memberId, 'nobody gets what another still holds')
        }
      }
    }
    checkComplete(group, counts, assignments)
    const loads = [...assignments.values()].map((of) => of.length)
    assert.ok(Math.max(...loads) - Math.min(...loads) <= 1, `unbalanced: ${loads}`)
  }
})

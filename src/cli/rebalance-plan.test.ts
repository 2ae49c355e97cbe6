// Plans for clusters that chance has made: whatever they are like, some things hold.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../host/random.ts'
import { type PlanBroker, type PlanPartition, planRebalance } from './rebalance-plan.ts'

const count = (partitions: readonly PlanPartition[], id: number) =>
  partitions.filter(({ replicas }) => replicas.includes(id)).length

function carriedOut(partitions: readonly PlanPartition[], plan: ReturnType<typeof planRebalance>): PlanPartition[] {
  const changes = new Map(plan.changes.map((change) => [`${change.topic}-${change.index}`, change.after]))
  return partitions.map((partition) => ({
    ...partition,
    replicas: changes.get(`${partition.topic}-${partition.index}`) ?? partition.replicas,
  }))
}

function randomCluster(seed: number) {
  const random = seededRandom(seed)
  const below = (n: number) => random.u32() % n
  const brokerCount = 1 + below(9)
  const machines = below(3) === 0 ? 1 + below(brokerCount) : 0
  const racks = below(3) === 0 ? 1 + below(4) : 0
  const brokers: PlanBroker[] = Array.from({ length: brokerCount }, (_, i) => ({
    id: i + 1,
    rack: racks === 0 ? null : `r${below(racks)}`,
    machine: machines === 0 ? null : `m${i % machines}`,
  }))
  const partitions: PlanPartition[] = Array.from({ length: below(60) }, (_, index) => {
    const ids = brokers.map(({ id }) => id).sort(() => (below(2) === 0 ? -1 : 1))
    const apart: number[] = []
    const factor = 1 + below(3)
    for (const id of ids) {
      const machine = brokers[id - 1].machine
      const isShared = machine !== null && apart.some((other) => brokers[other - 1].machine === machine)
      if (apart.length < factor && !isShared) apart.push(id)
    }
    return { topic: `t${below(4)}`, index, replicas: apart, bytes: below(1000) }
  })
  const removed = brokers.filter(() => below(8) === 0)
  return { brokers: brokers.filter((broker) => !removed.includes(broker)), all: brokers, partitions, removed }
}

const SEEDS = Array.from({ length: 400 }, (_, seed) => seed)

test('each partition keeps its number of replicas, on different brokers, and on different machines', () => {
  for (const seed of SEEDS) {
    const { brokers, all, partitions } = randomCluster(seed)
    const after = carriedOut(partitions, planRebalance(brokers, partitions))
    for (const [i, { replicas }] of after.entries()) {
      assert.equal(replicas.length, partitions[i].replicas.length, `seed ${seed}`)
      assert.equal(new Set(replicas).size, replicas.length, `seed ${seed}`)
      const machines = replicas.map((id) => all[id - 1].machine ?? `broker ${id}`)
      assert.equal(new Set(machines).size, machines.length, `seed ${seed}`)
    }
  }
})

test('what is to hold nothing holds nothing, unless there is nowhere to go, which is said', () => {
  for (const seed of SEEDS) {
    const { brokers, partitions, removed } = randomCluster(seed)
    const plan = planRebalance(brokers, partitions)
    const after = carriedOut(partitions, plan)
    for (const [i, { replicas }] of after.entries()) {
      const left = replicas.some((id) => removed.some((broker) => broker.id === id))
      assert.equal(left, plan.stuck.includes(partitions[i]), `seed ${seed}`)
    }
  }
})

test('where nothing must be kept apart, brokers hold the same number of replicas, or one more', () => {
  for (const seed of SEEDS) {
    const { all, brokers: given, partitions } = randomCluster(seed)
    const brokers = given.map(({ id }) => ({ id, rack: null, machine: null }))
    if (brokers.length === 0) continue
    const plan = planRebalance(brokers, partitions)
    const after = carriedOut(partitions, plan)
    if (plan.stuck.length > 0) continue
    const held = brokers.map(({ id }) => count(after, id))
    assert.ok(Math.max(...held) - Math.min(...held) <= 1, `seed ${seed}: ${held}`)
    if (given.length < all.length) continue
    // No more is copied than what must be: each broker receives what it lacks, and nothing else.
    const copied = plan.changes.flatMap(({ before, after }) => after.filter((id) => !before.includes(id))).length
    const gained = brokers.reduce((sum, { id }) => sum + Math.max(0, count(after, id) - count(partitions, id)), 0)
    assert.equal(copied, gained, `seed ${seed}`)
  }
})

test('racks that were apart stay apart, unless a broker is emptied', () => {
  for (const seed of SEEDS) {
    const { all, partitions } = randomCluster(seed)
    const after = carriedOut(partitions, planRebalance(all, partitions))
    const racks = ({ replicas }: PlanPartition) => new Set(replicas.map((id) => all[id - 1].rack)).size
    for (const [i, partition] of after.entries()) assert.ok(racks(partition) >= racks(partitions[i]), `seed ${seed}`)
  }
})

test('no leadership could go any shorter way: whoever leads most leads at most one more than whom its partitions could be led by', () => {
  for (const seed of SEEDS) {
    const { brokers, partitions } = randomCluster(seed)
    const after = carriedOut(partitions, planRebalance(brokers, partitions))
    const leads = (id: number) => after.filter(({ replicas }) => replicas[0] === id).length
    const ids = new Set(brokers.map(({ id }) => id))
    for (const { replicas } of after) {
      if (!ids.has(replicas[0])) continue
      for (const other of replicas) if (ids.has(other)) assert.ok(leads(replicas[0]) - leads(other) <= 1, `seed ${seed}`)
    }
  }
})

test('a plan that is carried out leaves nothing to plan', () => {
  for (const seed of SEEDS) {
    const { brokers, partitions } = randomCluster(seed)
    const after = carriedOut(partitions, planRebalance(brokers, partitions))
    assert.deepEqual(planRebalance(brokers, after).changes, [], `seed ${seed}`)
  }
})

test('a broker that is new gets its share, the smallest partitions', () => {
  const brokers = [1, 2, 3, 4].map((id) => ({ id, rack: null, machine: null }))
  const partitions = Array.from({ length: 8 }, (_, index) => ({
    topic: 't',
    index,
    replicas: [1, 2, 3],
    bytes: (index + 1) * 100,
  }))
  const { changes } = planRebalance(brokers, partitions)
  const copied = changes.filter(({ bytes }) => bytes > 0)
  assert.equal(copied.length, 6)
  assert.deepEqual(
    copied.map(({ index }) => index),
    [0, 1, 2, 3, 4, 5],
  )
  assert.deepEqual(
    brokers.map(({ id }) => carriedOut(partitions, { changes, stuck: [] }).filter(({ replicas }) => replicas[0] === id).length),
    [2, 2, 2, 2],
  )
})

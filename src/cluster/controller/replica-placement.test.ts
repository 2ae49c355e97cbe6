import assert from 'node:assert/strict'
import { test } from 'node:test'
import { seededRandom } from '../../host/random.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import { placeReplicas } from './replica-placement.ts'

const random = seededRandom(3)
const brokers = (...list: [id: number, machine: string | null, rack: string | null][]) =>
  list.map(([id, machine, rack]) => ({ id, machine, rack }))

test('leaders go round, and each broker has as many replicas as any other', () => {
  const all = brokers(...[1, 2, 3, 4, 5].map((id): [number, null, null] => [id, null, null]))
  const placed = placeReplicas(all, 100, 3, random)
  for (const { id } of all) {
    assert.equal(placed.filter(([leader]) => leader === id).length, 20)
    assert.equal(placed.filter((replicas) => replicas.includes(id)).length, 60)
  }
  for (const replicas of placed) assert.equal(new Set(replicas).size, 3)
})

test('the partitions of a lost leader fall to many brokers', () => {
  const all = brokers(...[1, 2, 3, 4, 5].map((id): [number, null, null] => [id, null, null]))
  const heirs = placeReplicas(all, 100, 2, random).flatMap(([leader, heir]) => (leader === 1 ? [heir] : []))
  assert.equal(new Set(heirs).size, 4)
})

test('no two replicas are on one machine', () => {
  const all = brokers([1, 'a', null], [2, 'a', null], [3, 'b', null], [4, 'b', null], [5, 'c', null])
  const machine = new Map(all.map((broker) => [broker.id, broker.machine]))
  for (const replicas of placeReplicas(all, 50, 3, random)) assert.equal(new Set(replicas.map((id) => machine.get(id))).size, 3)
})

test('more replicas than brokers, or than machines, are refused', () => {
  const refused = (error: unknown) => error instanceof KafkaError && error.code === 'INVALID_REPLICATION_FACTOR'
  assert.throws(() => placeReplicas(brokers([1, null, null], [2, null, null]), 1, 3, random), refused)
  assert.throws(() => placeReplicas(brokers([1, 'a', null], [2, 'a', null], [3, 'b', null]), 1, 3, random), refused)
})

test('where there are enough racks each replica is in another one, where not they are spread evenly, and leaders alternate', () => {
  const all = brokers([1, null, 'x'], [2, null, 'x'], [3, null, 'x'], [4, null, 'y'], [5, null, 'y'], [6, null, 'y'])
  const rack = new Map(all.map((broker) => [broker.id, broker.rack]))
  for (const replicas of placeReplicas(all, 60, 2, random)) assert.equal(new Set(replicas.map((id) => rack.get(id))).size, 2)
  const four = placeReplicas(all, 60, 4, random)
  for (const replicas of four) assert.equal(replicas.filter((id) => rack.get(id) === 'x').length, 2)
  assert.ok(four.every(([leader], i) => i === 0 || rack.get(leader) !== rack.get(four[i - 1][0])))
})

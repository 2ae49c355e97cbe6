import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BROKERS } from '../brokers/all-brokers.ts'
import { quickened } from '../loads/load.ts'
import { FAMILIES } from './all-families.ts'

const scenarios = FAMILIES.flatMap((family) =>
  family.scenarios.map((scenario) => ({ ...scenario, name: `${family.name}/${scenario.name}` })),
)

test('scenarios have names of their own, and brokers that there are', () => {
  const names = scenarios.map(({ name }) => name)
  assert.deepEqual(names, [...new Set(names)])
  for (const name of names) assert.match(name, /^[a-z]+\/[a-z0-9-]+$/)
  const brokers = new Set(BROKERS.map(({ name }) => name))
  for (const { name, brokers: taking } of scenarios)
    assert.ok(
      taking.every((broker) => brokers.has(broker)),
      name,
    )
})

test('every scenario has one of ours and Kafka in it, at an equal promise', () => {
  for (const { name, brokers, load } of scenarios) {
    const worth = (broker: string) =>
      'acks' in load && load.acks ? BROKERS.find(({ name }) => name === broker)!.worth[load.acks] : 'read'
    const kafkas = brokers.filter((broker) => broker.startsWith('kafka')).map(worth)
    const ours = brokers.filter((broker) => broker.startsWith('moldau')).map(worth)
    assert.ok(kafkas.length > 0 && kafkas.every((promise) => ours.includes(promise)), name)
  }
})

test('what only speaks its own protocol gets no load of clients of Kafka', () => {
  for (const { name, brokers, load } of scenarios) {
    const foreign = brokers.filter((broker) => BROKERS.find(({ name }) => name === broker)!.protocol !== 'kafka')
    if (/^(java|node)-/.test(load.kind)) assert.deepEqual(foreign, [], name)
  }
})

test('a quick load is a small one of the same kind', () => {
  for (const { name, load } of scenarios) {
    const quick = quickened(load)
    assert.equal(quick.kind, load.kind)
    assert.deepEqual(Object.keys(quick).sort(), Object.keys(load).sort(), name)
    if ('records' in quick && 'records' in load) assert.ok(quick.records > 0 && quick.records <= load.records, name)
    if ('connections' in quick && quick.connections) assert.ok(Number.isInteger(quick.connections), name)
    if (quick.kind === 'growth') assert.ok(quick.steps.length > 1, name)
  }
})

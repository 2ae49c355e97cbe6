// *Strategy*: a few transactional ids, each with producers that take it from one another, some by the older rules and some by the
// newer. They pause longer than they may, come back as zombies, and lose answers. The coordinator crashes between any two writes, with
// one under way kept or lost, and starts from its log, compacted or not; appends fail, are slow, or fail and are kept; leaders of
// partitions die with what was not committed, refuse markers, or lose the answer; producers that are silent are forgotten. All of it
// is drawn from one seed. Then the trouble stops.
//
// *Invariants*: a consumer of committed records gets transactions whose commit was asked for, whole, once, in order: all of those
// whose commit was acknowledged, of the others whole ones or nothing. Once a producer has an id, nothing that others ask for under it
// succeeds. What is in the coordinator's log is what it knows. At last no partition has an open transaction, and no decision is left.

import assert from 'node:assert/strict'
import { transactionCodec } from '../coordinators/transaction/transaction-records.ts'
import { Transactions } from '../coordinators/transaction/transactions.ts'
import { HistoryFailure } from './history-failure.ts'
import { SimulatedProducer } from './transaction-producer.ts'
import { IDS, World } from './transaction-world.ts'

/** Of each history, and at most this much more. */
const TROUBLE_MS = 6_000
const MORE_TROUBLE_MS = 12_000
/** Between two of its turns, at most. */
const STEP_MS = 800
/** All that was delayed comes to its end, and what was left open takes too long. */
const CALM_MS = 25_000

export type TransactionFacts = World['facts']

/** The history of one seed. Rejects with HistoryFailure. */
export async function runTransactionHistory(seed: number): Promise<TransactionFacts> {
  const { stackTraceLimit } = Error
  try {
    // Errors are part of the plan here, and their stacks take longer than all the rest.
    Error.stackTraceLimit = 0
    return await run(new World(seed, undefined))
  } catch (error) {
    Error.stackTraceLimit = stackTraceLimit
    // The same again, with its events written down.
    const trace: string[] = []
    const again = await run(new World(seed, trace)).then(
      () => new Error(`fails only the first time: ${error}`),
      (error) => error,
    )
    throw new HistoryFailure('sim:transactions', seed, again, trace)
  } finally {
    Error.stackTraceLimit = stackTraceLimit
  }
}

async function run(world: World): Promise<TransactionFacts> {
  const { dice, simulation } = world
  await world.start()
  const counts = new Map<string, number>()
  const begin = (transactionalId: string) => {
    const number = counts.get(transactionalId) ?? 0
    counts.set(transactionalId, number + 1)
    new SimulatedProducer(world, transactionalId, number).run().catch((error) => world.fail(error))
  }
  for (const transactionalId of IDS) begin(transactionalId)
  const troubleMs = TROUBLE_MS + dice.below(MORE_TROUBLE_MS)
  for (let passed = 0; passed < troubleMs; ) {
    const step = dice.below(STEP_MS)
    passed += step
    await simulation.advance(step)
    const what = dice.below(12)
    if (what < 2) begin(dice.pick(IDS))
    if (what === 2) world.crash().catch((error) => world.fail(error))
    if (what === 3) world.changeLeader()
    if (what === 4) world.expireProducers()
    readOn(world)
    world.rethrow()
  }
  world.isCalm = true
  await simulation.advance(CALM_MS)
  readOn(world)
  world.rethrow()
  await check(world)
  world.coordinator.close()
  return world.facts
}

/** Consumers get nothing that is not, or may not be, committed by now. */
function readOn(world: World): void {
  for (const partition of world.partitions) {
    for (const value of partition.readOn()) {
      const { end } = world.attempts.get(nameOf(value))!
      assert(end === 'committed' || end === 'unknown', `${value} is seen, its transaction is ${end}`)
    }
  }
}

async function check(world: World): Promise<void> {
  const known = new Transactions(world.config)
  for (const { key, value } of world.records) known.replay(transactionCodec.decode(key, value)!)
  const described = await world.simulation.settle(world.coordinator.describeTransactions(IDS))
  for (const { transactionalId, transactionState, producerId, producerEpoch } of described) {
    const stored = known.get(transactionalId)
    if (stored === undefined) continue
    assert.deepEqual([transactionState, producerId, producerEpoch], [stored.state, stored.producerId, stored.producerEpoch])
    assert(['Empty', 'CompleteCommit', 'CompleteAbort'].includes(stored.state), `${transactionalId} is ${stored.state}`)
  }
  for (const partition of world.partitions) {
    assert.equal(partition.openTransactions, 0, `${partition} has an open transaction`)
    assert.deepEqual(partition.readAll(), partition.seen, `who reads ${partition} anew gets what was read along`)
  }
  const seen = new Set(world.partitions.flatMap(({ seen }) => seen))
  assert.equal(
    seen.size,
    world.partitions.reduce((sum, partition) => sum + partition.seen.length, 0),
    'nothing is seen twice',
  )
  let expected = 0
  for (const [name, { written, end }] of world.attempts) {
    const visible = written.filter((value) => seen.has(value)).length
    assert(visible === 0 || visible === written.length, `${name} is seen whole or not at all`)
    if (end === 'committed') assert.equal(visible, written.length, `${name} was committed`)
    else if (end !== 'unknown') assert.equal(visible, 0, `${name} is ${end}`)
    expected += visible
  }
  assert.equal(seen.size, expected, 'nothing is seen that its producer was not told is written')
  for (const { seen } of world.partitions) checkOrder(seen)
}

/** Of each producer, transactions come in the order in which they were run, and what is in them in the order in which it was written. */
function checkOrder(values: readonly string[]): void {
  const last = new Map<string, readonly number[]>()
  for (const value of values) {
    const [transactionalId, producer, transaction, place] = value.split('/')
    const name = `${transactionalId}/${producer}`
    const position = [Number(transaction), Number(place.split('.')[1])]
    const before = last.get(name) ?? [-1, 0]
    assert(position[0] > before[0] || (position[0] === before[0] && position[1] === before[1] + 1), `${value} follows ${before}`)
    last.set(name, position)
  }
}

/** Of the transaction in which a value was written. */
function nameOf(value: string): string {
  return value.slice(0, value.lastIndexOf('/'))
}

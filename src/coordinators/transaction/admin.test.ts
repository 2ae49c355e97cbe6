import assert from 'node:assert/strict'
import { test } from 'node:test'
import { errorName } from '../../protocol/error-codes.ts'
import { describeTransaction } from './describe-transactions.ts'
import { listTransactions, type TransactionFilter, unknownStates } from './list-transactions.ts'
import { ID, Workbench } from './workbench.ts'

function list(bench: Workbench, filter: Partial<TransactionFilter> = {}): string[] {
  const all = { stateFilters: [], producerIdFilters: [], durationFilter: -1n, matches: null, ...filter }
  return bench
    .take(listTransactions(bench.transactions, all, bench.now))
    .map(({ transactionalId, transactionState }) => `${transactionalId} ${transactionState}`)
}

test('a transaction is described with its partitions', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer, [4, 2])
  assert.deepEqual(bench.take(describeTransaction(bench.transactions, ID)), {
    errorCode: 0,
    transactionalId: ID,
    transactionState: 'Ongoing',
    transactionTimeoutMs: 60_000,
    transactionStartTimeMs: BigInt(bench.now),
    producerId: producer.id,
    producerEpoch: 0,
    topics: [{ topic: 't', partitions: [4, 2] }],
  })
})

test('an id that is not known is TRANSACTIONAL_ID_NOT_FOUND', () => {
  const bench = new Workbench()
  const { errorCode } = bench.take(describeTransaction(bench.transactions, ID))
  assert.equal(errorName(errorCode), 'TRANSACTIONAL_ID_NOT_FOUND')
})

test('the list is cut down by state, producer id, age and name', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer)
  bench.transactions.replay({
    transactionalId: 'other',
    transaction: { ...bench.transaction, transactionalId: 'other', producerId: 7n, state: 'CompleteAbort', startTimestampMs: 0 },
  })
  bench.now += 500
  assert.deepEqual(list(bench), ['tx Ongoing', 'other CompleteAbort'])
  assert.deepEqual(list(bench, { stateFilters: ['Ongoing', 'Nonsense'] }), ['tx Ongoing'])
  assert.deepEqual(list(bench, { stateFilters: ['Nonsense'] }), [])
  assert.deepEqual(list(bench, { producerIdFilters: [7n] }), ['other CompleteAbort'])
  assert.deepEqual(list(bench, { durationFilter: 499n }), ['tx Ongoing', 'other CompleteAbort'])
  assert.deepEqual(list(bench, { durationFilter: 500n }), ['other CompleteAbort'])
  assert.deepEqual(list(bench, { matches: (id) => id.startsWith('o') }), ['other CompleteAbort'])
})

test('names of states that do not exist are told back', () => {
  assert.deepEqual(unknownStates(['Ongoing', 'Dead', 'PrepareEpochFence', 'ongoing', '']), ['ongoing', ''])
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { completeTransaction, endedTransaction, endedTransactions } from './complete-transaction.ts'
import { EXPIRED_AT_ONCE } from './expire-transactional-ids.ts'
import { ID, Workbench } from './workbench.ts'

test('a transaction that takes longer than its producer asked for is aborted, and the producer fenced', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer)
  bench.now += 60_000
  bench.add(producer, [1])
  assert.deepEqual(bench.abortTimedOut(), [])
  bench.now += 1
  assert.deepEqual(bench.abortTimedOut(), [ID])
  assert.equal(bench.state, 'PrepareAbort')
  assert.equal(bench.add(producer), 'PRODUCER_FENCED')
  assert.equal(bench.end(producer, 'commit'), 'PRODUCER_FENCED')
  assert.deepEqual(bench.complete(), { id: producer.id, epoch: 1, committed: false, version: 2, partitions: { t: [0, 1] } })
})

test('a producer of the newer rules that aborts what was aborted for it is told so, and goes on', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer)
  bench.now += 60_001
  bench.abortTimedOut()
  assert.equal(bench.endAndBump(producer, 'commit'), 'INVALID_TXN_STATE')
  assert.equal(bench.endAndBump(producer, 'abort'), 'CONCURRENT_TRANSACTIONS')
  bench.complete()
  assert.equal(bench.endAndBump(producer, 'commit'), 'INVALID_TXN_STATE')
  assert.deepEqual(bench.endAndBump(producer, 'abort'), { id: producer.id, epoch: 1 })
})

test('by the older rules a producer that was too slow is fenced for good', () => {
  const bench = new Workbench({ transactionVersion: 0 })
  const producer = bench.begin()
  bench.add(producer, [0], 0)
  bench.now += 60_001
  bench.abortTimedOut()
  bench.complete()
  assert.equal(bench.end(producer, 'abort'), 'PRODUCER_FENCED')
  assert.equal(bench.init(producer), 'PRODUCER_FENCED')
})

test('only open transactions time out', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.now += 60_001
  assert.deepEqual(bench.abortTimedOut(), [])
  bench.add(producer)
  bench.endAndBump(producer, 'commit')
  bench.now += 60_001
  assert.deepEqual(bench.abortTimedOut(), [])
  bench.complete()
  bench.now += 60_001
  assert.deepEqual(bench.abortTimedOut(), [])
})

test('a step aborts a bounded number, and the next one the rest', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer)
  for (let i = 0; i < 150; i++) {
    const transactionalId = `other-${i}`
    bench.transactions.replay({ transactionalId, transaction: { ...bench.transaction, transactionalId } })
  }
  bench.now += 60_001
  assert.equal(bench.abortTimedOut().length, 100)
  assert.equal(bench.abortTimedOut().length, 51)
  assert.equal(bench.abortTimedOut().length, 0)
})

test('an id that was not used for its time is forgotten, and begins anew', () => {
  const bench = new Workbench({ idExpirationMs: 1_000 })
  const producer = bench.begin()
  bench.now += 999
  assert.equal(bench.expire(), 0)
  bench.now += 1
  assert.equal(bench.expire(), 1)
  assert.equal(bench.transactions.get(ID), undefined)
  assert.equal(bench.add(producer), 'INVALID_PRODUCER_ID_MAPPING')
  bench.restart()
  assert.equal(bench.transactions.get(ID), undefined)
  assert.deepEqual(bench.init(), { id: producer.id + 1n, epoch: 0 })
})

test('an id is kept while its transaction is open or being ended', () => {
  const bench = new Workbench({ idExpirationMs: 1_000 })
  const producer = bench.begin()
  bench.add(producer)
  bench.now += 5_000
  assert.equal(bench.expire(), 0)
  bench.endAndBump(producer, 'commit')
  bench.now += 5_000
  assert.equal(bench.expire(), 0)
  bench.complete()
  bench.now += 1_000
  assert.equal(bench.expire(), 1)
})

test('a step forgets a bounded number of ids', () => {
  const bench = new Workbench({ idExpirationMs: 1_000 })
  bench.begin()
  for (let i = 0; i < EXPIRED_AT_ONCE; i++) {
    const transactionalId = `other-${i}`
    bench.transactions.replay({ transactionalId, transaction: { ...bench.transaction, transactionalId } })
  }
  bench.now += 1_000
  assert.equal(bench.expire(), EXPIRED_AT_ONCE)
  assert.equal(bench.expire(), 1)
})

test('the next coordinator finds what is decided and not complete, and only that', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  const decided = () => bench.take(endedTransactions(bench.transactions))
  bench.add(producer)
  bench.restart()
  assert.deepEqual(decided(), [])
  bench.endAndBump(producer, 'commit')
  bench.restart()
  assert.deepEqual(decided(), [ID])
  bench.complete()
  bench.restart()
  assert.deepEqual(decided(), [])
})

test('a completion that comes late does not touch the next transaction', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer)
  bench.endAndBump(producer, 'commit')
  const first = bench.take(endedTransaction(bench.transactions, ID))!
  bench.complete()
  assert.equal(bench.take(completeTransaction(bench.transactions, first, bench.now)), false)
  bench.add(bench.identity)
  bench.endAndBump(bench.identity, 'abort')
  assert.equal(bench.take(completeTransaction(bench.transactions, first, bench.now)), false)
  assert.equal(bench.state, 'PrepareAbort')
})

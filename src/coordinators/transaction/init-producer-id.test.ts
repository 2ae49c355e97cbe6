import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ID, Workbench } from './workbench.ts'

test('a new transactional id gets a producer id of its own, and epoch 0', () => {
  const bench = new Workbench()
  assert.deepEqual(bench.init(), { id: 1_000n, epoch: 0 })
  assert.equal(bench.state, 'Empty')
  assert.equal(bench.transaction.timeoutMs, 60_000)
})

test('a producer that comes for a known id gets the next epoch, which fences the one before', () => {
  const bench = new Workbench()
  const first = bench.begin()
  const second = bench.begin()
  assert.deepEqual(second, { id: first.id, epoch: 1 })
  assert.equal(bench.add(first), 'PRODUCER_FENCED')
  assert.equal(bench.init(first), 'PRODUCER_FENCED')
  assert.equal(bench.add(second), 'NONE')
})

test('the time-out is that of the last producer', () => {
  const bench = new Workbench()
  bench.begin()
  bench.init({ id: -1n, epoch: -1 }, 5_000)
  assert.equal(bench.transaction.timeoutMs, 5_000)
})

for (const transactionVersion of [0, 2] as const) {
  test(`an open transaction is aborted first, and the producer comes again (transaction version ${transactionVersion})`, () => {
    const bench = new Workbench({ transactionVersion })
    const first = bench.begin()
    bench.add(first, [0, 1])
    assert.equal(bench.init(), 'CONCURRENT_TRANSACTIONS')
    assert.equal(bench.state, 'PrepareAbort')
    assert.equal(bench.add(first), 'PRODUCER_FENCED')
    assert.equal(bench.init(), 'CONCURRENT_TRANSACTIONS')
    const marker = { id: first.id, epoch: 1, committed: false, version: transactionVersion, partitions: { t: [0, 1] } }
    assert.deepEqual(bench.complete(), marker)
    assert.equal(bench.state, 'CompleteAbort')
    assert.deepEqual(bench.init(), { id: first.id, epoch: 2 })
  })
}

test('while a transaction is being ended the id cannot be had', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer)
  bench.endAndBump(producer, 'commit')
  assert.equal(bench.init(), 'CONCURRENT_TRANSACTIONS')
  bench.complete()
  assert.deepEqual(bench.init(), { id: producer.id, epoch: 2 })
})

test('a producer that says what it has gets the next epoch', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  assert.deepEqual(bench.init(producer), { id: producer.id, epoch: 1 })
})

test('a producer whose answer was lost gets the same epoch again, from the next coordinator, too', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  const next = bench.init(producer)
  assert.deepEqual(bench.init(producer), next)
  bench.restart()
  assert.deepEqual(bench.init(producer), next)
  assert.deepEqual(bench.init(producer), next)
})

test('a producer with an epoch from before the last is fenced', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.init(producer)
  bench.init({ id: producer.id, epoch: 1 })
  assert.equal(bench.init(producer), 'PRODUCER_FENCED')
})

test('a producer is no retry once another has come between', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.begin()
  assert.equal(bench.init(producer), 'PRODUCER_FENCED')
})

test('a producer with the id of another is fenced; for an id that was forgotten it is as good as new', () => {
  const bench = new Workbench()
  bench.begin()
  assert.equal(bench.init({ id: 77n, epoch: 0 }), 'PRODUCER_FENCED')
  const forgotten = new Workbench()
  assert.deepEqual(forgotten.init({ id: 77n, epoch: 3 }), { id: 1_000n, epoch: 0 })
})

test('a fenced producer cannot have the transaction aborted of the one that fenced it', () => {
  const bench = new Workbench()
  const zombie = bench.begin()
  const owner = bench.begin()
  bench.add(owner)
  assert.equal(bench.init(zombie), 'PRODUCER_FENCED')
  assert.equal(bench.state, 'Ongoing')
})

test('a producer may have its own open transaction aborted', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer)
  assert.equal(bench.init(producer), 'CONCURRENT_TRANSACTIONS')
  bench.complete()
  // By the newer rules the abort has brought the next epoch already.
  assert.deepEqual(bench.init(producer), { id: producer.id, epoch: 1 })
})

test('when the epochs of an id are used up the next one begins, and a retry still finds it', () => {
  const bench = new Workbench()
  const { id } = bench.begin()
  bench.set({ producerEpoch: 32_765 })
  assert.deepEqual(bench.init({ id, epoch: 32_765 }), { id, epoch: 32_766 })
  assert.deepEqual(bench.init({ id, epoch: 32_766 }), { id: id + 1n, epoch: 0 })
  assert.deepEqual(bench.init({ id, epoch: 32_766 }), { id: id + 1n, epoch: 0 })
  bench.restart()
  assert.deepEqual(bench.init({ id, epoch: 32_766 }), { id: id + 1n, epoch: 0 })
  assert.equal(bench.init({ id, epoch: 32_765 }), 'PRODUCER_FENCED')
})

test('a new producer gets a new id when the epochs are used up, and the one before is fenced by that', () => {
  const bench = new Workbench()
  const { id } = bench.begin()
  bench.set({ producerEpoch: 32_766 })
  assert.deepEqual(bench.init(), { id: id + 1n, epoch: 0 })
  assert.equal(bench.init({ id, epoch: 32_766 }), 'PRODUCER_FENCED')
  assert.equal(bench.add({ id, epoch: 32_766 }), 'INVALID_PRODUCER_ID_MAPPING')
})

test('the last epoch fences and is never given to a producer', () => {
  const bench = new Workbench()
  const { id } = bench.begin()
  bench.set({ producerEpoch: 32_766 })
  const last = { id, epoch: 32_766 }
  bench.add(last)
  assert.equal(bench.init(last), 'CONCURRENT_TRANSACTIONS')
  assert.equal(bench.complete().epoch, 32_767)
  assert.deepEqual(bench.init(last), { id: id + 1n, epoch: 0 })
  assert.deepEqual(bench.init(last), { id: id + 1n, epoch: 0 })
})

test('what is known of an id is what its last record says', () => {
  const bench = new Workbench()
  bench.begin()
  bench.begin()
  const before = bench.transactions.get(ID)
  bench.restart()
  assert.deepEqual(bench.transactions.get(ID), before)
})

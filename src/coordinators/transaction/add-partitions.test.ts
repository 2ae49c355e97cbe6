import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Workbench } from './workbench.ts'

test('the first partition begins the transaction, others join it', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.now = 2_000_000
  assert.equal(bench.add(producer, [3]), 'NONE')
  assert.equal(bench.state, 'Ongoing')
  bench.now = 2_000_500
  assert.equal(bench.add(producer, [3, 1]), 'NONE')
  assert.deepEqual([...bench.transaction.partitions.get('t')!], [3, 1])
  assert.equal(bench.transaction.startTimestampMs, 2_000_000)
  assert.equal(bench.transaction.lastUpdateTimestampMs, 2_000_500)
})

test('partitions that are in the transaction already cost no write', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer, [0, 1])
  const records = bench.log.length
  assert.equal(bench.add(producer, [1]), 'NONE')
  assert.equal(bench.log.length, records)
})

test('an id that is not known, or is that of another producer id, is INVALID_PRODUCER_ID_MAPPING', () => {
  const bench = new Workbench()
  assert.equal(bench.add({ id: 1n, epoch: 0 }), 'INVALID_PRODUCER_ID_MAPPING')
  const { id } = bench.begin()
  assert.equal(bench.add({ id: id + 1n, epoch: 0 }), 'INVALID_PRODUCER_ID_MAPPING')
  assert.deepEqual(bench.verify({ id: id + 1n, epoch: 0 }, [0]), ['INVALID_PRODUCER_ID_MAPPING'])
})

test('an epoch that is not the present one, older or newer, is fenced', () => {
  const bench = new Workbench()
  const { id } = bench.begin()
  bench.begin()
  for (const epoch of [0, 2]) {
    assert.equal(bench.add({ id, epoch }), 'PRODUCER_FENCED')
    assert.deepEqual(bench.verify({ id, epoch }, [0]), ['PRODUCER_FENCED'])
  }
})

test('while markers of the last transaction are on their way nothing joins, and afterwards a new one begins', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer, [0], 0)
  bench.end(producer, 'commit')
  assert.equal(bench.add(producer, [1], 0), 'CONCURRENT_TRANSACTIONS')
  assert.deepEqual(bench.verify(producer, [0, 1]), ['CONCURRENT_TRANSACTIONS', 'CONCURRENT_TRANSACTIONS'])
  bench.complete()
  assert.equal(bench.add(producer, [1], 0), 'NONE')
  assert.deepEqual([...bench.transaction.partitions.get('t')!], [1])
})

test('by the newer rules the next transaction is one of the next epoch, also while the markers are on their way', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer)
  const next = { id: producer.id, epoch: 1 }
  assert.deepEqual(bench.endAndBump(producer, 'commit'), next)
  assert.equal(bench.add(next), 'CONCURRENT_TRANSACTIONS')
  assert.equal(bench.add(producer), 'PRODUCER_FENCED')
  bench.complete()
  assert.equal(bench.add(producer), 'PRODUCER_FENCED')
  assert.equal(bench.add(next), 'NONE')
})

test('to verify tells for each partition whether it is in the transaction, and writes nothing', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  assert.deepEqual(bench.verify(producer, [0]), ['TRANSACTION_ABORTABLE'])
  bench.add(producer, [0])
  const records = bench.log.length
  assert.deepEqual(bench.verify(producer, [0, 1]), ['NONE', 'TRANSACTION_ABORTABLE'])
  assert.equal(bench.log.length, records)
})

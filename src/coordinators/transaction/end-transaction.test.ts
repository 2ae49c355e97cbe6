import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Workbench } from './workbench.ts'

// ── up to version 4 ─────────────────────────────────────────────────────────────────────────────────────────────────

test('an open transaction is decided, and complete when its markers hold; the epoch stays', () => {
  for (const how of ['commit', 'abort'] as const) {
    const bench = new Workbench()
    const producer = bench.begin()
    bench.add(producer, [2, 5], 0)
    assert.equal(bench.end(producer, how), 'NONE')
    assert.equal(bench.state, how === 'commit' ? 'PrepareCommit' : 'PrepareAbort')
    assert.deepEqual(bench.complete(), { ...producer, committed: how === 'commit', version: 0, partitions: { t: [2, 5] } })
    assert.equal(bench.state, how === 'commit' ? 'CompleteCommit' : 'CompleteAbort')
    assert.equal(bench.transaction.partitions.size, 0)
    assert.deepEqual(bench.identity, producer)
  }
})

test('whoever asks for the same end again waits while it is prepared, and hears of success when it is complete', () => {
  for (const [how, other] of [
    ['commit', 'abort'],
    ['abort', 'commit'],
  ] as const) {
    const bench = new Workbench()
    const producer = bench.begin()
    bench.add(producer, [0], 0)
    bench.end(producer, how)
    assert.equal(bench.end(producer, how), 'CONCURRENT_TRANSACTIONS')
    assert.equal(bench.end(producer, other), 'INVALID_TXN_STATE')
    bench.complete()
    assert.equal(bench.end(producer, how), 'NONE')
    assert.equal(bench.end(producer, other), 'INVALID_TXN_STATE')
  }
})

test('a transaction that was not begun cannot be ended', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  assert.equal(bench.end(producer, 'commit'), 'INVALID_TXN_STATE')
  assert.equal(bench.end(producer, 'abort'), 'INVALID_TXN_STATE')
})

test('only the producer that has the id may end its transaction', () => {
  const bench = new Workbench()
  assert.equal(bench.end({ id: 1n, epoch: 0 }, 'commit'), 'INVALID_PRODUCER_ID_MAPPING')
  const { id, epoch } = bench.begin()
  bench.add({ id, epoch })
  assert.equal(bench.end({ id: id + 1n, epoch }, 'commit'), 'INVALID_PRODUCER_ID_MAPPING')
  for (const wrong of [epoch - 1, epoch + 1]) assert.equal(bench.end({ id, epoch: wrong }, 'commit'), 'PRODUCER_FENCED')
})

// ── from version 5 on ───────────────────────────────────────────────────────────────────────────────────────────────

test('each end brings the next epoch, in the answer and in the markers', () => {
  const bench = new Workbench()
  let producer = bench.begin()
  for (const how of ['commit', 'abort', 'commit'] as const) {
    const next = { id: producer.id, epoch: producer.epoch + 1 }
    bench.add(producer)
    assert.deepEqual(bench.endAndBump(producer, how), next)
    assert.deepEqual(bench.complete(), { ...next, committed: how === 'commit', version: 2, partitions: { t: [0] } })
    producer = next
  }
})

test('a producer that has not heard the answer waits, and then hears the same, from the next coordinator, too', () => {
  for (const [how, other] of [
    ['commit', 'abort'],
    ['abort', 'commit'],
  ] as const) {
    const bench = new Workbench()
    const producer = bench.begin()
    bench.add(producer)
    const next = bench.endAndBump(producer, how)
    assert.equal(bench.endAndBump(producer, how), 'CONCURRENT_TRANSACTIONS')
    assert.equal(bench.endAndBump(producer, other), 'INVALID_TXN_STATE')
    bench.restart()
    bench.complete()
    assert.deepEqual(bench.endAndBump(producer, how), next)
    assert.equal(bench.endAndBump(producer, other), 'INVALID_TXN_STATE')
    bench.restart()
    assert.deepEqual(bench.endAndBump(producer, how), next)
  }
})

test('Kafka’s table of the ends that are asked for when no transaction is open', () => {
  const fenced = 'PRODUCER_FENCED'
  const refused = 'INVALID_TXN_STATE'
  for (const [state, abortAgain, abortNow, commitAgain, commitNow] of [
    ['Empty', fenced, 'next', fenced, refused],
    ['CompleteAbort', 'same', 'next', refused, refused],
    ['CompleteCommit', refused, 'next', 'same', refused],
  ] as const) {
    const bench = new Workbench()
    const before = bench.begin()
    bench.add(before)
    bench.endAndBump(before, state === 'CompleteCommit' ? 'commit' : 'abort')
    bench.complete()
    bench.set({ state })
    const present = bench.identity
    const expect = (what: string) =>
      what === 'same' ? present : what === 'next' ? { id: present.id, epoch: present.epoch + 1 } : what
    assert.deepEqual(bench.endAndBump(before, 'abort'), expect(abortAgain), `${state}: abort again`)
    assert.deepEqual(bench.endAndBump(before, 'commit'), expect(commitAgain), `${state}: commit again`)
    assert.deepEqual(bench.endAndBump(present, 'commit'), expect(commitNow), `${state}: commit now`)
    assert.deepEqual(bench.endAndBump(present, 'abort'), expect(abortNow), `${state}: abort now`)
  }
})

test('an abort of nothing is complete at once: there is no marker to wait for', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.endAndBump(producer, 'abort')
  assert.equal(bench.state, 'CompleteAbort')
  assert.equal(bench.transaction.startTimestampMs, bench.now)
  assert.equal(bench.add({ id: producer.id, epoch: 1 }), 'NONE')
})

test('while a transaction is prepared only the producer that has ended it is known', () => {
  const bench = new Workbench()
  const producer = bench.begin()
  bench.add(producer)
  const next = bench.endAndBump(producer, 'commit')
  assert(typeof next === 'object')
  assert.equal(bench.endAndBump(next, 'abort'), 'PRODUCER_FENCED')
  assert.equal(bench.endAndBump({ id: producer.id, epoch: 7 }, 'commit'), 'PRODUCER_FENCED')
  assert.equal(bench.endAndBump({ id: 77n, epoch: 0 }, 'commit'), 'INVALID_PRODUCER_ID_MAPPING')
})

test('when the epochs are used up the answer has a new id, also the answer to a retry, after a crash between, too', () => {
  const bench = new Workbench()
  const { id } = bench.begin()
  bench.set({ producerEpoch: 32_766 })
  const last = { id, epoch: 32_766 }
  const next = { id: id + 1n, epoch: 0 }
  bench.add(last)
  assert.deepEqual(bench.endAndBump(last, 'commit'), next)
  assert.equal(bench.endAndBump(last, 'commit'), 'CONCURRENT_TRANSACTIONS')
  bench.restart()
  assert.deepEqual(bench.complete(), { id, epoch: 32_767, committed: true, version: 2, partitions: { t: [0] } })
  assert.deepEqual(bench.identity, next)
  assert.deepEqual(bench.endAndBump(last, 'commit'), next)
  bench.restart()
  assert.deepEqual(bench.endAndBump(last, 'commit'), next)
  assert.equal(bench.endAndBump(last, 'abort'), 'INVALID_TXN_STATE')
  assert.equal(bench.add(next), 'NONE')
  assert.equal(bench.endAndBump(last, 'commit'), 'INVALID_PRODUCER_ID_MAPPING')
})

test('an abort of nothing under the last epoch has a new id, too', () => {
  const bench = new Workbench()
  const { id } = bench.begin()
  bench.set({ producerEpoch: 32_766 })
  const next = { id: id + 1n, epoch: 0 }
  assert.deepEqual(bench.endAndBump({ id, epoch: 32_766 }, 'abort'), next)
  assert.deepEqual(bench.endAndBump({ id, epoch: 32_766 }, 'abort'), next)
})

test('a fenced producer of the newer rules is not taken for the one of the older that has fenced it', () => {
  for (const how of ['commit', 'abort'] as const) {
    const bench = new Workbench()
    const zombie = bench.begin()
    const owner = bench.begin()
    bench.add(owner, [0], 0)
    bench.end(owner, how)
    assert.equal(bench.endAndBump(zombie, how), 'PRODUCER_FENCED')
    bench.complete()
    assert.equal(bench.endAndBump(zombie, how), 'PRODUCER_FENCED')
  }
})

test('a producer that aborts what a time-out has aborted with the last epoch goes on under a new id', () => {
  const bench = new Workbench()
  const { id } = bench.begin()
  bench.set({ producerEpoch: 32_766 })
  const last = { id, epoch: 32_766 }
  const next = { id: id + 1n, epoch: 0 }
  bench.add(last)
  bench.now += 60_001
  bench.abortTimedOut()
  assert.equal(bench.endAndBump(last, 'abort'), 'CONCURRENT_TRANSACTIONS')
  assert.equal(bench.complete().epoch, 32_767)
  assert.equal(bench.endAndBump(last, 'commit'), 'INVALID_TXN_STATE')
  assert.deepEqual(bench.endAndBump(last, 'abort'), next)
  bench.restart()
  assert.deepEqual(bench.endAndBump(last, 'abort'), next)
  assert.equal(bench.add(next), 'NONE')
})

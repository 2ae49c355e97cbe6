import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '../host/clock.ts'
import { delayedFetch, type FetchAttempt } from './delayed-fetch.ts'

/** A partition with `bytes` to read, a clock whose timers the test fires, and a client that may go away. */
function world(minBytes: number) {
  const timers = new Set<() => void>()
  const clock: Clock = {
    wallMs: () => 0,
    monotonicMs: () => 0,
    timer(_delayMs, run) {
      timers.add(run)
      return { cancel: () => timers.delete(run) }
    },
    soon() {},
  }
  const state = { bytes: 0, urgent: false, abandon: () => {}, pending: undefined as Promise<FetchAttempt> | undefined }
  const partition = { fetchers: new Set<() => void>() }
  const start = (maxWaitMs = 500) =>
    delayedFetch({
      clock,
      minBytes,
      maxWaitMs,
      wakePoints: [partition],
      attempt: () => state.pending ?? { bytes: state.bytes, urgent: state.urgent },
      onAbandoned(abandon) {
        state.abandon = abandon
        return () => {}
      },
    })
  const wake = () => {
    for (const fetcher of partition.fetchers) fetcher()
  }
  return { state, partition, timers, start, wake }
}

test('a fetch with enough there is answered at once, without a promise', () => {
  const { state, start } = world(1)
  state.bytes = 1
  assert.deepEqual(start(), { bytes: 1, urgent: false })
})

test('a fetch that may not wait is answered with nothing', () => {
  assert.deepEqual(world(1).start(0), { bytes: 0, urgent: false })
})

test('an error is answered at once', () => {
  const { state, start } = world(1)
  state.urgent = true
  assert.deepEqual(start(), { bytes: 0, urgent: true })
})

test('a parked fetch is answered when enough has come, and not before', async () => {
  const { state, partition, timers, start, wake } = world(10)
  const answer = start()
  assert.ok(answer instanceof Promise)
  state.bytes = 9
  wake()
  assert.equal(partition.fetchers.size, 1)
  state.bytes = 10
  wake()
  assert.equal((await answer)?.bytes, 10)
  assert.equal(partition.fetchers.size, 0)
  assert.equal(timers.size, 0)
})

test('a parked fetch is answered with what there is when its time is up', async () => {
  const { state, partition, timers, start, wake } = world(10)
  const answer = start()
  state.bytes = 3
  wake()
  for (const fire of timers) fire()
  assert.equal((await answer)?.bytes, 3)
  assert.equal(partition.fetchers.size, 0)
})

test('a parked fetch that nobody has woken does not look again when its time is up', async () => {
  const { state, timers, start } = world(10)
  const answer = start()
  Object.defineProperty(state, 'pending', { get: () => assert.fail('looked again') })
  for (const fire of timers) fire()
  assert.equal((await answer)?.bytes, 0)
})

test('a parked fetch is forgotten when its client has gone', async () => {
  const { state, partition, timers, start } = world(10)
  const answer = start()
  state.abandon()
  assert.equal(await answer, undefined)
  assert.equal(partition.fetchers.size, 0)
  assert.equal(timers.size, 0)
})

test('what arrives while older data is read from the disk is not missed', async () => {
  const { state, start, wake } = world(10)
  let finishReading = (_attempt: FetchAttempt) => {}
  state.pending = new Promise((resolve) => {
    finishReading = resolve
  })
  const answer = start()
  wake()
  state.pending = undefined
  state.bytes = 10
  finishReading({ bytes: 5, urgent: false })
  assert.equal(((await answer) as FetchAttempt).bytes, 10)
})

test('a read that fails while parked ends the fetch, and not whoever woke it', async () => {
  const { state, partition, timers, start, wake } = world(10)
  const answer = start()
  Object.defineProperty(state, 'pending', {
    get() {
      throw new Error('the disk is gone')
    },
  })
  wake()
  await assert.rejects(answer as Promise<unknown>, /the disk is gone/)
  assert.equal(partition.fetchers.size, 0)
  assert.equal(timers.size, 0)
})

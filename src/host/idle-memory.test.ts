import assert from 'node:assert/strict'
import { test } from 'node:test'
import { IdleWatch } from './idle-memory.ts'

test('memory is given back once after the start, when an interval was idle', () => {
  const watch = new IdleWatch(200)
  assert.deepEqual(
    [350, 355, 358].map((cpuMs) => watch.check(cpuMs)),
    [false, true, false],
  )
})

test('a process that does a little all the time is left alone', () => {
  const watch = new IdleWatch(200)
  assert.equal(watch.check(201), true)
  for (let cpuMs = 300; cpuMs < 1000; cpuMs += 100) {
    assert.equal(watch.check(cpuMs), false)
    assert.equal(watch.check(cpuMs + 1), false)
  }
})

test('memory is given back again after a burst', () => {
  const watch = new IdleWatch(200)
  assert.equal(watch.check(201), true)
  assert.equal(watch.check(3000), false)
  assert.equal(watch.check(3001), true)
  assert.equal(watch.check(3002), false)
})

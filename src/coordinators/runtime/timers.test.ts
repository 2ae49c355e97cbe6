import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from './simulated.ts'
import { Timers } from './timers.ts'

function start() {
  const clock = new SimulatedClock()
  const fired: string[] = []
  const timers = new Timers<{ name: string }>(clock, ({ name }) => fired.push(name))
  return { clock, fired, timers, a: { name: 'a' }, b: { name: 'b' } }
}

test('a timer fires once, at its deadline', async () => {
  const { clock, fired, timers, a } = start()
  timers.set(a, 100)
  await clock.advance(99)
  assert.deepEqual(fired, [])
  await clock.advance(1)
  await clock.advance(1_000)
  assert.deepEqual(fired, ['a'])
  assert.equal(timers.size, 0)
})

test('putting a timer off costs the clock nothing, and it fires at the last deadline', async () => {
  const { clock, fired, timers, a } = start()
  timers.set(a, 100)
  for (let i = 0; i < 50; i++) {
    await clock.advance(1)
    timers.set(a, 100)
    assert.equal(clock.timers, 1)
  }
  await clock.advance(99)
  assert.deepEqual(fired, [])
  await clock.advance(1)
  assert.deepEqual(fired, ['a'])
})

test('a timer that is moved forward fires at the earlier deadline, and only then', async () => {
  const { clock, fired, timers, a } = start()
  timers.set(a, 1_000)
  timers.set(a, 10)
  await clock.advance(10)
  assert.deepEqual(fired, ['a'])
  await clock.advance(2_000)
  assert.deepEqual(fired, ['a'])
})

test('a timer that was cancelled never fires, nor does any after a clear', async () => {
  const { clock, fired, timers, a, b } = start()
  timers.set(a, 10)
  timers.set(b, 20)
  timers.cancel(a)
  await clock.advance(15)
  timers.clear()
  await clock.advance(100)
  assert.deepEqual(fired, [])
  assert.equal(clock.timers, 0)
})

test('what fires may set the same timer again', async () => {
  const clock = new SimulatedClock()
  const a = { rounds: 0 }
  const timers: Timers<typeof a> = new Timers(clock, (timer) => {
    if (++timer.rounds < 3) timers.set(timer, 10)
  })
  timers.set(a, 10)
  await clock.advance(100)
  assert.equal(a.rounds, 3)
})

test('after a freeze there is time to hear who has sent something meanwhile, once', async () => {
  const { clock, fired, timers, a, b } = start()
  timers.set(a, 100)
  timers.set(b, 100)
  clock.freeze(60_000)
  await clock.advance(0)
  assert.deepEqual(fired, [])
  timers.set(a, 5_000)
  clock.freeze(30_000)
  await clock.advance(0)
  assert.deepEqual(fired, ['b'])
  await clock.advance(1_000)
  assert.deepEqual(fired, ['b', 'a'])
})

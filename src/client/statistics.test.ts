import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../host/manual-clock.ts'
import { Latency, Rate } from './statistics.ts'

test('a rate counts the last ten seconds, its total all', () => {
  const clock = new ManualClock()
  const rate = new Rate(clock)
  rate.add(10)
  assert.deepEqual(rate.snapshot(), { total: 10, perSecond: 10 })
  clock.advance(9_000)
  rate.add(10)
  assert.deepEqual(rate.snapshot(), { total: 20, perSecond: 2 })
  clock.advance(5_000)
  assert.deepEqual(rate.snapshot(), { total: 20, perSecond: 1 })
  clock.advance(60_000)
  assert.deepEqual(rate.snapshot(), { total: 20, perSecond: 0 })
})

test('quantiles of a latency are off by less than a quarter', () => {
  const latency = new Latency()
  assert.deepEqual(latency.snapshot(), { count: 0, mean: 0, p50: 0, p99: 0, max: 0 })
  for (let ms = 1; ms <= 1000; ms++) latency.add(ms)
  const { count, mean, p50, p99, max } = latency.snapshot()
  assert.deepEqual([count, mean, max], [1000, 500.5, 1000])
  assert.ok(p50 >= 500 && p50 < 625, `${p50}`)
  assert.ok(p99 >= 990 && p99 <= 1000, `${p99}`)
})

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManualClock } from '../../host/manual-clock.ts'
import { isThrottled, ReplicationQuota } from './replication-quota.ts'

test('what is copied is what the rate allows, with a burst of one second', () => {
  const clock = new ManualClock()
  let rate = 1000
  const quota = new ReplicationQuota({ clock, rate: () => rate, covers: () => true })
  clock.advance(60_000)
  assert.equal(quota.waitMs, 0)
  // A batch is not divided: it is paid for afterwards.
  quota.take(3000)
  assert.equal(quota.waitMs, 2001)
  clock.advance(2000)
  assert.ok(quota.waitMs > 0)
  clock.advance(1)
  assert.equal(quota.waitMs, 0)
  quota.take(10_000)
  rate = 1_000_000
  clock.advance(quota.waitMs)
  assert.equal(quota.waitMs, 0)
})

test('without a rate nothing is throttled, whatever topics say', () => {
  const clock = new ManualClock()
  const quota = new ReplicationQuota({ clock, rate: () => Number(2n ** 63n - 1n), covers: () => true })
  assert.equal(quota.covers('t', 0), false)
})

test('replicas are named by partition and broker', () => {
  assert.ok(isThrottled(['0:1', '1:2'], 1, 2))
  assert.ok(!isThrottled(['0:1', '1:2'], 1, 1))
  assert.ok(isThrottled(['*'], 7, 7))
  assert.ok(!isThrottled([], 0, 1))
  assert.ok(!isThrottled(['none'], 0, 1))
})

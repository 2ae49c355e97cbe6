import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BufferPool } from './buffer-pool.ts'

test('a buffer comes back when its last holder has released it, and not before', () => {
  const pool = new BufferPool()
  const lease = pool.take(100_000)
  lease.retain()
  lease.release()
  assert.notEqual(pool.take(100_000).buffer, lease.buffer)
  lease.release()
  assert.equal(pool.take(70_000).buffer, lease.buffer)
})

test('a buffer is at least as large as asked for', () => {
  const pool = new BufferPool()
  for (const size of [0, 1, 65_536, 65_537, 1_048_576, 1_048_577, 5_000_000]) assert.ok(pool.take(size).buffer.length >= size)
})

test('only so much free memory is kept', () => {
  const pool = new BufferPool()
  const leases = Array.from({ length: 100 }, () => pool.take(1024 * 1024))
  const all = new Set(leases.map((lease) => lease.buffer))
  for (const lease of leases) lease.release()
  const again = Array.from({ length: 100 }, () => pool.take(1024 * 1024).buffer)
  assert.equal(again.filter((buffer) => all.has(buffer)).length, 16)
})

test('a trimmed pool has nothing left, and takes back what is out', () => {
  const pool = new BufferPool()
  const out = pool.take(5000)
  const { buffer } = pool.take(5000)
  pool.giveBack(buffer)
  pool.trim()
  out.release()
  assert.notEqual(pool.take(5000).buffer, buffer)
  assert.notEqual(pool.take(5000).buffer, buffer)
})

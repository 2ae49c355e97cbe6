import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KafkaError } from '../../protocol/error-codes.ts'
import { AckWaiters } from './ack-waiters.ts'

/** What became of each wait, by its name, as far as it is known by now. */
async function settled(waits: Record<string, Promise<void>>): Promise<Record<string, string>> {
  const states: Record<string, string> = {}
  for (const [name, wait] of Object.entries(waits)) {
    wait.then(
      () => {
        states[name] = 'there'
      },
      (error: KafkaError) => {
        states[name] = error.code
      },
    )
  }
  await new Promise(setImmediate)
  return states
}

test('those are woken whose offset is reached, and no others', async () => {
  const waiters = new AckWaiters()
  const waits = { five: waiters.until(5n, 100), seven: waiters.until(7n, 100), nine: waiters.until(9n, 100) }
  waiters.wake(7n)
  assert.deepEqual(await settled(waits), { five: 'there', seven: 'there' })
  waiters.wake(9n)
  assert.deepEqual(await settled(waits), { five: 'there', seven: 'there', nine: 'there' })
})

test('those who wait for what is gone are told, the others go on waiting', async () => {
  const waiters = new AckWaiters()
  const waits = { five: waiters.until(5n, 100), seven: waiters.until(7n, 100) }
  waiters.refuseBehind(5n, new KafkaError('KAFKA_STORAGE_ERROR'))
  assert.deepEqual(await settled(waits), { seven: 'KAFKA_STORAGE_ERROR' })
  waiters.wake(5n)
  assert.deepEqual(await settled(waits), { five: 'there', seven: 'KAFKA_STORAGE_ERROR' })
})

test('those whose time is up are told REQUEST_TIMED_OUT', async () => {
  const waiters = new AckWaiters()
  const waits = { early: waiters.until(5n, 100), late: waiters.until(7n, 200) }
  waiters.expire(99)
  assert.deepEqual(await settled(waits), {})
  waiters.expire(100)
  assert.deepEqual(await settled(waits), { early: 'REQUEST_TIMED_OUT' })
  waiters.wake(7n)
  assert.deepEqual(await settled(waits), { early: 'REQUEST_TIMED_OUT', late: 'there' })
})

test('a short time-out behind a long one is kept', async () => {
  const waiters = new AckWaiters()
  const waits = { patient: waiters.until(5n, 1_000), hurried: waiters.until(7n, 100) }
  waiters.expire(100)
  assert.deepEqual(await settled(waits), { hurried: 'REQUEST_TIMED_OUT' })
})

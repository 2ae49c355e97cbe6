import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KafkaError } from '../../protocol/error-codes.ts'
import { Outcome, type Ticket } from './outcome.ts'
import { PartitionRuntime, type StateMachine } from './partition-runtime.ts'
import type { Producer, TransactionMarker } from './ports.ts'
import { SimulatedClock, SimulatedLog, settled } from './simulated.ts'

interface Alarm {
  readonly add: number
}

class Step<R> extends Outcome<R, number, Alarm> {}

/** A sum: records are numbers to add. Somebody may wait for the next one. */
class Sum implements StateMachine<number, Alarm> {
  value = 0
  waiting: Ticket<number> | null = null
  /** Of transactions that have not ended, by producer id. */
  readonly pending = new Map<bigint, number>()

  replay(record: number, producer?: Producer): void {
    if (producer === undefined) this.value += record
    else this.pending.set(producer.producerId, (this.pending.get(producer.producerId) ?? 0) + record)
  }

  replayMarker({ producerId, result }: TransactionMarker): void {
    if (result === 'commit') this.value += this.pending.get(producerId) ?? 0
    this.pending.delete(producerId)
  }

  loaded(): Step<void> {
    return new Step()
  }

  wake({ add }: Alarm): Step<void> {
    const out = new Step<void>()
    out.write(add)
    if (this.waiting !== null) out.answer(this.waiting, this.value + add)
    return out
  }
}

const add = (amount: number) => (sum: Sum) => {
  const out = new Step<number>()
  out.write(amount)
  return out.reply(sum.value + amount)
}
const addIn = (producer: Producer, amount: number) => (sum: Sum) => {
  const out = new Step<number>()
  out.write(amount)
  out.producer = producer
  return out.reply(sum.value)
}
const end = (producer: Producer, result: 'commit' | 'abort') => (sum: Sum) => {
  const out = new Step<number>()
  out.marker = { ...producer, result, coordinatorEpoch: 0 }
  return out.reply(sum.value)
}
const read = (sum: Sum) => new Step<number>().reply(sum.value)
const park = (sum: Sum, ticket: Ticket<number>) => {
  sum.waiting = ticket
  return new Step<number>()
}

function start(log = new SimulatedLog()) {
  const clock = new SimulatedClock()
  const lines: string[] = []
  const runtime = new PartitionRuntime<Sum, number, Alarm>({
    name: 'sums-0',
    create: () => new Sum(),
    codec: {
      encode(record) {
        if (Number.isNaN(record)) throw new RangeError('not a number')
        return { key: Buffer.from([0, 0]), value: Buffer.from([record]) }
      },
      decode: (key, value) => (key[1] === 0 ? value![0] : undefined),
    },
    openLog: () => log,
    clock,
    report: (line) => lines.push(line),
  })
  return { runtime, log, clock, lines }
}

/** What a promise has come to by now. */
async function soon<T>(promise: Promise<T>): Promise<T | 'pending' | string> {
  await settled()
  return Promise.race([promise.catch((error: KafkaError) => error.code), settled().then(() => 'pending' as const)])
}

test('what is written is applied at once and answered when it is committed', async () => {
  const { runtime, log } = start()
  await runtime.load()
  log.isHeld = true
  const answer = runtime.run(add(5))
  assert.equal(await soon(answer), 'pending')
  log.release()
  assert.equal(await answer, 5)
})

test('a read waits for what was written before it, because it could be lost', async () => {
  const { runtime, log } = start()
  await runtime.load()
  log.isHeld = true
  const write = runtime.run(add(5))
  const seen = runtime.run(read)
  assert.equal(await soon(seen), 'pending')
  log.release()
  assert.equal(await seen, 5)
  assert.equal(await write, 5)
})

test('a read with nothing written before it is answered at once', async () => {
  const { runtime } = start()
  await runtime.load()
  assert.equal(await soon(runtime.run(read)), 0)
})

test('a step that stores nothing is answered though an append is slow', async () => {
  const { runtime, log } = start()
  await runtime.load()
  log.isHeld = true
  const write = runtime.run(add(5))
  await settled()
  assert.equal(runtime.touch(read), 5)
  log.release()
  await write
})

test('what is written in one turn is one append, and so is all that gathers while an append is under way', async () => {
  const { runtime, log } = start()
  await runtime.load()
  const first = [runtime.run(add(1)), runtime.run(add(2)), runtime.run(add(3))]
  log.isHeld = true
  await settled()
  const later = [runtime.run(add(4)), runtime.run(add(5))]
  await settled()
  assert.equal(log.batches.length, 0)
  log.release()
  assert.deepEqual(await Promise.all([...first, ...later]), [1, 3, 6, 10, 15])
  assert.deepEqual(
    log.batches.map((batch) => batch.length),
    [3, 2],
  )
})

test('a request that is parked is answered by a later step, when what that wrote is committed', async () => {
  const { runtime, log, clock } = start()
  await runtime.load()
  const parked = runtime.run(park)
  assert.equal(await soon(parked), 'pending')
  runtime.touch(() => {
    const out = new Step<number>().reply(0)
    out.wakeAfter(1_000, { add: 7 })
    return out
  })
  log.isHeld = true
  await clock.advance(1_000)
  assert.equal(await soon(parked), 'pending')
  log.release()
  assert.equal(await parked, 7)
})

test('when an append fails all who wait are told, and the machine is loaded anew from what the log has', async () => {
  const { runtime, log, lines } = start()
  await runtime.load()
  await runtime.run(add(1))
  log.isHeld = true
  log.failure = { error: new KafkaError('REQUEST_TIMED_OUT'), isKept: false }
  const parked = runtime.run(park)
  const answers = [runtime.run(add(10)), runtime.run(read)]
  await settled()
  const queued = runtime.run(add(100))
  log.release()
  for (const answer of [parked, ...answers, queued]) assert.equal(await soon(answer), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(await soon(runtime.run(read)), 1)
  assert.equal(log.loads, 2)
  assert.match(lines.join('\n'), /loaded anew/)
})

test('a log that fails again and again is loaded anew at a pace, and requests are told to wait', async () => {
  const { runtime, log, clock } = start()
  await runtime.load()
  const fail = () => {
    log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: false }
    return soon(runtime.run(add(1)))
  }
  for (let loads = 2; loads <= 6; loads++) {
    assert.equal(await fail(), 'COORDINATOR_NOT_AVAILABLE')
    assert.equal(log.loads, loads, 'at once')
  }
  assert.equal(await fail(), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(log.loads, 6)
  assert.equal(await soon(runtime.run(read)), 'COORDINATOR_LOAD_IN_PROGRESS')
  await clock.advance(1_000)
  assert.equal(await soon(runtime.run(read)), 0)
  assert.equal(log.loads, 7)
})

test('records of a failed append that stayed in the log count after the reload', async () => {
  const { runtime, log } = start()
  await runtime.load()
  log.failure = { error: new KafkaError('REQUEST_TIMED_OUT'), isKept: true }
  assert.equal(await soon(runtime.run(add(10))), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(await soon(runtime.run(read)), 10)
})

test('an append that fails because the log has gone elsewhere sends clients to look for it', async () => {
  for (const code of ['NOT_LEADER_OR_FOLLOWER', 'KAFKA_STORAGE_ERROR'] as const) {
    const { runtime, log } = start()
    await runtime.load()
    log.failure = { error: new KafkaError(code), isKept: false }
    assert.equal(await soon(runtime.run(add(10))), 'NOT_COORDINATOR')
  }
})

test('while it loads a partition refuses requests, and before and after it is served as well', async () => {
  const { runtime, log } = start()
  assert.equal(await soon(runtime.run(read)), 'NOT_COORDINATOR')
  log.isHeld = true
  const loaded = runtime.load()
  assert.equal(await soon(runtime.run(read)), 'COORDINATOR_LOAD_IN_PROGRESS')
  assert.throws(() => runtime.touch(read), { code: 'COORDINATOR_LOAD_IN_PROGRESS' })
  log.release()
  await loaded
  assert.equal(await runtime.run(read), 0)
  runtime.unload()
  assert.equal(await soon(runtime.run(read)), 'NOT_COORDINATOR')
})

test('a partition whose log cannot be read says so, and refuses requests until it can', async () => {
  const { runtime, log, lines } = start()
  log.loadFailure = new Error('disk on fire')
  await assert.rejects(runtime.load(), /disk on fire/)
  assert.equal(await soon(runtime.run(read)), 'NOT_COORDINATOR')
  assert.match(lines.join('\n'), /could not be loaded/)
  log.loadFailure = null
  await runtime.load()
  assert.equal(await runtime.run(read), 0)
})

test('who waits when a partition is unloaded is sent elsewhere, and its timers are silent', async () => {
  const { runtime, log, clock } = start()
  await runtime.load()
  runtime.touch(() => {
    const out = new Step<number>().reply(0)
    out.wakeAfter(1_000, { add: 7 })
    return out
  })
  const parked = runtime.run(park)
  log.isHeld = true
  const written = runtime.run(add(1))
  await settled()
  runtime.unload()
  assert.equal(await soon(parked), 'NOT_COORDINATOR')
  assert.equal(await soon(written), 'NOT_COORDINATOR')
  log.release()
  await clock.advance(10_000)
  assert.equal(log.batches.length, 1)
  assert.equal(clock.timers, 0)
})

test('a load that was overtaken by an unload changes nothing', async () => {
  const { runtime, log } = start()
  log.isHeld = true
  const loaded = runtime.load()
  await settled()
  runtime.unload()
  log.release()
  await loaded
  assert.equal(await soon(runtime.run(read)), 'NOT_COORDINATOR')
})

test('records of a kind that is not known are skipped, and mentioned once', async () => {
  const log = new SimulatedLog()
  const stranger = { key: Buffer.from([0, 9]), value: Buffer.from([100]) }
  await log.append([stranger, { key: Buffer.from([0, 0]), value: Buffer.from([5]) }, stranger])
  const { runtime, lines } = start(log)
  await runtime.load()
  assert.equal(await runtime.run(read), 5)
  assert.equal(lines.filter((line) => line.includes('kind 9')).length, 1)
})

test('a log that cannot be read after a failure is tried again until it can', async () => {
  const { runtime, log, clock } = start()
  await runtime.load()
  await runtime.run(add(1))
  log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: false }
  log.loadFailure = new KafkaError('NOT_ENOUGH_REPLICAS')
  assert.equal(await soon(runtime.run(add(10))), 'COORDINATOR_NOT_AVAILABLE')
  await clock.advance(3_000)
  assert.equal(await soon(runtime.run(read)), 'NOT_COORDINATOR')
  log.loadFailure = null
  await clock.advance(1_000)
  assert.equal(await soon(runtime.run(read)), 1)
  runtime.unload()
  assert.equal(clock.timers, 0)
})

test('a load waits for the append of a former life, or it would miss what that still brings', async () => {
  const { runtime, log } = start()
  await runtime.load()
  log.isHeld = true
  const written = runtime.run(add(5))
  await settled()
  runtime.unload()
  const loaded = runtime.load()
  await settled()
  assert.equal(await soon(written), 'NOT_COORDINATOR')
  assert.equal(log.loads, 1)
  log.release()
  await loaded
  assert.equal(await runtime.run(read), 5)
})

test('a step that fails half-way takes the machine with it: others try again, on what the log has', async () => {
  const { runtime, lines } = start()
  await runtime.load()
  await runtime.run(add(1))
  const parked = runtime.run(park)
  const failed = runtime.run((sum) => {
    sum.value = 999
    throw new TypeError('a bug')
  })
  await assert.rejects(failed, TypeError)
  assert.equal(await soon(parked), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(await soon(runtime.run(read)), 1)
  assert.match(lines.join('\n'), /a step failed/)
})

test('a record that cannot be encoded is not applied, nor is any that was written with it', async () => {
  const { runtime, log } = start()
  await runtime.load()
  const both = runtime.run(() => {
    const step = new Step<number>()
    step.write(1)
    step.write(Number.NaN)
    return step.reply(0)
  })
  await assert.rejects(both, RangeError)
  assert.equal(await soon(runtime.run(read)), 0)
  assert.equal(log.records.length, 0)
})

test('a timer that fails does not take the broker with it', async () => {
  const { runtime, clock, lines } = start()
  await runtime.load()
  runtime.touch(() => {
    const out = new Step<number>().reply(0)
    out.wakeAfter(1_000, { add: Number.NaN })
    return out
  })
  await clock.advance(1_000)
  assert.equal(await soon(runtime.run(read)), 0)
  assert.match(lines.join('\n'), /a step failed/)
})

test('an append does not grow without end: the next one is begun at half a megabyte', async () => {
  const { runtime, log } = start()
  await runtime.load()
  log.isHeld = true
  const first = runtime.run(add(1))
  await settled()
  // Three bytes a record.
  const many = Array.from({ length: 200 }, () =>
    runtime.run((sum: Sum) => {
      const step = new Step<number>()
      for (let i = 0; i < 1_000; i++) step.write(1)
      return step.reply(sum.value)
    }),
  )
  log.release()
  await Promise.all([first, ...many])
  assert.equal(log.batches.length, 3)
  assert.equal(log.batches.flat().length, 200_001)
})

const producer = { producerId: 7n, producerEpoch: 2 }
const other = { producerId: 8n, producerEpoch: 0 }

test('what is written in a transaction reaches the machine with its producer, and then the end of the transaction, live as at load', async () => {
  const { runtime, log } = start()
  await runtime.load()
  await Promise.all([
    runtime.run(addIn(producer, 5)),
    runtime.run(addIn(other, 30)),
    runtime.run(add(1)),
    runtime.run(end(producer, 'commit')),
    runtime.run(addIn(producer, 100)),
  ])
  assert.equal(await runtime.run(read), 6)
  assert.equal(log.batches.length, 1)
  await runtime.load()
  assert.equal(await runtime.run(read), 6)
  await runtime.run(end(other, 'commit'))
  await runtime.run(end(producer, 'abort'))
  assert.equal(await runtime.run(read), 36)
  await runtime.load()
  assert.equal(await runtime.run(read), 36)
})

test('a marker is in the log behind what was written before it, and in front of what comes after', async () => {
  const { runtime, log } = start()
  await runtime.load()
  await Promise.all([runtime.run(addIn(producer, 5)), runtime.run(end(producer, 'commit')), runtime.run(addIn(producer, 6))])
  const marker = { ...producer, result: 'commit', coordinatorEpoch: 0 }
  assert.deepEqual(log.entries, [
    { key: Buffer.from([0, 0]), value: Buffer.from([5]), producer },
    { marker },
    { key: Buffer.from([0, 0]), value: Buffer.from([6]), producer },
  ])
})

test('the end of a transaction is answered when it is committed, and undone with the append that fails', async () => {
  const { runtime, log } = start()
  await runtime.load()
  await runtime.run(addIn(producer, 5))
  log.isHeld = true
  const ended = runtime.run(end(producer, 'commit'))
  assert.equal(await soon(ended), 'pending')
  log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: false }
  log.release()
  assert.equal(await soon(ended), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(await soon(runtime.run(read)), 0)
  await runtime.run(end(producer, 'commit'))
  assert.equal(await runtime.run(read), 5)
})

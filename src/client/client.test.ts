import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { z } from 'zod'
import { startBroker, type TestBroker } from '../testing/start-broker.ts'
import {
  bytes,
  type Client,
  channels,
  connect,
  DeserializationError,
  type HandlerContext,
  header,
  json,
  type KafkaError,
  nullable,
  orThrow,
  readDeadLetter,
  SerializationError,
  string,
  type TypedConsumer,
  topic,
  topicPattern,
} from './client.ts'

interface Order {
  id: number
}

let broker: TestBroker
let client: Client

before(async () => {
  broker = await startBroker({ config: { 'group.min.session.timeout.ms': '100' } })
  client = connect({ bootstrapServers: broker.bootstrapServers })
})

after(async () => {
  await client.close()
  await broker.close()
})

let names = 0
/** A topic of its own for each test. */
async function orders(partitions = 1) {
  const name = `orders-${++names}`
  orThrow(await client.admin.topics.create([{ name, partitions }]))
  return topic<Order>(name, { key: string(), value: json() })
}

async function produce(to: Awaited<ReturnType<typeof orders>>, count: number, keys = 1): Promise<void> {
  await using producer = client.producer({ lingerMs: 0 })
  await producer.sendMany(
    to,
    Array.from({ length: count }, (_, id) => ({ key: `key-${id % keys}`, value: { id } })),
  )
}

const from = { autoOffsetReset: 'earliest', fetchMaxWaitMs: 50, heartbeatIntervalMs: 50 } as const

async function committed(groupId: string, name: string): Promise<bigint | undefined> {
  return (await client.admin.groups.offsets(groupId)).get(`${name}/0`)?.offset
}

test('what a producer sends a consumer gets, typed, with key, headers and time', async () => {
  const to = await orders()
  await using producer = client.producer()
  const metadata = await producer.send(to, {
    key: 'a',
    value: { id: 5 },
    headers: { source: 'web', none: null },
    timestamp: new Date(1000),
  })
  assert.deepEqual(metadata, { topic: to.name, partition: 0, offset: 0n, timestamp: 1000n })
  await using consumer = client.consumer({ ...from, groupId: 'typed', topics: to })
  for await (const record of consumer) {
    const id: number = record.value.id
    assert.deepEqual([record.key, id, record.timestamp], ['a', 5, 1000n])
    assert.equal(header(record, 'source'), 'web')
    assert.equal(header(record, 'none'), undefined)
    break
  }
})

test('a value that does not fit is refused at the producer, with the path of the wrong field', async () => {
  const { name } = await orders()
  const strict = topic(name, { value: json(z.object({ id: z.number() })) })
  await using producer = client.producer()
  await assert.rejects(producer.send(strict, { value: { id: 'x' } as never }), (error) => {
    assert.ok(error instanceof SerializationError)
    assert.match(error.message, new RegExp(`the value does not fit topic ${name}: id: `))
    return true
  })
})

test('the callback form tells the offset, or the error', async () => {
  const to = await orders()
  await using producer = client.producer({ lingerMs: 0, maxRequestSize: 1000 })
  const told = (value: Order) =>
    new Promise((resolve) =>
      producer.send(to, { value }, (error, metadata) => resolve((error as KafkaError)?.code ?? metadata?.offset)),
    )
  assert.equal(await told({ id: 1 }), 0n)
  assert.equal(await told({ id: 1, more: 'x'.repeat(2000) } as Order), 'MESSAGE_TOO_LARGE')
})

test("partitioners: in turn, none but named, of one's own", async () => {
  const to = await orders(3)
  const partitionsOf = async (producer: ReturnType<Client['producer']>, count: number) => {
    const sent = await producer.sendMany(
      to,
      Array.from({ length: count }, (_, id) => ({ key: 'same', value: { id } })),
    )
    await producer.close()
    return sent.map(({ partition }) => partition)
  }
  assert.deepEqual(await partitionsOf(client.producer({ partitioner: 'round-robin' }), 4), [0, 1, 2, 0])
  assert.deepEqual(
    await partitionsOf(client.producer({ partitioner: ({ value }) => JSON.parse(String(value)).id % 2 }), 3),
    [0, 1, 0],
  )
  assert.equal(new Set(await partitionsOf(client.producer(), 5)).size, 1)
  await assert.rejects(partitionsOf(client.producer({ partitioner: 'explicit' }), 1), /names no partition/)
  assert.throws(() => client.producer({ partitioner: 'murmur3' as never }), /no partitioner is called murmur3/)
})

test('at least once: what was finished is committed when the consumer stops, the record that failed comes again', async () => {
  const to = await orders()
  await produce(to, 10)
  const seen: number[] = []
  const handle = (record: { value: Order }) => {
    if (record.value.id === 6 && !seen.includes(6)) {
      seen.push(6)
      throw new Error('not today')
    }
    seen.push(record.value.id)
  }
  await assert.rejects(client.consumer({ ...from, groupId: 'failing', topics: to }).run(handle), /not today/)
  assert.equal(await committed('failing', to.name), 6n)
  await runUntil(client.consumer({ ...from, groupId: 'failing', topics: to }), handle, () => seen.length === 11)
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9])
  assert.equal(await committed('failing', to.name), 10n)
})

test('at most once: a record that failed does not come again', async () => {
  const to = await orders()
  await produce(to, 3)
  const options = { ...from, groupId: 'once', topics: to, guarantee: 'at-most-once' } as const
  await assert.rejects(
    client.consumer(options).run(() => {
      throw new Error('lost')
    }),
    /lost/,
  )
  assert.equal(await committed('once', to.name), 3n)
})

test('exactly once: what handlers send and the positions are committed together, and not at all for what failed', async () => {
  const [source, target] = [await orders(), await orders()]
  await produce(source, 10)
  const options = { ...from, groupId: 'exact', topics: source, guarantee: 'exactly-once', transactionalId: 'exact-1' } as const
  await assert.rejects(
    client.consumer(options).run(async ({ value }, { send }) => {
      await send(target, { value })
      if (value.id === 4) throw new Error('in the middle')
    }),
    /in the middle/,
  )
  assert.equal(await committed('exact', source.name), undefined)
  let count = 0
  const handle = async ({ value }: { value: Order }, { send }: HandlerContext) => {
    await send(target, { value })
    count++
  }
  const again = client.consumer(options)
  await runUntil(again, handle, async () => count >= 10 && (await committed('exact', source.name)) === 10n)
  const ids: number[] = []
  await using reader = client.consumer({ ...from, groupId: 'reader', topics: target, isolationLevel: 'read_committed' })
  for await (const { value } of reader) if (ids.push(value.id) === 10) break
  assert.deepEqual(ids, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
})

test('one option says the guarantee, and what does not go with it is said at once', () => {
  const to = topic('x')
  assert.throws(() => client.consumer({ groupId: 'g', topics: to, guarantee: 'exactly-once' }), /needs a transactionalId/)
  assert.throws(() => client.consumer({ groupId: 'g', topics: to, guarantee: 'at-most-once', commit: 'manual' }), /leave commit/)
})

test('by hand: positions are those that commit was called with', async () => {
  const to = await orders()
  await produce(to, 5)
  const consumer = client.consumer({ ...from, groupId: 'manual', topics: to, commit: 'manual' })
  for await (const record of consumer) {
    if (record.value.id === 2) await consumer.commit(record)
    if (record.value.id === 4) break
  }
  assert.equal(await committed('manual', to.name), 3n)
})

test('keys run side by side, each in order, and a commit does not pass the slowest', async () => {
  const to = await orders()
  await produce(to, 100, 10)
  const seen = new Map<string, number[]>()
  let release = () => {}
  const slow = new Promise<void>((resolve) => {
    release = resolve
  })
  let running = 0
  let most = 0
  let done = 0
  const consumer = client.consumer({ ...from, groupId: 'keys', topics: to, commitIntervalMs: 0 })
  const run = consumer.run(
    async ({ key, value }) => {
      most = Math.max(most, ++running)
      if (value.id === 13) await slow
      else await new Promise(setImmediate)
      running--
      done++
      seen.set(key!, [...(seen.get(key!) ?? []), value.id])
    },
    { concurrency: 8, order: 'key' },
  )
  await until(() => done === 91)
  await consumer.commit()
  assert.equal(await committed('keys', to.name), 13n)
  assert.equal(consumer.stats().partitions[0].inHand, 87)
  release()
  await until(() => done === 100)
  await consumer.stop()
  await run
  assert.equal(most, 8)
  for (const ids of seen.values())
    assert.deepEqual(
      ids,
      [...ids].sort((a, b) => a - b),
    )
  assert.equal(await committed('keys', to.name), 100n)
})

test('a handler that is slower than the session is not thrown out, and a rebalance waits for it', async () => {
  const to = await orders(2)
  await using producer = client.producer({ lingerMs: 0 })
  await producer.send(to, { partition: 0, value: { id: 0 } })
  await producer.send(to, { partition: 1, value: { id: 1 } })
  const options = { ...from, groupId: 'slow', topics: to, sessionTimeoutMs: 400 }
  const seen: string[] = []
  let started = 0
  const slowly = (name: string) => async (record: { value: Order }) => {
    started++
    await new Promise((resolve) => setTimeout(resolve, 1000))
    seen.push(`${name}:${record.value.id}`)
  }
  const first = client.consumer(options)
  const running = first.run(slowly('first'), { concurrency: 2 })
  await until(() => started === 2)
  const second = client.consumer(options)
  const alsoRunning = second.run(slowly('second'))
  await until(() => second.assignment().length === 1 && first.assignment().length === 1)
  assert.deepEqual(seen.sort(), ['first:0', 'first:1'])
  await Promise.all([first.stop(), second.stop()])
  await Promise.all([running, alsoRunning])
  assert.equal(started, 2)
})

test('a graceful stop finishes what is in hand', async () => {
  const to = await orders()
  await produce(to, 3)
  let started = false
  let finished = 0
  const consumer = client.consumer({ ...from, groupId: 'graceful', topics: to })
  const running = consumer.run(async () => {
    started = true
    await new Promise((resolve) => setTimeout(resolve, 50))
    finished++
  })
  await until(() => started)
  await consumer.stop()
  await running
  assert.equal(finished, 1)
  assert.equal(await committed('graceful', to.name), 1n)
})

test('pause holds records back, seek goes to an offset or a time', async () => {
  const to = await orders()
  await using producer = client.producer({ lingerMs: 0 })
  for (let id = 0; id < 5; id++) await producer.send(to, { value: { id }, timestamp: 1000 + id })
  const seen: number[] = []
  const consumer = client.consumer({ ...from, groupId: 'seeking', topics: to })
  const running = consumer.run(({ value }) => void seen.push(value.id))
  await until(() => seen.length === 5)
  consumer.pause()
  await producer.send(to, { value: { id: 5 } })
  consumer.seek({ topic: to.name, partition: 0 }, 4n)
  assert.equal(seen.length, 5)
  consumer.resume()
  await until(() => seen.length === 7)
  await consumer.seekToTime(1003)
  await until(() => seen.length === 10)
  assert.deepEqual(seen, [0, 1, 2, 3, 4, 4, 5, 3, 4, 5])
  await consumer.stop()
  await running
})

test('topics by expression, with the same types', async () => {
  const to = await orders()
  await produce(to, 1)
  await using consumer = client.consumer({
    ...from,
    groupId: 'pattern',
    topics: topicPattern<Order>(new RegExp(to.name), { value: json() }),
  })
  for await (const record of consumer) {
    assert.deepEqual([record.topic, record.value.id], [to.name, 0])
    break
  }
})

test('a handler is tried again, then its record goes to the dead letters, in the terms of Spring Kafka', async () => {
  const to = await orders()
  await produce(to, 3)
  const attempts: string[] = []
  const consumer = client.consumer({ ...from, groupId: 'letters', topics: to })
  await runUntil(
    consumer,
    ({ value }, { attempt }) => {
      attempts.push(`${value.id}/${attempt}`)
      if (value.id === 1) throw new TypeError('never')
    },
    () => attempts.length === 5,
    { retries: { attempts: 2, delayMs: 1 }, deadLetters: true },
  )
  assert.deepEqual(attempts, ['0/1', '1/1', '1/2', '1/3', '2/1'])
  assert.equal(await committed('letters', to.name), 3n)
  await using reader = client.consumer({ ...from, groupId: 'buried', topics: topic(`${to.name}.DLT`) })
  for await (const record of reader) {
    const letter = readDeadLetter(record)
    assert.deepEqual(record.value, Buffer.from('{"id":1}'))
    assert.equal(record.key, 'key-0')
    assert.deepEqual(
      [letter.topic, letter.partition, letter.offset, letter.groupId, letter.exception, letter.message],
      [to.name, 0, 1n, 'letters', 'TypeError', 'never'],
    )
    assert.match(letter.stack ?? '', /TypeError: never\n/)
    break
  }
})

test('a record that cannot be read goes to the dead letters as it is, or stops the consumer', async () => {
  const to = await orders()
  await using producer = client.producer({ lingerMs: 0 })
  const raw = topic(to.name, { key: bytes(), value: nullable(bytes()) })
  await producer.send(raw, { value: Buffer.from('{not json') })
  await producer.send(raw, { value: null })
  await producer.send(to, { value: { id: 2 } })
  const options = { ...from, groupId: 'poison', topics: to }
  await assert.rejects(
    client.consumer(options).run(() => {}),
    (error) => error instanceof DeserializationError && error.offset === 0n,
  )
  const seen: number[] = []
  await runUntil(
    client.consumer(options),
    ({ value }) => void seen.push(value.id),
    () => seen.length === 1,
    {
      retries: { attempts: 5 },
      deadLetters: (record) => `${record.topic}-dead`,
    },
  )
  const values: (Buffer | null)[] = []
  await using reader = client.consumer({
    ...from,
    groupId: 'unread',
    topics: topic(`${to.name}-dead`, { value: nullable(bytes()) }),
  })
  for await (const { value } of reader) if (values.push(value as Buffer | null) === 2) break
  assert.deepEqual(values, [Buffer.from('{not json'), null])
})

test('the trace of a record goes on with what its handler sends', async () => {
  const [source, target] = [await orders(), await orders()]
  const traceId = '4bf92f3577b34da6a3ce929d0e0e4736'
  await using producer = client.producer({ lingerMs: 0 })
  const headers = { traceparent: `00-${traceId}-00f067aa0ba902b7-01`, tracestate: 'a=b' }
  await producer.send(source, { value: { id: 1 }, headers })
  let sent = false
  await runUntil(
    client.consumer({ ...from, groupId: 'trace', topics: source }),
    async ({ value }) => {
      await new Promise(setImmediate)
      await producer.send(target, { value })
      sent = true
    },
    () => sent,
  )
  await using reader = client.consumer({ ...from, groupId: 'traced', topics: target })
  for await (const record of reader) {
    assert.match(header(record, 'traceparent')!, new RegExp(`^00-${traceId}-(?!00f067aa0ba902b7)[0-9a-f]{16}-01$`))
    assert.equal(header(record, 'tracestate'), 'a=b')
    break
  }
})

test('diagnostics channels tell of records, rebalances and commits', async () => {
  const to = await orders()
  const events: string[] = []
  const produced = {
    start: () => events.push('produce'),
    end() {},
    asyncStart() {},
    asyncEnd: () => events.push('produced'),
    error() {},
  }
  const processed = { start: () => events.push('process'), end() {}, asyncStart() {}, asyncEnd() {}, error() {} }
  const rebalanced = (message: unknown) => events.push((message as { kind: string }).kind)
  const stored = () => events.push('commit')
  channels.produce.subscribe(produced)
  channels.process.subscribe(processed)
  channels.rebalance.subscribe(rebalanced)
  channels.commit.subscribe(stored)
  try {
    await produce(to, 1)
    let seen = false
    await runUntil(
      client.consumer({ ...from, groupId: 'events', topics: to }),
      () => {
        seen = true
      },
      () => seen,
    )
  } finally {
    channels.produce.unsubscribe(produced)
    channels.process.unsubscribe(processed)
    channels.rebalance.unsubscribe(rebalanced)
    channels.commit.unsubscribe(stored)
  }
  assert.deepEqual(
    events.filter((event, i) => event !== events[i - 1]),
    ['produce', 'produced', 'assigned', 'process', 'commit', 'revoked'],
  )
})

test('stats tell lag, rates and latencies', async () => {
  const to = await orders()
  await using producer = client.producer({ lingerMs: 0 })
  await producer.sendMany(
    to,
    Array.from({ length: 10 }, (_, id) => ({ value: { id } })),
  )
  assert.equal(producer.stats().records.total, 10)
  assert.equal(producer.stats().bufferedBytes, 0)
  assert.ok(producer.stats().latencyMs.p99 > 0)
  let count = 0
  const consumer = client.consumer({ ...from, groupId: 'stats', topics: to })
  const running = consumer.run(() => void count++)
  await until(() => count === 10)
  const { records, lag, processingMs, rebalances } = consumer.stats()
  assert.deepEqual([records.total, lag, processingMs.count, rebalances], [10, 0n, 1, 1])
  await consumer.stop()
  await running
})

test('transactions: all of it, or nothing', async () => {
  const to = await orders()
  await using producer = client.producer({ transactionalId: 'all-or-nothing' })
  await assert.rejects(
    producer.transaction(async (transaction) => {
      await transaction.send(to, { value: { id: 1 } })
      throw new Error('changed my mind')
    }),
    /changed my mind/,
  )
  await producer.transaction((transaction) => transaction.send(to, { value: { id: 2 } }))
  await using reader = client.consumer({ ...from, groupId: 'committed', topics: to, isolationLevel: 'read_committed' })
  for await (const { value } of reader) {
    assert.equal(value.id, 2)
    break
  }
})

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await condition())) {
    assert.ok(performance.now() < deadline, `${condition} did not come true`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

async function runUntil<C extends TypedConsumer<ReturnType<typeof topic<Order>>>>(
  consumer: C,
  handler: Parameters<C['run']>[0],
  condition: () => boolean | Promise<boolean>,
  options?: Parameters<C['run']>[1],
): Promise<void> {
  const running = consumer.run(handler, options)
  await Promise.race([running, until(condition)])
  await consumer.stop()
  await running
}

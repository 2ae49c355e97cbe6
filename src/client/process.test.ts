// process() on a broker that can be killed: whatever dies, each record of the source counts once. With TEST_BROKER=apache-kafka it is
// Kafka's.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { RestartableBroker } from '../../test/support/broker-under-test.ts'
import { eventually } from '../../test/support/eventually.ts'
import { realClock } from '../host/clock.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { orThrow } from './admin/results.ts'
import { Admin } from './admin.ts'
import { ClusterClient } from './cluster-client.ts'
import { Consumer } from './consumer.ts'
import { FencedError } from './errors.ts'
import { listOffsets, OffsetSpec } from './list-offsets.ts'
import { partitionKey } from './metadata.ts'
import { type ProcessOptions, process as processExactlyOnce } from './process.ts'
import { Producer } from './producer.ts'

let broker: RestartableBroker
let cluster: ClusterClient
let admin: Admin

before(async () => {
  broker = await RestartableBroker.start({ 'group.min.session.timeout.ms': '100' })
  const { bootstrapServers } = broker
  cluster = new ClusterClient({ bootstrapServers, network: realNetwork, clock: realClock, random: realRandom })
  admin = new Admin(cluster)
})

after(async () => {
  await cluster?.close()
  await broker?.close()
})

/** `name-in` with `count` numbers over its partitions in turn, and an empty `name-out` with as many. */
async function scene(name: string, partitions: number, count: number): Promise<void> {
  orThrow(
    await admin.topics.create([
      { name: `${name}-in`, partitions },
      { name: `${name}-out`, partitions },
    ]),
  )
  const producer = new Producer(cluster)
  const numbers = Array.from({ length: count }, (_, index) => index)
  await Promise.all(
    numbers.map((index) => producer.send({ topic: `${name}-in`, value: `${index}`, partition: index % partitions })),
  )
  await producer.close()
}

/** Starts an instance that copies, unless it is given something else to do. */
function instance(name: string, transactionalId: string, transform?: ProcessOptions['transform']) {
  const controller = new AbortController()
  const copy: ProcessOptions['transform'] = (records) =>
    records.map(({ value, partition }) => ({ topic: `${name}-out`, value, partition }))
  const done = processExactlyOnce(cluster, {
    groupId: name,
    topics: [`${name}-in`],
    transactionalId,
    transform: transform ?? copy,
    signal: controller.signal,
    consumer: { heartbeatIntervalMs: 50, fetchMaxWaitMs: 50, maxPollRecords: 7 },
    producer: { lingerMs: 0 },
  })
  // Whoever waits for it hears of it; until then it may fail unheard.
  done.catch(() => {})
  return {
    done,
    stop: () => {
      controller.abort()
      return done
    },
  }
}

/** What a reader of committed records sees of `name-out`, by partition. */
async function output(name: string, partitions: number): Promise<string[][]> {
  const topic = `${name}-out`
  const all = Array.from({ length: partitions }, (_, partition) => ({ topic, partition, timestamp: OffsetSpec.LATEST }))
  const ends = await listOffsets(cluster, all, { isolationLevel: 'read_committed' })
  const consumer = new Consumer(cluster, { isolationLevel: 'read_committed', fetchMaxWaitMs: 20 })
  try {
    consumer.assign(all)
    for (const partition of all) consumer.seek(partition, 0n)
    const values: string[][] = all.map(() => [])
    const isBehind = () =>
      all.some((place) => {
        const end = ends.get(partitionKey(topic, place.partition))!
        if (end instanceof KafkaError) throw end
        return consumer.position(place)! < end.offset
      })
    while (isBehind()) {
      for (const { partition, value } of await consumer.poll(20)) values[partition].push(value!.toString())
    }
    return values
  } finally {
    await consumer.close()
  }
}

const expected = (partitions: number, count: number) =>
  Array.from({ length: partitions }, (_, partition) =>
    Array.from({ length: count }, (_, index) => index)
      .filter((index) => index % partitions === partition)
      .map(String),
  )

const complete = (name: string, partitions: number, count: number) =>
  eventually(async () => assert.deepEqual(await output(name, partitions), expected(partitions, count)), { withinMs: 60_000 })

test('what follows from each record is written once, though the transform dies now and then', async () => {
  await scene('dying', 2, 100)
  let calls = 0
  let deaths = 0
  const dying: ProcessOptions['transform'] = (records) => {
    if (++calls % 5 === 4) throw new Error('died')
    return records.map(({ value, partition }) => ({ topic: 'dying-out', value, partition }))
  }
  const whole = complete('dying', 2, 100).then(() => 'complete')
  for (;;) {
    const { done, stop } = instance('dying', 'dying', dying)
    const ended = await Promise.race([whole, done.catch((error: Error) => error.message)])
    if (ended === 'complete') {
      await stop().catch(() => {})
      break
    }
    assert.equal(ended, 'died')
    deaths++
  }
  assert.ok(deaths > 0)
  assert.deepEqual(await output('dying', 2), expected(2, 100))
})

test('an instance hands over to another in a rebalance, and each record still counts once', async () => {
  await scene('shared', 4, 200)
  const [first, second] = [instance('shared', 'shared-1'), instance('shared', 'shared-2')]
  await eventually(async () => assert.ok((await output('shared', 4)).flat().length > 20))
  await first.stop()
  await complete('shared', 4, 200)
  await second.stop()
  assert.deepEqual(await output('shared', 4), expected(4, 200))
})

test('an instance whose place was taken hears of it, and nothing of its last transaction is left', async () => {
  await scene('replaced', 1, 3)
  const started = Promise.withResolvers<void>()
  const held = Promise.withResolvers<void>()
  const zombie = instance('replaced', 'replaced', async () => {
    started.resolve()
    await held.promise
    return [{ topic: 'replaced-out', value: 'zombie' }]
  })
  await started.promise
  const epoch = async () => orThrow(await admin.transactions.describe(['replaced'])).get('replaced')!.producerEpoch
  const before = await epoch()
  const heir = instance('replaced', 'replaced')
  await eventually(async () => (await epoch()) > before)
  held.resolve()
  await assert.rejects(zombie.done, FencedError)
  await complete('replaced', 1, 3)
  await heir.stop()
})

test('the broker is killed again and again, and each record counts once', async () => {
  await scene('killed', 2, 300)
  const slowly: ProcessOptions['transform'] = async (records) => {
    await delay(10)
    return records.map(({ value, partition }) => ({ topic: 'killed-out', value, partition }))
  }
  const instances = [instance('killed', 'killed-1', slowly), instance('killed', 'killed-2', slowly)]
  const written = async () => (await output('killed', 2)).flat().length
  for (const from of [30, 80, 130]) {
    await eventually(async () => (await written()) > from)
    await broker.kill()
    await broker.startAgain()
  }
  await complete('killed', 2, 300)
  for (const { stop } of instances) await stop()
  assert.deepEqual(await output('killed', 2), expected(2, 300))
})

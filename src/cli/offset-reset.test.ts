import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { orThrow } from '../client/admin/results.ts'
import { Admin } from '../client/admin.ts'
import { ClusterClient } from '../client/cluster-client.ts'
import { Producer } from '../client/producer.ts'
import { realClock } from '../host/clock.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { startBroker, type TestBroker } from '../testing/start-broker.ts'
import type { GroupFlags } from './consumer-groups.ts'
import { resetOffsets } from './offset-reset.ts'

let broker: TestBroker
let cluster: ClusterClient
let admin: Admin

/** A topic `t` with ten records in each of two partitions, one an hour, the last an hour ago; the first two of each are deleted. */
before(async () => {
  broker = await startBroker()
  cluster = new ClusterClient({
    bootstrapServers: broker.bootstrapServers,
    network: realNetwork,
    clock: realClock,
    random: realRandom,
  })
  admin = new Admin(cluster)
  orThrow(await admin.topics.create([{ name: 't', partitions: 2 }, { name: 'empty' }]))
  const producer = new Producer(cluster, { lingerMs: 0 })
  const hours = Array.from({ length: 10 }, (_, index) => BigInt(Date.now() - (10 - index) * 3_600_000))
  for (const partition of [0, 1]) {
    await Promise.all(hours.map((timestamp) => producer.send({ topic: 't', partition, value: 'x', timestamp })))
  }
  await producer.close()
  orThrow(await admin.topics.deleteRecords([0, 1].map((partition) => ({ topic: 't', partition, offset: 2n }))))
})

after(async () => {
  await cluster.close()
  await broker.close()
})

/** New offsets of a group that stands at 5 in partition 0 and nowhere in partition 1. */
async function reset(flags: GroupFlags): Promise<Record<string, number>> {
  await admin.groups.alterOffsets('g', [{ topic: 't', partition: 0, offset: 5n }])
  const plan = await resetOffsets(admin, ['g'], { topic: ['t'], ...flags })
  return Object.fromEntries(plan.get('g')!.map(({ topic, partition, offset }) => [`${topic}-${partition}`, Number(offset)]))
}

const both = (offset: number) => ({ 't-0': offset, 't-1': offset })

test('to either end of the log', async () => {
  assert.deepEqual(await reset({ toEarliest: true }), both(2))
  assert.deepEqual(await reset({ toLatest: true }), both(10))
})

test('to an offset, or as near as the log has one', async () => {
  assert.deepEqual(await reset({ toOffset: '7' }), both(7))
  assert.deepEqual(await reset({ toOffset: '0' }), both(2))
  assert.deepEqual(await reset({ toOffset: '100' }), both(10))
})

test('to the first record since a time, or the end if there is none', async () => {
  const since = (hours: number) => new Date(Date.now() - hours * 3_600_000 - 1_800_000).toISOString()
  assert.deepEqual(await reset({ toDatetime: since(3) }), both(7))
  assert.deepEqual(await reset({ toDatetime: since(100) }), both(2))
  assert.deepEqual(await reset({ byDuration: 'PT3H30M' }), both(7))
  assert.deepEqual(await reset({ byDuration: 'PT1M' }), both(10))
  assert.deepEqual(await reset({ topic: ['empty'], byDuration: 'P1D' }), { 'empty-0': 0 })
})

test('by a number of records, from where the group stands', async () => {
  assert.deepEqual(await reset({ topic: ['t:0'], shiftBy: '-2' }), { 't-0': 3 })
  assert.deepEqual(await reset({ topic: ['t:0'], shiftBy: '+100' }), { 't-0': 10 })
  await assert.rejects(
    reset({ shiftBy: '1' }),
    /Cannot shift offset for partition t-1 since there is no current committed offset/,
  )
})

test('to where it stands, and to the end where it stands nowhere', async () => {
  assert.deepEqual(await reset({ toCurrent: true }), { 't-0': 5, 't-1': 10 })
})

test('only what is in scope, and only what is there', async () => {
  assert.deepEqual(await reset({ topic: undefined, allTopics: true, toLatest: true }), { 't-0': 10 })
  assert.deepEqual(await reset({ topic: ['t:1', 'empty'], toLatest: true }), { 't-1': 10, 'empty-0': 0 })
  await assert.rejects(reset({ topic: ['t:7'], toLatest: true }), /The partitions "t-7" do not exist/)
  await assert.rejects(reset({ topic: ['nowhere'], toLatest: true }), (error) => error instanceof KafkaError)
  await assert.rejects(reset({ topic: ['t:x'], toLatest: true }), /Invalid partition 'x'/)
})

test('nothing is committed without --execute', async () => {
  await reset({ toEarliest: true })
  assert.equal((await admin.groups.offsets('g')).get('t/0')?.offset, 5n)
  await reset({ toEarliest: true, execute: true })
  assert.equal((await admin.groups.offsets('g')).get('t/0')?.offset, 2n)
  assert.equal((await admin.groups.offsets('g')).get('t/1')?.offset, 2n)
})

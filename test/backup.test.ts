// `moldau backup` while producers write and groups commit, and `moldau restore` into a new directory: what had been acknowledged before the
// backup began is there, offsets are dense, and no group stands behind the end of its partition.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { open, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { Admin } from '../src/client/admin.ts'
import { ClusterClient } from '../src/client/cluster-client.ts'
import { Consumer } from '../src/client/consumer.ts'
import { Producer } from '../src/client/producer.ts'
import { realClock } from '../src/host/clock.ts'
import { realRandom } from '../src/host/random.ts'
import { realNetwork } from '../src/host/real-network.ts'
import { environment, root, startBrokerProcess } from './support/broker-process.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

const run = promisify(execFile)
const moldau = (...args: string[]) => run(process.execPath, [join(root, 'bin', 'moldau'), ...args], { env: environment() })
const connect = (bootstrapServers: string) =>
  new ClusterClient({ bootstrapServers, network: realNetwork, clock: realClock, random: realRandom })

const PARTITIONS = [0, 1, 2]
const GROUP = 'readers'

test('a backup under load holds what was acknowledged before it began, and groups go on from it', async () => {
  await using directory = await temporaryDirectory()
  const at = (name: string) => join(directory.path, name)
  // Small segments: some are sealed, and some deleted, while the copy is made.
  const config = { 'log.segment.bytes': '1048576', 'log.retention.bytes': '8388608', 'log.retention.check.interval.ms': '50' }
  const source = await startBrokerProcess(at('data'), { config: { ...config, 'log.segment.delete.delay.ms': '0' } })
  const client = connect(source.bootstrapServers)
  const admin = new Admin(client)
  await admin.topics.create([{ name: 't', partitions: PARTITIONS.length }])
  const producer = new Producer(client)
  const acknowledged = new Map<number, bigint>()
  let producing = true
  const load = Promise.all(
    PARTITIONS.map(async (partition) => {
      while (producing) {
        const sent = Array.from({ length: 20 }, () =>
          producer.send({ topic: 't', partition, value: Buffer.alloc(2000, partition) }),
        )
        for (const { offset } of await Promise.all(sent)) acknowledged.set(partition, offset)
        // As a consumer at the very end would.
        const offset = acknowledged.get(partition)! + 1n
        await admin.groups.alterOffsets(GROUP, [{ topic: 't', partition, offset }])
      }
    }),
  )
  while (PARTITIONS.some((partition) => (acknowledged.get(partition) ?? 0n) < 3000n))
    await new Promise((resolve) => setTimeout(resolve, 5))
  const before = new Map(acknowledged)
  const { stdout } = await moldau('backup', at('backup'), '--data-dir', at('data'))
  assert.match(stdout, /^\d+ files, \d+ bytes in /)
  producing = false
  await load
  await producer.close()
  await client.close()
  await source.kill()

  await moldau('restore', at('backup'), '--data-dir', at('restored'))
  const restored = await startBrokerProcess(at('restored'), { config })
  const reader = connect(restored.bootstrapServers)
  const groups = new Admin(reader).groups
  const consumer = new Consumer(reader, { autoOffsetReset: 'earliest' })
  const committed = new Map<number, bigint>()
  for (const { partition, offset } of (await groups.offsets(GROUP)).values()) committed.set(partition, offset)
  const next = new Map<number, bigint>()
  consumer.assign(PARTITIONS.map((partition) => ({ topic: 't', partition })))
  while (PARTITIONS.some((partition) => (next.get(partition) ?? 0n) <= before.get(partition)!)) {
    for (const { partition, offset, value } of await consumer.poll(5000)) {
      assert.equal(offset, next.get(partition) ?? offset)
      assert.ok(value?.equals(Buffer.alloc(2000, partition)))
      next.set(partition, offset + 1n)
    }
  }
  for (const partition of PARTITIONS) {
    const end = next.get(partition)!
    assert.ok(end > before.get(partition)!)
    assert.ok(committed.get(partition)! > 0n)
    // Whoever commits behind the end of what is there skips records that are yet to come.
    const more = new Producer(reader)
    const { offset } = await more.send({ topic: 't', partition, value: 'more' })
    await more.close()
    assert.ok(committed.get(partition)! <= offset, `committed ${committed.get(partition)}, the partition ends at ${offset}`)
  }
  consumer.close()
  await reader.close()
  assert.equal(await restored.stop(), 0)
})

test('data in several directories is backed up into one, while the broker serves and when it is stopped', async () => {
  await using directory = await temporaryDirectory()
  const at = (name: string) => join(directory.path, name)
  const directories = `${at('one')},${at('two')}`
  const source = await startBrokerProcess(directories)
  const client = connect(source.bootstrapServers)
  await new Admin(client).topics.create([{ name: 't', partitions: 4 }])
  const producer = new Producer(client)
  for (let partition = 0; partition < 4; partition++) await producer.send({ topic: 't', partition, value: `${partition}` })
  await producer.close()
  await client.close()
  await moldau('backup', at('online'), '--data-dir', directories)
  await source.stop()
  for (const name of ['one', 'two'])
    assert.ok(
      (await readdir(at(name))).some((file) => file.startsWith('t-')),
      name,
    )
  await moldau('backup', at('offline'), '--data-dir', directories)
  for (const backup of ['online', 'offline']) {
    await moldau('restore', at(backup), '--data-dir', at(`${backup}-restored`))
    const restored = await startBrokerProcess(at(`${backup}-restored`))
    const reader = connect(restored.bootstrapServers)
    const consumer = new Consumer(reader, { autoOffsetReset: 'earliest' })
    consumer.assign([0, 1, 2, 3].map((partition) => ({ topic: 't', partition })))
    const values: string[] = []
    while (values.length < 4) for (const { value } of await consumer.poll(5000)) values.push(String(value))
    assert.deepEqual(values.sort(), ['0', '1', '2', '3'])
    consumer.close()
    await reader.close()
    assert.equal(await restored.stop(), 0)
  }
})

test('a stopped broker is backed up from its files, and damage to a backup is found when it is restored', async () => {
  await using directory = await temporaryDirectory()
  const at = (name: string) => join(directory.path, name)
  const broker = await startBrokerProcess(at('data'))
  const client = connect(broker.bootstrapServers)
  const producer = new Producer(client)
  await producer.send({ topic: 'kept', value: 'one' })
  await producer.close()
  await client.close()
  await broker.stop()
  await moldau('backup', at('backup'), '--data-dir', at('data'))
  await assert.rejects(moldau('backup', at('backup'), '--data-dir', at('data')), /is not empty/)
  await moldau('restore', at('backup'), '--data-dir', at('restored'))
  await assert.rejects(moldau('restore', at('backup'), '--data-dir', at('restored')), /is not empty/)
  const restored = await startBrokerProcess(at('restored'))
  assert.equal(await restored.stop(), 0)
  const [name] = (await readdir(join(at('backup'), 'kept-0'))).filter((file) => file.endsWith('.log'))
  const file = await open(join(at('backup'), 'kept-0', name), 'r+')
  await file.write(Buffer.of(0xee), 0, 1, 65)
  await file.close()
  await assert.rejects(moldau('restore', at('backup'), '--data-dir', at('other')), /is damaged/)
  await writeFile(at('note'), 'x')
  await assert.rejects(moldau('restore', directory.path, '--data-dir', at('another')), /no backup/)
})

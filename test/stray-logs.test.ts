// Folders in the data directory that belong to no topic, as somebody may leave them who copies by hand: nothing in them is ever lost.

import assert from 'node:assert/strict'
import { cp, readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Admin } from '../src/client/admin.ts'
import { ClusterClient } from '../src/client/cluster-client.ts'
import { Consumer } from '../src/client/consumer.ts'
import { Producer } from '../src/client/producer.ts'
import { realClock } from '../src/host/clock.ts'
import { lineLogger } from '../src/host/logger.ts'
import { realRandom } from '../src/host/random.ts'
import { realNetwork } from '../src/host/real-network.ts'
import { startBroker } from '../src/testing/start-broker.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

const SEGMENT = '00000000000000000000.log'

/** Runs a broker on the directory for as long as `use` takes; resolves with what it has warned of. */
async function serve(directory: string, use: (client: ClusterClient) => Promise<void>): Promise<string[]> {
  const warnings: string[] = []
  const say = lineLogger(
    'text',
    () => 0,
    (line) => void (/ (WARN|ERROR) /.test(line) && warnings.push(line)),
  )
  await using broker = await startBroker({ storage: 'disk', directory, logger: say })
  const { bootstrapServers } = broker
  const client = new ClusterClient({ bootstrapServers, network: realNetwork, clock: realClock, random: realRandom })
  try {
    await use(client)
  } finally {
    await client.close()
  }
  return warnings
}

async function produce(client: ClusterClient, topic: string, value: string): Promise<void> {
  const producer = new Producer(client)
  await producer.send({ topic, partition: 0, value: Buffer.from(value) })
  await producer.close()
}

async function firstValue(client: ClusterClient, topic: string): Promise<string | undefined> {
  const consumer = new Consumer(client, { autoOffsetReset: 'earliest' })
  consumer.assign([{ topic, partition: 0 }])
  const [record] = await consumer.poll(5000)
  consumer.close()
  return record?.value?.toString()
}

for (const clean of [true, false]) {
  test(`a log with the id of another topic is renamed and kept, ${clean ? 'after a clean shutdown' : 'after a crash'}`, async () => {
    await using directory = await temporaryDirectory()
    const [ours, theirs] = [join(directory.path, 'ours'), join(directory.path, 'theirs')]
    await serve(theirs, async (client) => {
      await new Admin(client).topics.create([{ name: 't' }])
      await produce(client, 't', 'theirs')
    })
    await serve(ours, async (client) => {
      await new Admin(client).topics.create([{ name: 't' }, { name: 'u' }])
      await produce(client, 't', 'ours')
    })
    const foreign = await readFile(join(theirs, 't-0', SEGMENT))
    await rm(join(ours, 't-0'), { recursive: true })
    await cp(join(theirs, 't-0'), join(ours, 't-0'), { recursive: true })
    await cp(join(theirs, 't-0'), join(ours, 'unknown-3'), { recursive: true })
    if (!clean) await rm(join(ours, '.kafka_cleanshutdown'))

    const warnings = await serve(ours, async (client) => {
      await produce(client, 't', 'new')
      assert.equal(await firstValue(client, 't'), 'new')
    })
    const strays = (await readdir(ours)).filter((name) => name.endsWith('-stray')).sort()
    assert.deepEqual(
      strays.map((name) => name.replace(/[0-9a-f]{32}/, 'ID')),
      ['t-0.ID-stray', 'unknown-3.ID-stray'],
    )
    for (const name of strays) {
      assert.deepEqual(await readFile(join(ours, name, SEGMENT)), foreign)
      assert.ok(
        warnings.some((line) => line.includes(name) && line.includes('docs/operations.md')),
        warnings.join(''),
      )
    }
    // They stay, each start says so, and nothing else is said of them.
    const again = await serve(ours, async (client) => assert.equal(await firstValue(client, 't'), 'new'))
    assert.equal(again.length, 2, again.join(''))
    for (const name of strays) assert.ok(again.some((line) => line.includes(name)))
  })
}

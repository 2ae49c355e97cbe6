// `npm run chaos:figures`: how long nobody can write to a partition when its leader is killed or stopped, and how long a replica that
// missed a gigabyte takes to be in sync again. Processes on one machine: the disk and the processors are shared by all.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { orThrow } from '../src/client/admin/results.ts'
import { Admin } from '../src/client/admin.ts'
import { Producer } from '../src/client/producer.ts'
import { ChaosCluster } from '../test/chaos/chaos-cluster.ts'
import { findMachines } from '../test/chaos/machines.ts'
import { eventually } from '../test/support/eventually.ts'

const SEND_EVERY_MS = 5
const SESSIONS_MS = [9000, 3000]

const { values } = parseArgs({
  options: { times: { type: 'string', default: '3' }, megabytes: { type: 'string', default: '1024' } },
})
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))

for (const sessionMs of SESSIONS_MS) await measure(sessionMs)
process.exit(0)

async function measure(sessionMs: number): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'chaos-figures-'))
  await using machines = await findMachines(false)
  // Everything else as it is by default.
  const config = {
    'broker.session.timeout.ms': String(sessionMs),
    'broker.heartbeat.interval.ms': '2000',
    'replica.lag.time.max.ms': '30000',
    'log.segment.bytes': '1073741824',
  }
  const cluster = await ChaosCluster.start({ machines, directory, brokers: 3, etcdMembers: 3, config })
  const client = cluster.client()
  const admin = new Admin(client)
  orThrow(await admin.topics.create([{ name: 'figures', partitions: 1, replicationFactor: 3 }]))
  await cluster.whole()
  const leader = async () => cluster.broker((await cluster.image()).partition('figures', 0)!.leader)
  for (const how of ['SIGKILL', 'SIGTERM'] as const) {
    const gaps: number[] = []
    for (let i = 0; i < Number(values.times); i++) {
      const { daemon } = await leader()
      gaps.push(await longestGap(cluster, () => (how === 'SIGKILL' ? daemon.kill() : daemon.stop())))
      await daemon.start()
      await cluster.whole()
    }
    console.log(
      `session ${sessionMs} ms, leader gets ${how}: ${gaps.map((ms) => ms.toFixed(0)).join(', ')} ms without an acknowledgement`,
    )
  }
  const { id } = await leader()
  const follower = cluster.brokers.find((broker) => broker.id !== id)!
  await follower.daemon.stop()
  const missed = Number(values.megabytes)
  const producer = new Producer(client, { batchSize: 1_000_000, maxRequestSize: 2_000_000, bufferMemory: 64_000_000 })
  const value = Buffer.alloc(100_000, 'x')
  const started = performance.now()
  for (let sent = 0; sent < missed * 10; sent++) {
    await producer.ready()
    producer.send({ topic: 'figures', value }).catch((error) => console.log(`lost: ${error.message}`))
  }
  await producer.flush()
  const writtenMs = performance.now() - started
  await follower.daemon.start()
  const registered = performance.now()
  await cluster.whole(600_000)
  const seconds = (ms: number) => (ms / 1000).toFixed(1)
  console.log(
    `${missed} MB written to two replicas in ${seconds(writtenMs)} s; the third is in sync ${seconds(performance.now() - registered)} s after it serves`,
  )
  await producer.close()
  await cluster[Symbol.asyncDispose]()
  await rm(directory, { recursive: true, force: true })
}

/** From the last acknowledgement to the first behind it, at its longest, of a producer that goes on as if nothing happened. */
async function longestGap(cluster: ChaosCluster, harm: () => Promise<unknown>): Promise<number> {
  const client = cluster.client({ requestTimeoutMs: 5000 })
  const producer = new Producer(client, { lingerMs: 0 })
  let longest = 0
  let last = performance.now()
  let acknowledged = 0
  let running = true
  const load = (async () => {
    while (running) {
      producer.send({ topic: 'figures', value: 'x' }).then(
        () => {
          const now = performance.now()
          longest = Math.max(longest, now - last)
          last = now
          acknowledged++
        },
        (error) => console.log(`lost: ${error.message}`),
      )
      await delay(SEND_EVERY_MS)
    }
  })()
  await eventually(() => acknowledged > 100, { what: 'load' })
  longest = 0
  await harm()
  const before = acknowledged
  await eventually(() => acknowledged > before + 100, { what: 'acknowledgements by another leader', withinMs: 60_000 })
  running = false
  await load
  await producer.close()
  await client.close()
  return longest
}

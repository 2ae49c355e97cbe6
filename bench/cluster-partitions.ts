// What partitions cost a cluster: three brokers in this process with RF 3, what they take while nothing happens, and how long it is
// until everything is led again that a broker led which is killed. Run: node bench/cluster-partitions.ts [partitions, default 1000]

import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Connection } from '../src/client/connection.ts'
import { realClock } from '../src/host/clock.ts'
import { realNetwork } from '../src/host/real-network.ts'
import { Metadata } from '../src/protocol/messages/03-metadata.ts'
import { CreateTopics } from '../src/protocol/messages/19-create-topics.ts'
import { startCluster } from '../src/testing/start-cluster.ts'

const BROKERS = 3
const SESSION_MS = 6_000
const IDLE_MS = 10_000
const TIMEOUT_MS = 60_000
/** One request may ask for no more. */
const PARTITIONS_PER_TOPIC = 1_000

const { positionals } = parseArgs({ allowPositionals: true })
const count = Number(positionals[0] ?? 1_000)
if (!Number.isInteger(count) || count < 1) throw new Error('the number of partitions must be 1 or more')

await using cluster = await startCluster({
  brokers: BROKERS,
  config: {
    'broker.session.timeout.ms': String(SESSION_MS),
    'broker.heartbeat.interval.ms': '2000',
    'replica.lag.time.max.ms': '30000',
    'replica.fetch.wait.max.ms': '500',
    'auto.leader.rebalance.enable': 'false',
  },
})
const topics = Array.from({ length: Math.ceil(count / PARTITIONS_PER_TOPIC) }, (_, i) => ({
  name: `t${i}`,
  partitions: Math.min(PARTITIONS_PER_TOPIC, count - i * PARTITIONS_PER_TOPIC),
}))

const before = process.memoryUsage.rss()
const createdMs = await took(async () => {
  const connection = await connect(1)
  for (const { name, partitions } of topics) {
    const topic = { name, numPartitions: partitions, replicationFactor: BROKERS, assignments: [], configs: [] }
    const { topics: results } = await connection.request(CreateTopics, { topics: [topic], timeoutMs: TIMEOUT_MS })
    if (results[0]!.errorCode !== 0) throw new Error(`${name}: error ${results[0]!.errorCode} ${results[0]!.errorMessage}`)
  }
  connection.close()
})
// Fetch sessions begin, files and caches settle.
await delay(5_000)
const cpuBefore = process.cpuUsage()
await delay(IDLE_MS)
const { user, system } = process.cpuUsage(cpuBefore)
const cpu = (user + system) / 1000 / IDLE_MS / BROKERS
const rss = (process.memoryUsage.rss() - before) / BROKERS

const victim = 1
const survivors = [2, 3]
const ledBefore = await ledBy(victim)
const startedMs = performance.now()
let firstMs: number | undefined
await cluster.broker(victim).kill()
for (let left = await ledBy(victim); left > 0; left = await ledBy(victim)) {
  if (left < ledBefore) firstMs ??= performance.now()
  await delay(20)
}
const doneMs = performance.now()

console.log(`${count} partitions with ${BROKERS} replicas, ${BROKERS} brokers in one process, metadata in memory`)
console.log(`created in ${Math.round(createdMs)} ms, one topic of up to ${PARTITIONS_PER_TOPIC} after the other`)
console.log(`idle: ${(cpu * 100).toFixed(1)} % of a core and ${Math.round(rss / 1024 / 1024)} MiB more for each broker`)
console.log(
  `killed: ${ledBefore} partitions led again after ${Math.round(doneMs - startedMs)} ms, of which the session takes up to ${SESSION_MS} ms; ` +
    `from the first to the last of them ${Math.round(doneMs - (firstMs ?? doneMs))} ms`,
)

/** Partitions that `id` leads, or nobody, in the eyes of the survivor that knows least. */
async function ledBy(id: number): Promise<number> {
  const counts = survivors.map(async (survivor) => {
    const connection = await connect(survivor)
    const { topics: found } = await connection.request(Metadata, { topics: null })
    connection.close()
    const partitions = found.flatMap(({ partitions }) => partitions)
    return partitions.filter(({ leaderId }) => leaderId === id || leaderId === -1).length
  })
  return Math.max(...(await Promise.all(counts)))
}

function connect(id: number): Promise<Connection> {
  const [host, port] = cluster.broker(id).address.split(':')
  return Connection.open({
    network: realNetwork,
    clock: realClock,
    endpoint: { host, port: Number(port) },
    clientId: 'cluster-partitions',
    connectTimeoutMs: TIMEOUT_MS,
    requestTimeoutMs: TIMEOUT_MS,
    softwareVersion: '0',
  })
}

async function took(work: () => Promise<void>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

// What many partitions cost a node: `node bench/partitions.ts [--counts 100,1000,10000] [--records 1]`. For each count a broker of its own
// makes the partitions, in topics of a hundred, and takes a record or more into each; then it is shut down and started again, in order and
// after `kill -9`. Prints a table. Linux only: it reads /proc. Absolute values are this machine's; how they grow travels.

import { readdir } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Admin } from '../src/client/admin.ts'
import { ClusterClient } from '../src/client/cluster-client.ts'
import { Producer } from '../src/client/producer.ts'
import { realClock } from '../src/host/clock.ts'
import { realRandom } from '../src/host/random.ts'
import { realNetwork } from '../src/host/real-network.ts'
import { type BrokerProcess, startBrokerProcess } from '../test/support/broker-process.ts'
import { temporaryDirectory } from '../test/support/temporary-directory.ts'
import { processorSeconds, residentMegabytes } from './measure/process-figures.ts'

const { values } = parseArgs({
  options: {
    counts: { type: 'string', default: '100,1000,10000' },
    /** Of a hundred bytes, into each partition. */
    records: { type: 'string', default: '1' },
  },
})
const PARTITIONS_PER_TOPIC = 100
const IDLE_MS = 10_000
const RECORDS_AT_ONCE = 2000

const columns: Record<string, string>[] = []
for (const count of values.counts.split(',').map(Number)) columns.push(await measure(count))
print()

async function measure(partitions: number): Promise<Record<string, string>> {
  await using directory = await temporaryDirectory()
  const figures: Record<string, string> = { partitions: String(partitions) }
  let broker = await startBrokerProcess(directory.path)
  const timed = async (figure: string, work: () => Promise<unknown>) => {
    const startedMs = performance.now()
    await work()
    figures[figure] = `${((performance.now() - startedMs) / 1000).toFixed(2)} s`
    console.error(`${partitions} partitions: ${figure}: ${figures[figure]}`)
  }
  const start = async () => {
    broker = await startBrokerProcess(directory.path)
  }
  await timed('create', () => withClient(broker, (client) => create(client, partitions)))
  await timed(`produce ${values.records} record(s) each`, () => withClient(broker, (client) => fill(client, partitions)))
  await idle(broker, figures, 'after producing')
  await timed('clean shutdown, all changed', () => broker.stop())
  await timed('clean start', start)
  await idle(broker, figures, 'after a clean start')
  await timed('clean shutdown, none changed', () => broker.stop())
  await start()
  await broker.kill()
  await timed('start after kill -9, none changed', start)
  await withClient(broker, (client) => fill(client, partitions))
  await broker.kill()
  await timed('start after kill -9, all changed', start)
  await broker.stop()
  return figures
}

async function withClient(broker: BrokerProcess, work: (client: ClusterClient) => Promise<void>): Promise<void> {
  const client = new ClusterClient({
    bootstrapServers: broker.bootstrapServers,
    network: realNetwork,
    clock: realClock,
    random: realRandom,
    requestTimeoutMs: 120_000,
    apiTimeoutMs: 600_000,
  })
  try {
    await work(client)
  } finally {
    await client.close()
  }
}

async function create(client: ClusterClient, partitions: number): Promise<void> {
  const { topics } = new Admin(client)
  for (const [name, count] of topicsOf(partitions)) {
    for (const result of (await topics.create([{ name, partitions: count }])).values()) if (result instanceof Error) throw result
  }
}

async function fill(client: ClusterClient, partitions: number): Promise<void> {
  const producer = new Producer(client, { idempotence: true })
  const value = Buffer.alloc(100, 'x')
  let sent: Promise<unknown>[] = []
  for (const [topic, count] of topicsOf(partitions)) {
    for (let partition = 0; partition < count; partition++) {
      for (let i = 0; i < Number(values.records); i++) sent.push(producer.send({ topic, partition, value }))
      if (sent.length < RECORDS_AT_ONCE) continue
      await Promise.all(sent)
      sent = []
    }
  }
  await Promise.all(sent)
  await producer.close()
}

function topicsOf(partitions: number): [string, number][] {
  const topics: [string, number][] = []
  for (let first = 0; first < partitions; first += PARTITIONS_PER_TOPIC) {
    topics.push([`topic-${first / PARTITIONS_PER_TOPIC}`, Math.min(PARTITIONS_PER_TOPIC, partitions - first)])
  }
  return topics
}

async function idle(broker: BrokerProcess, figures: Record<string, string>, when: string): Promise<void> {
  const pid = broker.child.pid!
  await sleep(2000)
  const before = await processorSeconds(pid)
  await sleep(IDLE_MS)
  const busy = (await processorSeconds(pid)) - before
  figures[`idle processor ${when}`] = `${((busy / IDLE_MS) * 100_000).toFixed(1)} %`
  figures[`resident memory ${when}`] = `${Math.round(await residentMegabytes(pid))} MB`
  figures[`descriptors ${when}`] = String((await readdir(`/proc/${pid}/fd`)).length)
}

function print(): void {
  const rows = Object.keys(columns[0]).map((figure) => [figure, ...columns.map((column) => column[figure])])
  console.log(`| ${rows[0].join(' | ')} |\n|${rows[0].map(() => '---').join('|')}|`)
  for (const row of rows.slice(1)) console.log(`| ${row.join(' | ')} |`)
}

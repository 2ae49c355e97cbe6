// First figures, ours and Apache Kafka's in turns on the same machine: `node bench/first-figures.ts [--rounds 3] [--megabytes 400]`.
// Cold start, idle memory, and what one librdkafka client produces and consumes, with the processor time that the broker takes for it.
// Needs what `npm run interop -- librdkafka` needs. Absolute values are this machine's; ratios travel.

import { readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { ClusterClient } from '../src/client/cluster-client.ts'
import { Producer } from '../src/client/producer.ts'
import { realClock } from '../src/host/clock.ts'
import { realRandom } from '../src/host/random.ts'
import { realNetwork } from '../src/host/real-network.ts'
import { KAFKA_JVM, startApacheKafka } from '../test/interop/apache-kafka.ts'
import { mustRun } from '../test/interop/command.ts'
import { librdkafka } from '../test/interop/librdkafka-source.ts'
import { startBrokerProcess } from '../test/support/broker-process.ts'
import { temporaryDirectory } from '../test/support/temporary-directory.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    /** Of payload, for each load. */
    megabytes: { type: 'string', default: '400' },
    only: { type: 'string', default: '' },
  },
})
const rounds = Number(values.rounds)
const RECORD_SIZES = [100, 1024]
/** Linux counts a process's time in hundredths of a second. */
const TICKS_PER_SECOND = 100
const SETTLED_AFTER_MS = 3000
const WARM_UP_RECORDS = 200_000
const SYNC_TIMEOUT_MS = 120_000

interface Broker {
  readonly bootstrapServers: string
  readonly pid: number
  /** On the clock of `performance.now()`. */
  readonly spawnedMs: number
  stop(): Promise<unknown>
}

const brokers: Record<string, () => Promise<Broker>> = {
  'moldau, flush.policy=group': () => startMoldau('group'),
  'moldau, flush.policy=os': () => startMoldau('os'),
  'Apache Kafka': async () => {
    const kafka = await startApacheKafka({ jvm: KAFKA_JVM })
    const { bootstrapServers, child, spawnedMs } = kafka
    return { bootstrapServers, pid: child.pid!, spawnedMs, stop: () => kafka.stop() }
  },
}

async function startMoldau(policy: string): Promise<Broker> {
  const directory = await temporaryDirectory()
  const spawnedMs = performance.now()
  const broker = await startBrokerProcess(directory.path, { config: { 'log.flush.policy': policy } })
  const stop = async () => {
    await broker.stop()
    await directory[Symbol.asyncDispose]()
  }
  return { bootstrapServers: broker.bootstrapServers, pid: broker.child.pid!, spawnedMs, stop }
}

/** By figure, then by broker: one value a round. */
const figures = new Map<string, Map<string, number[]>>()
function note(figure: string, broker: string, value: number): void {
  const byBroker = figures.get(figure) ?? new Map<string, number[]>()
  byBroker.set(broker, [...(byBroker.get(broker) ?? []), value])
  figures.set(figure, byBroker)
}

const { performance: load } = await librdkafka()
const chosen = Object.entries(brokers).filter(([name]) => new RegExp(values.only).test(name))
for (let round = 0; round < rounds; round++) {
  // Each has its turn at each place: who comes later finds a busier disk.
  const turn = round % chosen.length
  for (const [name, start] of [...chosen.slice(turn), ...chosen.slice(0, turn)]) {
    await mustRun(['sync'], { timeoutMs: SYNC_TIMEOUT_MS })
    const broker = await start()
    try {
      await acknowledged(broker)
      note('cold start to the first acknowledged record, ms', name, performance.now() - broker.spawnedMs)
      await sleep(SETTLED_AFTER_MS)
      note('idle resident memory, MB', name, await residentMegabytes(broker.pid))
      await runLoads(name, broker)
      note('resident memory after the loads, MB', name, await residentMegabytes(broker.pid))
    } finally {
      await broker.stop()
    }
    console.error(`round ${round + 1} of ${rounds}: ${name} done`)
  }
}
print()

async function runLoads(name: string, broker: Broker): Promise<void> {
  // Compilers, JIT and page cache get a start that no figure counts.
  for (const acks of ['1', '-1']) await produce(broker, 'warm-up', 100, WARM_UP_RECORDS, acks)
  for (const size of RECORD_SIZES) {
    const count = Math.floor((Number(values.megabytes) * 1e6) / size)
    for (const acks of ['1', '-1']) {
      const topic = `load-${size}-${acks}`
      const label = `${size} bytes, acks=${acks === '-1' ? 'all' : acks}`
      const produced = await withProcessorTime(broker, () => produce(broker, topic, size, count, acks))
      note(`produce ${label}: 1000 records/s`, name, produced.recordsPerSecond / 1000)
      note(`produce ${label}: MB/s`, name, (produced.recordsPerSecond * size) / 1e6)
      note(`produce ${label}: broker CPU s/GB`, name, produced.seconds / ((count * size) / 1e9))
    }
    const topic = `load-${size}-1`
    const consumed = await withProcessorTime(broker, () => consume(broker, topic, count))
    note(`consume ${size} bytes: 1000 records/s`, name, consumed.recordsPerSecond / 1000)
    note(`consume ${size} bytes: MB/s`, name, (consumed.recordsPerSecond * size) / 1e6)
    note(`consume ${size} bytes: broker CPU s/GB`, name, consumed.seconds / ((count * size) / 1e9))
  }
}

async function withProcessorTime<T>(broker: Broker, work: () => Promise<T>): Promise<T & { seconds: number }> {
  const before = await processorSeconds(broker.pid)
  const result = await work()
  return { ...result, seconds: (await processorSeconds(broker.pid)) - before }
}

async function produce(
  { bootstrapServers }: Broker,
  topic: string,
  size: number,
  count: number,
  acks: string,
): Promise<{ recordsPerSecond: number }> {
  const args = ['-P', '-b', bootstrapServers, '-t', topic, '-p', '0', '-s', String(size), '-c', String(count), '-a', acks]
  const { output } = await mustRun([load, ...args, '-X', 'broker.address.family=v4'], { timeoutMs: 300_000 })
  return { recordsPerSecond: lastRate(output, count) }
}

async function consume({ bootstrapServers }: Broker, topic: string, count: number): Promise<{ recordsPerSecond: number }> {
  const args = ['-C', '-b', bootstrapServers, '-t', topic, '-p', '0', '-o', 'beginning', '-c', String(count)]
  const { output } = await mustRun([load, ...args, '-X', 'broker.address.family=v4'], { timeoutMs: 300_000 })
  return { recordsPerSecond: lastRate(output, count) }
}

/** rdkafka_performance ends with a summary line of all: `… records … in … ms: RATE msgs/s …`. */
function lastRate(output: string, count: number): number {
  const line =
    output
      .trim()
      .split('\n')
      .filter((line) => /msgs\/s/.test(line))
      .at(-1) ?? ''
  const [, rate] = /(\d+) msgs\/s/.exec(line) ?? []
  if (rate === undefined || !line.includes(String(count)))
    throw new Error(`no summary of ${count} records in:\n${output.slice(-1500)}`)
  return Number(rate)
}

/** Produces one record to a topic that is not there yet. */
async function acknowledged({ bootstrapServers }: Broker): Promise<void> {
  const cluster = new ClusterClient({
    bootstrapServers,
    network: realNetwork,
    clock: realClock,
    random: realRandom,
    retryBackoffMs: 5,
  })
  const producer = new Producer(cluster, { idempotence: false })
  await producer.send({ topic: 'first', value: 'record' })
  await producer.close()
  await cluster.close()
}

async function residentMegabytes(pid: number): Promise<number> {
  const [, kilobytes] = /VmRSS:\s+(\d+) kB/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))!
  return Number(kilobytes) / 1000
}

async function processorSeconds(pid: number): Promise<number> {
  // Behind the name, which may hold anything, come state and then numbers: user and system time are the 12th and 13th.
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ').at(-1)!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Medians, and ours as a multiple of Kafka's. */
function print(): void {
  const names = chosen.map(([name]) => name)
  const ours = names.filter((name) => name !== 'Apache Kafka' && names.includes('Apache Kafka'))
  const rows = [['', ...names, ...ours.map((name) => `${name.replace('moldau, flush.policy=', '')} / Kafka`)]]
  for (const [figure, byBroker] of figures) {
    const value = (name: string) => median(byBroker.get(name) ?? [])
    const show = (number: number) => (number >= 100 ? number.toFixed(0) : number.toFixed(2))
    rows.push([
      figure,
      ...names.map((name) => show(value(name))),
      ...ours.map((name) => show(value(name) / value('Apache Kafka'))),
    ])
  }
  console.log(
    rows
      .map((row) => `| ${row.join(' | ')} |`)
      .join('\n')
      .replace('\n', `\n|${'---|'.repeat(rows[0]!.length)}\n`),
  )
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

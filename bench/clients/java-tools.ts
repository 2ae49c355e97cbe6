// Kafka's own performance programs, each in a JVM with the options that Kafka's scripts give it.

import { javaCommand } from '../../test/interop/apache-kafka.ts'
import { mustRun } from '../../test/interop/command.ts'

const JVM = [
  ...['-Xmx512m', '-server', '-XX:+UseG1GC', '-XX:MaxGCPauseMillis=20', '-XX:InitiatingHeapOccupancyPercent=35'],
  '-XX:+ExplicitGCInvokesConcurrent',
]
const TIMEOUT_MS = 600_000

export interface JavaLoad {
  readonly address: string
  readonly topic: string
  readonly records: number
  readonly signal: AbortSignal
}

export interface ProducerLoad extends JavaLoad {
  readonly size: number
  readonly properties: Readonly<Record<string, string>>
  /** In transactions that are committed when they are so old. */
  readonly transactionDurationMs?: number
}

/** Records a second, once its summary is there. */
export async function producerPerformance(load: ProducerLoad): Promise<number> {
  const { topic, transactionDurationMs } = load
  const output = await run(load, 'org.apache.kafka.tools.ProducerPerformance', [
    ...['--bootstrap-server', load.address, '--topic', load.topic, '--num-records', String(load.records)],
    ...['--record-size', String(load.size), '--throughput', '-1'],
    ...(transactionDurationMs === undefined
      ? []
      : ['--transactional-id', topic, '--transaction-duration-ms', String(transactionDurationMs)]),
    '--command-property',
    ...Object.entries(load.properties).map(([key, value]) => `${key}=${value}`),
  ])
  return parseProducerPerformance(output, load.records)
}

/** Records a second, from when it had its partitions. */
export async function consumerPerformance(load: JavaLoad): Promise<number> {
  const output = await run(load, 'org.apache.kafka.tools.ConsumerPerformance', [
    ...['--bootstrap-server', load.address, '--topic', load.topic, '--num-records', String(load.records)],
    ...['--timeout', '60000'],
  ])
  return parseConsumerPerformance(output, load.records)
}

/** Its percentiles are whole milliseconds, its mean is exact. */
export interface RoundTrip {
  readonly meanMs: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
}

/** One record at a time: the next is sent when the one before has been received. */
export async function endToEndLatency(load: JavaLoad & { readonly size: number; readonly acks: string }): Promise<RoundTrip> {
  const args = [load.address, load.topic, String(load.records), load.acks, String(load.size)]
  return parseEndToEndLatency(await run(load, 'org.apache.kafka.tools.EndToEndLatency', args))
}

export function parseProducerPerformance(output: string, records: number): number {
  const summary = new RegExp(`^${records} records sent, ([\\d.]+) records/sec .* 99\\.9th`, 'm').exec(output)
  if (summary === null) throw new Error(`ProducerPerformance printed no summary of ${records} records:\n${output.slice(-1500)}`)
  return Number(summary[1])
}

export function parseConsumerPerformance(output: string, records: number): number {
  const lines = output.trim().split('\n')
  const head = lines.findIndex((line) => line.startsWith('start.time'))
  const names = lines[head]?.split(',').map((name) => name.trim()) ?? []
  const values = lines[head + 1]?.split(',').map((value) => value.trim()) ?? []
  const value = (name: string) => Number(values[names.indexOf(name)])
  if (!(value('data.consumed.in.nMsg') >= records) || !(value('fetch.time.ms') > 0))
    throw new Error(`ConsumerPerformance printed no summary of ${records} records:\n${output.slice(-1500)}`)
  // It rounds rates to thousands and counts milliseconds: reckon from the two it is sure of.
  return (value('data.consumed.in.nMsg') / value('fetch.time.ms')) * 1000
}

export function parseEndToEndLatency(output: string): RoundTrip {
  const found = /Avg latency: ([\d.]+) ms\s+Percentiles: 50th = ([\d.]+), 99th = ([\d.]+), 99\.9th = ([\d.]+)/.exec(output)
  if (found === null) throw new Error(`EndToEndLatency printed no percentiles:\n${output.slice(-1500)}`)
  const [meanMs, p50Ms, p99Ms, p999Ms] = found.slice(1).map(Number)
  return { meanMs: meanMs!, p50Ms: p50Ms!, p99Ms: p99Ms!, p999Ms: p999Ms! }
}

async function run({ signal }: JavaLoad, mainClass: string, args: readonly string[]): Promise<string> {
  return (await mustRun(await javaCommand(mainClass, args, JVM), { timeoutMs: TIMEOUT_MS, signal })).output
}

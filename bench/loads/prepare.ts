// From a load's description to the clients that make it. What comes before the measurement (topics, data to read) is done first;
// what is measured comes back as a function.

import type { BrokerKind, RunningBroker } from '../brokers/broker.ts'
import { consumerPerformance, endToEndLatency, type JavaLoad, producerPerformance } from '../clients/java-tools.ts'
import { type Flags, type LoadResults, runLoad } from '../clients/load.ts'
import { runNodeClient } from '../clients/node-client.ts'
import type { Metric, Values } from '../measure/metrics.ts'
import type {
  Connections,
  Consume,
  Growth,
  JavaBoth,
  JavaConsume,
  JavaProduce,
  JavaTransactions,
  Latency,
  Load,
  ManyPartitions,
  NodeClient,
  Produce,
  Start,
  Tail,
} from './load.ts'

export interface LoadContext {
  readonly broker: RunningBroker
  readonly kind: BrokerKind
  /** Of this load alone. */
  readonly topic: string
  readonly signal: AbortSignal
}

export interface Work {
  readonly values: Values
  /** Payload that went in and out: what processor time is reckoned by. */
  readonly bytes?: number
  readonly records?: number
}

type Measured = () => Promise<Work>

/** Slow brokers get no further than this; what they did by then counts. */
const CAP_SECONDS = 20
/** Of Kafka's client: what data to be read was written with. */
const JAVA_BATCH_BYTES = 16_384
const WARM_UP_SECONDS = 1

export function prepare(load: Exclude<Load, Start>, context: LoadContext): Promise<Measured> {
  switch (load.kind) {
    case 'java-produce':
      return javaProduce(load, context)
    case 'java-transactions':
      return javaTransactions(load, context)
    case 'java-consume':
      return javaConsume(load, context)
    case 'java-both':
      return javaBoth(load, context)
    case 'java-round-trip':
      return createTopic(context).then(() => async () => {
        const { size, acks, records } = load
        return { values: { ...(await endToEndLatency({ ...java(context, records), size, acks })) }, records }
      })
    case 'produce':
      return produce(load, context)
    case 'consume':
      return consume(load, context)
    case 'tail':
      return tail(load, context)
    case 'latency':
      return latency(load, context)
    case 'connections':
      return connections(load, context)
    case 'many-partitions':
      return manyPartitions(load, context)
    case 'growth':
      return growth(load, context)
    case 'node-produce':
    case 'node-consume':
      return nodeClient(load, context)
  }
}

async function javaProduce(load: JavaProduce, context: LoadContext): Promise<Measured> {
  await createTopic(context, load.partitions)
  const records = Math.ceil(load.records * (context.kind.share ?? 1))
  const producers = load.producers ?? 1
  return async () => {
    const one = () =>
      producerPerformance({ ...java(context, records), size: load.size, properties: { acks: load.acks, ...load.properties } })
    const rates = await Promise.all(Array.from({ length: producers }, one))
    return throughput(sum(rates), load.size, records * producers)
  }
}

async function javaTransactions(load: JavaTransactions, context: LoadContext): Promise<Measured> {
  await createTopic(context, load.partitions)
  const { acks, size, transactionDurationMs } = load
  const records = Math.ceil(load.records * (context.kind.share ?? 1))
  return async () => {
    const common = { ...java(context, records), size, properties: { acks } }
    // On both sides of it: what comes later finds other caches, and a busier disk.
    const before = await producerPerformance(common)
    const recordsPerSecond = await producerPerformance({ ...common, transactionDurationMs })
    const plainPerSecond = (before + (await producerPerformance(common))) / 2
    const { values, ...rest } = throughput(recordsPerSecond, size, 3 * records)
    return { ...rest, values: { ...values, plainPerSecond, keptShare: recordsPerSecond / plainPerSecond } }
  }
}

async function javaConsume(load: JavaConsume, context: LoadContext): Promise<Measured> {
  await fill(load, context)
  const consumers = load.consumers ?? 1
  return async () => {
    const one = () => consumerPerformance(java(context, load.records))
    const rates = await Promise.all(Array.from({ length: consumers }, one))
    return throughput(sum(rates), load.size, load.records * consumers)
  }
}

async function javaBoth(load: JavaBoth, context: LoadContext): Promise<Measured> {
  await createTopic(context, load.partitions)
  const records = Math.ceil(load.records * (context.kind.share ?? 1))
  return async () => {
    const properties = { acks: load.acks, ...load.properties }
    const [, consumed] = await Promise.all([
      producerPerformance({ ...java(context, records), size: load.size, properties }),
      consumerPerformance(java(context, records)),
    ])
    return throughput(consumed, load.size, 2 * records, records)
  }
}

async function produce(load: Produce, context: LoadContext): Promise<Measured> {
  await createTopic(context, load.partitions)
  return async () => {
    const result = await go('produce', context, {
      ...{ partitions: load.partitions, size: load.size, acks: load.acks, codec: load.codec, records: load.records },
      ...{ connections: load.connections, window: load.window, linger: load.window === 1 ? '0' : '5ms', seconds: CAP_SECONDS },
      ...(load.codec && { payload: 'text' }),
    })
    return withLatency(throughput(result.records / result.seconds, load.size, result.records), result)
  }
}

async function consume(load: Consume, context: LoadContext): Promise<Measured> {
  await fill(load, context)
  return async () => {
    const { records, seconds } = await go('consume', context, { partitions: load.partitions, records: load.records })
    return throughput(records / seconds, load.size, records)
  }
}

async function tail(load: Tail, context: LoadContext): Promise<Measured> {
  await createTopic(context, load.partitions)
  return async () => {
    const { acks, size, consumers, partitions } = load
    const { records, seconds } = await go('flow', context, {
      acks,
      size,
      consumers,
      partitions,
      records: load.records,
      linger: '5ms',
    })
    return throughput(records / seconds, size, records)
  }
}

async function latency({ acks, rate, seconds, size }: Latency, context: LoadContext): Promise<Measured> {
  await createTopic(context)
  return async () => {
    const result = await go('latency', context, { acks, rate, seconds, size, warmup: WARM_UP_SECONDS })
    return withLatency({ values: {}, bytes: result.records * size, records: result.records }, result)
  }
}

async function connections({ acks, rate, seconds, size, connections }: Connections, context: LoadContext): Promise<Measured> {
  await createTopic(context)
  return async () => {
    const result = await go('produce', context, { acks, rate, seconds, size, connections, warmup: WARM_UP_SECONDS })
    const { values, ...rest } = withLatency({ values: {}, bytes: result.records * size, records: result.records }, result)
    return { ...rest, values: { ...values, ...(result.connectSeconds && { connectSeconds: result.connectSeconds }) } }
  }
}

async function manyPartitions(load: ManyPartitions, context: LoadContext): Promise<Measured> {
  return async () => {
    const { seconds: createSeconds } = await createTopic(context, load.partitions)
    const { acks, size, partitions, records } = load
    const result = await go('produce', context, {
      acks,
      size,
      partitions,
      records,
      spread: 'each',
      linger: '5ms',
      window: partitions,
      seconds: CAP_SECONDS,
    })
    const { values, ...rest } = throughput(result.records / result.seconds, size, result.records)
    return { ...rest, values: { ...values, createSeconds } }
  }
}

async function growth({ acks, size, steps, records }: Growth, context: LoadContext): Promise<Measured> {
  return async () => {
    const values: { -readonly [M in Metric]?: number } = {}
    let before = 0
    for (const step of steps) {
      const topic = `${context.topic}-${step}`
      const partitions = step - before
      await createTopic({ ...context, topic }, partitions)
      // What the first record costs a partition is another question.
      const each = { acks, size, partitions, spread: 'each', topic }
      await go('produce', context, { ...each, records: partitions })
      const { latency } = await go('produce', context, { ...each, records, window: 1 })
      values[`at${step}`] = latency!.p50Ms
      before = step
    }
    values.growth = values[`at${steps.at(-1)!}`]! / values[`at${steps[0]!}`]!
    return { values }
  }
}

async function nodeClient(load: NodeClient, context: LoadContext): Promise<Measured> {
  const { kind, acks = 'all', records, size } = load
  if (kind === 'node-consume') await fill(load, context)
  else await createTopic(context, load.partitions)
  return async () => {
    const { address } = context.broker
    const { seconds } = await runNodeClient({ kind, address, topic: context.topic, acks, records, size }, context.signal)
    return throughput(records / seconds, size, records)
  }
}

/** Writes what is to be read, and lets the page cache forget it if it is to be cold. */
async function fill({ partitions, size, records, codec, cold }: Omit<Consume, 'kind'>, context: LoadContext): Promise<void> {
  await createTopic(context, partitions)
  const payload = codec && 'text'
  const flags = { partitions, size, records, codec, payload, acks: '1', batch: JAVA_BATCH_BYTES, linger: '5ms' }
  await go('produce', context, flags)
  // Only the broker's data: dropping all caches would make its program slow to run, not its data slow to read.
  if (cold) await runLoad('evict', { directory: context.broker.directory }, context.signal)
}

function createTopic(context: LoadContext, partitions = 1): Promise<LoadResults['create']> {
  return go('create', context, { topic: context.topic, partitions })
}

function go<C extends keyof LoadResults>(
  command: C,
  { kind, broker, topic, signal }: LoadContext,
  flags: Flags,
): Promise<LoadResults[C]> {
  return runLoad(command, { target: kind.protocol, address: broker.address, topic, ...flags }, signal)
}

function java({ broker, topic, signal }: LoadContext, records: number): JavaLoad {
  return { address: broker.address, topic, records, signal }
}

/** @param records what went through the broker, both ways */
function throughput(recordsPerSecond: number, size: number, records: number, counted = records): Work {
  const values = { recordsPerSecond, megabytesPerSecond: (recordsPerSecond * size) / 1e6 }
  return { values, bytes: records * size, records: counted }
}

function withLatency(work: Work, { latency }: { readonly latency?: { p50Ms: number; p99Ms: number; p999Ms: number } }): Work {
  if (latency === undefined) return work
  const { p50Ms, p99Ms, p999Ms } = latency
  return { ...work, values: { ...work.values, p50Ms, p99Ms, p999Ms } }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

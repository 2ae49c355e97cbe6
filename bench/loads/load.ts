// What a scenario puts on a broker, as data; loads/*.ts turn each kind into clients. `quickened` makes a small one of it.

import type { Acks } from '../brokers/broker.ts'

export type Codec = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

interface Records {
  readonly records: number
  /** Bytes of a record's value. */
  readonly size: number
  readonly partitions?: number
}

/** Kafka's ProducerPerformance, one process per producer. */
export interface JavaProduce extends Records {
  readonly kind: 'java-produce'
  readonly acks: Acks
  readonly producers?: number
  readonly properties?: Readonly<Record<string, string>>
}

/** Kafka's ProducerPerformance three times: as it is, in transactions that are committed when they are so old, and as it is. */
export interface JavaTransactions extends Records {
  readonly kind: 'java-transactions'
  readonly acks: 'all'
  readonly transactionDurationMs: number
}

/** Kafka's ConsumerPerformance, one process per consumer, each reading everything. */
export interface JavaConsume extends Records {
  readonly kind: 'java-consume'
  readonly consumers?: number
  /** The page cache has forgotten what they read. */
  readonly cold?: boolean
}

/** Both at once, on one topic. */
export interface JavaBoth extends Records {
  readonly kind: 'java-both'
  readonly acks: Acks
  readonly properties?: Readonly<Record<string, string>>
}

/** Kafka's EndToEndLatency: one record at a time. */
export interface JavaRoundTrip extends Records {
  readonly kind: 'java-round-trip'
  readonly acks: Acks
}

/** The native client, flat out. */
export interface Produce extends Records {
  readonly kind: 'produce'
  readonly acks: Acks
  readonly codec?: Codec
  readonly connections?: number
  /** Unacknowledged records of a connection: 1 makes every record a request. */
  readonly window?: number
}

export interface Consume extends Records {
  readonly kind: 'consume'
  readonly codec?: Codec
  readonly cold?: boolean
}

/** Consumers read along, each everything, while one producer sends flat out. */
export interface Tail extends Records {
  readonly kind: 'tail'
  readonly acks: Acks
  readonly consumers: number
}

/** From when a record was due until a consumer has it, at a fixed rate. */
export interface Latency {
  readonly kind: 'latency'
  readonly acks: Acks
  readonly rate: number
  readonly seconds: number
  readonly size: number
}

/** Many producers that send little each, at a fixed rate together. */
export interface Connections {
  readonly kind: 'connections'
  readonly acks: Acks
  readonly connections: number
  readonly rate: number
  readonly seconds: number
  readonly size: number
}

/** One topic of that many partitions is made, and every partition written to in turn. */
export interface ManyPartitions extends Records {
  readonly kind: 'many-partitions'
  readonly acks: Acks
  readonly partitions: number
}

/** One record per request, one at a time, to all partitions in turn, as the broker gets more and more of them. */
export interface Growth {
  readonly kind: 'growth'
  readonly acks: Acks
  readonly steps: readonly (10 | 100 | 1000 | 10000)[]
  readonly records: number
  readonly size: number
}

/** A broker of its own, from the start of its process to the first record it acknowledges; then it is left alone. */
export interface Start {
  readonly kind: 'start'
  readonly acks: Acks
  readonly seconds: number
}

/** @platformatic/kafka in a process of its own, a producer or a consumer. */
export interface NodeClient extends Records {
  readonly kind: 'node-produce' | 'node-consume'
  readonly acks?: Acks
}

export type Load =
  | JavaProduce
  | JavaTransactions
  | JavaConsume
  | JavaBoth
  | JavaRoundTrip
  | Produce
  | Consume
  | Tail
  | Latency
  | Connections
  | ManyPartitions
  | Growth
  | Start
  | NodeClient

const QUICK_SHARE = 1 / 25
const QUICK_MIN_RECORDS = 500
const QUICK_SECONDS = 1
const QUICK_PARTITIONS = 1000

/** The same load, small enough to see that everything works. */
export function quickened(load: Load): Load {
  const quick: Record<string, unknown> = { ...load }
  if ('records' in load)
    quick['records'] = Math.max(Math.min(QUICK_MIN_RECORDS, load.records), Math.ceil(load.records * QUICK_SHARE))
  if ('seconds' in load) quick['seconds'] = QUICK_SECONDS
  if (load.kind === 'connections') quick['connections'] = load.connections / 10
  if ('partitions' in load && load.partitions !== undefined) quick['partitions'] = Math.min(load.partitions, QUICK_PARTITIONS)
  if (load.kind === 'growth') quick['steps'] = load.steps.filter((step) => step <= QUICK_PARTITIONS)
  return quick as unknown as Load
}

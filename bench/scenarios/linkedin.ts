// "Benchmarking Apache Kafka: 2 million writes per second", LinkedIn, 2014, row by row, with the programs and settings that it used.
// Its rows on replication need a cluster; the one on throughput against stored data needs days.

import type { JavaProduce } from '../loads/load.ts'
import { BOTH_PROMISES, type Family, READING, type Scenario, WRITTEN } from './scenario.ts'

const properties = { 'buffer.memory': '67108864', 'batch.size': '8196' }
const load = { size: 100, partitions: 6 } as const
const RECORDS = 3_000_000

const producer: JavaProduce = { kind: 'java-produce', acks: '1', records: RECORDS, properties, ...load }

const ofSize = (size: number, records: number): Scenario => ({
  name: `size-${size}`,
  title: `one producer, ${size.toLocaleString('en-US')}-byte records, acks=1`,
  brokers: WRITTEN,
  load: { ...producer, size, records },
})

export const linkedin: Family = {
  name: 'linkedin',
  title: "LinkedIn's table: 100-byte records, 6 partitions, Kafka's own performance programs",
  scenarios: [
    { name: 'one-producer', title: 'one producer, acks=1', brokers: WRITTEN, load: producer },
    {
      name: 'one-producer-acks-all',
      title: 'one producer, acks=all',
      brokers: BOTH_PROMISES,
      load: { ...producer, acks: 'all' },
    },
    {
      name: 'three-producers',
      title: 'three producers, acks=1',
      brokers: WRITTEN,
      load: { ...producer, records: RECORDS / 2, producers: 3 },
    },
    { name: 'one-consumer', title: 'one consumer', brokers: READING, load: { kind: 'java-consume', records: RECORDS, ...load } },
    {
      name: 'three-consumers',
      title: 'three consumers, each reading everything',
      brokers: READING,
      load: { kind: 'java-consume', records: RECORDS, consumers: 3, ...load },
    },
    {
      name: 'producer-and-consumer',
      title: 'one producer and one consumer together, acks=all',
      brokers: BOTH_PROMISES,
      load: { kind: 'java-both', acks: 'all', records: RECORDS / 2, properties, ...load },
    },
    {
      name: 'end-to-end-latency',
      title: 'one record at a time from producer to consumer (EndToEndLatency), acks=all',
      brokers: BOTH_PROMISES,
      load: { kind: 'java-round-trip', acks: 'all', records: 5000, size: 100 },
    },
    ofSize(10, 5_000_000),
    ofSize(1000, 500_000),
    ofSize(10_000, 50_000),
    ofSize(100_000, 5000),
  ],
}

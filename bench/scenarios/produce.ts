// Producing with a native client: record sizes, promises, partitions, codecs, and the limit that a bare sink shows.

import type { Acks } from '../brokers/broker.ts'
import type { Codec, Produce } from '../loads/load.ts'
import { BOTH_PROMISES, type Family, READING, type Scenario, WRITTEN } from './scenario.ts'

const OTHERS: Record<Acks, string[]> = {
  '1': ['nats', 'redis', 'raw'],
  all: ['nats', 'redis', 'redis-always', 'raw', 'raw-sync'],
}
const of = { '1': WRITTEN, all: BOTH_PROMISES }

function produce(size: number, acks: Acks, partitions = 1): Scenario {
  const bytes = size === 1024 ? '1 KiB' : `${size} bytes`
  const load: Produce = { kind: 'produce', acks, size, partitions, records: size === 100 ? 4_000_000 : 600_000 }
  return {
    name: `${size}-acks-${acks}${partitions > 1 ? `-partitions-${partitions}` : ''}`,
    title: `one producer, ${bytes}, acks=${acks}, ${partitions === 1 ? 'one partition' : `${partitions} partitions`} (franz-go)`,
    brokers: partitions === 1 ? [...of[acks], ...OTHERS[acks]] : of[acks],
    load,
  }
}

const small = (acks: Acks): Scenario => ({
  name: `small-acks-${acks}`,
  title: `one 100-byte record per request, 64 connections, acks=${acks} (franz-go)`,
  brokers: [...of[acks], ...OTHERS[acks]],
  load: { kind: 'produce', acks, size: 100, records: 100_000, connections: 64, window: 1 },
})

const compressed = (codec: Codec): Scenario => ({
  name: `codec-${codec}`,
  title: `one producer, 1 KiB of text, ${codec}, acks=1 (franz-go)`,
  brokers: READING,
  load: { kind: 'produce', acks: '1', size: 1024, codec, records: 300_000 },
})

export const produceFamily: Family = {
  name: 'produce',
  title: 'Producing',
  scenarios: [
    produce(100, '1'),
    produce(100, 'all'),
    produce(1024, '1'),
    produce(1024, 'all'),
    produce(1024, '1', 12),
    produce(1024, 'all', 12),
    produce(1024, '1', 100),
    produce(1024, 'all', 100),
    ...(['gzip', 'snappy', 'lz4', 'zstd'] as const).map(compressed),
    small('1'),
    small('all'),
    {
      name: 'small-java',
      title: 'one 100-byte record per request (ProducerPerformance, batch.size=0), acks=1',
      brokers: WRITTEN,
      load: { kind: 'java-produce', acks: '1', size: 100, records: 100_000, properties: { 'batch.size': '0', 'linger.ms': '0' } },
    },
    {
      name: 'node',
      title: 'one producer, 1 KiB, acks=all (@platformatic/kafka)',
      brokers: BOTH_PROMISES,
      load: { kind: 'node-produce', acks: 'all', size: 1024, records: 200_000 },
    },
  ],
}

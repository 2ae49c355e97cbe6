// Consuming: what is in memory, what is not, and reading along with a producer.

import { BOTH_PROMISES, type Family, READING, type Scenario } from './scenario.ts'

const COLD_RECORDS = 1_000_000

const tail = (consumers: number, records: number): Scenario => ({
  name: `tail-${consumers}`,
  title: `one producer, ${consumers === 1 ? 'one consumer reads' : `${consumers} consumers read`} along, 1 KiB, acks=all (franz-go)`,
  brokers: [...BOTH_PROMISES, 'nats', 'redis'],
  load: { kind: 'tail', acks: 'all', size: 1024, consumers, records },
})

export const consumeFamily: Family = {
  name: 'consume',
  title: 'Consuming',
  scenarios: [
    {
      name: '100',
      title: 'one consumer, 100 bytes, recently written (franz-go)',
      brokers: [...READING, 'nats', 'redis'],
      load: { kind: 'consume', size: 100, records: 3_000_000 },
    },
    {
      name: '1024',
      title: 'one consumer, 1 KiB, recently written (franz-go)',
      brokers: [...READING, 'nats', 'redis'],
      load: { kind: 'consume', size: 1024, records: 600_000 },
    },
    {
      name: 'codec-zstd',
      title: 'one consumer, 1 KiB of text, zstd (franz-go)',
      brokers: READING,
      load: { kind: 'consume', size: 1024, codec: 'zstd', records: 600_000 },
    },
    {
      name: 'cold',
      title: 'catching up on cold data, 1 KiB (franz-go)',
      brokers: [...READING, 'nats'],
      load: { kind: 'consume', size: 1024, records: COLD_RECORDS, cold: true },
    },
    {
      name: 'cold-java',
      title: 'catching up on cold data, 1 KiB (ConsumerPerformance)',
      brokers: READING,
      load: { kind: 'java-consume', size: 1024, records: COLD_RECORDS, cold: true },
    },
    tail(1, 600_000),
    tail(10, 150_000),
    tail(100, 20_000),
    {
      name: 'node',
      title: 'one consumer, 1 KiB, recently written (@platformatic/kafka)',
      brokers: READING,
      load: { kind: 'node-consume', size: 1024, records: 300_000 },
    },
  ],
}

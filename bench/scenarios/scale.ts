// What a broker costs: many connections, many partitions, and just being there.

import { type Family, type Scenario, WRITTEN } from './scenario.ts'

const connections = (connections: number): Scenario => ({
  name: `connections-${connections}`,
  title: `${connections.toLocaleString('en-US')} connections, each its own producer, 5,000 100-byte records/s together, acks=1 (franz-go)`,
  brokers: [...WRITTEN, 'nats', 'redis', 'raw'],
  load: { kind: 'connections', acks: '1', connections, rate: 5000, seconds: 8, size: 100 },
})

export const startFamily: Family = {
  name: 'start',
  title: 'Start, and doing nothing',
  fresh: true,
  scenarios: [
    {
      name: 'first-record',
      title: 'from the start of the process to the first acknowledged record; then idle (franz-go)',
      brokers: ['moldau', 'kafka', 'nats', 'redis'],
      load: { kind: 'start', acks: '1', seconds: 5 },
    },
  ],
}

export const scaleFamily: Family = {
  name: 'scale',
  title: 'Many connections, many partitions',
  fresh: true,
  scenarios: [
    connections(1000),
    connections(5000),
    {
      name: 'partitions-10000',
      title: 'a topic of 10,000 partitions is created and written to, 1 KiB, acks=1 (franz-go)',
      brokers: ['moldau', 'moldau-os', 'kafka'],
      load: { kind: 'many-partitions', acks: '1', partitions: 10_000, size: 1024, records: 100_000 },
    },
    {
      name: 'growth',
      title:
        'time per request, one record each to all partitions in turn, as partitions grow from 10 to 10,000, acks=1 (franz-go)',
      brokers: ['moldau', 'moldau-os', 'kafka'],
      load: { kind: 'growth', acks: '1', steps: [10, 100, 1000, 10_000], size: 100, records: 10_000 },
    },
  ],
}

// From producer to consumer at fixed rates. Latency counts from when a record was due: a stall shows in all the records that it held up.

import { BOTH_PROMISES, type Family } from './scenario.ts'

export const latencyFamily: Family = {
  name: 'latency',
  title: 'End-to-end latency at fixed rates',
  scenarios: [1000, 10_000, 50_000].map((rate) => ({
    name: String(rate),
    title: `${rate.toLocaleString('en-US')} records/s of 100 bytes from producer to consumer, acks=all (franz-go)`,
    brokers: [...BOTH_PROMISES, 'nats', 'redis', ...(rate < 50_000 ? ['redis-always'] : [])],
    load: { kind: 'latency', acks: 'all', rate, seconds: 8, size: 100 },
  })),
}

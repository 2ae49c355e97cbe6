// The program behind node-client.ts: sends or receives what its one argument says, and prints how long that took.

import { setTimeout as sleep } from 'node:timers/promises'
import { Consumer, ProduceAcks, Producer } from '@platformatic/kafka'
import type { NodeClientLoad } from './node-client.ts'

/** Records in one call of send(), and calls under way: about what its users do who want throughput. */
const RECORDS_AT_ONCE = 500
const CALLS_AT_ONCE = 5
const STALLED_AFTER_MS = 60_000

const load = JSON.parse(process.argv[2]!) as NodeClientLoad
const seconds = load.kind === 'node-produce' ? await produce(load) : await consume(load)
console.log(JSON.stringify({ seconds }))
process.exit(0)

async function produce({ address, topic, acks, records, size }: NodeClientLoad): Promise<number> {
  const producer = new Producer({ clientId: 'bench', bootstrapBrokers: [address] })
  const value = Buffer.alloc(size, 'x')
  const options = { acks: acks === 'all' ? ProduceAcks.ALL : ProduceAcks.LEADER }
  await producer.send({ ...options, messages: [{ topic, value }] })
  const started = performance.now()
  let left = records
  const sender = async () => {
    while (left > 0) {
      const count = Math.min(left, RECORDS_AT_ONCE)
      left -= count
      await producer.send({ ...options, messages: Array.from({ length: count }, () => ({ topic, value })) })
    }
  }
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, sender))
  return (performance.now() - started) / 1000
}

async function consume({ address, topic, records }: NodeClientLoad): Promise<number> {
  const consumer = new Consumer({ clientId: 'bench', groupId: `bench-${topic}`, bootstrapBrokers: [address] })
  const stream = await consumer.consume({ topics: [topic], mode: 'earliest', autocommit: false, maxWaitTime: 500 })
  let started: number | undefined
  let count = 0
  const all = new Promise<number>((resolve, reject) => {
    stream.on('data', () => {
      started ??= performance.now()
      if (++count === records) resolve((performance.now() - started) / 1000)
    })
    stream.on('error', reject)
  })
  const stalled = sleep(STALLED_AFTER_MS, undefined, { ref: false }).then(() => {
    throw new Error(`${count} of ${records} records after ${STALLED_AFTER_MS} ms`)
  })
  return await Promise.race([all, stalled])
}

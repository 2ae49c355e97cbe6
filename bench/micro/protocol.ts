// What encoding and decoding messages costs: `node bench/micro/protocol.ts`. Nanoseconds per message, the best of several runs.

import { Reader } from '../../src/bytes/reader.ts'
import { Writer } from '../../src/bytes/writer.ts'
import { encodeRequest } from '../../src/protocol/headers.ts'
import { Produce } from '../../src/protocol/messages/00-produce.ts'
import { Fetch } from '../../src/protocol/messages/01-fetch.ts'
import { Metadata } from '../../src/protocol/messages/03-metadata.ts'
import { OffsetCommit } from '../../src/protocol/messages/08-offset-commit.ts'
import type { Encodable, Fields, Message } from '../../src/protocol/schema.ts'

const RUNS = 15
const REPETITIONS = 2_000

function measure(name: string, run: () => void): void {
  let best = Number.POSITIVE_INFINITY
  for (let i = 0; i < RUNS; i++) {
    // Processor time: others may be using the machine.
    const start = process.cpuUsage()
    for (let j = 0; j < REPETITIONS; j++) run()
    best = Math.min(best, (process.cpuUsage(start).user * 1000) / REPETITIONS)
  }
  console.log(`${name.padEnd(50)} ${best.toFixed(0).padStart(8)} ns`)
}

function both<F extends Fields>(name: string, schema: Message<F>, version: number, value: Encodable<F>): void {
  const writer = new Writer()
  schema.encode(writer, version, value)
  const bytes = writer.toBuffer()
  measure(`decode ${name}`, () => schema.decode(new Reader(bytes), version))
  measure(`encode ${name}`, () => {
    const fresh = new Writer()
    schema.encode(fresh, version, value)
    fresh.finish()
  })
}

function partitions<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index))
}

for (const count of [1, 100]) {
  both(`Fetch v12 request, ${count} partitions`, Fetch.request, 12, {
    maxWaitMs: 500,
    minBytes: 1,
    topics: [
      { topic: 't', partitions: partitions(count, (partition) => ({ partition, fetchOffset: 3n, partitionMaxBytes: 1 << 20 })) },
    ],
  })
  both(`Fetch v12 response, ${count} partitions`, Fetch.response, 12, {
    responses: [
      {
        topic: 't',
        partitions: partitions(count, (partitionIndex) => ({
          partitionIndex,
          errorCode: 0,
          highWatermark: 1000n,
          abortedTransactions: null,
          records: Buffer.alloc(2000),
        })),
      },
    ],
  })
  both(`Metadata v12 response, ${count} partitions`, Metadata.response, 12, {
    brokers: [{ nodeId: 1, host: 'localhost', port: 9092 }],
    topics: [
      {
        errorCode: 0,
        name: 't',
        partitions: partitions(count, (partitionIndex) => ({
          partitionIndex,
          errorCode: 0,
          leaderId: 1,
          replicaNodes: [1, 2, 3],
          isrNodes: [1, 2, 3],
        })),
      },
    ],
  })
}

const produce = {
  transactionalId: null,
  acks: -1,
  timeoutMs: 30_000,
  topicData: [{ name: 'topic', partitionData: [{ index: 0, records: Buffer.alloc(16_384) }] }],
}
for (const version of [7, 9]) {
  both(`Produce v${version} request, one batch`, Produce.request, version, produce)
  both(`Produce v${version} response, one batch`, Produce.response, version, {
    responses: [{ name: 'topic', partitionResponses: [{ index: 0, errorCode: 0, baseOffset: 1000n }] }],
  })
}
both('OffsetCommit v7 request, one partition', OffsetCommit.request, 7, {
  groupId: 'group',
  memberId: 'consumer-1-0f6c7e0e-5f3a-4d6f-8f43-2a1a3b1f8a4e',
  topics: [{ name: 'topic', partitions: [{ partitionIndex: 0, committedOffset: 1000n, committedMetadata: null }] }],
})
measure('frame Produce v9 request', () => encodeRequest(Produce, 9, 1, 'client', produce))

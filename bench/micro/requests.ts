// What a small request costs from socket to socket, without the kernel: produce requests of one record through a whole broker, on a network and
// a disk in memory. `node bench/micro/requests.ts`. Microseconds of processor time per request, the best of several runs.

import { Broker } from '../../src/broker/broker.ts'
import { loadStaticConfig } from '../../src/config/static-config.ts'
import { realClock } from '../../src/host/clock.ts'
import { silentLogger } from '../../src/host/logger.ts'
import { MemoryDisk } from '../../src/host/memory-disk.ts'
import type { Network, Socket } from '../../src/host/network.ts'
import { realRandom } from '../../src/host/random.ts'
import { encodeRequest } from '../../src/protocol/headers.ts'
import { Produce } from '../../src/protocol/messages/00-produce.ts'
import { Fetch } from '../../src/protocol/messages/01-fetch.ts'
import { CreateTopics } from '../../src/protocol/messages/19-create-topics.ts'
import { RecordBatchBuilder } from '../../src/protocol/records/batch-builder.ts'

const TOPIC = 'bench'
const RUNS = 12
/** Answers of single partitions in one run. */
const ANSWERS_PER_RUN = 20_000

/** The client's end of a connection: counts answers. */
class Client implements Socket {
  readonly local = { host: '127.0.0.1', port: 9092 }
  readonly remote = { host: '127.0.0.1', port: 50000 }
  readonly pendingBytes = 0
  onData = (_chunk: Buffer) => {}
  onEnd = () => {}
  onDrain = () => {}
  onClose = (_error: Error | undefined) => {}
  private awaited = 0
  private arrived = () => {}

  /** Sends frames as one chunk; resolves when as many answers as there are frames have come. */
  ask(frames: readonly Buffer[]): Promise<void> {
    this.awaited = frames.length
    const done = new Promise<void>((resolve) => {
      this.arrived = resolve
    })
    this.onData(Buffer.concat(frames))
    return done
  }

  write(chunks: readonly Buffer[], sent?: () => void): boolean {
    let size = 0
    for (const chunk of chunks) size += chunk.length
    // Answers begin with their length; records are linked behind it.
    for (let at = 0, chunk = 0, start = 0; at < size; this.awaited--) {
      while (start + chunks[chunk].length <= at) start += chunks[chunk++].length
      at += 4 + chunks[chunk].readInt32BE(at - start)
    }
    sent?.()
    if (this.awaited === 0) this.arrived()
    return true
  }

  pause(): void {}
  resume(): void {}
  end(): void {}
  destroy(): void {}
}

let connect: (socket: Socket) => void = () => {}
const network: Network = {
  async listen(endpoint, onConnection) {
    connect = onConnection
    return { endpoint, close: async () => {} }
  },
  connect: () => Promise.reject(new Error('nobody is there')),
}

const broker = await Broker.start({
  config: loadStaticConfig({
    settings: [
      { key: 'log.flush.policy', value: 'os', origin: 'bench' },
      { key: 'log.retention.check.interval.ms', value: '1', origin: 'bench' },
    ],
  }).config,
  directories: ['/data'],
  disk: new MemoryDisk(),
  network,
  clock: realClock,
  random: realRandom,
  logger: silentLogger,
})

function clients(count: number): Client[] {
  return Array.from({ length: count }, () => {
    const client = new Client()
    connect(client)
    return client
  })
}

function frame(...request: Parameters<typeof encodeRequest>): Buffer {
  return Buffer.concat(encodeRequest(...request))
}

async function measure(name: string, connections: number, inFlight: number, request: Buffer, partitions = 1): Promise<void> {
  const all = clients(connections)
  const frames = Array.from({ length: inFlight }, () => request)
  const rounds = Math.ceil(ANSWERS_PER_RUN / connections / inFlight / partitions)
  let best = Number.POSITIVE_INFINITY
  for (let run = 0; run < RUNS; run++) {
    const start = process.cpuUsage()
    for (let round = 0; round < rounds; round++) await Promise.all(all.map((client) => client.ask(frames)))
    const { user, system } = process.cpuUsage(start)
    best = Math.min(best, (user + system) / (rounds * connections * inFlight))
  }
  console.log(`${name.padEnd(60)} ${best.toFixed(2).padStart(8)} µs`)
}

const topics = [
  { name: TOPIC, numPartitions: 1, replicationFactor: 1 },
  { name: `${TOPIC}-100`, numPartitions: 100, replicationFactor: 1 },
].map((topic) => ({ ...topic, assignments: [], configs: [{ name: 'retention.bytes', value: '1048576' }] }))
const [admin] = clients(1)
await admin.ask([frame(CreateTopics, 7, 1, 'bench', { topics, timeoutMs: 10_000, validateOnly: false })])

const builder = new RecordBatchBuilder()
builder.append({ timestamp: BigInt(Date.now()), value: Buffer.alloc(100) })
const records = builder.build()
const produceTo = (name: string, partitions: number, acks: number) =>
  frame(Produce, 9, 1, 'bench', {
    transactionalId: null,
    acks,
    timeoutMs: 30_000,
    topicData: [{ name, partitionData: Array.from({ length: partitions }, (_, index) => ({ index, records })) }],
  })
const fetchFrom = (fetchOffset: bigint) =>
  frame(Fetch, 12, 1, 'bench', {
    maxWaitMs: 0,
    minBytes: 1,
    maxBytes: 1024 * 1024,
    topics: [{ topic: TOPIC, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes: 2000 }] }],
  })

await measure('produce, 1 connection, 1 in flight', 1, 1, produceTo(TOPIC, 1, 1))
await measure('produce, 1 connection, 5 in flight', 1, 5, produceTo(TOPIC, 1, 1))
await measure('produce acks=all, 1 connection, 5 in flight', 1, 5, produceTo(TOPIC, 1, -1))
await measure('produce, 100 connections, 1 in flight', 100, 1, produceTo(TOPIC, 1, 1))
await measure('produce to 100 partitions, 1 connection, 1 in flight', 1, 1, produceTo(`${TOPIC}-100`, 100, 1), 100)

await measure('fetch of one kilobyte from a file, 1 connection', 1, 1, fetchFrom(0n))
await broker.close()

// *Strategy*: connection after connection sends a broker one thing that no client should: a valid request with some of its bytes changed, a
// request whose fields are valid and make no sense, noise in a frame, noise without one, lengths that lie. Some say hello first. Then they
// say that no more will come.
//
// *Invariants*: the broker closes every connection, in its own time but without being told twice. It reports no bug. Other clients are served
// meanwhile: they produce and read back what they have produced. When what the requests have created is deleted again, and garbage is
// collected, memory is where it was.
//
// `node test/conformance/hostile.fuzz.ts 100000 [seed]` runs it alone. What a broker does depends on all that it was sent before, so the seed
// of a failure repeats it only from the start.

import assert from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { handlers } from '../../src/broker/handlers/all-handlers.ts'
import { type Random, seededRandom } from '../../src/host/random.ts'
import { encodeRequest } from '../../src/protocol/headers.ts'
import { ZERO_UUID } from '../../src/protocol/ids.ts'
import { ListGroups } from '../../src/protocol/messages/16-list-groups.ts'
import { ApiVersions } from '../../src/protocol/messages/18-api-versions.ts'
import { DeleteTopics } from '../../src/protocol/messages/20-delete-topics.ts'
import { DeleteGroups } from '../../src/protocol/messages/42-delete-groups.ts'
import { below, mutate, pick, randomMessage } from '../../src/protocol/messages.fuzz.ts'
import type { Api, Encodable, Fields } from '../../src/protocol/schema.ts'
import { startBroker, type TestBroker } from '../../src/testing/start-broker.ts'
import { RawClient } from './raw-client.ts'
import { batchOf, createTopic, fetchFrom, metadataOf, produced, valuesIn } from './requests.ts'

/** Connections at a time. */
const CONCURRENCY = 8
/** Frames between two looks at the broker's health. */
const ROUND = 500
/** What may be kept: warm caches, pools, and members whose sessions have not run out yet. */
const MAX_GROWTH_BYTES = 48 * 1024 * 1024

/** Names that random messages hit now and then, so that not everything is unknown. */
const KNOWN_TOPICS = ['a', 'topic-1']

const CONFIG = {
  'log.segment.delete.delay.ms': '0',
  // Members that nobody hears of again are gone soon.
  'group.min.session.timeout.ms': '1',
  'group.max.session.timeout.ms': '500',
  // Lengths that lie should often lie beyond it.
  'socket.request.max.bytes': '1048576',
}

export interface HostileResult {
  readonly frames: number
  /** Connections that the broker cut because of what came over them. */
  readonly cut: number
  readonly grownBytes: number
}

/** Rejects at the first broken invariant. */
export async function fuzz(iterations: number, seed: number): Promise<HostileResult> {
  const errors: string[] = []
  let cut = 0
  const logger = {
    info() {},
    warn(line: string) {
      if (line.startsWith('closed the connection')) cut++
    },
    error: (line: string) => void errors.push(line),
  }
  const broker = await startBroker({ config: CONFIG, logger })
  const client = await RawClient.connect(broker.bootstrapServers)
  try {
    let settled: number | undefined
    let grownBytes = 0
    for (let frame = 0; frame < iterations; ) {
      const count = Math.min(ROUND, iterations - frame)
      for (const name of KNOWN_TOPICS) await createTopic(client, { name, partitions: 2 })
      await attack(broker, frame, count, seed)
      frame += count
      assert.deepEqual(errors, [], `a bug was reported within ${frame} frames from seed ${seed}`)
      await servesOthers(client)
      await cleanUp(client)
      const used = memoryInUse()
      // The first round loads code and fills pools.
      settled ??= used
      grownBytes = used - settled
      assert.ok(grownBytes < MAX_GROWTH_BYTES, `${grownBytes} bytes more after ${frame} frames from seed ${seed}`)
    }
    return { frames: iterations, cut, grownBytes }
  } finally {
    client.close()
    await broker.close()
  }
}

async function attack(broker: TestBroker, first: number, count: number, seed: number): Promise<void> {
  let next = first
  const worker = async () => {
    while (next < first + count) {
      const random = seededRandom(seed + next++)
      using client = await RawClient.connect(broker.bootstrapServers)
      if (below(random, 4) === 0) client.send(ApiVersions, 0, { clientSoftwareName: '', clientSoftwareVersion: '' })
      client.sendBytes(hostileBytes(random))
      await client.hangUp()
    }
  }
  await Promise.all(Array.from({ length: CONCURRENCY }, worker))
}

function hostileBytes(random: Random): Buffer {
  const kind = below(random, 20)
  if (kind === 0) return random.bytes(below(random, 300))
  if (kind === 1) return framed(random.bytes(below(random, 300)))
  const frame = validRequest(random)
  if (kind === 2) {
    // The length says something else than what comes.
    frame.writeInt32BE(pick(random, [-1, 0, 1, 0x7fffffff, -0x80000000, frame.length, 1_048_577, frame.length - 5]), 0)
    return frame
  }
  if (kind === 3) return frame.subarray(0, below(random, frame.length))
  return kind < 10 ? frame : framed(mutate(frame.subarray(4), random))
}

function framed(bytes: Buffer): Buffer {
  const prefix = Buffer.alloc(4)
  prefix.writeInt32BE(bytes.length)
  return Buffer.concat([prefix, bytes])
}

/** Of an API that is served: every field valid, and made up. */
function validRequest(random: Random): Buffer {
  const { api, versions } = pick(random, handlers)
  const version = versions.min + below(random, versions.max - versions.min + 1)
  const body = randomMessage(api.request, version, random)
  if (below(random, 2) === 0) makeSense(api, body, random)
  return Buffer.concat(
    encodeRequest(api, version, random.u32() | 0, pick(random, [null, '', 'a-client']), body as Encodable<Fields>),
  )
}

/** So that a request gets further than the first check. */
function makeSense(api: Api, body: Record<string, unknown>, random: Random): void {
  const partition = () => pick(random, [0, 0, 1, 2, -1])
  switch (api.name) {
    case 'Produce': {
      body['acks'] = pick(random, [-1, 0, 1])
      const records = batchOf(['x', 'y'], {
        codecId: below(random, 5),
        producerId: BigInt(below(random, 3)) - 1n,
        producerEpoch: 0,
        baseSequence: below(random, 4),
      })
      const partitionData = [{ index: partition(), records: below(random, 2) === 0 ? records : mutate(records, random) }]
      body['topicData'] = [{ name: pick(random, KNOWN_TOPICS), topicId: ZERO_UUID, partitionData }]
      return
    }
    case 'Fetch':
      body['topics'] = [
        {
          topic: pick(random, KNOWN_TOPICS),
          topicId: ZERO_UUID,
          partitions: [{ partition: partition(), fetchOffset: BigInt(below(random, 4)), partitionMaxBytes: random.u32() | 0 }],
        },
      ]
      return
    case 'JoinGroup':
      body['sessionTimeoutMs'] = 1 + below(random, 500)
      body['memberId'] = ''
      return
    case 'OffsetCommit':
    case 'OffsetFetch':
      body['topics'] = below(random, 2) === 0 ? [] : body['topics']
      return
    case 'CreateTopics':
      for (const topic of body['topics'] as Record<string, unknown>[]) {
        topic['numPartitions'] = pick(random, [-1, 1, 3, 100])
        topic['replicationFactor'] = pick(random, [-1, 1])
        topic['assignments'] = []
        topic['configs'] = []
      }
  }
}

let rounds = 0

/** Another client produces, and reads what it has produced. */
async function servesOthers(client: RawClient): Promise<void> {
  const topic = await createTopic(client)
  const value = `round ${rounds++}`
  await produced(client, topic, [value])
  assert.deepEqual(valuesIn((await fetchFrom(client, topic, 0n)).records), [value])
}

/** Deletes all topics, and all groups without members: what is left then has leaked. */
async function cleanUp(client: RawClient): Promise<void> {
  const { topics } = await metadataOf(client, null)
  const names = topics.flatMap(({ name, isInternal }) => (isInternal || name === null ? [] : [{ name, topicId: ZERO_UUID }]))
  if (names.length > 0) await client.request(DeleteTopics, 6, { topics: names, timeoutMs: 10_000 })
  const { groups } = await client.request(ListGroups, 5, { statesFilter: [], typesFilter: [] })
  await client.request(DeleteGroups, 2, { groupsNames: groups.map(({ groupId }) => groupId) })
}

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** Of this process: broker, clients and all. */
export function memoryInUse(): number {
  collectGarbage()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

if (import.meta.main) {
  const iterations = Number(process.argv[2] ?? 100_000)
  const seed = Number(process.argv[3] ?? Date.now() % 2 ** 31)
  const { cut, grownBytes } = await fuzz(iterations, seed)
  console.log(
    `hostile: ${iterations} frames from seed ${seed}: ${cut} connections cut, ${Math.round(grownBytes / 1024)} KiB more in memory`,
  )
}

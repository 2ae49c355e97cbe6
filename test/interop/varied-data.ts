// Data of every kind that a broker stores, written over the network into any broker, and read back: what dump-log and adopt are
// shown.

import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { type CodecName, CompressionCodec } from '../../src/bytes/compression/codecs.ts'
import { orThrow } from '../../src/client/admin/results.ts'
import { Admin } from '../../src/client/admin.ts'
import { ClusterClient } from '../../src/client/cluster-client.ts'
import { Consumer } from '../../src/client/consumer.ts'
import { GroupConsumer } from '../../src/client/group-consumer.ts'
import { type IsolationLevel, OffsetSpec } from '../../src/client/list-offsets.ts'
import { Producer } from '../../src/client/producer.ts'
import { realClock } from '../../src/host/clock.ts'
import { realRandom, seededRandom } from '../../src/host/random.ts'
import { realNetwork } from '../../src/host/real-network.ts'
import { KafkaError } from '../../src/protocol/error-codes.ts'
import { javaCommand } from './apache-kafka.ts'
import { mustRun } from './command.ts'

export const GROUP = 'readers'
/** Of the records in `codecs`, what the group has read. */
export const GROUP_HAS_READ = 20
export const TRANSACTIONAL_ID = 'transfers'
const CODECS = Object.keys(CompressionCodec) as CodecName[]

export function connect(bootstrapServers: string): ClusterClient {
  return new ClusterClient({ bootstrapServers, network: realNetwork, clock: realClock, random: realRandom })
}

/**
 * Topics: `codecs`, a partition for each; `stamped` by the broker; `segments`, several full ones, and not from the beginning;
 * `compacted`; `transfers`, with transactions of each end; `again`, deleted once and made anew. A group that has read a part.
 * @param open whether the last transaction stays open
 */
export async function writeVariedData(bootstrapServers: string, { open }: { readonly open: boolean }): Promise<void> {
  const client = connect(bootstrapServers)
  const admin = new Admin(client)
  const create = async (name: string, partitions: number, configs: Record<string, string> = {}) => {
    orThrow(await admin.topics.create([{ name, partitions, replicationFactor: 1, configs }]))
    // Metadata may name leaders that do not lead yet.
    for (let partition = 0; partition < partitions; partition++) {
      const queries = [{ topic: name, partition, timestamp: OffsetSpec.LATEST }]
      while ([...(await admin.topics.offsets(queries)).values()].some((found) => found instanceof KafkaError)) await sleep(20)
    }
  }
  try {
    await create('codecs', CODECS.length)
    await create('stamped', 1, { 'message.timestamp.type': 'LogAppendTime' })
    await create('segments', 1, { 'segment.bytes': '1048576', 'retention.ms': '-1', 'min.insync.replicas': '1' })
    await create('compacted', 1, { 'cleanup.policy': 'compact', 'segment.bytes': '1048576' })
    await create('transfers', 2)
    await create('again', 1)
    orThrow(await admin.topics.delete(['again']))
    await sleep(300)
    await create('again', 1, { 'max.message.bytes': '500000' })

    await writeCodecs(client)
    const producer = new Producer(client)
    for (let i = 0; i < 5; i++) await producer.send({ topic: 'stamped', value: `stamped ${i}`, timestamp: 1_000n })
    await producer.send({ topic: 'again', value: 'made anew' })
    for (let i = 0; i < 200; i++)
      await producer.send({ topic: 'compacted', key: `key ${i % 7}`, value: i % 50 === 49 ? null : `value ${i}` })
    const random = seededRandom(7)
    const sent = Array.from({ length: 300 }, (_, i) => {
      const value = Buffer.alloc(10_000)
      for (let at = 0; at < value.length; at += 4) value.writeUInt32LE(random.u32(), at)
      return producer.send({ topic: 'segments', value, timestamp: BigInt(1_700_000_000_000 + i * 1000) })
    })
    await Promise.all(sent)
    await producer.close()
    orThrow(await admin.topics.deleteRecords([{ topic: 'segments', partition: 0, offset: 120n }]))
    await readInGroup(client, GROUP_HAS_READ)
    await writeTransactions(client, open)
  } finally {
    await client.close()
  }
}

async function writeCodecs(client: ClusterClient): Promise<void> {
  for (const [partition, compression] of CODECS.entries()) {
    const producer = new Producer(client, { compression, lingerMs: 20 })
    const sent = Array.from({ length: 20 }, (_, i) =>
      producer.send({
        topic: 'codecs',
        partition,
        key: i % 3 === 0 ? null : `key ${i % 4}`,
        value: i % 5 === 4 ? null : `${compression} ${i} `.repeat(30),
        headers: [
          { key: 'number', value: Buffer.of(i) },
          { key: 'nothing', value: null },
        ],
      }),
    )
    await Promise.all(sent)
    await producer.close()
  }
  const plain = new Producer(client, { idempotence: false })
  await plain.send({ topic: 'codecs', partition: 0, value: 'without a producer id' })
  await plain.close()
}

/** What the group reads next: `count` records of `codecs`, which it then commits. */
export async function readInGroup(client: ClusterClient, count: number): Promise<string[]> {
  const consumer = new GroupConsumer(client, {
    groupId: GROUP,
    autoOffsetReset: 'earliest',
    enableAutoCommit: false,
    maxPollRecords: 1,
  })
  consumer.subscribe(['codecs'])
  const seen: string[] = []
  const next = new Map<number, bigint>()
  while (seen.length < count) {
    for (const { partition, offset } of await consumer.poll(10_000)) {
      seen.push(`${partition}/${offset}`)
      next.set(partition, offset + 1n)
    }
  }
  await consumer.commit(
    [...next].map(([partition, offset]) => ({ topic: 'codecs', partition, offset, metadata: 'as far as here' })),
  )
  await consumer.close()
  return seen
}

/** A group of the new protocol (KIP-848), by Java's consumer: it reads three records of `stamped`. */
export async function readWithNewProtocol(bootstrapServers: string, group: string): Promise<void> {
  const args = ['--bootstrap-server', bootstrapServers, '--topic', 'stamped', '--group', group, '--from-beginning']
  const options = ['--max-messages', '3', '--command-property', 'group.protocol=consumer']
  await mustRun(await javaCommand('org.apache.kafka.tools.consumer.ConsoleConsumer', [...args, ...options]))
}

async function writeTransactions(client: ClusterClient, open: boolean): Promise<void> {
  const producer = new Producer(client, { transactionalId: TRANSACTIONAL_ID, transactionTimeoutMs: 60_000 })
  await producer.initTransactions()
  for (let i = 0; i < 6; i++) {
    await producer.begin()
    for (let j = 0; j < 3; j++)
      await producer.send({ topic: 'transfers', partition: j % 2, value: `transaction ${i}, record ${j}` })
    await (i % 3 === 1 ? producer.abort() : producer.commit())
  }
  if (!open) return producer.close()
  await producer.begin()
  await producer.send({ topic: 'transfers', partition: 0, value: 'never committed' })
  // Left as it is, with no goodbye: the client's end ends it.
}

/** All topics but the internal ones, by `topic/partition`: where it begins, where it ends, and a line for each record. */
export async function readAll(bootstrapServers: string, isolationLevel: IsolationLevel): Promise<Record<string, string[]>> {
  const client = connect(bootstrapServers)
  const admin = new Admin(client)
  const found: Record<string, string[]> = {}
  try {
    for (const topic of await admin.topics.list()) {
      if (topic.isInternal) continue
      for (const { index } of topic.partitions)
        found[`${topic.name}/${index}`] = await readPartition(client, topic.name, index, isolationLevel)
    }
    return found
  } finally {
    await client.close()
  }
}

async function readPartition(
  client: ClusterClient,
  topic: string,
  partition: number,
  isolationLevel: IsolationLevel,
): Promise<string[]> {
  const offsetOf = async (timestamp: bigint) => {
    const queries = [{ topic, partition, timestamp }]
    const found = (await new Admin(client).topics.offsets(queries, { isolationLevel })).get(`${topic}/${partition}`)
    if (found === undefined || found instanceof KafkaError) throw found ?? new Error(`no answer for ${topic}-${partition}`)
    return found.offset
  }
  const [first, end] = [await offsetOf(OffsetSpec.EARLIEST), await offsetOf(OffsetSpec.LATEST)]
  const lines = [`from ${first} to ${end}`]
  const consumer = new Consumer(client, { isolationLevel, autoOffsetReset: 'earliest', fetchMaxWaitMs: 200 })
  consumer.assign([{ topic, partition }])
  while ((consumer.position({ topic, partition }) ?? first) < end) {
    for (const { offset, timestamp, timestampType, key, value, headers } of await consumer.poll(1000)) {
      const shown = headers.map((header) => `${header.key}=${header.value?.toString('hex')}`).join()
      lines.push(`${offset} ${timestampType} ${timestamp} ${digest(key)} ${digest(value)} ${shown}`)
    }
  }
  consumer.close()
  return lines
}

const digest = (bytes: Buffer | null) => (bytes === null ? 'null' : createHash('sha256').update(bytes).digest('base64url'))

// `moldau adopt` on a directory in Kafka's layout, made here: its metadata log record by record, its partitions by a broker of ours.
// What a real Kafka leaves is in test/interop/entries/adopt.ts.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { appendFile, cp, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { root, startBrokerProcess } from '../../test/support/broker-process.ts'
import { temporaryDirectory } from '../../test/support/temporary-directory.ts'
import { orThrow } from '../client/admin/results.ts'
import { Admin } from '../client/admin.ts'
import { ClusterClient } from '../client/cluster-client.ts'
import { Consumer } from '../client/consumer.ts'
import { Producer } from '../client/producer.ts'
import { realClock } from '../host/clock.ts'
import { realRandom } from '../host/random.ts'
import { realDisk } from '../host/real-disk.ts'
import { realNetwork } from '../host/real-network.ts'
import { encodeMetadataRecord as record } from '../protocol/internal-records/cluster-metadata.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { startBroker } from '../testing/start-broker.ts'

const NODE_ID = 7
const CLUSTER_ID = 'MkU3OEVBNTcwNTJENDM2Qg'
const SEGMENT = '00000000000000000000.log'
const GONE = 'AAAAAAAAAAAAAAAAAAAAAQ'

interface Result {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function adopt(...args: string[]): Promise<Result> {
  return new Promise((resolve) => {
    execFile(process.execPath, [join(root, 'bin', 'moldau'), 'adopt', ...args], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

async function withBroker(directory: string, nodeId: number, use: (client: ClusterClient) => Promise<void>): Promise<void> {
  await using broker = await startBroker({ storage: 'disk', directory, config: { 'node.id': String(nodeId) } })
  const { bootstrapServers } = broker
  const client = new ClusterClient({ bootstrapServers, network: realNetwork, clock: realClock, random: realRandom })
  try {
    await use(client)
  } finally {
    await client.close()
  }
}

async function readTopic(client: ClusterClient, topic: string): Promise<(string | undefined)[]> {
  const consumer = new Consumer(client, { autoOffsetReset: 'earliest' })
  consumer.assign([{ topic, partition: 0 }])
  const records = await consumer.poll(5000)
  consumer.close()
  return records.map(({ value }) => value?.toString())
}

function batches(baseOffset: bigint, ...values: readonly Buffer[]): Buffer {
  const builder = new RecordBatchBuilder()
  for (const value of values) builder.append({ timestamp: 1n, key: null, value })
  return builder.build({ baseOffset, leaderEpoch: 1 })
}

const partition = (topicId: string, replicas: number[] = [NODE_ID]) => {
  const lists = { replicas, isr: [], removingReplicas: [], addingReplicas: [], directories: replicas.map(() => GONE) }
  // As Kafka leaves it when it is shut down.
  const state = { leader: -1, leaderEpoch: 5, partitionEpoch: 8, eligibleLeaderReplicas: [replicas[0]] }
  return record('PartitionRecord', { topicId, partitionId: 0, ...lists, ...state })
}
const config = (resourceType: number, resourceName: string, name: string, value: string) =>
  record('ConfigRecord', { resourceType, resourceName, name, value })

/** A Kafka's log directory: `orders` and `plain` with records, `far` on another node, `empty` without a folder. */
async function kafkaDirectory(kafka: string, scratch: string): Promise<void> {
  const ids = new Map<string, string>()
  await withBroker(scratch, NODE_ID, async (client) => {
    const created = await new Admin(client).topics.create([{ name: 'orders' }, { name: 'plain' }])
    for (const [name, { topicId }] of orThrow(created)) ids.set(name, topicId)
    const producer = new Producer(client)
    for (const value of ['one', 'two', 'three']) await producer.send({ topic: 'orders', partition: 0, value })
    await producer.send({ topic: 'plain', partition: 0, value: 'plain' })
    await producer.close()
  })
  const metadata = join(kafka, '__cluster_metadata-0')
  await mkdir(metadata, { recursive: true })
  for (const name of ['orders-0', 'plain-0']) await cp(join(scratch, name), join(kafka, name), { recursive: true })
  await cp(join(scratch, 'plain-0'), join(kafka, 'unknown-0'), { recursive: true })
  await mkdir(join(kafka, 'plain-1.0123456789abcdef-stray'))
  await cp(join(scratch, 'recovery-point-offset-checkpoint'), join(kafka, 'recovery-point-offset-checkpoint'))
  await writeFile(join(kafka, 'meta.properties'), `version=1\nnode.id=${NODE_ID}\ndirectory.id=x\ncluster.id=${CLUSTER_ID}\n`)
  await writeFile(join(kafka, '.lock'), '')
  await writeFile(join(kafka, 'unknown-0', 'partition.metadata'), `version: 0\ntopic_id: ${GONE}\n`)
  const [orders, plain] = [ids.get('orders')!, ids.get('plain')!]
  const snapshot = batches(
    0n,
    record('TopicRecord', { name: 'orders', topicId: orders }),
    partition(orders),
    record('TopicRecord', { name: 'gone', topicId: GONE }),
    config(2, 'orders', 'retention.ms', '1'),
  )
  await writeFile(join(metadata, '00000000000000000004-0000000001.checkpoint'), snapshot)
  const [farId, emptyId] = ['AAAAAAAAAAAAAAAAAAAAAg', 'AAAAAAAAAAAAAAAAAAAAAw']
  const log = [
    // Below the snapshot's end: it says what came of this.
    batches(0n, record('TopicRecord', { name: 'never', topicId: farId }), record('NoOpRecord', {})),
    batches(2n, record('NoOpRecord', {}), record('NoOpRecord', {})),
    batches(
      4n,
      record('RemoveTopicRecord', { topicId: GONE }),
      config(2, 'orders', 'retention.ms', '86400000'),
      config(2, 'orders', 'min.insync.replicas', '2'),
      config(2, 'orders', 'no.such.key', '1'),
      config(4, String(NODE_ID), 'log.cleaner.threads', '1'),
      config(4, '9', 'log.cleaner.threads', '1'),
    ),
    batches(
      10n,
      record('TopicRecord', { name: 'plain', topicId: plain }),
      partition(plain),
      record('TopicRecord', { name: 'far', topicId: farId }),
      partition(farId, [8]),
      record('TopicRecord', { name: 'empty', topicId: emptyId }),
      partition(emptyId),
      record('ProducerIdsRecord', { brokerId: NODE_ID, nextProducerId: 5000n }),
      record('ClientQuotaRecord', {
        entity: [{ entityType: 'user', entityName: 'u' }],
        key: 'producer_byte_rate',
        value: 1,
        remove: false,
      }),
    ),
    // Torn: written by a process that was killed.
    batches(18n, record('RemoveTopicRecord', { topicId: plain })).subarray(0, 40),
  ]
  await writeFile(join(metadata, SEGMENT), Buffer.concat(log))
}

test('topics are taken over with ids, records and configuration, and what is left out is named', async () => {
  await using directory = await temporaryDirectory()
  const at = (name: string) => join(directory.path, name)
  await kafkaDirectory(at('kafka'), at('scratch'))
  const before = await readdir(at('kafka'), { recursive: true })

  const dry = await adopt(at('kafka'), '--data-dir', at('data'), '--dry-run')
  assert.match(dry.stdout, /^orders: 1 partition$/m)
  const { code, stdout, stderr } = await adopt(at('kafka'), '--data-dir', at('data'))
  assert.deepEqual([code, stderr], [0, ''])
  assert.deepEqual(stdout.replaceAll(`${directory.path}/`, '').split('\n').slice(0, -1), [
    'empty: 1 partition, 0 offsets, 0 bytes',
    'orders: 1 partition, 3 offsets, 215 bytes',
    'plain: 1 partition, 1 offset, 73 bytes',
    'left out:',
    "  kafka/plain-1.0123456789abcdef-stray: is no partition's directory",
    '  topic far: partition 0 lies on other nodes (8)',
    '  configuration of topic orders: min.insync.replicas=2, for there is one replica now',
    '  configuration of topic orders: no.such.key=1, which moldau does not know',
    '  configuration of broker 9: of another node (log.cleaner.threads)',
    '  kafka/unknown-0: belongs to no topic that Kafka knows',
    '  quotas: producer_byte_rate of user u',
    "empty-0 begins empty: there is no directory of this name with the topic's id, AAAAAAAAAAAAAAAAAAAAAw",
    '3 topics taken over into data. To go on: moldau start --data-dir data --node-id 7',
  ])
  assert.deepEqual(await readdir(at('kafka'), { recursive: true }), before)
  assert.match(await readFile(at('data/meta.properties'), 'utf8'), new RegExp(`^cluster.id=${CLUSTER_ID}$`, 'm'))

  await withBroker(at('data'), NODE_ID, async (client) => {
    const admin = new Admin(client)
    const id = /topic_id: (\S+)/.exec(await readFile(at('kafka/orders-0/partition.metadata'), 'utf8'))![1]
    assert.deepEqual(
      (await admin.topics.list()).map(({ name, topicId }) => (name === 'orders' ? `${name} ${topicId}` : name)),
      ['empty', `orders ${id}`, 'plain'],
    )
    assert.deepEqual(await readTopic(client, 'orders'), ['one', 'two', 'three'])
    assert.deepEqual(await readTopic(client, 'plain'), ['plain'])
    const [entries] = orThrow(await admin.configs.describe([{ type: 'TOPIC', name: 'orders' }])).values()
    assert.deepEqual(
      entries.filter(({ source }) => source === 'DYNAMIC_TOPIC_CONFIG').map(({ name, value }) => `${name}=${value}`),
      ['retention.ms=86400000'],
    )
    const producer = new Producer(client)
    assert.equal((await producer.send({ topic: 'orders', partition: 0, value: 'four' })).offset, 3n)
    await producer.close()
    const [{ producerId }] = await admin.transactions.producers({ topic: 'orders', partition: 0 }).then((all) => all.slice(-1))
    assert.ok(producerId >= 5000n, `producer id ${producerId} may have been given before`)
  })
})

test('the commands of docs/operations.md take over and start', async () => {
  await using directory = await temporaryDirectory()
  const at = (name: string) => join(directory.path, name)
  await kafkaDirectory(at('kafka'), at('scratch'))
  const properties = ['process.roles=broker,controller', `node.id=${NODE_ID}`, 'controller.quorum.voters=7@127.0.0.1:1']
  const listeners = ['listeners=PLAINTEXT://127.0.0.1:0,CONTROLLER://127.0.0.1:1', 'controller.listener.names=CONTROLLER']
  await writeFile(at('server.properties'), [...properties, ...listeners, `log.dirs=${at('kafka')}`, ''].join('\n'))
  const text = await readFile(join(root, 'docs', 'operations.md'), 'utf8')
  const section = text.slice(text.indexOf('## Moving from Apache Kafka'))
  const commands = /```sh\n([\s\S]*?)```/.exec(section)![1].trim().split('\n')
  const paths = {
    '/var/lib/kafka/data': at('kafka'),
    '/var/lib/moldau': at('data'),
    '/etc/kafka/server.properties': at('server.properties'),
  }
  for (const command of commands) {
    const words = command.split(' ').map((word) => paths[word as keyof typeof paths] ?? word)
    assert.equal(words.shift(), 'moldau')
    if (words[0] === 'start') {
      const broker = await startBrokerProcess(at('data'), { args: words.slice(1) })
      assert.equal(await broker.stop(), 0)
    } else assert.equal((await adopt(...words.slice(1))).code, 0, command)
  }
  assert.equal(commands.length, 3)
})

test('nothing is taken over while Kafka runs, into a directory in use, or of what is no Kafka', async () => {
  await using directory = await temporaryDirectory()
  const at = (name: string) => join(directory.path, name)
  await kafkaDirectory(at('kafka'), at('scratch'))
  const refusal = async (...args: string[]) => {
    const { code, stderr } = await adopt(...args)
    assert.equal(code, 1)
    return stderr
  }
  const lock = (await realDisk.lock(at('kafka/.lock')))!
  assert.match(await refusal(at('kafka'), '--data-dir', at('data')), /Kafka uses .*kafka: stop it first/)
  await lock.release()
  assert.match(await refusal(at('kafka'), '--data-dir', at('scratch')), /scratch is not empty/)
  assert.match(await refusal(at('kafka'), '--data-dir', at('kafka/data')), /which is to stay as it is/)
  assert.match(await refusal(at('nowhere'), '--data-dir', at('data')), /no log directory of Kafka/)
  await cp(at('kafka'), at('other'), { recursive: true })
  await writeFile(at('other/meta.properties'), 'version=1\nnode.id=8\ncluster.id=x\n')
  assert.match(await refusal(at('kafka'), at('other'), '--data-dir', at('data')), /not of the same node/)
  await rm(at('kafka/__cluster_metadata-0'), { recursive: true })
  assert.match(await refusal(at('kafka'), '--data-dir', at('data')), /there is no __cluster_metadata-0/)
  assert.deepEqual(await readdir(directory.path), ['kafka', 'other', 'scratch'])
})

test('damage is found and said, and the rest taken over; metadata that cannot be read are not guessed at', async () => {
  await using directory = await temporaryDirectory()
  const at = (name: string) => join(directory.path, name)
  await kafkaDirectory(at('kafka'), at('scratch'))
  const segment = await open(at(`kafka/orders-0/${SEGMENT}`), 'r+')
  await segment.write('X', 70)
  await segment.close()
  const { code, stderr } = await adopt(at('kafka'), '--data-dir', at('data'))
  assert.equal(code, 1)
  assert.match(stderr, /orders-0\/0{20}\.log is damaged at position 0.*: the checksum does not match/)
  await withBroker(at('data'), NODE_ID, async (client) => assert.deepEqual(await readTopic(client, 'plain'), ['plain']))

  await appendFile(at('kafka/__cluster_metadata-0/00000000000000000004-0000000001.checkpoint'), 'X')
  assert.match((await adopt(at('kafka'), '--data-dir', at('again'))).stderr, /checkpoint is damaged/)
})

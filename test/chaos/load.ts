// What goes on in the cluster while it is harmed, with our own client: idempotent producers, transactions that read and write, readers
// of committed and of all data, a group that commits what it reads, and copiers that move records exactly once. librdkafka joins in
// where it is to be had.

import { setTimeout as delay } from 'node:timers/promises'
import type { ClusterClient } from '../../src/client/cluster-client.ts'
import { Consumer } from '../../src/client/consumer.ts'
import { FencedError, TimeoutError } from '../../src/client/errors.ts'
import type { ConsumerRecord } from '../../src/client/fetched-records.ts'
import { GroupConsumer } from '../../src/client/group-consumer.ts'
import { listOffsets, OffsetSpec } from '../../src/client/list-offsets.ts'
import { partitionKey } from '../../src/client/metadata.ts'
import { Producer } from '../../src/client/producer.ts'
import { KafkaError } from '../../src/protocol/error-codes.ts'
import type { ChaosCluster } from './chaos-cluster.ts'
import type { Dice } from './dice.ts'
import type { History, Isolation, Read, Send } from './history.ts'
import { hasLibrdkafka, startLibrdkafka } from './librdkafka-load.ts'
import type { Recorder } from './recorder.ts'

export interface Topics {
  readonly source: string
  readonly copies: string
  /** Of each. */
  readonly partitions: number
}

export interface Load {
  readonly transactionalIds: readonly string[]
  readonly groups: readonly string[]
  /** Ends all writing but that of the copiers, which go on until nothing is left to copy; then all. */
  stop(): Promise<void>
  /** Ends all without waiting for anything, where the round is lost. */
  abandon(): void
}

const SEND_EVERY_MS = 20
/** More unanswered, and a producer waits. */
const MAX_OPEN_SENDS = 500
const TRANSACTION_TIMEOUT_MS = 10_000
const COPIES_WITHIN_MS = 60_000

interface Scene {
  readonly cluster: ChaosCluster
  readonly recorder: Recorder
  readonly topics: Topics
  readonly dice: Dice
  /** Of producers and transactors. */
  readonly writing: AbortSignal
  readonly running: AbortSignal
}

export function startLoad(cluster: ChaosCluster, recorder: Recorder, topics: Topics, dice: Dice): Load {
  const writing = new AbortController()
  const running = new AbortController()
  const scene = { cluster, recorder, topics, dice, writing: writing.signal, running: running.signal }
  const group = `${topics.source}-readers`
  const copiers = `${topics.source}-copiers`
  const ids = [1, 2].map((i) => ({ writer: `${topics.source}-t${i}`, copier: `${topics.source}-x${i}` }))
  const writers = [
    sender(scene, 's1'),
    sender(scene, 's2'),
    ...ids.map(({ writer }, i) => transactor(scene, `t${i + 1}`, writer)),
  ]
  const others = [
    reader(scene, 'rc', 'read_committed'),
    reader(scene, 'ru', 'read_uncommitted'),
    member(scene, 'g1', group),
    member(scene, 'g2', group),
    ...ids.map(({ copier }, i) => copies(scene, `x${i + 1}`, copier, copiers)),
  ]
  const librdkafka = hasLibrdkafka()
    ? startLibrdkafka(recorder, {
        bootstrapServers: cluster.bootstrapServers,
        topic: topics.source,
        partitions: topics.partitions,
      })
    : undefined
  // Their failures are told by `stop`; until then nobody listens.
  for (const worker of [...writers, ...others]) worker.catch(() => {})
  return {
    transactionalIds: ids.flatMap(({ writer, copier }) => [writer, copier]),
    groups: [group, copiers],
    async stop() {
      writing.abort()
      await Promise.all([...writers, librdkafka?.stop()])
      await allCopied(scene)
      running.abort()
      await Promise.all(others)
    },
    abandon() {
      librdkafka?.abandon()
      writing.abort()
      running.abort()
    },
  }
}

/** An idempotent producer, many records under way at a time. Without an acknowledgement nobody knows. */
async function sender({ cluster, recorder, topics, dice, writing }: Scene, process: string): Promise<void> {
  const client = cluster.client()
  const producer = new Producer(client, { lingerMs: 5, deliveryTimeoutMs: 60_000, requestTimeoutMs: 5000 })
  let open = 0
  for (let i = 0; !writing.aborted; i++) {
    const partition = dice.below(topics.partitions)
    const value = `${process}-${i}`
    const key = `${topics.source}/${partition}`
    const end = recorder.begin(process, 'send')
    open++
    void producer
      .send({ topic: topics.source, partition, value })
      .then(({ offset }) => end({ type: 'ok', sends: [{ key, value, offset: Number(offset) }] }))
      .catch((error) => end({ type: 'info', sends: [{ key, value, offset: null }], error: error.message }))
      .finally(() => open--)
    do await delay(SEND_EVERY_MS)
    while (open > MAX_OPEN_SENDS && !writing.aborted)
  }
  await producer.close()
  await client.close()
}

/** Reads some, writes some, commits or aborts; one that does not know how it stands begins anew under its id. */
async function transactor(scene: Scene, process: string, transactionalId: string): Promise<void> {
  const { cluster, recorder, topics, dice, writing } = scene
  const client = cluster.client()
  let producer: Producer | undefined
  const consumer = new Consumer(client, { isolationLevel: 'read_committed', autoOffsetReset: 'earliest', maxPollRecords: 10 })
  consumer.assign(partitionsOf(topics.source, topics.partitions))
  for (let i = 0; !writing.aborted; i++) {
    producer ??= transactional(client, transactionalId)
    const sends: Send[] = []
    let reads: Read[] = []
    const end = recorder.begin(process, 'txn')
    try {
      await producer.begin()
      reads = (await consumer.poll(20).catch(() => [])).map(readOf)
      const acknowledged = Array.from({ length: 1 + dice.below(4) }, async (_, n) => {
        const partition = dice.below(topics.partitions)
        const place = sends.push({ key: `${topics.source}/${partition}`, value: `${process}-${i}-${n}`, offset: null }) - 1
        const { offset } = await producer!.send({ topic: topics.source, partition, value: sends[place].value })
        sends[place] = { ...sends[place], offset: Number(offset) }
      })
      await Promise.all(acknowledged)
      if (dice.below(5) === 0) throw new Error('aborted on purpose')
      await commit(producer)
      end({ type: 'ok', sends, reads, isolation: 'read_committed' })
    } catch (error) {
      const type = await abandon(producer, error as Error)
      end({ type, sends, reads, isolation: 'read_committed', error: (error as Error).message })
      if (type === 'info') {
        await producer.close().catch(() => {})
        producer = undefined
        await delay(100)
      }
    }
    await delay(10)
  }
  await consumer.close()
  await producer?.close()
  await client.close()
}

const transactional = (client: ClusterClient, transactionalId: string) =>
  new Producer(client, {
    transactionalId,
    transactionTimeoutMs: TRANSACTION_TIMEOUT_MS,
    maxBlockMs: 20_000,
    deliveryTimeoutMs: 20_000,
    requestTimeoutMs: 5000,
    lingerMs: 0,
  })

/** After a time-out nobody knows, and asking again is what tells. */
async function commit(producer: Producer): Promise<void> {
  try {
    await producer.commit()
  } catch (error) {
    if (!(error instanceof TimeoutError)) throw error
    await producer.commit()
  }
}

/** `fail` where the abort was acknowledged: then nothing of it happened. */
async function abandon(producer: Producer, error: Error): Promise<'fail' | 'info'> {
  if (error instanceof FencedError || error instanceof TimeoutError) return 'info'
  return producer.abort().then(
    () => 'fail',
    () => 'info',
  )
}

/** Reads all partitions from the beginning, and now and then jumps back to it. */
async function reader(scene: Scene, process: string, isolation: Isolation): Promise<void> {
  const { cluster, recorder, topics, dice, running } = scene
  const client = cluster.client()
  const consumer = new Consumer(client, { isolationLevel: isolation, autoOffsetReset: 'earliest', maxPollRecords: 100 })
  consumer.assign(partitionsOf(topics.source, topics.partitions))
  while (!running.aborted) {
    if (dice.below(256) === 0) {
      recorder.begin(process, 'assign')({ type: 'ok' })
      consumer.seekTo('earliest')
    }
    const end = recorder.begin(process, 'poll')
    try {
      end({ type: 'ok', isolation, reads: (await consumer.poll(100)).map(readOf) })
    } catch (error) {
      end({ type: 'info', error: (error as Error).message })
      await delay(100)
    }
  }
  await consumer.close()
  await client.close()
}

/** One of a group: goes on where the group was, commits what it has had. */
async function member({ cluster, recorder, topics, dice, running }: Scene, process: string, group: string): Promise<void> {
  const client = cluster.client({ apiTimeoutMs: 10_000 })
  while (!running.aborted) {
    const consumer = groupConsumer(client, group)
    /** Partitions got in a rebalance, and not read from since. */
    const fresh = new Map<string, (result: { type: 'ok'; group: string; positions: { key: string; offset: number }[] }) => void>()
    consumer.subscribe([topics.source], {
      onPartitionsAssigned: (partitions) => {
        recorder.begin(process, 'assign')({ type: 'ok' })
        for (const { topic, partition } of partitions) fresh.set(`${topic}/${partition}`, recorder.begin(process, 'resume'))
      },
      onPartitionsRevoked: () => fresh.clear(),
    })
    // Members come and go.
    const lifetime = performance.now() + 5000 + dice.below(10_000)
    while (!running.aborted && performance.now() < lifetime) {
      try {
        const reads = (await consumer.poll(200)).map(readOf)
        // Only now: it may have gone through a rebalance, and what it brought is from behind that.
        recorder.begin(process, 'poll')({ type: 'ok', isolation: 'read_committed', reads })
        for (const { key, offset } of reads) {
          fresh.get(key)?.({ type: 'ok', group, positions: [{ key, offset }] })
          fresh.delete(key)
        }
      } catch {
        break
      }
      await commitPositions(recorder, process, group, consumer)
    }
    await consumer.close(5000).catch(() => {})
  }
  await client.close()
}

async function commitPositions(recorder: Recorder, process: string, group: string, consumer: GroupConsumer): Promise<void> {
  const offsets = positionsOf(consumer)
  if (offsets.length === 0) return
  const positions = offsets.map(({ topic, partition, offset }) => ({ key: `${topic}/${partition}`, offset: Number(offset) }))
  const end = recorder.begin(process, 'commit')
  await consumer.commit(offsets).then(
    () => end({ type: 'ok', group, positions }),
    (error) => end({ type: 'info', group, positions, error: error.message }),
  )
}

const groupConsumer = (client: ClusterClient, groupId: string) =>
  new GroupConsumer(client, {
    groupId,
    isolationLevel: 'read_committed',
    autoOffsetReset: 'earliest',
    enableAutoCommit: false,
    maxPollRecords: 100,
    sessionTimeoutMs: 6000,
    heartbeatIntervalMs: 500,
  })

/** Where the next record of each partition would come from; of those that have given out something. */
function positionsOf(consumer: GroupConsumer) {
  return consumer.assignment().flatMap((partition) => {
    const offset = consumer.position(partition)
    return offset === undefined ? [] : [{ ...partition, offset }]
  })
}

/** Copies records from the source in transactions that carry the positions behind them, some of which are aborted. */
async function copies(scene: Scene, process: string, transactionalId: string, group: string): Promise<void> {
  const { cluster, recorder, topics, dice, running } = scene
  const client = cluster.client({ apiTimeoutMs: 10_000 })
  for (let life = 0; !running.aborted; life++) {
    const producer = transactional(client, transactionalId)
    const consumer = groupConsumer(client, group)
    const onPartitionsAssigned = () => recorder.begin(process, 'assign')({ type: 'ok' })
    consumer.subscribe([topics.source], { onPartitionsAssigned })
    try {
      for (let i = 0; !running.aborted; i++) {
        const reads = (await consumer.poll(200)).map(readOf)
        if (reads.length === 0) continue
        const sends: Send[] = reads.map(({ key, value }, n) => ({
          key: `${topics.copies}/${key.split('/')[1]}`,
          value: `${process}-${life}-${i}-${n}`,
          offset: null,
          copyOf: value,
        }))
        const end = recorder.begin(process, 'txn')
        try {
          await producer.begin()
          await Promise.all(
            sends.map(async ({ key, value }, n) => {
              const { offset } = await producer.send({ topic: topics.copies, partition: Number(key.split('/')[1]), value })
              sends[n] = { ...sends[n], offset: Number(offset) }
            }),
          )
          await producer.sendOffsets(positionsOf(consumer), consumer.groupMetadata)
          if (dice.below(20) === 0) throw new Error('aborted on purpose')
          await commit(producer)
          end({ type: 'ok', sends, reads, isolation: 'read_committed' })
        } catch (error) {
          end({
            type: await abandon(producer, error as Error),
            sends,
            reads,
            isolation: 'read_committed',
            error: (error as Error).message,
          })
          throw error
        }
      }
    } catch {
      // From where the group was committed.
    } finally {
      await consumer.close(5000).catch(() => {})
      await producer.close().catch(() => {})
    }
    if (!running.aborted) await delay(100)
  }
  await client.close()
}

/** What is committed in the source has its copy. Gives up in time: the checker tells what is missing. */
async function allCopied({ cluster, recorder, topics }: Scene): Promise<void> {
  const client = cluster.client()
  const deadline = performance.now() + COPIES_WITHIN_MS
  const source = await readAll(client, topics.source, topics.partitions, 'read_committed')
  while (performance.now() < deadline) {
    const copied = new Set<string>()
    for (const { f, type, sends = [] } of recorder.operations)
      if (f === 'txn' && type !== 'fail') for (const { copyOf } of sends) if (copyOf !== undefined) copied.add(copyOf)
    if (source.every(({ value }) => copied.has(value))) break
    await delay(100)
  }
  await client.close()
}

/** All there is to read. Rejects where a transaction stays open. */
export async function readEverything(client: ClusterClient, topics: Topics): Promise<History['final']> {
  const of = async (isolation: Isolation) => [
    ...(await readAll(client, topics.source, topics.partitions, isolation)),
    ...(await readAll(client, topics.copies, topics.partitions, isolation)),
  ]
  return { read_committed: await of('read_committed'), read_uncommitted: await of('read_uncommitted') }
}

/** Twice the time after which coordinators abort by themselves, and some. */
const STABLE_WITHIN_MS = 2 * TRANSACTION_TIMEOUT_MS + 20_000
const READ_WITHIN_MS = 60_000

async function readAll(client: ClusterClient, topic: string, count: number, isolation: Isolation): Promise<Read[]> {
  const partitions = partitionsOf(topic, count)
  const ends = await stableEnds(client, partitions)
  const consumer = new Consumer(client, { isolationLevel: isolation, autoOffsetReset: 'earliest', maxPollRecords: 2000 })
  try {
    consumer.assign(partitions)
    consumer.seekTo('earliest')
    const reads: Read[] = []
    const deadline = performance.now() + READ_WITHIN_MS
    const isDone = () => partitions.every((partition, i) => (consumer.position(partition) ?? -1n) >= ends[i])
    while (!isDone()) {
      if (performance.now() > deadline)
        throw new Error(
          `${topic} (${isolation}) cannot be read to its end: ${partitions.map((p, i) => `${consumer.position(p)} of ${ends[i]}`)}`,
        )
      for (const record of await consumer.poll(200)) reads.push(readOf(record))
    }
    return reads
  } finally {
    await consumer.close()
  }
}

/** Where partitions end, once no transaction is open in them. */
async function stableEnds(client: ClusterClient, partitions: readonly { topic: string; partition: number }[]): Promise<bigint[]> {
  const deadline = performance.now() + STABLE_WITHIN_MS
  const queries = partitions.map((partition) => ({ ...partition, timestamp: OffsetSpec.LATEST }))
  const ask = async (isolationLevel: Isolation) => {
    const found = await listOffsets(client, queries, { isolationLevel })
    return partitions.map(({ topic, partition }) => {
      const answer = found.get(partitionKey(topic, partition))
      if (answer === undefined || answer instanceof KafkaError) throw answer ?? new Error(`no end of ${topic}-${partition}`)
      return answer.offset
    })
  }
  for (;;) {
    const [committed, all] = [await ask('read_committed'), await ask('read_uncommitted')]
    if (committed.every((offset, i) => offset === all[i])) return all
    if (performance.now() > deadline)
      throw new Error(`a transaction stays open: last stable offsets ${committed}, high watermarks ${all}`)
    await delay(200)
  }
}

const partitionsOf = (topic: string, count: number) => Array.from({ length: count }, (_, partition) => ({ topic, partition }))

function readOf({ topic, partition, offset, value }: ConsumerRecord): Read {
  return { key: `${topic}/${partition}`, offset: Number(offset), value: value?.toString('utf8') ?? '' }
}

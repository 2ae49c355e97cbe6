// The topic that holds everything: one partition, compacted. A reader follows it from its beginning for as long as the registry runs; a
// write is done once it has come back through that reader.

import { Admin } from '../client/admin.ts'
import type { ClusterClient } from '../client/cluster-client.ts'
import { Consumer } from '../client/consumer.ts'
import { ClientClosedError, isRetriable } from '../client/errors.ts'
import { listOffsets, OffsetSpec } from '../client/list-offsets.ts'
import { partitionKey } from '../client/metadata.ts'
import { Producer } from '../client/producer.ts'
import { type Clock, delay, type Timer } from '../host/clock.ts'
import type { Logger } from '../host/logger.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { storeFailed, timedOut } from './errors.ts'
import { decodeStoreRecord, encodeStoreRecord, type StoreRecord } from './store-record.ts'

export interface SchemasTopicOptions {
  readonly cluster: ClusterClient
  readonly topic: string
  /** Of the topic, if it is not there yet; fewer where there are fewer brokers. */
  readonly replicationFactor: number
  /** Bounds a write, and the wait for what was written. */
  readonly timeoutMs: number
  readonly logger: Logger
  readonly apply: (record: StoreRecord) => void
}

/** A fetch waits this long at the broker for something new: idle registries ask seldom. */
const FETCH_WAIT_MS = 5_000
const RETRY_MS = 500

interface Waiter {
  readonly offset: bigint
  readonly resolve: () => void
}

export class SchemasTopic {
  private readonly options: SchemasTopicOptions
  private readonly clock: Clock
  private readonly consumer: Consumer
  private readonly producer: Producer
  /** Keys that somebody else has written in other words than ours: replaced under their own, or compaction would keep both. */
  private readonly foreignKeys = new Map<string, string>()
  private waiters: Waiter[] = []
  private position = 0n
  private closed = false
  private reading: Promise<void> = Promise.resolve()

  private constructor(options: SchemasTopicOptions) {
    const { cluster, timeoutMs } = options
    this.options = options
    this.clock = cluster.clock
    this.consumer = new Consumer(cluster, { autoOffsetReset: 'earliest', fetchMaxWaitMs: FETCH_WAIT_MS })
    this.producer = new Producer(cluster, { acks: 'all', lingerMs: 0, deliveryTimeoutMs: timeoutMs, maxBlockMs: timeoutMs })
  }

  /** Makes the topic if need be, and reads what is in it. Rejects with RegistryError 50001 or 50002. */
  static async open(options: SchemasTopicOptions): Promise<SchemasTopic> {
    await ensureTopic(options)
    const topic = new SchemasTopic(options)
    topic.consumer.assign([{ topic: options.topic, partition: 0 }])
    topic.reading = topic.read()
    try {
      await topic.catchUp()
    } catch (error) {
      await topic.close()
      throw error
    }
    return topic
  }

  /** Resolves when the record has been applied. Rejects with RegistryError 50001 or 50002: whether it was written is then unknown. */
  async append(record: StoreRecord): Promise<void> {
    const { topic } = this.options
    const { key, value } = encodeStoreRecord(record)
    let offset: bigint
    try {
      const sent = await this.producer.send({ topic, partition: 0, key: this.foreignKeys.get(key) ?? key, value })
      offset = sent.offset
    } catch (error) {
      throw storeFailed(`The write to topic ${topic} failed: ${(error as Error).message}`, error)
    }
    await this.reaches(offset + 1n)
  }

  /** Resolves when all has been applied that is in the topic now. */
  async catchUp(): Promise<void> {
    const { cluster, topic, timeoutMs } = this.options
    const query = { topic, partition: 0, timestamp: OffsetSpec.LATEST }
    let end: unknown
    try {
      end = (await listOffsets(cluster, [query], { timeoutMs })).get(partitionKey(topic, 0))
    } catch (error) {
      throw storeFailed(`The end of topic ${topic} is not known: ${(error as Error).message}`, error)
    }
    if (end instanceof KafkaError) throw storeFailed(`The end of topic ${topic} is not known: ${end.message}`, end)
    await this.reaches((end as { offset: bigint }).offset)
  }

  async close(): Promise<void> {
    this.closed = true
    await Promise.all([this.consumer.close(), this.producer.close()])
    await this.reading
  }

  private async reaches(offset: bigint): Promise<void> {
    if (this.position >= offset) return
    const { timeoutMs, topic } = this.options
    let timer: Timer | undefined
    await new Promise<void>((resolve, reject) => {
      const waiter = { offset, resolve }
      this.waiters.push(waiter)
      timer = this.clock.timer(timeoutMs, () => {
        this.waiters = this.waiters.filter((other) => other !== waiter)
        reject(timedOut(`Topic ${topic} was not read up to offset ${offset} within ${timeoutMs} ms`))
      })
    }).finally(() => timer?.cancel())
  }

  private async read(): Promise<void> {
    const { topic, logger } = this.options
    while (!this.closed) {
      try {
        const records = await this.consumer.poll(FETCH_WAIT_MS)
        for (const { key, value } of records) this.apply(key, value)
        // Offsets that compaction or a transaction has left empty count as read, too.
        this.position = this.consumer.position({ topic, partition: 0 }) ?? this.position
        const reached = this.waiters.filter(({ offset }) => offset <= this.position)
        if (reached.length === 0) continue
        this.waiters = this.waiters.filter((waiter) => !reached.includes(waiter))
        for (const { resolve } of reached) resolve()
      } catch (error) {
        if (this.closed || error instanceof ClientClosedError) return
        logger.error(`schema registry: cannot read topic ${topic}`, { reason: (error as Error).message })
        await delay(this.clock, RETRY_MS)
      }
    }
  }

  private apply(key: Buffer | null, value: Buffer | null): void {
    if (key === null) return
    const text = key.toString()
    const record = decodeStoreRecord(text, value?.toString() ?? null)
    if (record === undefined) {
      this.options.logger.warn(`schema registry: a record of topic ${this.options.topic} is not understood`, {
        key: text.slice(0, 200),
      })
      return
    }
    const own = encodeStoreRecord(record).key
    if (own !== text) this.foreignKeys.set(own, text)
    this.options.apply(record)
  }
}

async function ensureTopic({ cluster, topic, replicationFactor, timeoutMs, logger }: SchemasTopicOptions): Promise<void> {
  const admin = new Admin(cluster)
  try {
    const view = await cluster.retrying('looking for the schemas topic', timeoutMs, () => cluster.metadata([topic]))
    const found = view.topics.find(({ name }) => name === topic)
    if (found === undefined) {
      const replicas = Math.min(replicationFactor, Math.max(1, view.brokers.length))
      const configs = { 'cleanup.policy': 'compact' }
      const result = (await admin.topics.create([{ name: topic, partitions: 1, replicationFactor: replicas, configs }])).get(
        topic,
      )
      // Another registry may have been faster.
      if (result instanceof KafkaError && result.code !== 'TOPIC_ALREADY_EXISTS') throw result
      await cluster.topic(topic, { timeoutMs })
    } else if (found.partitions.length !== 1) {
      throw new Error(`topic ${topic} has ${found.partitions.length} partitions, and must have one: their order would be lost`)
    } else await warnIfDeleting(admin, topic, logger)
  } catch (error) {
    if (isRetriable(error)) throw timedOut(`Topic ${topic} cannot be reached: ${(error as Error).message}`, error)
    throw storeFailed(`Topic ${topic} cannot be used: ${(error as Error).message}`, error)
  }
}

/** A topic that is not compacted loses schemas with time. */
async function warnIfDeleting(admin: Admin, topic: string, logger: Logger): Promise<void> {
  const policy = await cleanupPolicy(admin, topic).catch(() => undefined)
  if (policy === undefined || policy === 'compact') return
  logger.warn(`schema registry: topic ${topic} has cleanup.policy=${policy} and will lose schemas: set it to compact`)
}

async function cleanupPolicy(admin: Admin, topic: string): Promise<string | null | undefined> {
  const resource = { type: 'TOPIC', name: topic } as const
  const described = (await admin.configs.describe([{ ...resource, keys: ['cleanup.policy'] }])).values().next().value
  return Array.isArray(described) ? described.find(({ name }) => name === 'cleanup.policy')?.value : undefined
}

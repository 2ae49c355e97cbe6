// KafkaJS in tests: its log kept for the case of failure, everything disconnected when the test ends, what came in one list.

import type { TestContext } from 'node:test'
import {
  type Admin,
  type Consumer,
  type ConsumerConfig,
  type ConsumerRunConfig,
  type ConsumerSubscribeTopics,
  type IHeaders,
  type ITopicConfig,
  Kafka,
  type KafkaConfig,
  logLevel,
  type Producer,
  type ProducerConfig,
} from 'kafkajs'
import { eventually } from './eventually.ts'
import { onFailure } from './on-failure.ts'

/** KafkaJS computes waiting times below zero, and waits for one connection in many places: newer Nodes warn of both. */
const ITS_WARNINGS = new Set(['TimeoutNegativeWarning', 'MaxListenersExceededWarning'])
process.removeAllListeners('warning').on('warning', (warning) => {
  if (!ITS_WARNINGS.has(warning.name)) process.stderr.write(`${warning.stack}\n`)
})

/** As much as the end of a log says about a failure. */
const KEPT_LINES = 200

export interface Received {
  readonly topic: string
  readonly partition: number
  readonly offset: string
  readonly key: string | null
  readonly value: string | null
  readonly headers: IHeaders | undefined
  readonly timestamp: string
}

/** A KafkaJS client that retries soon. Its log comes out if the test fails. */
export function kafkaFor(t: TestContext, bootstrapServers: string, config: Partial<KafkaConfig> = {}): Kafka {
  const lines: string[] = []
  onFailure(t, () => lines.join('\n'))
  return new Kafka({
    brokers: [bootstrapServers],
    logLevel: logLevel.INFO,
    logCreator: () => (entry) => {
      const { timestamp, message, ...rest } = entry.log
      lines.push(`  ${timestamp} ${entry.label} ${message} ${JSON.stringify(rest)}`)
      if (lines.length > KEPT_LINES) lines.shift()
    },
    retry: { initialRetryTime: 50, maxRetryTime: 500, retries: 30 },
    ...config,
  })
}

export async function connectedProducer(t: TestContext, kafka: Kafka, config?: ProducerConfig): Promise<Producer> {
  const producer = kafka.producer(config)
  t.after(() => producer.disconnect())
  await producer.connect()
  return producer
}

export async function connectedAdmin(t: TestContext, kafka: Kafka): Promise<Admin> {
  const admin = kafka.admin()
  t.after(() => admin.disconnect())
  await admin.connect()
  return admin
}

/** Resolves when each partition answers: KafkaJS sends a whole request again if one of its partitions is not there yet. */
export async function createTopics(admin: Admin, topics: readonly ITopicConfig[]): Promise<void> {
  await admin.createTopics({ topics: [...topics] })
  await Promise.all(topics.map(({ topic }) => eventually(() => admin.fetchTopicOffsets(topic))))
}

export interface Consuming {
  readonly consumer: Consumer
  readonly received: Received[]
  readonly values: () => (string | null)[]
  /** Partitions of `topic` that the group gave to this member in the last round; undefined before the first. */
  assigned(topic: string): number[] | undefined
}

/** Joins the group and runs. Waits for nothing: `received` and `assigned` fill. */
export async function consuming(
  t: TestContext,
  kafka: Kafka,
  { fromBeginning = true, topics, autoCommitInterval, ...config }: ConsumerConfig & ConsumerSubscribeTopics & ConsumerRunConfig,
): Promise<Consuming> {
  const consumer = kafka.consumer({ heartbeatInterval: 300, maxWaitTimeInMs: 200, ...config })
  t.after(() => consumer.disconnect())
  const received: Received[] = []
  let assignment: Readonly<Record<string, number[]>> | undefined
  consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
    assignment = payload.memberAssignment
  })
  await consumer.connect()
  await consumer.subscribe({ topics, fromBeginning })
  await consumer.run({
    ...(autoCommitInterval !== undefined && { autoCommitInterval }),
    async eachMessage({ topic, partition, message }) {
      const { offset, key, value, headers, timestamp } = message
      received.push({
        topic,
        partition,
        offset,
        timestamp,
        headers,
        key: key?.toString() ?? null,
        value: value?.toString() ?? null,
      })
    },
  })
  return {
    consumer,
    received,
    values: () => received.map(({ value }) => value),
    assigned: (topic) => (assignment === undefined ? undefined : (assignment[topic] ?? [])),
  }
}

// `consumer.ts BOOTSTRAP GROUP TOPIC [never-commit]`: a member of a group that reports its assignments and what it gets. SIGTERM
// makes it leave. With `never-commit` it commits nothing: it can be killed between processing and commit.

import { Kafka, logLevel, PartitionAssigners } from 'kafkajs'

export type ConsumerEvent =
  | { readonly type: 'assigned'; readonly partitions: number[] }
  | { readonly type: 'message'; readonly partition: number; readonly offset: string; readonly value: string | undefined }

const [bootstrapServers, groupId, topic, never] = process.argv.slice(2) as [string, string, string, string | undefined]
const consumer = new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.ERROR, clientId: 'separate-process' }).consumer({
  groupId,
  sessionTimeout: 2000,
  heartbeatInterval: 300,
  maxWaitTimeInMs: 200,
  partitionAssigners: [PartitionAssigners.roundRobin],
})
const report = (event: ConsumerEvent) => console.log(JSON.stringify(event))

consumer.on(consumer.events.GROUP_JOIN, ({ payload }) =>
  report({ type: 'assigned', partitions: payload.memberAssignment[topic] ?? [] }),
)
await consumer.connect()
await consumer.subscribe({ topics: [topic], fromBeginning: true })
await consumer.run({
  autoCommit: never !== 'never-commit',
  async eachMessage({ partition, message }) {
    report({ type: 'message', partition, offset: message.offset, value: message.value?.toString() })
  },
})
process.once('SIGTERM', () => consumer.disconnect())

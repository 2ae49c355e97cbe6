// `producer.ts BOOTSTRAP TOPIC COUNT`: sends event 0 … COUNT-1, each by itself, reports where each went and ends.

import { Kafka, logLevel } from 'kafkajs'

export interface Sent {
  readonly value: string
  readonly partition: number
  readonly offset: string
}

const [bootstrapServers, topic, count] = process.argv.slice(2) as [string, string, string]
const producer = new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.ERROR }).producer()
await producer.connect()
for (let i = 0; i < Number(count); i++) {
  const value = `event ${i}`
  const [metadata] = await producer.send({ topic, messages: [{ value }] })
  const sent: Sent = { value, partition: metadata!.partition, offset: metadata!.baseOffset! }
  console.log(JSON.stringify(sent))
}
await producer.disconnect()

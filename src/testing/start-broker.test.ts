import assert from 'node:assert/strict'
import { access, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { startBroker } from './start-broker.ts'

const clientOf = (bootstrapServers: string) =>
  new Kafka({ brokers: [bootstrapServers], logLevel: logLevel.NOTHING, retry: { retries: 2 } })

async function roundTrip(bootstrapServers: string, value: string): Promise<string | undefined> {
  const kafka = clientOf(bootstrapServers)
  const producer = kafka.producer({ createPartitioner: () => () => 0 })
  const consumer = kafka.consumer({ groupId: 'readers' })
  await Promise.all([producer.connect(), consumer.connect()])
  try {
    await producer.send({ topic: 'things', messages: [{ value }] })
    await consumer.subscribe({ topic: 'things', fromBeginning: true })
    return await new Promise((resolve, reject) => {
      consumer.run({ eachMessage: async ({ message }) => resolve(message.value?.toString()) }).catch(reject)
    })
  } finally {
    await Promise.all([producer.disconnect(), consumer.disconnect()])
  }
}

test('brokers start side by side in one process and know nothing of each other', async () => {
  const brokers = await Promise.all(Array.from({ length: 10 }, () => startBroker({ storage: 'memory' })))
  try {
    assert.equal(new Set(brokers.map((broker) => broker.port)).size, 10)
    const values = await Promise.all(brokers.slice(0, 3).map((broker, i) => roundTrip(broker.bootstrapServers, `value ${i}`)))
    assert.deepEqual(values, ['value 0', 'value 1', 'value 2'])
  } finally {
    await Promise.all(brokers.map((broker) => broker.close()))
  }
})

test('a closed broker leaves its port, and nobody can connect', async () => {
  const broker = await startBroker()
  const { port, bootstrapServers } = broker
  await broker.close()
  await assert.rejects(clientOf(bootstrapServers).admin().connect())
  await using again = await startBroker({ port })
  assert.equal(again.port, port)
})

test('a temporary directory goes with its broker', async () => {
  const broker = await startBroker({ storage: 'disk' })
  await access(broker.directory)
  await broker.close()
  await assert.rejects(access(broker.directory), { code: 'ENOENT' })
})

test('a directory that was given stays, and the next broker on it has the topics', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'moldau-'))
  try {
    const first = await startBroker({ storage: 'disk', directory })
    const admin = clientOf(first.bootstrapServers).admin()
    await admin.createTopics({ topics: [{ topic: 'kept', numPartitions: 2 }] })
    await admin.disconnect()
    await first.close()
    await using second = await startBroker({ storage: 'disk', directory })
    const again = clientOf(second.bootstrapServers).admin()
    assert.deepEqual(await again.listTopics(), ['kept'])
    await again.disconnect()
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('a wrong configuration is refused with the key that is wrong', async () => {
  await assert.rejects(startBroker({ config: { 'num.partitions': 'many' } }), /num\.partitions/)
})

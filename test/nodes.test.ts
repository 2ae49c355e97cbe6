// `moldau start --nodes 3` as a developer meets it: three brokers on one machine, of which one may die.

import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { Kafka, type KafkaJSAggregateError, logLevel } from 'kafkajs'
import { eventually } from './support/eventually.ts'
import { runMoldau, startMoldau } from './support/moldau-process.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

const isAlive = (pid: number) => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

const kafkaOf = (servers: string) => new Kafka({ brokers: servers.split(','), logLevel: logLevel.NOTHING })

async function valuesOf(kafka: Kafka, topic: string, count: number): Promise<string[]> {
  const consumer = kafka.consumer({ groupId: `reader-${Math.random()}` })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  const values: string[] = []
  await consumer.run({
    async eachMessage({ message }) {
      values.push(String(message.value))
    },
  })
  await eventually(() => values.length >= count)
  await consumer.disconnect()
  return values.sort()
}

test('three brokers start, replicate, survive the death of one, and stop in order; all is there again afterwards', async () => {
  await using directory = await temporaryDirectory()
  const args = ['--nodes', '3', '--port', '0', '--data-dir', directory.path]
  const quick = { KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0', KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS: '3' }
  await using first = await startMoldau(args, quick)
  const kafka = kafkaOf(first.bootstrapServers)
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'events', numPartitions: 3 }] })
  const [{ partitions }] = (await admin.fetchTopicMetadata({ topics: ['events'] })).topics
  assert.deepEqual(
    partitions.map(({ replicas }) => [...replicas].sort()),
    [
      [1, 2, 3],
      [1, 2, 3],
      [1, 2, 3],
    ],
  )
  const producer = kafka.producer()
  await producer.connect()
  const send = (value: string) => producer.send({ topic: 'events', acks: -1, messages: [{ key: value, value }] })
  for (let i = 0; i < 10; i++) await send(`before ${i}`)

  const pids = await first.children()
  assert.equal(pids.length, 3)
  process.kill(pids[1], 'SIGKILL')
  for (let i = 0; i < 10; i++) await send(`after ${i}`)
  await eventually(() =>
    assert.match(first.output(), /broker (\d) has ended with SIGKILL: starting it again[\s\S]*broker \1 serves again/),
  )
  await eventually(async () => {
    const [topic] = (await admin.fetchTopicMetadata({ topics: ['events'] })).topics
    for (const { isr } of topic.partitions) assert.equal(isr.length, 3)
  })
  await Promise.all([producer.disconnect(), admin.disconnect()])
  const children = await first.children()
  assert.equal(await first.end('SIGTERM'), 0)
  assert.deepEqual(children.filter(isAlive), [])

  await using second = await startMoldau(args, quick)
  assert.equal((await valuesOf(kafkaOf(second.bootstrapServers), 'events', 20)).length, 20)
  assert.doesNotMatch(second.output(), /WARN|ERROR/)
  assert.equal(await second.end('SIGTERM'), 0)
})

test('brokers end when the process that has started them is killed', async () => {
  await using directory = await temporaryDirectory()
  const nodes = await startMoldau(['--nodes', '2', '--port', '0', '--data-dir', directory.path])
  const children = await nodes.children()
  await nodes.end('SIGKILL')
  await eventually(() => assert.deepEqual(children.filter(isAlive), []))
})

test('the directory of a single node is no cluster, nor the other way round, and brokers of one named machine share no partition', async () => {
  await using directory = await temporaryDirectory()
  const [single, several] = [join(directory.path, 'single'), join(directory.path, 'several')]
  await using alone = await startMoldau(['--port', '0', '--data-dir', single])
  await alone.end('SIGTERM')
  const refusedNodes = await runMoldau(['start', '--nodes', '2', '--port', '0', '--data-dir', single])
  assert.equal(refusedNodes.code, 1)
  assert.match(refusedNodes.output, /^moldau: .*single holds the data of a single node: start it without --nodes.*\n$/)

  await using nodes = await startMoldau(['--nodes', '2', '--port', '0', '--machine', 'one', '--data-dir', several])
  const admin = kafkaOf(nodes.bootstrapServers).admin()
  await admin.connect()
  await assert.rejects(
    admin.createTopics({ topics: [{ topic: 'twice', replicationFactor: 2 }] }),
    (error: KafkaJSAggregateError) => {
      assert.match(String(error.errors[0]), /replication.factor/i)
      return true
    },
  )
  await admin.createTopics({ topics: [{ topic: 'once' }] })
  await admin.disconnect()
  await nodes.end('SIGTERM')
  const refusedSingle = await runMoldau(['start', '--port', '0', '--data-dir', several])
  assert.equal(refusedSingle.code, 1)
  assert.match(refusedSingle.output, /^moldau: .*several holds the brokers of "moldau start --nodes": .*\n$/)
})

test('what one of several cannot start with is said once, and the others are stopped', async () => {
  await using directory = await temporaryDirectory()
  const { code, output } = await runMoldau(['start', '--nodes', '2', '--port', '65535', '--data-dir', directory.path])
  assert.equal(code, 1)
  assert.match(output, /^moldau: there are no 1 ports behind 65535\n$/)
})

// Seed 1: the quick start of Kafka's documentation, in the console and in KafkaJS at the same time.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { connectedProducer, consuming, kafkaFor } from '../support/kafkajs.ts'
import { startTool, tool } from '../support/tools.ts'

const topic = 'quickstart-events'
const FROM_CONSOLE = ['This is my first event', 'This is my second event']
let broker: BrokerUnderTest
before(async () => {
  broker = await startBrokerUnderTest()
})
after(() => broker?.close())

test('the quick start works in the console while a KafkaJS program takes part in it', async (t) => {
  const server = ['--bootstrap-server', broker.bootstrapServers]
  const created = await tool('kafka-topics', ['--create', '--topic', topic, ...server])
  assert.equal(created.stdout, 'Created topic quickstart-events.\n')

  const described = await tool('kafka-topics', ['--describe', '--topic', topic, ...server])
  const [summary, partition, ...more] = described.stdout.trimEnd().split('\n')
  assert.match(summary!, /^Topic: quickstart-events\tTopicId: [\w-]{22}\tPartitionCount: 1\tReplicationFactor: 1\tConfigs:/)
  assert.match(partition!, /^\tTopic: quickstart-events\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1\b/)
  assert.deepEqual(more, [])
  assert.equal((await tool('kafka-topics', ['--list', ...server])).stdout, 'quickstart-events\n')

  await tool('kafka-console-producer', ['--topic', topic, ...server], `${FROM_CONSOLE.join('\n')}\n`)
  const console_ = await startTool('kafka-console-consumer', ['--topic', topic, '--from-beginning', ...server])
  t.after(() => console_.child.kill('SIGKILL'))
  await eventually(() => assert.deepEqual(console_.lines(), FROM_CONSOLE))

  const kafka = kafkaFor(t, broker.bootstrapServers)
  const program = await consuming(t, kafka, { groupId: 'quickstart-group', topics: [topic] })
  const producer = await connectedProducer(t, kafka)
  const fromProgram = ['Hello KafkaJS user!', 'and one more']
  const [metadata] = await producer.send({ topic, messages: fromProgram.map((value) => ({ value })) })
  assert.deepEqual([metadata!.partition, metadata!.errorCode, metadata!.baseOffset], [0, 0, '2'])

  const all = [...FROM_CONSOLE, ...fromProgram]
  await eventually(() => assert.deepEqual(console_.lines(), all))
  await eventually(() => assert.deepEqual(program.values(), all))
  assert.deepEqual(
    program.received.map(({ offset }) => offset),
    ['0', '1', '2', '3'],
  )

  // The console goes on producing: both see it, without having asked again.
  await tool('kafka-console-producer', ['--topic', topic, ...server], 'and a last one\n')
  await eventually(() => assert.deepEqual(console_.lines(), [...all, 'and a last one']))
  await eventually(() => assert.deepEqual(program.values(), [...all, 'and a last one']))
  const { stderr } = await console_.interrupt()
  assert.match(stderr, /Processed a total of 5 messages/)

  // Whoever still asked for the topic would create it again.
  await Promise.all([program.consumer.disconnect(), producer.disconnect()])
  await tool('kafka-topics', ['--delete', '--topic', topic, ...server])
  await eventually(async () => {
    const { stdout } = await tool('kafka-topics', ['--list', '--exclude-internal', ...server])
    assert.equal(stdout.trim(), '')
  })
})

test('a topic that nobody created appears with the first message sent to it', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const producer = await connectedProducer(t, kafka)
  await producer.send({ topic: 'appears-by-itself', messages: [{ value: 'here' }] })
  const { values } = await consuming(t, kafka, { groupId: 'finds-it', topics: ['appears-by-itself'] })
  await eventually(() => assert.deepEqual(values(), ['here']))
})

test('the console consumer stops after --max-messages and shows what it was asked to show', async () => {
  const server = ['--bootstrap-server', broker.bootstrapServers]
  await tool('kafka-topics', ['--create', '--topic', 'shown', ...server])
  const keyed = ['--reader-property', 'parse.key=true', '--reader-property', 'key.separator=:']
  await tool('kafka-console-producer', ['--topic', 'shown', ...keyed, ...server], 'a:1\nb:2\nc:3\n')
  const show = ['print.partition', 'print.offset', 'print.key'].flatMap((name) => ['--formatter-property', `${name}=true`])
  const consume = ['--topic', 'shown', '--from-beginning', '--max-messages', '2', ...show]
  const { stdout, stderr } = await tool('kafka-console-consumer', [...consume, ...server])
  assert.equal(stdout, 'Partition:0\tOffset:0\ta\t1\nPartition:0\tOffset:1\tb\t2\n')
  assert.match(stderr, /Processed a total of 2 messages/)
})

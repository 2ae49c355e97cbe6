// Seed 3: a topic of three partitions and the consumers of one group: who has what, who idles, who takes over.

import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { PartitionAssigners } from 'kafkajs'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { connectedProducer, consuming, kafkaFor } from '../support/kafkajs.ts'
import { type Program, startProgram } from '../support/programs.ts'
import { tool } from '../support/tools.ts'
import type { ConsumerEvent } from './programs/consumer.ts'

const topic = 'payment-done'
const groupId = 'payment-workers'
let broker: BrokerUnderTest
before(async () => {
  // A consumer that dies is noticed within two seconds.
  broker = await startBrokerUnderTest({ 'group.min.session.timeout.ms': '1000' })
})
after(() => broker?.close())

const server = () => ['--bootstrap-server', broker.bootstrapServers]
const startMember = (t: TestContext) =>
  consuming(t, kafkaFor(t, broker.bootstrapServers), {
    groupId,
    topics: [topic],
    sessionTimeout: 2000,
    partitionAssigners: [PartitionAssigners.roundRobin],
  })

function assignment(member: Program<ConsumerEvent>): number[] {
  return member.events.findLast((event) => event.type === 'assigned')?.partitions ?? []
}

/** Rows of `kafka-consumer-groups --describe`, by partition. */
async function describeGroup(): Promise<{ rows: Record<string, string>[]; stderr: string }> {
  const { stdout, stderr } = await tool('kafka-consumer-groups', ['--describe', '--group', groupId, ...server()])
  const [header, ...lines] = stdout.split('\n').filter((line) => line.trim() !== '')
  const columns = header!.trim().split(/\s+/)
  const rows = lines.map((line) =>
    Object.fromEntries(
      line
        .trim()
        .split(/\s+/)
        .map((cell, i) => [columns[i]!, cell]),
    ),
  )
  return { rows: rows.sort((a, b) => Number(a['PARTITION']) - Number(b['PARTITION'])), stderr }
}

test('the partitions of payment-done move between the consumers of a group as these come and go', async (t) => {
  await tool('kafka-topics', ['--create', '--topic', topic, '--partitions', '3', ...server()])
  const described = (await tool('kafka-topics', ['--describe', '--topic', topic, ...server()])).stdout.trimEnd().split('\n')
  assert.match(described[0]!, /^Topic: payment-done\tTopicId: [\w-]{22}\tPartitionCount: 3\tReplicationFactor: 1\tConfigs:/)
  assert.deepEqual(
    described.slice(1).map((line) => /^\tTopic: payment-done\tPartition: (\d)\tLeader: 1\tReplicas: 1\tIsr: 1\b/.exec(line)?.[1]),
    ['0', '1', '2'],
  )

  const members: Program<ConsumerEvent>[] = []
  const join = () => members.push(startProgram(t, 'consumer', [broker.bootstrapServers, groupId, topic]))
  const become = (expected: readonly number[]) =>
    eventually(() => {
      const assignments = members.map(assignment)
      assert.deepEqual(assignments.map(({ length }) => length).sort(), expected)
      assert.deepEqual(assignments.flat().sort(), [0, 1, 2], 'each partition has one consumer')
    })
  join()
  await become([3])
  join()
  await become([1, 2])
  join()
  await become([1, 1, 1])
  join()
  await become([0, 1, 1, 1])

  const [dying] = members.splice(
    members.findIndex((member) => assignment(member).length === 1),
    1,
  )
  await dying!.kill()
  await become([1, 1, 1])
  members.pop()!.child.kill('SIGTERM')
  await become([1, 2])
})

test('kafka-consumer-groups shows who has what, and how far behind a group is', async (t) => {
  const producer = await connectedProducer(t, kafkaFor(t, broker.bootstrapServers))
  const send = (count: number) =>
    producer.send({
      topic,
      messages: Array.from({ length: 3 * count }, (_, i) => ({ partition: i % 3, value: `payment ${i}` })),
    })
  await send(4)
  const members = [await startMember(t), await startMember(t)]
  await eventually(() => assert.deepEqual(members.map((member) => member.assigned(topic)?.length).sort(), [1, 2]))
  await eventually(async () => {
    const { rows } = await describeGroup()
    assert.deepEqual(
      rows.map((row) => [row['GROUP'], row['TOPIC'], row['PARTITION'], row['CURRENT-OFFSET'], row['LOG-END-OFFSET'], row['LAG']]),
      [0, 1, 2].map((partition) => [groupId, topic, `${partition}`, '4', '4', '0']),
    )
    for (const row of rows) {
      assert.match(row['CONSUMER-ID']!, /^kafkajs-[0-9a-f-]{36}$/)
      assert.deepEqual([row['HOST'], row['CLIENT-ID']], ['/127.0.0.1', 'kafkajs'])
    }
    assert.equal(new Set(rows.map((row) => row['CONSUMER-ID'])).size, 2)
  })
  const byMember = await tool('kafka-consumer-groups', ['--describe', '--group', groupId, '--members', ...server()])
  assert.match(byMember.stdout, /^GROUP\s+CONSUMER-ID\s+HOST\s+CLIENT-ID\s+#PARTITIONS\s*$/m)
  const byState = await tool('kafka-consumer-groups', ['--describe', '--group', groupId, '--state', ...server()])
  assert.match(byState.stdout, new RegExp(`^${groupId}\\s+\\S+:\\d+\\s+\\(1\\)\\s+RoundRobinAssigner\\s+Stable\\s+2\\s*$`, 'm'))

  await Promise.all(members.map(({ consumer }) => consumer.disconnect()))
  await send(5)
  await eventually(async () => {
    const { rows, stderr } = await describeGroup()
    assert.deepEqual(
      rows.map((row) => [row['CURRENT-OFFSET'], row['LOG-END-OFFSET'], row['LAG'], row['CONSUMER-ID']]),
      [0, 1, 2].map(() => ['4', '9', '5', '-']),
    )
    assert.match(stderr, /Consumer group 'payment-workers' has no active members\./)
  })
  assert.equal((await tool('kafka-consumer-groups', ['--list', ...server()])).stdout, `${groupId}\n`)
})

// Seed 5: where a group stands: committed by hand, after a crash, replayed, over a restart of the broker, and while nobody reads.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { RestartableBroker } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { connectedAdmin, connectedProducer, consuming, createTopics, kafkaFor } from '../support/kafkajs.ts'
import { startProgram } from '../support/programs.ts'
import { tool } from '../support/tools.ts'
import type { ConsumerEvent } from './programs/consumer.ts'

let broker: RestartableBroker
before(async () => {
  // A consumer that dies is noticed within two seconds.
  broker = await RestartableBroker.start({ 'group.min.session.timeout.ms': '1000' })
})
after(() => broker?.close())

const events = (count: number, first = 0) => Array.from({ length: count }, (_, i) => `event ${first + i}`)
const messages = (values: readonly string[]) => values.map((value) => ({ value }))

test('with autoCommit off a group stands where commitOffsets put it', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const [admin, producer] = [await connectedAdmin(t, kafka), await connectedProducer(t, kafka)]
  await producer.send({ topic: 'manual', messages: messages(events(5)) })

  const seen: string[] = []
  const consumer = kafka.consumer({ groupId: 'manual', maxWaitTimeInMs: 200 })
  t.after(() => consumer.disconnect())
  await consumer.connect()
  await consumer.subscribe({ topics: ['manual'], fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    async eachMessage({ message, partition }) {
      seen.push(message.value!.toString())
      const next = { topic: 'manual', partition, offset: `${Number(message.offset) + 1}`, metadata: 'by hand' }
      if (seen.length === 3) await consumer.commitOffsets([next])
    },
  })
  await eventually(() => assert.deepEqual(seen, events(5)))
  await consumer.disconnect()
  assert.deepEqual(await admin.fetchOffsets({ groupId: 'manual', topics: ['manual'] }), [
    { topic: 'manual', partitions: [{ partition: 0, offset: '3', metadata: 'by hand' }] },
  ])

  const { values } = await consuming(t, kafka, { groupId: 'manual', topics: ['manual'] })
  await eventually(() => assert.deepEqual(values(), ['event 3', 'event 4']))
})

test('a consumer killed between processing and commit: the next one gets the message again', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const producer = await connectedProducer(t, kafka)
  await producer.send({ topic: 'at-least-once', messages: messages(events(3)) })
  const args = [broker.bootstrapServers, 'at-least-once', 'at-least-once']
  const values = (program: { events: ConsumerEvent[] }) =>
    program.events.filter((event) => event.type === 'message').map(({ value }) => value)

  const crashing = startProgram<ConsumerEvent>(t, 'consumer', [...args, 'never-commit'])
  await eventually(() => assert.deepEqual(values(crashing), events(3)))
  await crashing.kill()

  const next = startProgram<ConsumerEvent>(t, 'consumer', args)
  await eventually(() => assert.deepEqual(values(next), events(3)))
})

test('seek replays from an offset', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const producer = await connectedProducer(t, kafka)
  await producer.send({ topic: 'sought', messages: messages(events(6)) })
  const { consumer, values } = await consuming(t, kafka, { groupId: 'sought', topics: ['sought'] })
  await eventually(() => assert.deepEqual(values(), events(6)))
  consumer.seek({ topic: 'sought', partition: 0, offset: '4' })
  await eventually(() => assert.deepEqual(values(), [...events(6), ...events(2, 4)]))
})

test('kafka-consumer-groups --reset-offsets moves a group that is not running, and only with --execute', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const producer = await connectedProducer(t, kafka)
  await producer.send({ topic: 'replayed', messages: messages(events(6)) })
  const group = { groupId: 'replaying', topics: ['replayed'] }
  const first = await consuming(t, kafka, group)
  await eventually(() => assert.deepEqual(first.values(), events(6)))

  const reset = (...how: string[]) => {
    const args = ['--reset-offsets', '--group', 'replaying', '--topic', 'replayed', ...how]
    return tool('kafka-consumer-groups', [...args, '--bootstrap-server', broker.bootstrapServers])
  }
  const refused = await reset('--to-earliest', '--execute').catch(String)
  assert.match(
    typeof refused === 'string' ? refused : refused.stdout + refused.stderr,
    /Assignments can only be reset if the group 'replaying' is inactive/,
  )
  await first.consumer.disconnect()

  const row = (text: string) =>
    text
      .split('\n')
      .find((line) => line.startsWith('replaying'))
      ?.trim()
      .split(/\s+/)
  assert.deepEqual(row((await reset('--to-earliest', '--dry-run')).stdout), ['replaying', 'replayed', '0', '0'])
  assert.deepEqual(row((await reset('--shift-by', '-2', '--execute')).stdout), ['replaying', 'replayed', '0', '4'])
  const second = await consuming(t, kafka, group)
  await eventually(() => assert.deepEqual(second.values(), events(2, 4)))
  await second.consumer.disconnect()

  assert.deepEqual(row((await reset('--to-earliest', '--execute')).stdout), ['replaying', 'replayed', '0', '0'])
  const third = await consuming(t, kafka, group)
  await eventually(() => assert.deepEqual(third.values(), events(6)))
})

test('offsets, topics and events survive a restart of the broker, and what came while no consumer ran waits for it', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const [admin, producer] = [await connectedAdmin(t, kafka), await connectedProducer(t, kafka)]
  const position = () => admin.fetchOffsets({ groupId: 'lasting', topics: ['lasting'] })
  await createTopics(admin, [{ topic: 'lasting', numPartitions: 1 }])
  await producer.send({ topic: 'lasting', messages: messages(events(4)) })
  const group = { groupId: 'lasting', topics: ['lasting'] }
  const first = await consuming(t, kafka, group)
  await eventually(() => assert.deepEqual(first.values(), events(4)))
  await first.consumer.disconnect()
  const before_ = await position()
  assert.equal(before_[0]!.partitions[0]!.offset, '4')

  // Nobody reads now.
  await producer.send({ topic: 'lasting', messages: messages(events(2, 4)) })
  const code = await broker.stop()
  // A JVM ends with 128 + the signal's number.
  assert.ok(code === 0 || code === 143, `it ended with ${code}`)
  await broker.startAgain()
  assert.deepEqual(await eventually(position), before_)
  await producer.send({ topic: 'lasting', messages: messages(events(2, 6)) })

  const second = await consuming(t, kafka, group)
  await eventually(() => assert.deepEqual(second.values(), events(4, 4)))
  assert.deepEqual(
    second.received.map(({ offset }) => offset),
    ['4', '5', '6', '7'],
  )
})

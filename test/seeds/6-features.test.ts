// Seed 6: headers, codecs, acks, topics by regular expression, retention that really deletes, compaction that really compacts.

import assert from 'node:assert/strict'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { CompressionTypes } from 'kafkajs'
import { RestartableBroker } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { connectedAdmin, connectedProducer, consuming, createTopics, kafkaFor } from '../support/kafkajs.ts'
import '../support/kafkajs-codecs.ts'
import { tool } from '../support/tools.ts'

let broker: RestartableBroker
before(async () => {
  // A process, because what retention deletes are files.
  broker = await RestartableBroker.start({
    'log.retention.check.interval.ms': '200',
    'log.initial.task.delay.ms': '200',
    'log.segment.delete.delay.ms': '0',
    'log.cleaner.backoff.ms': '200',
  })
})
after(() => broker?.close())

const server = () => ['--bootstrap-server', broker.bootstrapServers]

test('headers arrive as they were sent: several of one name, empty, and bytes', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const producer = await connectedProducer(t, kafka)
  const bytes = Buffer.from([0, 255, 128])
  const headers = { trace: 'f00d', tags: ['one', 'two'], empty: '', bytes }
  await producer.send({
    topic: 'with-headers',
    messages: [
      { value: 'v', headers },
      { value: null, key: 'gone' },
    ],
  })

  const { received } = await consuming(t, kafka, { groupId: 'headers', topics: ['with-headers'] })
  await eventually(() => assert.equal(received.length, 2))
  const buffers = (values: string[]) => values.map((value) => Buffer.from(value))
  const expected = { trace: Buffer.from('f00d'), tags: buffers(['one', 'two']), empty: Buffer.alloc(0), bytes }
  assert.deepEqual({ ...received[0]!.headers }, expected)
  assert.deepEqual([received[1]!.key, received[1]!.value, { ...received[1]!.headers }], ['gone', null, {}])

  const show = ['--formatter-property', 'print.headers=true', '--from-beginning', '--max-messages', '1']
  const { stdout } = await tool('kafka-console-consumer', ['--topic', 'with-headers', ...show, ...server()])
  assert.match(stdout, /^trace:f00d,tags:one,tags:two,empty:,bytes:.*\tv\n$/)
})

test('gzip, snappy, lz4 and zstd go through, whoever compressed and whoever reads', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const producer = await connectedProducer(t, kafka)
  const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
  const types = [
    CompressionTypes.None,
    CompressionTypes.GZIP,
    CompressionTypes.Snappy,
    CompressionTypes.LZ4,
    CompressionTypes.ZSTD,
  ]
  const filler = 'to be compressed, '.repeat(200)
  for (const [i, compression] of types.entries()) {
    const messages = [0, 1, 2].map((j) => ({ value: `${codecs[i]} ${j} ${filler}` }))
    await producer.send({ topic: 'compressed', compression, messages })
  }
  const expected = codecs.flatMap((codec) => [0, 1, 2].map((j) => `${codec} ${j} ${filler}`))
  const fromConsole = codecs.slice(1).map((codec) => `${codec} from the console ${filler}`)
  for (const [i, line] of fromConsole.entries()) {
    const args = ['--topic', 'compressed', '--compression-codec', codecs[i + 1]!, ...server()]
    await tool('kafka-console-producer', args, `${line}\n`)
  }

  const { values } = await consuming(t, kafka, { groupId: 'decompresses', topics: ['compressed'] })
  await eventually(() => assert.deepEqual(values(), [...expected, ...fromConsole]))
  const all = ['--topic', 'compressed', '--from-beginning', '--max-messages', `${expected.length + fromConsole.length}`]
  const { stdout } = await tool('kafka-console-consumer', [...all, ...server()])
  assert.deepEqual(
    stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.trim()),
    [...expected, ...fromConsole].map((line) => line.trim()),
  )
})

test('acks 0, 1 and all', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const admin = await connectedAdmin(t, kafka)
  await createTopics(admin, [{ topic: 'acknowledged', numPartitions: 1 }])
  const producer = await connectedProducer(t, kafka)
  const send = (acks: number, value: string) => producer.send({ topic: 'acknowledged', acks, messages: [{ value }] })
  await send(0, 'nobody answers')
  const { values } = await consuming(t, kafka, { groupId: 'acks', topics: ['acknowledged'] })
  await eventually(() => assert.deepEqual(values(), ['nobody answers']))
  assert.equal((await send(1, 'the leader answers'))[0]!.baseOffset, '1')
  assert.equal((await send(-1, 'all answer'))[0]!.baseOffset, '2')
  await eventually(() => assert.deepEqual(values(), ['nobody answers', 'the leader answers', 'all answer']))
})

test('a consumer reads all topics that a regular expression names', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const producer = await connectedProducer(t, kafka)
  for (const topic of ['orders.eu', 'orders.us', 'invoices.eu']) await producer.send({ topic, messages: [{ value: topic }] })
  const { values } = await consuming(t, kafka, { groupId: 'regex', topics: [/^orders\..*/] })
  await eventually(() => assert.deepEqual(values().sort(), ['orders.eu', 'orders.us']))
  await producer.send({ topic: 'invoices.eu', messages: [{ value: 'not for them' }] })
  await producer.send({ topic: 'orders.us', messages: [{ value: 'one more' }] })
  await eventually(() => assert.deepEqual(values().sort(), ['one more', 'orders.eu', 'orders.us']))

  const include = ['--include', 'orders\\..*', '--from-beginning', '--max-messages', '3']
  const { stdout } = await tool('kafka-console-consumer', [...include, ...server()])
  assert.deepEqual(stdout.trimEnd().split('\n').sort(), ['one more', 'orders.eu', 'orders.us'])
})

/** Kafka's smallest segments are of 1 MiB. */
const SEGMENT_BYTES = 1024 * 1024

/** Bytes of the topic's first partition in segment files. */
async function bytesOnDisk(topic: string): Promise<number> {
  const names = await readdir(broker.dataDirectory, { recursive: true })
  const logs = names.filter((name) => name.includes(`${topic}-0/`) && /\.log(\.deleted)?$/.test(name))
  // A file may go while we look.
  const sizes = await Promise.all(
    logs.map((name) =>
      stat(join(broker.dataDirectory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return sizes.reduce((sum, size) => sum + size, 0)
}

/** Log start offset and end offset of the topic's first partition. */
async function bounds(topic: string): Promise<number[]> {
  const at = (time: string) => tool('kafka-get-offsets', ['--topic', topic, '--time', time, ...server()])
  const outputs = await Promise.all([at('earliest'), at('latest')])
  return outputs.map(({ stdout }) => Number(stdout.trim().split(':')[2]))
}

async function alter(topic: string, settings: string): Promise<void> {
  const entity = ['--entity-type', 'topics', '--entity-name', topic]
  const { stdout } = await tool('kafka-configs', ['--alter', ...entity, '--add-config', settings, ...server()])
  assert.equal(stdout, `Completed updating config for topic ${topic}.\n`)
}

for (const { by, setting, remains } of [
  { by: 'time', setting: 'retention.ms=100', remains: (start: number) => assert.equal(start, 40) },
  // Whole segments go, as long as what is left is not less than allowed: one full segment stays, and the last.
  {
    by: 'size',
    setting: `retention.bytes=${SEGMENT_BYTES}`,
    remains: (start: number) => assert.ok(start > 10 && start < 40, `${start}`),
  },
]) {
  test(`retention by ${by}, set while the broker runs, deletes old records and their files`, async (t) => {
    const kafka = kafkaFor(t, broker.bootstrapServers)
    const [admin, producer] = [await connectedAdmin(t, kafka), await connectedProducer(t, kafka)]
    const topic = `kept-by-${by}`
    const configEntries = [{ name: 'segment.bytes', value: `${SEGMENT_BYTES}` }]
    await createTopics(admin, [{ topic, numPartitions: 1, configEntries }])
    for (let i = 0; i < 40; i++) {
      await producer.send({ topic, messages: [{ key: `${i}`, value: Buffer.alloc(100_000, i) }] })
    }
    assert.deepEqual(await bounds(topic), [0, 40])
    assert.ok((await bytesOnDisk(topic)) > 4_000_000)

    await alter(topic, `${setting},file.delete.delay.ms=0`)
    await eventually(async () => {
      const [start, end] = await bounds(topic)
      remains(start!)
      assert.equal(end, 40)
    })
    await eventually(async () => assert.ok((await bytesOnDisk(topic)) < 2.2 * SEGMENT_BYTES))

    // What is left is what a consumer from the beginning gets, at its old offsets.
    await alter(topic, 'retention.ms=-1')
    await producer.send({ topic, messages: [{ key: 'new', value: 'new' }] })
    const [start] = await bounds(topic)
    const { received } = await consuming(t, kafka, { groupId: topic, topics: [topic] })
    await eventually(() => assert.equal(received.at(-1)?.key, 'new'))
    const kept = Array.from({ length: 41 - start! }, (_, i) => `${start! + i}`)
    assert.deepEqual(
      received.map(({ offset }) => offset),
      kept,
    )
    assert.deepEqual(
      received.map(({ key }) => key),
      [...kept.slice(0, -1), 'new'],
    )
  })
}

test('a compacted topic keeps the last record of each key, at its offset, and gives back the room of the others', async (t) => {
  const kafka = kafkaFor(t, broker.bootstrapServers)
  const [admin, producer] = [await connectedAdmin(t, kafka), await connectedProducer(t, kafka)]
  const topic = 'compacted'
  const settings = { 'cleanup.policy': 'compact', 'segment.bytes': `${SEGMENT_BYTES}`, 'min.cleanable.dirty.ratio': '0.01' }
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }))
  await createTopics(admin, [{ topic, numPartitions: 1, configEntries }])
  const [keys, count] = [4, 40]
  for (let i = 0; i < count; i++) {
    await producer.send({ topic, messages: [{ key: `${i % keys}`, value: `${i} ${'x'.repeat(100_000)}` }] })
  }
  await eventually(async () => assert.ok((await bytesOnDisk(topic)) < 2.2 * SEGMENT_BYTES))

  // What is read now comes from the files, with holes in it, not from memory.
  await broker.stop()
  await broker.startAgain()
  await eventually(async () => assert.deepEqual(await bounds(topic), [0, count]))
  const { received } = await consuming(t, kafka, { groupId: topic, topics: [topic] })
  await eventually(() => assert.equal(received.at(-1)?.offset, `${count - 1}`))
  for (const { offset, key, value } of received) {
    assert.deepEqual([key, value!.split(' ')[0]], [`${Number(offset) % keys}`, offset])
  }
  const offsets = received.map(({ offset }) => Number(offset))
  assert.deepEqual(
    offsets,
    offsets.toSorted((a, b) => a - b),
  )
  assert.deepEqual(offsets.slice(-keys), [36, 37, 38, 39])
  assert.ok(offsets.length < count, 'what was overwritten is gone')
})

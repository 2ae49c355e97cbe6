// Brokers as people start them on several machines: processes that have an etcd between them, here all on loopback.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Kafka, logLevel } from 'kafkajs'
import { eventually } from '../support/eventually.ts'
import { type MoldauProcess, runMoldau, startMoldau } from '../support/moldau-process.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'
import { startEtcd } from './etcd-process.ts'

const QUICK = {
  KAFKA_BROKER_SESSION_TIMEOUT_MS: '2000',
  KAFKA_BROKER_HEARTBEAT_INTERVAL_MS: '300',
  KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: '0',
  KAFKA_INITIAL_BROKER_REGISTRATION_TIMEOUT_MS: '10000',
}

const brokerArgs = (id: number, addresses: readonly string[], directory: string) => [
  ...['--node-id', `${id}`, '--cluster', `etcd://${addresses.join()}`],
  ...['--listen', '127.0.0.1:0', '--data-dir', join(directory, `broker-${id}`)],
]

function etcdctl(address: string, command: string): void {
  const { status, stderr } = spawnSync('etcdctl', ['--endpoints', address, ...command.split(' ')], {
    env: { ...process.env, ETCDCTL_API: '3' },
  })
  assert.equal(status, 0, `${command}: ${stderr}`)
}

test('three brokers on one etcd replicate; one that is killed is replaced by others, and one whose etcd is gone serves on', async () => {
  await using directory = await temporaryDirectory()
  await using etcd = await startEtcd()
  const start = (id: number) => startMoldau(brokerArgs(id, etcd.addresses, directory.path), QUICK)
  const brokers: MoldauProcess[] = await Promise.all([1, 2, 3].map(start))
  await using stack = new AsyncDisposableStack()
  for (const broker of brokers) stack.use(broker)
  const servers = brokers.map(({ bootstrapServers }) => bootstrapServers)
  const kafka = new Kafka({ brokers: servers, logLevel: logLevel.NOTHING, retry: { retries: 20 } })
  const admin = kafka.admin()
  await admin.connect()
  await admin.createTopics({ topics: [{ topic: 'events', numPartitions: 3 }] })
  const isrs = async () =>
    (await admin.fetchTopicMetadata({ topics: ['events'] })).topics[0].partitions.map(({ isr }) => [...isr].sort().join())
  assert.deepEqual(await isrs(), ['1,2,3', '1,2,3', '1,2,3'])
  const producer = kafka.producer()
  await producer.connect()
  const send = (value: string) => producer.send({ topic: 'events', acks: -1, messages: [{ key: value, value }] })
  for (let i = 0; i < 10; i++) await send(`${i}`)

  await brokers[1].end('SIGKILL')
  await eventually(async () => assert.deepEqual(await isrs(), ['1,3', '1,3', '1,3']))
  for (let i = 10; i < 20; i++) await send(`${i}`)
  brokers[1] = stack.use(await start(2))
  await eventually(async () => assert.deepEqual(await isrs(), ['1,2,3', '1,2,3', '1,2,3']))

  await etcd.members[0].kill()
  await eventually(() => {
    for (const broker of brokers) assert.match(broker.output(), /metadata store has not answered for 2000 ms/)
  })
  for (let i = 20; i < 30; i++) await send(`${i}`)
  await etcd.members[0].start()
  await eventually(() => {
    for (const broker of brokers) assert.match(broker.output(), /metadata store answers again/)
  })
  // Once each.
  for (const broker of brokers) assert.equal(broker.output().match(/metadata store has not answered/g)?.length, 1)
  await eventually(() => admin.createTopics({ topics: [{ topic: 'afterwards' }] }))
  await Promise.all([producer.disconnect(), admin.disconnect()])
  assert.deepEqual(await Promise.all(brokers.map((broker) => broker.end('SIGTERM'))), [0, 0, 0])
})

test('a broker says what keeps it from its cluster, in one line', async () => {
  await using directory = await temporaryDirectory()
  const refused = async (id: number, addresses: readonly string[], env: NodeJS.ProcessEnv = {}, more: string[] = []) => {
    const args = ['start', ...brokerArgs(id, addresses, directory.path), ...more]
    const { code, output } = await runMoldau(args, { ...QUICK, KAFKA_INITIAL_BROKER_REGISTRATION_TIMEOUT_MS: '1500', ...env })
    assert.equal(code, 1, output)
    const lines = output.trimEnd().split('\n')
    const told = lines.filter((line) => line.startsWith('moldau: '))
    assert.equal(told.length, 1, output)
    return told[0]
  }
  assert.match(
    await refused(9, ['127.0.0.1:1', '127.0.0.1:2']),
    /no member of etcd \(127\.0\.0\.1:1, 127\.0\.0\.1:2\) has answered within 1500 ms: does it run,/,
  )
  assert.match(await refused(9, ['127.0.0.1:1'], {}, ['--cluster', 'zk://h:1']), /"zk" is not known; etcd:\/\/host1:2379,/)
  assert.match(await refused(9, ['127.0.0.1:1'], {}, ['--etcd-user', 'root']), /there is no password: .*KAFKA_ETCD_PASSWORD/)

  await using etcd = await startEtcd()
  await using broker = await startMoldau(brokerArgs(1, etcd.addresses, directory.path), QUICK)
  const twin = await runMoldau(
    [
      'start',
      '--node-id',
      '1',
      '--cluster',
      `etcd://${etcd.addresses}`,
      '--port',
      '0',
      '--data-dir',
      join(directory.path, 'twin'),
    ],
    QUICK,
  )
  assert.match(
    twin.output,
    /moldau: another broker with the id 1 is running: stop it, or give this one another id with --node-id/,
  )
  assert.equal(await broker.end('SIGTERM'), 0)

  await using other = await startEtcd()
  assert.match(
    await refused(1, other.addresses),
    /the metadata store is \d+, this broker's data was made with \d+: .*--accept-metadata-rollback/,
  )
  const foreign = await startMoldau([...brokerArgs(2, other.addresses, directory.path)], QUICK)
  await foreign.end('SIGTERM')
  // It goes on, but not into another cluster.
  assert.match(await refused(1, other.addresses, {}, ['--accept-metadata-rollback']), /cluster/)
})

test('etcd asks for a password: from a file, from the environment, and the wrong one is refused', async () => {
  await using directory = await temporaryDirectory()
  await using etcd = await startEtcd()
  const [address] = etcd.addresses
  etcdctl(address, 'user add root:secret')
  etcdctl(address, 'user grant-role root root')
  etcdctl(address, 'auth enable')
  const file = join(directory.path, 'password')
  await writeFile(file, 'secret\n')
  const args = [...brokerArgs(1, etcd.addresses, directory.path), '--etcd-user', 'root']
  await using byFile = await startMoldau([...args, '--etcd-password-file', file], QUICK)
  assert.equal(await byFile.end('SIGTERM'), 0)
  await using byEnvironment = await startMoldau(args, { ...QUICK, KAFKA_ETCD_PASSWORD: 'secret' })
  assert.equal(await byEnvironment.end('SIGTERM'), 0)
  const wrong = await runMoldau(['start', ...args], { ...QUICK, KAFKA_ETCD_PASSWORD: 'guess' })
  assert.equal(wrong.code, 1)
  assert.match(wrong.output, /moldau: .*Check the user name and password given for etcd/)
})

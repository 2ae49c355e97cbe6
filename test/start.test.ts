// `moldau start` as people meet it: what it prints, what it reads, and what it says when it cannot start.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { access, mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { root, startBrokerProcess } from './support/broker-process.ts'
import { temporaryDirectory } from './support/temporary-directory.ts'

/** Runs `moldau start` to its end, which should come soon. */
function start(
  arguments_: readonly string[],
  environment: Record<string, string> = {},
): Promise<{ code: number | null; out: string; err: string }> {
  const child = spawn(process.execPath, [join(root, 'bin', 'moldau'), 'start', ...arguments_], {
    env: { ...process.env, ...environment },
  })
  let out = ''
  let err = ''
  child.stdout.on('data', (chunk) => {
    out += chunk
  })
  child.stderr.on('data', (chunk) => {
    err += chunk
  })
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, err })))
}

const exists = (path: string) =>
  access(path).then(
    () => true,
    () => false,
  )

test('SIGTERM shuts down cleanly: exit code 0, and the next start has nothing to check', async () => {
  await using directory = await temporaryDirectory()
  const broker = await startBrokerProcess(directory.path)
  assert.equal(await broker.stop(), 0)
  assert.ok(await exists(join(directory.path, '.kafka_cleanshutdown')))
  const again = await startBrokerProcess(directory.path)
  assert.equal(await again.stop(), 0)
  assert.doesNotMatch(again.output(), /WARN|ERROR/)
})

test('the data directory of an Apache Kafka is refused, named, and left as it is', async () => {
  await using directory = await temporaryDirectory()
  await mkdir(join(directory.path, '__cluster_metadata-0'))
  await writeFile(join(directory.path, 'meta.properties'), 'version=1\nnode.id=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n')
  const { code, err } = await start(['--port', '0', '--data-dir', directory.path])
  assert.equal(code, 1)
  assert.equal(
    err,
    `moldau: ${directory.path} belongs to an Apache Kafka: "moldau adopt ${directory.path}" takes over what is in it\n`,
  )
  assert.deepEqual((await readdir(directory.path)).sort(), ['__cluster_metadata-0', 'meta.properties'])
})

test('the only thing on standard output is the line that says that it serves', async () => {
  await using directory = await temporaryDirectory()
  const broker = await startBrokerProcess(directory.path, { args: ['--node-id', '7', '--host', '127.0.0.1'] })
  await broker.stop()
  const [line] = broker.output().split('\n')
  assert.match(line, /^Kafka Server started: moldau \d+\.\d+\.\d+, node 7 on 127\.0\.0\.1:\d+, data in .*, ready in \d+ ms$/)
})

test('a port in use is one line that says what to do', async () => {
  await using first = await temporaryDirectory()
  await using second = await temporaryDirectory()
  const broker = await startBrokerProcess(first.path)
  const { code, err } = await start(['--port', String(broker.port), '--data-dir', second.path])
  await broker.stop()
  assert.equal(code, 1)
  assert.match(err, new RegExp(`^moldau: port ${broker.port} is in use: .*--port.*\\n$`))
})

test('a data directory in use is one line that says what to do, and the other broker goes on', async () => {
  await using directory = await temporaryDirectory()
  const broker = await startBrokerProcess(directory.path)
  const { code, err } = await start(['--port', '0', '--data-dir', directory.path])
  assert.equal(code, 1)
  assert.match(err, /^moldau: .*in use by another broker: stop it.*\n$/)
  assert.equal(await broker.stop(), 0)
})

test('a data directory left by kill -9 is not taken for one in use', async () => {
  await using directory = await temporaryDirectory()
  const broker = await startBrokerProcess(directory.path)
  await broker.kill()
  const again = await startBrokerProcess(directory.path)
  assert.equal(await again.stop(), 0)
})

test('a data directory that cannot be made is one line', async () => {
  await using directory = await temporaryDirectory()
  const file = join(directory.path, 'a-file')
  await writeFile(file, '')
  const { code, err } = await start(['--port', '0', '--data-dir', join(file, 'data')])
  assert.equal(code, 1)
  assert.match(err, /^moldau: .*a-file.*\n$/)
})

test('a data directory of another node is refused', async () => {
  await using directory = await temporaryDirectory()
  await (await startBrokerProcess(directory.path, { args: ['--node-id', '1'] })).stop()
  const { code, err } = await start(['--port', '0', '--data-dir', directory.path, '--node-id', '2'])
  assert.equal(code, 1)
  assert.match(err, /^moldau: .*node.*1.*\n$/)
})

test('every mistake in server.properties is named with its file and line', async () => {
  await using directory = await temporaryDirectory()
  const file = join(directory.path, 'server.properties')
  await writeFile(file, '# a comment\nnum.partition=3\nlog.segment.bytes=many\n')
  const { code, err } = await start(['--config', file])
  assert.equal(code, 1)
  const lines = err.trimEnd().split('\n')
  assert.equal(lines.length, 2)
  assert.match(lines[0], /server\.properties:2: .*num\.partition\b.*num\.partitions/)
  assert.match(lines[1], /server\.properties:3: .*log\.segment\.bytes/)
})

test('a file that is not there and a flag that does not exist are one line each', async () => {
  const missing = await start(['--config', '/nowhere/server.properties'])
  assert.equal(missing.code, 1)
  assert.match(missing.err, /^moldau: --config \/nowhere\/server\.properties: .*\n$/)
  const unknown = await start(['--prot', '9092'])
  assert.equal(unknown.code, 1)
  assert.match(unknown.err, /^moldau: .*--prot/)
  const setting = await start(['--set', 'num.partitions=0'])
  assert.equal(setting.code, 1)
  assert.match(setting.err, /^moldau: --set: .*num\.partitions/)
})

test('flags count over the environment, and that over the file', async () => {
  await using directory = await temporaryDirectory()
  const file = join(directory.path, 'server.properties')
  await writeFile(file, 'node.id=1\nbroker.rack=from-the-file\n')
  const data = join(directory.path, 'data')
  process.env['KAFKA_NODE_ID'] = '2'
  try {
    const broker = await startBrokerProcess(data, { args: ['--config', file] })
    assert.match(broker.output(), /node 2 on/)
    await broker.stop()
  } finally {
    delete process.env['KAFKA_NODE_ID']
  }
  const other = await startBrokerProcess(join(directory.path, 'other'), { args: ['--config', file, '--set', 'node.id=3'] })
  assert.match(other.output(), /node 3 on/)
  await other.stop()
})

test("Kafka's own server.properties for a combined node starts as it is", async () => {
  await using directory = await temporaryDirectory()
  const file = join(directory.path, 'server.properties')
  await writeFile(
    file,
    `process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:0,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=${join(directory.path, 'kraft-combined-logs')}
num.partitions=1
num.recovery.threads.per.data.dir=2
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`,
  )
  const data = join(directory.path, 'data')
  const child = spawn(process.execPath, [join(root, 'bin', 'moldau'), 'start', '--config', file, '--set', `log.dirs=${data}`])
  let out = ''
  await new Promise<void>((resolve, reject) => {
    child.stdout.on('data', (chunk) => {
      out += chunk
      if (out.includes('\n')) resolve()
    })
    child.on('exit', () => reject(new Error(out)))
  })
  assert.match(out, /^Kafka Server started: moldau/)
  child.kill('SIGTERM')
  await new Promise((resolve) => child.once('exit', resolve))
})

test('log lines are JSON on demand', async () => {
  await using directory = await temporaryDirectory()
  const broker = await startBrokerProcess(directory.path, { args: ['--log-format', 'json'] })
  await broker.stop()
  const lines = broker.output().trimEnd().split('\n').slice(1)
  assert.ok(lines.length > 0)
  for (const line of lines) assert.equal(JSON.parse(line).level, 'info')
})

test('--help teaches and --version tells, without a broker', async () => {
  const help = await start(['--help'])
  assert.equal(help.code, 0)
  assert.match(help.out, /--data-dir/)
  const version = await start(['--version'])
  assert.match(version.out, /^\d+\.\d+\.\d+\n$/)
})

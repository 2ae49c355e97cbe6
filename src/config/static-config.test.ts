import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from './definition.ts'
import { TopicConfig } from './effective.ts'
import { fromEnvironment } from './environment.ts'
import { parseListeners } from './listeners.ts'
import { dataDirectories, loadStaticConfig, parseSetting } from './static-config.ts'

const file = (text: string) => ({ path: 'server.properties', text })

const problemsOf = (sources: Parameters<typeof loadStaticConfig>[0]): string[] => {
  try {
    loadStaticConfig(sources)
  } catch (error) {
    assert.ok(error instanceof ConfigError)
    return error.message.split('\n')
  }
  return []
}

/** The keys of the file that Kafka 4 ships for a single node. */
const SHIPPED = `
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
`

test("Kafka's own server.properties is accepted as it is, without its controller listener", () => {
  const { config, warnings } = loadStaticConfig({ file: file(SHIPPED) })
  assert.deepEqual(warnings, [])
  assert.deepEqual(dataDirectories(config), ['/tmp/kraft-combined-logs'])
  assert.deepEqual(parseListeners(config), [
    { name: 'PLAINTEXT', securityProtocol: 'PLAINTEXT', host: '', port: 9092, advertised: { host: 'localhost', port: 9092 } },
  ])
})

test('an unknown key names itself, its file, its line, and the key that was meant', () => {
  assert.deepEqual(problemsOf({ file: file('# mine\nlog.retenton.ms=1') }), [
    'server.properties:2: Unknown broker configuration log.retenton.ms (did you mean log.retention.ms?)',
  ])
  assert.deepEqual(problemsOf({ settings: [parseSetting('something.else=1')] }), [
    '--set: Unknown broker configuration something.else',
  ])
})

test('all that is wrong is said at once, each with its place', () => {
  const problems = problemsOf({
    file: file('num.partitions=0\nssl.keystore.location=/keys\nzookeeper.connect=localhost:2181\n'),
    environment: { KAFKA_LOG_RETENTION_HOURS: 'a week' },
    settings: [parseSetting('log.cleanup.policy=shred')],
  })
  assert.equal(problems.length, 5)
  assert.match(problems[0], /^server\.properties:1: Invalid value '0' for configuration num\.partitions: /)
  assert.match(problems[1], /^server\.properties:2: ssl\.keystore\.location is not supported by moldau because TLS/)
  assert.match(problems[2], /^server\.properties:3: zookeeper\.connect is not supported by moldau because /)
  assert.match(problems[3], /^KAFKA_LOG_RETENTION_HOURS: Invalid value 'a week' for configuration log\.retention\.hours: /)
  assert.match(
    problems[4],
    /^--set: Invalid value 'shred' for configuration log\.cleanup\.policy: must be a list of compact, delete/,
  )
})

test('the command line is over the environment, and that over the file', () => {
  const { config } = loadStaticConfig({
    file: file('num.partitions=1\nlog.retention.ms=1\nfetch.max.bytes=2000'),
    environment: { KAFKA_NUM_PARTITIONS: '2', KAFKA_LOG_RETENTION_MS: '2' },
    settings: [parseSetting('num.partitions=3'), parseSetting('num.partitions=4')],
  })
  assert.equal(config.get('num.partitions'), 4)
  assert.equal(config.get('log.retention.ms'), 2)
  assert.equal(config.get('fetch.max.bytes'), 2000)
})

test('a key that stands twice in a file counts once, the later, with a warning', () => {
  const { config, warnings } = loadStaticConfig({ file: file('num.partitions=1\n\nnum.partitions=2') })
  assert.equal(config.get('num.partitions'), 2)
  assert.deepEqual(warnings, ['server.properties:3: num.partitions was set in line 1 already; the later counts'])
})

test('an unknown environment variable is only warned of: other programs have their own', () => {
  const { warnings } = loadStaticConfig({
    environment: { KAFKA_BROKERS: 'x', KAFKA_NUM_PARTITONS: '3', KAFKA_HEAP_OPTS: '-Xmx1g', PATH: '/bin' },
  })
  assert.deepEqual(warnings, [
    'KAFKA_BROKERS: Unknown broker configuration brokers',
    'KAFKA_NUM_PARTITONS: Unknown broker configuration num.partitons (did you mean num.partitions?)',
  ])
})

test('underscores of environment variables stand for points, underscores and hyphens', () => {
  assert.deepEqual(
    fromEnvironment({
      KAFKA_LOG_RETENTION_MS: '1',
      KAFKA_CFG_NODE_ID: '2',
      KAFKA_A__B___C: '3',
      KAFKA_LOG4J_LOGGERS: 'x',
      KAFKA_JMX_PORT: '1',
      KAFKA_VERSION: '4.3.0',
      CLUSTER_ID: 'x',
    }),
    [
      { variable: 'KAFKA_A__B___C', key: 'a_b-c', value: '3' },
      { variable: 'KAFKA_CFG_NODE_ID', key: 'node.id', value: '2' },
      { variable: 'KAFKA_LOG_RETENTION_MS', key: 'log.retention.ms', value: '1' },
    ],
  )
})

test('keys of older versions and of other makers are ignored with a warning', () => {
  const { warnings } = loadStaticConfig({
    file: file(
      'inter.broker.protocol.version=3.9\nconfluent.license.topic.replication.factor=1\nzookeeper.connection.timeout.ms=6000',
    ),
  })
  assert.equal(warnings.length, 3)
  assert.ok(warnings.every((warning) => /^server\.properties:\d: .* has no effect here$/.test(warning)))
})

test('broker.id is an older name of node.id', () => {
  assert.equal(loadStaticConfig({ file: file('broker.id=7') }).config.get('node.id'), 7)
  assert.deepEqual(problemsOf({ file: file('broker.id=7\nnode.id=8') }), [
    'server.properties:1: broker.id (7) and node.id (8) are the same thing and must be equal',
  ])
})

test('what a single node cannot be is refused', () => {
  assert.match(
    problemsOf({ file: file('process.roles=controller') })[0],
    /^server\.properties:1: process\.roles must contain broker/,
  )
  assert.match(
    problemsOf({ file: file('controller.quorum.voters=1@a:1,2@b:1') })[0],
    /^server\.properties:1: .* names 2 controllers/,
  )
})

test('keys that contradict each other are refused', () => {
  assert.match(
    problemsOf({ file: file('log.cleaner.min.compaction.lag.ms=10\nlog.cleaner.max.compaction.lag.ms=5') })[0],
    /^server\.properties:1: log\.cleaner\.min\.compaction\.lag\.ms \(10\) must not be above log\.cleaner\.max\.compaction\.lag\.ms \(5\)$/,
  )
  assert.match(
    problemsOf({ file: file('group.consumer.heartbeat.interval.ms=1') })[0],
    /group\.consumer\.heartbeat\.interval\.ms \(1\) must not be below/,
  )
})

test('a listener that needs TLS or SASL is refused for now, and so is one without a protocol', () => {
  assert.match(
    problemsOf({ file: file('listeners=SSL://:9093') })[0],
    /^server\.properties:1: Listener SSL wants SSL, which moldau does not support yet/,
  )
  assert.match(problemsOf({ file: file('listeners=INTERNAL://:9093') })[0], /No security protocol is given for listener INTERNAL/)
  assert.match(problemsOf({ file: file('listeners=PLAINTEXT://:9093,PLAINTEXT://:9094') })[0], /names PLAINTEXT more than once/)
  assert.match(problemsOf({ file: file('listeners=PLAINTEXT://:70000') })[0], /must be NAME:\/\/HOST:PORT/)
  assert.match(problemsOf({ file: file('listeners=9092') })[0], /must be NAME:\/\/HOST:PORT/)
  assert.match(problemsOf({ file: file('advertised.listeners=OTHER://a:1') })[0], /names OTHER, which is not among listeners/)
  assert.match(problemsOf({ file: file('advertised.listeners=PLAINTEXT://0.0.0.0:1') })[0], /must not be 0\.0\.0\.0/)
})

test('listeners have names, hosts of any kind, and addresses of their own to advertise', () => {
  const { config } = loadStaticConfig({
    file: file(
      [
        'listeners=inside://127.0.0.1:0, OUTSIDE://[::1]:9094',
        'advertised.listeners=OUTSIDE://broker.example.com:19094',
        'listener.security.protocol.map=INSIDE:PLAINTEXT,OUTSIDE:PLAINTEXT',
      ].join('\n'),
    ),
  })
  assert.deepEqual(
    parseListeners(config).map(({ name, host, port, advertised }) => [name, host, port, advertised]),
    [
      ['INSIDE', '127.0.0.1', 0, null],
      ['OUTSIDE', '::1', 9094, { host: 'broker.example.com', port: 19094 }],
    ],
  )
})

test('static values reach topics', () => {
  const { config } = loadStaticConfig({ environment: { KAFKA_LOG_RETENTION_MINUTES: '5' } })
  assert.equal(new TopicConfig(config).get('retention.ms'), 300_000)
})

// Apache Kafka itself, from Maven Central: the baseline that every interop entry runs against first, and its command line tools.
// `node test/interop/apache-kafka.ts [--port N] [key=value]…` runs one until it is interrupted.

import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

/** The newest release whose artifacts are all in the registry (4.4.0 lacks kafka-tools-api). */
export const KAFKA_VERSION = '4.3.1'
const ARTIFACTS = [
  `org.apache.kafka:kafka_2.13:${KAFKA_VERSION}`,
  `org.apache.kafka:kafka-tools:${KAFKA_VERSION}`,
  'org.apache.logging.log4j:log4j-slf4j-impl:2.25.4',
]
/** A JVM for tests: it starts quickly and stays small. Benchmarks give Kafka's own options instead. */
const TEST_JVM = ['-Xmx640m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']
/** What Kafka's start script passes to the broker's JVM. */
export const KAFKA_JVM = [
  '-Xms1g',
  '-Xmx1g',
  '-server',
  '-XX:+UseG1GC',
  '-XX:MaxGCPauseMillis=20',
  '-XX:InitiatingHeapOccupancyPercent=35',
  '-XX:+ExplicitGCInvokesConcurrent',
]
/** Eligible leader replicas would put a dynamic min.insync.replicas of its own into every description of a topic. */
const PLAIN = ['--feature', 'eligible.leader.replicas.version=0']
const READY = /Kafka Server started/
const READY_WITHIN_MS = 120_000
const STOP_WITHIN_MS = 30_000

/** Where fetched and built things are kept between runs, outside the repository. */
export function cacheDirectory(name: string): string {
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'moldau', name)
}

/** Fetches Kafka's jars once, with the machine's Maven. Resolves with the class path. */
export function kafkaClassPath(): Promise<string> {
  return classPath(`kafka-${KAFKA_VERSION}`, ARTIFACTS)
}

/** Of Kafka Streams, for which RocksDB's native library comes along: apart, because it is as large as all the rest. */
export function streamsClassPath(): Promise<string> {
  return classPath(`kafka-streams-${KAFKA_VERSION}`, [`org.apache.kafka:kafka-streams:${KAFKA_VERSION}`])
}

async function classPath(name: string, artifacts: readonly string[]): Promise<string> {
  const directory = cacheDirectory(name)
  if (!existsSync(directory)) {
    await mkdir(join(directory, '..'), { recursive: true })
    // Filled aside and renamed: whoever finds the directory finds it whole.
    const aside = await mkdtemp(`${directory}-`)
    await writeFile(join(aside, 'pom.xml'), pom(artifacts))
    await writeFile(join(aside, 'log4j2.properties'), LOG4J)
    await run('mvn', ['-B', '-q', 'dependency:copy-dependencies', '-DoutputDirectory=libs', '-DincludeScope=runtime'], aside)
    await rename(aside, directory).catch(async (error) => {
      await rm(aside, { recursive: true })
      if (!existsSync(directory)) throw error
    })
  }
  return [directory, join(directory, 'libs', '*')].join(':')
}

/** The command line that runs a Java program of Kafka, or one that stands on it. */
export async function javaCommand(
  mainClass: string,
  args: readonly string[],
  jvm: readonly string[] = TEST_JVM,
  classPath?: string,
): Promise<string[]> {
  return ['java', ...jvm, '-cp', classPath ?? (await kafkaClassPath()), mainClass, ...args]
}

export interface ApacheKafka {
  readonly bootstrapServers: string
  readonly port: number
  readonly dataDirectory: string
  readonly child: ChildProcess
  /** When the broker's process was started, its data directory being formatted before that: on the clock of `performance.now()`. */
  readonly spawnedMs: number
  readonly output: () => string
  /** SIGKILL, or another signal, and starts on the same data again: `child` and `spawnedMs` stay the first process's. */
  crash(signal?: NodeJS.Signals): Promise<void>
  /** SIGTERM, SIGKILL if that takes too long; its data are removed. */
  stop(): Promise<void>
}

export interface ApacheKafkaOptions {
  readonly port?: number
  /** server.properties beside the ones that a single node needs. */
  readonly config?: Readonly<Record<string, string>>
  readonly jvm?: readonly string[]
}

/** Formats a temporary data directory and starts one node (broker and controller) on loopback. Rejects with its output if it ends early. */
export async function startApacheKafka({ port = 0, config = {}, jvm = TEST_JVM }: ApacheKafkaOptions = {}): Promise<ApacheKafka> {
  const dataDirectory = await mkdtemp(join(tmpdir(), 'moldau-apache-kafka-'))
  const [brokerPort, controllerPort] = port === 0 ? await freePorts(2) : [port, ...(await freePorts(1))]
  const properties = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${brokerPort},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${brokerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'log.dirs': join(dataDirectory, 'logs'),
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    ...config,
  }
  const file = join(dataDirectory, 'server.properties')
  await writeFile(
    file,
    Object.entries(properties)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(''),
  )
  const clusterId = randomBytes(16).toString('base64url')
  const [format, ...formatArgs] = await javaCommand('kafka.tools.StorageTool', [
    'format',
    `--cluster-id=${clusterId}`,
    '-c',
    file,
    ...PLAIN,
  ])
  await run(format!, formatArgs, dataDirectory)

  const start = () => startProcess(file, dataDirectory, jvm)
  let broker: KafkaProcess
  try {
    broker = await start()
  } catch (error) {
    await rm(dataDirectory, { recursive: true, force: true })
    throw error
  }
  return {
    bootstrapServers: `127.0.0.1:${brokerPort}`,
    port: brokerPort!,
    dataDirectory,
    child: broker.child,
    spawnedMs: broker.spawnedMs,
    output: () => broker.output(),
    async crash(signal = 'SIGKILL') {
      await broker.stop(signal)
      broker = await start()
    },
    async stop() {
      await broker.stop('SIGTERM')
      await rm(dataDirectory, { recursive: true, force: true })
    },
  }
}

interface KafkaProcess {
  readonly child: ChildProcess
  readonly spawnedMs: number
  output(): string
  /** Resolves when it is gone; SIGKILL if that takes too long. */
  stop(signal: NodeJS.Signals): Promise<void>
}

/** Resolves when the broker says that it has started; rejects with its output if it ends early. */
async function startProcess(file: string, cwd: string, jvm: readonly string[]): Promise<KafkaProcess> {
  const [command, ...args] = await javaCommand('kafka.Kafka', [file], ['-Dmoldau.log.level=INFO', ...jvm])
  const spawnedMs = performance.now()
  const child = spawn(command!, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd })
  const killWithParent = () => child.kill('SIGKILL')
  process.once('exit', killWithParent)
  let output = ''
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  void exited.then(() => process.off('exit', killWithParent))
  await new Promise<void>((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer)
      child.kill('SIGKILL')
      reject(new Error(`Apache Kafka ${why}:\n${output.slice(-4000)}`))
    }
    const timer = setTimeout(() => fail(`was not ready within ${READY_WITHIN_MS} ms`), READY_WITHIN_MS)
    const read = (chunk: Buffer) => {
      // The newest part is enough to say why it ended.
      output = (output + chunk).slice(-100_000)
      if (!READY.test(output)) return
      clearTimeout(timer)
      resolve()
    }
    child.stdout.on('data', read)
    child.stderr.on('data', read)
    void exited.then(() => fail('ended before it was ready'))
  })
  return {
    child,
    spawnedMs,
    output: () => output,
    async stop(signal) {
      const impatient = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN_MS)
      child.kill(signal)
      await exited
      clearTimeout(impatient)
    },
  }
}

/** Ports nobody listens on right now. Another process can take one before we do: the start then fails and says so. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  const ports = await Promise.all(
    servers.map(
      (server) =>
        new Promise<number>((resolve) => server.once('listening', () => resolve((server.address() as { port: number }).port))),
    ),
  )
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  return ports
}

function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    child.once('error', reject)
    child.once('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`${command} ended with ${code}:\n${output.slice(-4000)}`)),
    )
  })
}

function pom(artifacts: readonly string[]): string {
  const dependencies = artifacts.map((artifact) => {
    const [groupId, artifactId, version] = artifact.split(':')
    return `<dependency><groupId>${groupId}</groupId><artifactId>${artifactId}</artifactId><version>${version}</version></dependency>`
  })
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>interop</groupId><artifactId>interop</artifactId><version>1</version>
<dependencies>${dependencies.join('\n')}</dependencies></project>\n`
}

/** Tools stay quiet, on standard error; the broker says when it has started. */
const LOG4J = `status = error
appender.err.type = Console
appender.err.name = err
appender.err.target = SYSTEM_ERR
appender.err.layout.type = PatternLayout
appender.err.layout.pattern = %d{HH:mm:ss,SSS} %p %m (%c{1})%n
rootLogger.level = \${sys:moldau.log.level:-WARN}
rootLogger.appenderRef.err.ref = err
`

if (import.meta.main) {
  const { values, positionals } = parseArgs({ options: { port: { type: 'string', default: '9092' } }, allowPositionals: true })
  const config = Object.fromEntries(
    positionals.map((pair) => [pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1)]),
  )
  const kafka = await startApacheKafka({ port: Number(values.port), config })
  console.log(`Apache Kafka ${KAFKA_VERSION} on ${kafka.bootstrapServers}, process ${kafka.child.pid}`)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => kafka.stop())
}

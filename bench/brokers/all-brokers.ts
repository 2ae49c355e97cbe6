// Every broker that takes part, by the promise that it gives.

import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { KAFKA_JVM, KAFKA_VERSION, kafkaClassPath, startApacheKafka } from '../../test/interop/apache-kafka.ts'
import { mustRun, runCommand } from '../../test/interop/command.ts'
import { root, startBrokerProcess } from '../../test/support/broker-process.ts'
import { loadProgram } from '../clients/load.ts'
import type { BrokerKind, RunningBroker, StartOptions, Worth } from './broker.ts'
import { startServerProcess } from './server-process.ts'

const INSTALL_TIMEOUT_MS = 300_000

function moldau(name: string, title: string, policy: string, all: Worth): BrokerKind {
  return {
    name,
    title,
    protocol: 'kafka',
    worth: { '1': 'written', all },
    async prepare() {
      const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { version: string }
      return `moldau ${version}, Node ${process.versions.node}`
    },
    async start({ parent, port, profileDirectory }: StartOptions): Promise<RunningBroker> {
      const directory = await mkdtemp(join(parent, 'moldau-'))
      const spawnedMs = performance.now()
      const broker = await startBrokerProcess(directory, {
        ...(port !== undefined && { port }),
        config: { 'log.flush.policy': policy, 'group.initial.rebalance.delay.ms': '0' },
        ...(profileDirectory && { env: { NODE_OPTIONS: `--cpu-prof --cpu-prof-dir=${profileDirectory}` } }),
      })
      return {
        address: broker.bootstrapServers,
        pid: broker.child.pid!,
        directory,
        spawnedMs,
        async stop() {
          await broker.stop()
          await rm(directory, { recursive: true, force: true, maxRetries: 5 })
        },
      }
    },
  }
}

/** Its shipped defaults, in KRaft combined mode; only what a single node needs differs. */
function apacheKafka(name: string, title: string, worth: Worth, config: Record<string, string>, share: number): BrokerKind {
  return {
    name,
    title,
    protocol: 'kafka',
    worth: { '1': worth, all: worth },
    share,
    async prepare() {
      await kafkaClassPath()
      const { output } = await mustRun(['java', '-version'])
      return `Apache Kafka ${KAFKA_VERSION}, Java ${/version "([^"]+)"/.exec(output)?.[1]}, 1 GiB heap`
    },
    async start({ port }) {
      const kafka = await startApacheKafka({ jvm: KAFKA_JVM, config, ...(port !== undefined && { port }) })
      const { bootstrapServers, child, dataDirectory, spawnedMs } = kafka
      return { address: bootstrapServers, pid: child.pid!, directory: dataDirectory, spawnedMs, stop: () => kafka.stop() }
    },
  }
}

function redis(name: string, title: string, fsync: string, worth: Worth): BrokerKind {
  return {
    name,
    title,
    protocol: 'redis',
    worth: { '1': worth, all: worth },
    prepare: () => fromDebian('redis-server', /v=(\S+)/, 'Redis'),
    start: (options) =>
      startServerProcess(options, (port, directory) => [
        ...['redis-server', '--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--save', ''],
        ...['--appendonly', 'yes', '--appendfsync', fsync],
      ]),
  }
}

function rawSink(name: string, title: string, worth: Worth): BrokerKind {
  return {
    name,
    title,
    protocol: 'raw',
    worth: { '1': worth, all: worth },
    async prepare() {
      await loadProgram()
      return 'a TCP sink that writes what it receives to a file'
    },
    async start(options) {
      const program = await loadProgram()
      return startServerProcess(options, (port, directory) => [
        ...[program, 'sink', '-address', `127.0.0.1:${port}`, '-directory', directory],
        ...(worth === 'synced' ? ['-sync'] : []),
      ])
    },
  }
}

const nats: BrokerKind = {
  name: 'nats',
  title: 'NATS JetStream',
  protocol: 'nats',
  worth: { '1': 'written', all: 'written' },
  prepare: () => fromDebian('nats-server', /v(\S+)/, 'nats-server'),
  start: (options) =>
    startServerProcess(options, (port, directory) => [
      ...['nats-server', '-a', '127.0.0.1', '-p', String(port), '-js', '-sd', directory],
    ]),
}

export const BROKERS: readonly BrokerKind[] = [
  moldau('moldau', 'Moldau', 'group', 'synced'),
  moldau('moldau-os', 'Moldau, flush.policy=os', 'os', 'written'),
  apacheKafka('kafka', 'Apache Kafka', 'written', {}, 1),
  apacheKafka('kafka-flush', 'Kafka, flush.messages=1', 'synced', { 'log.flush.interval.messages': '1' }, 0.1),
  nats,
  redis('redis', 'Redis Streams', 'everysec', 'written'),
  redis('redis-always', 'Redis, appendfsync=always', 'always', 'synced'),
  rawSink('raw', 'TCP to file', 'written'),
  rawSink('raw-sync', 'TCP to file, synced', 'synced'),
]

/** A server of the machine, or of Debian where that may be installed. Resolves with its name and version. */
async function fromDebian(program: string, version: RegExp, name: string): Promise<string> {
  if (!(await here(program)) && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get')) {
    console.error(`installing ${program}`)
    await runCommand(['apt-get', 'install', '-y', program], {
      timeoutMs: INSTALL_TIMEOUT_MS,
      env: { DEBIAN_FRONTEND: 'noninteractive' },
    })
  }
  if (!(await here(program))) throw new Error(`there is no ${program} here; Debian's package of that name has it`)
  const { output } = await mustRun([program, '--version'])
  return `${name} ${version.exec(output)?.[1]}`
}

async function here(program: string): Promise<boolean> {
  return (await runCommand(['sh', '-c', `command -v ${program}`])).code === 0
}

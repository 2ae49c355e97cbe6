// `moldau start`: a broker as a process, alone or as one of a cluster, or several of them. Turns what can go wrong into one line each.

import { readFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import type { BrokerCluster } from '../broker/broker.ts'
import { StartError } from '../broker/start-error.ts'
import { ConfigError } from '../config/definition.ts'
import type { BrokerConfig } from '../config/effective.ts'
import { PARENTS_STORE } from '../config/keys/metadata-store.ts'
import { loadStaticConfig } from '../config/static-config.ts'
import { realClock } from '../host/clock.ts'
import { type Logger, lineLogger } from '../host/logger.ts'
import { runBroker } from './run-broker.ts'
import { serveRegistryBeside } from './schema-registry-beside.ts'
import type { RegistryServer } from './schema-registry-server.ts'
import { ownHostName, START_OPTIONS, type StartFlags, settingsOf } from './start-settings.ts'
import { version } from './version.ts'

const HELP = `Starts a broker.

  moldau start                                    on localhost:9092, data in ./data
  moldau start --port 19092 --data-dir /var/lib/moldau
  moldau start --config server.properties --set num.partitions=3
  moldau start --nodes 3                          a cluster of three brokers on this machine
  moldau start --node-id 1 --cluster etcd://host1:2379,host2:2379,host3:2379
                                                  one broker of a cluster of several machines

  --port PORT        port to listen on; 0 picks a free one                    (9092)
  --host HOST        address to listen on                                     (all)
  --listen ADDRESS   both in one: HOST:PORT, or NAME://HOST:PORT,… as in listeners
  --advertise ADDR   where clients and other brokers reach this one     (in a cluster: the host name)
  --data-dir DIR     where the data lies                                      (./data)
  --node-id ID       id of this node                                          (1)
  --config FILE      Kafka's server.properties
  --set KEY=VALUE    any key of server.properties; may be repeated
  --schema-registry PORT|off
                     where the schema registry listens                        (8081; off with --port 0)
  --log-format FORM  text or json, on standard error                          (text)
  --help, --version

A cluster (docs/cluster.md):
  --cluster ADDRESS  where its metadata is: etcd://HOST:PORT,…, or etcds://… for TLS
  --rack RACK        rack or zone: replicas are spread over racks
  --machine NAME     what fails together: no two replicas on one machine      (each broker on its own)
  --nodes N          so many brokers, on this port and those behind it, data in DIR/node-1, DIR/node-2, …
  --etcd-ca FILE, --etcd-cert FILE, --etcd-key FILE
                     whom to believe, and who this is, where etcd speaks TLS
  --etcd-user USER, --etcd-password-file FILE
                     the password may stand in the environment instead: KAFKA_ETCD_PASSWORD
  --accept-metadata-rollback
                     go on although etcd was restored from an older backup, or is another one than before

Configuration comes from the file, then from KAFKA_… environment variables (KAFKA_LOG_RETENTION_MS is
log.retention.ms), then from these flags, the later over the earlier. docs/configuration.md lists all keys.
`

/** Where the data goes if nothing says otherwise. Kafka's own default is below /tmp, where data does not last. */
const DEFAULT_DATA_DIRECTORY = './data'

export async function run(args: string[]): Promise<void> {
  try {
    await start(args)
  } catch (error) {
    if (!isExpected(error)) throw error
    for (const line of (error as Error).message.split('\n')) process.stderr.write(`moldau: ${line}\n`)
    process.exit(1)
  }
}

async function start(args: string[]): Promise<void> {
  const flags: StartFlags = parseArgs({ args, options: START_OPTIONS, strict: true, allowPositionals: false }).values
  if (flags.help) return void process.stdout.write(HELP)
  if (flags.version) return void process.stdout.write(`${version()}\n`)
  const format = flags['log-format']
  if (format !== 'text' && format !== 'json') throw new ConfigError('--log-format', '--log-format must be text or json')
  const write = (line: string) => void process.stderr.write(line)
  const logger = lineLogger(format, () => realClock.wallMs(), write)

  const file = flags.config === undefined ? undefined : { path: flags.config, text: await readConfig(flags.config) }
  const { config, warnings } = loadStaticConfig({ file, environment: process.env, settings: settingsOf(flags) })
  const directories = config.get('log.dirs') ?? [config.has('log.dir') ? config.get('log.dir') : DEFAULT_DATA_DIRECTORY]
  // What the parent has said already.
  if (config.get('cluster.store') !== PARENTS_STORE) for (const warning of warnings) logger.warn(warning)

  let registry: RegistryServer | undefined
  const beforeClose = async () => registry?.close()
  const serveRegistry = async (bootstrapServers: readonly string[]) => {
    const listeners = config.get('listeners')
    const [, host = ''] = /:\/\/\[?([^/]*?)\]?:\d+$/.exec(listeners[0].trim()) ?? []
    const isAnyPort = listeners.some((listener) => listener.endsWith(':0'))
    const advertisedHost = flags.cluster === undefined ? host || 'localhost' : ownHostName()
    const flag = flags['schema-registry']
    registry = await serveRegistryBeside({ flag, host, advertisedHost, isAnyPort, bootstrapServers, logger })
  }

  if (flags.nodes !== undefined) {
    const { runNodes } = await import('./run-nodes.ts')
    const { nodes, where } = await runNodes({ flags, config, directories, logger, write, beforeClose })
    await serveRegistry(where)
    return ready(`${nodes} nodes on ${where.join(', ')}, data in ${directories[0]}`)
  }
  const cluster = await clusterOf(config, flags, logger)
  const broker = await runBroker({ config, directories, logger, cluster, beforeClose })
  const { host, port } = broker.endpoint
  // Whoever has started several says so for all of them.
  if (config.get('cluster.store') === PARENTS_STORE) return void process.send!({ ready: { host, port } })
  await serveRegistry([`${host.includes(':') ? `[${host}]` : host}:${port}`])
  ready(`node ${broker.nodeId} on ${host}:${port}, data in ${directories.join(', ')}`)
}

function ready(what: string): void {
  process.stdout.write(`Kafka Server started: moldau ${version()}, ${what}, ready in ${Math.round(performance.now())} ms\n`)
}

/** Undefined for a single node. */
async function clusterOf(config: BrokerConfig, flags: StartFlags, logger: Logger): Promise<BrokerCluster | undefined> {
  const address = config.get('cluster.store')
  if (address === null) return undefined
  const parents = address === PARENTS_STORE
  const store = parents
    ? await (await import('./parent-store.ts')).openParentsStore()
    : await (await import('./metadata-store.ts')).openEtcd(config, (line) => logger.warn(line))
  return {
    store,
    machine: config.get('broker.machine'),
    hostName: parents ? 'localhost' : ownHostName(),
    acceptMetadataRollback: flags['accept-metadata-rollback'] ?? false,
  }
}

async function readConfig(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new ConfigError('--config', `--config ${path}: ${(error as Error).message}`)
  }
}

function isExpected(error: unknown): boolean {
  return (
    error instanceof ConfigError ||
    error instanceof StartError ||
    (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') === true
  )
}

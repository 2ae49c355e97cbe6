// `moldau start`: the broker as a process. Puts the real world around it, and turns what can go wrong into one line each.

import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Broker } from '../broker/broker.ts'
import { StartError } from '../broker/start-error.ts'
import { ConfigError } from '../config/definition.ts'
import { loadStaticConfig, parseSetting, type StaticSetting } from '../config/static-config.ts'
import { realClock } from '../host/clock.ts'
import { releaseMemoryWhenIdle } from '../host/idle-memory.ts'
import { lineLogger } from '../host/logger.ts'
import { realRandom } from '../host/random.ts'
import { realDisk } from '../host/real-disk.ts'
import { realNetwork } from '../host/real-network.ts'
import { version } from './version.ts'

const HELP = `Starts a broker.

  moldau start                                    on localhost:9092, data in ./data
  moldau start --port 19092 --data-dir /var/lib/moldau
  moldau start --config server.properties --set num.partitions=3

  --port PORT        port to listen on; 0 picks a free one                    (9092)
  --host HOST        address to listen on                                     (all)
  --data-dir DIR     where the data lies                                      (./data)
  --node-id ID       id of this node                                          (1)
  --config FILE      Kafka's server.properties
  --set KEY=VALUE    any key of server.properties; may be repeated
  --log-format FORM  text or json, on standard error                          (text)
  --help, --version

Configuration comes from the file, then from KAFKA_… environment variables (KAFKA_LOG_RETENTION_MS is
log.retention.ms), then from these flags, the later over the earlier. docs/configuration.md lists all keys.
`

const OPTIONS = {
  port: { type: 'string' },
  host: { type: 'string' },
  'data-dir': { type: 'string' },
  'node-id': { type: 'string' },
  config: { type: 'string' },
  set: { type: 'string', multiple: true },
  'log-format': { type: 'string', default: 'text' },
  help: { type: 'boolean', short: 'h' },
  version: { type: 'boolean' },
} as const

/** Where the data goes if nothing says otherwise. Kafka's own default is below /tmp, where data does not last. */
const DEFAULT_DATA_DIRECTORY = './data'
/** A clean shutdown flushes and closes; one that takes longer than this is stuck, and a second signal ends it. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

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
  const { values: flags } = parseArgs({ args, options: OPTIONS, strict: true, allowPositionals: false })
  if (flags.help) return void process.stdout.write(HELP)
  if (flags.version) return void process.stdout.write(`${version()}\n`)
  const format = flags['log-format']
  if (format !== 'text' && format !== 'json') throw new ConfigError('--log-format', '--log-format must be text or json')
  const logger = lineLogger(
    format,
    () => realClock.wallMs(),
    (line) => process.stderr.write(line),
  )

  const file = flags.config === undefined ? undefined : { path: flags.config, text: await readConfig(flags.config) }
  const { config, warnings } = loadStaticConfig({ file, environment: process.env, settings: settingsOf(flags) })
  for (const warning of warnings) logger.warn(warning)
  const directories = config.get('log.dirs') ?? [config.has('log.dir') ? config.get('log.dir') : DEFAULT_DATA_DIRECTORY]

  const broker = await Broker.start({
    config,
    directories: directories.map((directory) => resolve(directory)),
    disk: realDisk,
    network: realNetwork,
    clock: realClock,
    random: realRandom,
    logger,
  })
  // Before anybody is told that it serves, or its first signal would find nobody listening.
  stopOn(broker, (message) => logger.info(message))
  await takeCommands(broker, resolve(directories[0]), (message) => logger.warn(message))
  releaseMemoryWhenIdle(() => broker.releaseMemory())
  const { host, port } = broker.endpoint
  const where = `node ${broker.nodeId} on ${host}:${port}, data in ${directories.join(', ')}`
  process.stdout.write(`Kafka Server started: moldau ${version()}, ${where}, ready in ${Math.round(performance.now())} ms\n`)
}

type Flags = ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values']

function settingsOf(flags: Flags): StaticSetting[] {
  const settings = (flags.set ?? []).map((text) => parseSetting(text))
  if (flags.port !== undefined || flags.host !== undefined) {
    const host = flags.host ?? ''
    const port = flags.port ?? '9092'
    if (!/^\d{1,5}$/.test(port) || Number(port) > 65535) throw new ConfigError('--port', `--port ${port}: must be 0 to 65535`)
    settings.push({
      key: 'listeners',
      value: `PLAINTEXT://${host.includes(':') ? `[${host}]` : host}:${port}`,
      origin: '--port, --host',
    })
  }
  if (flags['data-dir'] !== undefined) settings.push({ key: 'log.dirs', value: flags['data-dir'], origin: '--data-dir' })
  if (flags['node-id'] !== undefined) settings.push({ key: 'node.id', value: flags['node-id'], origin: '--node-id' })
  return settings
}

async function readConfig(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch (error) {
    throw new ConfigError('--config', `--config ${path}: ${(error as Error).message}`)
  }
}

/** What other commands on this machine ask for. */
async function takeCommands(broker: Broker, directory: string, warn: (message: string) => void): Promise<void> {
  const { listenForControl } = await import('./control-socket.ts')
  const backup = async (target: string) => ({ ok: true, ...(await broker.backup(target)) }) as const
  try {
    const server = await listenForControl(directory, (request) => backup(request.directory))
    if (server === undefined)
      warn(`"moldau backup" works only with the broker stopped: the path ${directory} is too long for a socket`)
  } catch (error) {
    warn(`"moldau backup" works only with the broker stopped: ${(error as Error).message}`)
  }
}

function stopOn(broker: Broker, say: (message: string) => void): void {
  let stopping = false
  for (const signal of SIGNALS) {
    process.on(signal, () => {
      if (stopping) process.exit(130)
      stopping = true
      say(`${signal}: shutting down, once more to give up waiting`)
      broker.close().then(
        () => process.exit(0),
        (error) => {
          process.stderr.write(`moldau: the shutdown failed: ${error.message}\n`)
          process.exit(1)
        },
      )
    })
  }
}

function isExpected(error: unknown): boolean {
  return (
    error instanceof ConfigError ||
    error instanceof StartError ||
    (error as NodeJS.ErrnoException).code?.startsWith('ERR_PARSE_ARGS') === true
  )
}

// `moldau start --nodes N`: so many brokers, each a process of its own, that this process starts, watches, starts again and stops. Unless
// there is an etcd, it also keeps their metadata.

import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { diskStartError, StartError } from '../broker/start-error.ts'
import { EmbeddedStore } from '../cluster/store/embedded-store.ts'
import type { StoreChannel } from '../cluster/store/store-messages.ts'
import { StoreServer } from '../cluster/store/store-server.ts'
import { ConfigError } from '../config/definition.ts'
import type { BrokerConfig } from '../config/effective.ts'
import { PARENTS_STORE } from '../config/keys/metadata-store.ts'
import { parseListeners } from '../config/listeners.ts'
import { delay, realClock } from '../host/clock.ts'
import type { Logger } from '../host/logger.ts'
import { realRandom } from '../host/random.ts'
import { realDisk } from '../host/real-disk.ts'
import type { FromChild, FromParent } from './parent-store.ts'
import { stopOn } from './run-broker.ts'
import { ownHostName, type StartFlags } from './start-settings.ts'

/** More are no longer a developer's cluster, nor a machine's worth. */
const MOST_NODES = 64
/** A broker that ends sooner than this after it was started waits before it is started again, each time longer. */
const HEALTHY_AFTER_MS = 10_000
const LONGEST_PAUSE_MS = 30_000
const METADATA_DIRECTORY = 'metadata'

export interface NodesOptions {
  readonly flags: StartFlags
  readonly config: BrokerConfig
  readonly directories: readonly string[]
  readonly logger: Logger
  /** Whole lines. */
  readonly write: (line: string) => void
  /** What lives on the brokers, and goes before them. */
  readonly beforeClose?: () => Promise<void>
}

/** Resolves when all of them serve. @throws {StartError} @throws {ConfigError} */
export async function runNodes(options: NodesOptions): Promise<{ nodes: number; where: string[] }> {
  const { flags, config, directories, logger } = options
  const count = Number(flags.nodes)
  if (!/^\d+$/.test(flags.nodes ?? '') || count < 1 || count > MOST_NODES)
    throw new ConfigError('--nodes', `--nodes ${flags.nodes}: must be 1 to ${MOST_NODES}`)
  if (directories.length > 1) throw new ConfigError('--nodes', '--nodes takes one data directory: each broker gets a part of it')
  const directory = resolve(directories[0])
  if (existsSync(join(directory, 'meta.properties'))) {
    throw new StartError(
      `${directory} holds the data of a single node: start it without --nodes, or choose another directory with --data-dir`,
    )
  }
  const first = config.get('node.id')
  if (existsSync(join(directory, `node-${first + count}`)))
    logger.warn(`${directory} has more brokers than ${count}: what only the others have cannot be reached`)

  const store = config.get('cluster.store') === null ? await openStore(join(directory, METADATA_DIRECTORY)) : undefined
  const server = store === undefined ? undefined : new StoreServer(store, realClock)
  const nodes = Array.from({ length: count }, (_, i) => new Node(first + i, i, directory, options, server))
  const close = async () => {
    await options.beforeClose?.()
    await Promise.all(nodes.map((node) => node.stop()))
    server?.close()
    await store?.close()
  }
  stopOn(['SIGINT', 'SIGTERM'], (message) => logger.info(message), close)
  // However this process ends, it leaves no brokers behind without metadata.
  process.once('exit', () => {
    for (const node of nodes) node.kill()
  })
  try {
    const where = await Promise.all(nodes.map((node) => node.start()))
    return { nodes: count, where }
  } catch (error) {
    await close()
    throw error
  }
}

async function openStore(directory: string): Promise<EmbeddedStore> {
  try {
    await realDisk.makeDirectory(directory)
    return await EmbeddedStore.open({ disk: realDisk, directory, random: realRandom })
  } catch (error) {
    throw diskStartError(error)
  }
}

/** One broker, through all of its processes. */
class Node {
  readonly id: number
  private readonly index: number
  private readonly directory: string
  private readonly options: NodesOptions
  private readonly server: StoreServer | undefined
  private child: ChildProcess | undefined
  private ended: Promise<string> = Promise.resolve('')
  private stopping = false
  /** The ports that it got, where it was to choose: clients know it by them. */
  private port: number | undefined
  private pauseMs = 0

  constructor(id: number, index: number, directory: string, options: NodesOptions, server: StoreServer | undefined) {
    this.id = id
    this.index = index
    this.directory = directory
    this.options = options
    this.server = server
  }

  /** Resolves with `host:port` when it serves, and keeps it alive from then on. @throws {StartError} */
  async start(): Promise<string> {
    const { host, port } = await this.launch()
    this.port = port
    void this.keepAlive()
    return `${host}:${port}`
  }

  async stop(): Promise<void> {
    this.stopping = true
    this.child?.kill('SIGTERM')
    await this.ended
  }

  kill(): void {
    this.child?.kill('SIGKILL')
  }

  private async keepAlive(): Promise<void> {
    const { logger } = this.options
    for (let sinceMs = realClock.monotonicMs(); ; sinceMs = realClock.monotonicMs()) {
      const how = await this.ended
      if (this.stopping) return
      const lived = realClock.monotonicMs() - sinceMs > HEALTHY_AFTER_MS
      this.pauseMs = lived ? 0 : Math.min(LONGEST_PAUSE_MS, 2 * this.pauseMs || 500)
      logger.error(`broker ${this.id} has ended with ${how}: starting it again${lived ? '' : ` in ${this.pauseMs} ms`}`)
      await delay(realClock, this.pauseMs)
      if (this.stopping) return
      await this.launch().then(
        () => logger.info(`broker ${this.id} serves again`),
        () => {},
      )
    }
  }

  private launch(): Promise<{ host: string; port: number }> {
    const child = spawn(process.execPath, [process.argv[1], 'start', ...this.arguments()], {
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
      serialization: 'advanced',
      // Ctrl-C is for this process, which stops them in order.
      detached: true,
    })
    this.child = child
    prefixLines(child.stderr!, this.prefix(), this.options.write)
    this.ended = new Promise((done) => {
      child.once('error', (error) => done(error.message))
      child.once('close', (code, signal) => done(signal ?? `code ${code}`))
    })
    const channel: StoreChannel = {
      send: (store) => void child.send({ store } satisfies FromParent, () => {}),
      onMessage() {},
      onClose() {},
    }
    this.server?.serve(channel)
    child.once('disconnect', () => channel.onClose())
    return new Promise((served, failed) => {
      child.on('message', (message: FromChild) => {
        if ('ready' in message) served(message.ready)
        else channel.onMessage(message.store)
      })
      void this.ended.then((how) => failed(new StartError(`broker ${this.id} has not started, it ended with ${how}: see above`)))
    })
  }

  private arguments(): string[] {
    const { flags, config } = this.options
    const listeners = parseListeners(config)
    const address = (name: string, host: string, port: number) =>
      `${name}://${host.includes(':') ? `[${host}]` : host}:${this.portOf(port)}`
    const given: Record<string, string | undefined> = {
      config: flags.config,
      'log-format': flags['log-format'],
      'node-id': String(this.id),
      'data-dir': join(this.directory, `node-${this.id}`),
      listen: listeners.map(({ name, host, port }) => address(name, host, port)).join(),
      advertise: listeners.some(({ advertised }) => advertised !== null)
        ? listeners
            .flatMap(({ name, advertised }) => (advertised === null ? [] : address(name, advertised.host, advertised.port)))
            .join()
        : undefined,
      cluster: config.get('cluster.store') ?? PARENTS_STORE,
      rack: flags.rack,
      // With metadata of their own there is no other machine to put a replica on, and saying so would only forbid it.
      machine: config.get('broker.machine') ?? (config.get('cluster.store') === null ? undefined : ownHostName()),
      'etcd-ca': flags['etcd-ca'],
      'etcd-cert': flags['etcd-cert'],
      'etcd-key': flags['etcd-key'],
      'etcd-user': flags['etcd-user'],
      'etcd-password-file': flags['etcd-password-file'],
    }
    return [
      ...(flags.set ?? []).flatMap((setting) => ['--set', setting]),
      ...Object.entries(given).flatMap(([flag, value]) => (value === undefined ? [] : [`--${flag}`, value])),
      ...(flags['accept-metadata-rollback'] ? ['--accept-metadata-rollback'] : []),
    ]
  }

  private portOf(port: number): number {
    if (port === 0) return this.port ?? 0
    if (port + this.index > 65535) throw new ConfigError('--port', `there are no ${this.index} ports behind ${port}`)
    return port + this.index
  }

  private prefix(): (line: string) => string {
    if (this.options.flags['log-format'] !== 'json') return (line) => `[${this.id}] ${line}`
    return (line) => (line.startsWith('{') ? `{"node":${this.id},${line.slice(1)}` : line)
  }
}

function prefixLines(stream: NodeJS.ReadableStream, prefix: (line: string) => string, write: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    for (const line of lines) write(`${prefix(line)}\n`)
  })
  stream.on('end', () => rest !== '' && write(`${prefix(rest)}\n`))
}

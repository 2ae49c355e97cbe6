// A broker inside this process, for tests: up within milliseconds, many at once, gone without a trace.

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { Broker } from '../broker/broker.ts'
import { loadStaticConfig } from '../config/static-config.ts'
import { type Clock, realClock } from '../host/clock.ts'
import { type Logger, silentLogger } from '../host/logger.ts'
import { MemoryDisk } from '../host/memory-disk.ts'
import { realRandom } from '../host/random.ts'
import { realDisk } from '../host/real-disk.ts'
import { realNetwork } from '../host/real-network.ts'

export interface StartBrokerOptions {
  /** `memory` (default): nothing touches the disk. `disk`: in `directory`, or in a temporary one that goes with the broker. */
  readonly storage?: 'memory' | 'disk'
  /** Kept when the broker closes, so that another can be started on it. */
  readonly directory?: string
  /** Default: any free one. */
  readonly port?: number
  /** Keys of Kafka's server.properties. */
  readonly config?: Readonly<Record<string, string>>
  /** Default: says nothing. */
  readonly logger?: Logger
  readonly clock?: Clock
}

export interface TestBroker extends AsyncDisposable {
  /** `host:port`, as every Kafka client takes it. */
  readonly bootstrapServers: string
  readonly host: string
  readonly port: number
  /** Where its data lies; of no meaning in memory. */
  readonly directory: string
  close(): Promise<void>
}

/** What a test wants other than what production wants: no wait for more members before a group's first rebalance. */
const TEST_DEFAULTS = { 'group.initial.rebalance.delay.ms': '0' }

/**
 * @example
 * const broker = await startBroker({ storage: 'memory' })
 * const kafka = new Kafka({ brokers: [broker.bootstrapServers] })
 * await broker.close()
 */
export async function startBroker(options: StartBrokerOptions = {}): Promise<TestBroker> {
  const { storage = 'memory', port = 0, logger = silentLogger, clock = realClock } = options
  const temporary = storage === 'disk' && options.directory === undefined ? await mkdtemp(join(tmpdir(), 'moldau-')) : undefined
  const directory = storage === 'memory' ? '/data' : resolve(options.directory ?? temporary!)
  const given = { ...TEST_DEFAULTS, listeners: `PLAINTEXT://127.0.0.1:${port}`, ...options.config }
  const settings = Object.entries(given).map(([key, value]) => ({ key, value, origin: 'config' }))
  const broker = await Broker.start({
    config: loadStaticConfig({ settings }).config,
    directories: [directory],
    disk: storage === 'memory' ? new MemoryDisk() : realDisk,
    network: realNetwork,
    clock,
    random: realRandom,
    logger,
  })
  const close = async () => {
    await broker.close()
    if (temporary !== undefined) await rm(temporary, { recursive: true, force: true })
  }
  const { host } = broker.endpoint
  return {
    bootstrapServers: `${host}:${broker.endpoint.port}`,
    host,
    port: broker.endpoint.port,
    directory,
    close,
    [Symbol.asyncDispose]: close,
  }
}

// One broker on the real world, until it is told to stop.

import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { Broker, type BrokerCluster } from '../broker/broker.ts'
import { StartError } from '../broker/start-error.ts'
import type { BrokerConfig } from '../config/effective.ts'
import { realClock } from '../host/clock.ts'
import { releaseMemoryWhenIdle } from '../host/idle-memory.ts'
import type { Logger } from '../host/logger.ts'
import { realRandom } from '../host/random.ts'
import { realDisk } from '../host/real-disk.ts'
import { realNetwork } from '../host/real-network.ts'

/** A clean shutdown flushes and closes; one that takes longer than its user's patience is ended by a second signal. */
const SIGNALS = ['SIGINT', 'SIGTERM'] as const

export interface RunOptions {
  readonly config: BrokerConfig
  readonly directories: readonly string[]
  readonly logger: Logger
  readonly cluster?: BrokerCluster
  /** What lives on the broker, and goes before it. */
  readonly beforeClose?: () => Promise<void>
}

/** Resolves when it serves. @throws {StartError} */
export async function runBroker({ config, directories, logger, cluster, beforeClose }: RunOptions): Promise<Broker> {
  for (const directory of directories) refuseNodes(directory)
  const broker = await Broker.start({
    config,
    directories: directories.map((directory) => resolve(directory)),
    disk: realDisk,
    network: realNetwork,
    clock: realClock,
    random: realRandom,
    logger,
    cluster,
  })
  // Before anybody is told that it serves, or its first signal would find nobody listening.
  stopOn(
    SIGNALS,
    (message) => logger.info(message),
    async () => {
      await beforeClose?.()
      await broker.close()
      await cluster?.store.close()
    },
  )
  await takeCommands(broker, resolve(directories[0]), (message) => logger.warn(message))
  releaseMemoryWhenIdle(() => broker.releaseMemory())
  return broker
}

/** The first signal ends the process when `close` is done, the second at once. */
export function stopOn(signals: readonly NodeJS.Signals[], say: (message: string) => void, close: () => Promise<void>): void {
  let stopping = false
  for (const signal of signals) {
    process.on(signal, () => {
      if (stopping) process.exit(130)
      stopping = true
      say(`${signal}: shutting down, once more to give up waiting`)
      close().then(
        () => process.exit(0),
        (error) => {
          process.stderr.write(`moldau: the shutdown failed: ${error.message}\n`)
          process.exit(1)
        },
      )
    })
  }
}

/** The directories of `--nodes` have names like those of partitions: a broker would take them for what is left of a topic. */
function refuseNodes(directory: string): void {
  if (!existsSync(join(directory, 'node-1', 'meta.properties'))) return
  throw new StartError(
    `${directory} holds the brokers of "moldau start --nodes": start it with --nodes, or choose another directory with --data-dir`,
  )
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

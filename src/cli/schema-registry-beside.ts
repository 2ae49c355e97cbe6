// The schema registry that `moldau start` serves beside its brokers: on port 8081 unless told otherwise, loaded when somebody connects.

import { ConfigError } from '../config/definition.ts'
import { realClock } from '../host/clock.ts'
import type { Logger } from '../host/logger.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { type RegistryServer, serveSchemaRegistry } from './schema-registry-server.ts'
import { version } from './version.ts'

const DEFAULT_PORT = 8081

export interface BesideOptions {
  /** `off`, a port, or undefined where nothing was said. */
  readonly flag: string | undefined
  /** As the broker listens: empty for all addresses. */
  readonly host: string
  readonly advertisedHost: string
  /** The broker has any free port: one of many on the machine, whose registry nobody would find. */
  readonly isAnyPort: boolean
  readonly bootstrapServers: readonly string[]
  readonly logger: Logger
}

/**
 * Undefined if there is to be none. A port that somebody else has is an error only if it was asked for by name: throws ConfigError,
 * as for a flag that makes no sense.
 */
export async function serveRegistryBeside(options: BesideOptions): Promise<RegistryServer | undefined> {
  const { flag, logger, isAnyPort, ...rest } = options
  if (flag === 'off' || (flag === undefined && isAnyPort)) return undefined
  const port = Number(flag ?? DEFAULT_PORT)
  if (flag !== undefined && (!/^\d{1,5}$/.test(flag) || port > 65_535))
    throw new ConfigError('--schema-registry', `--schema-registry ${flag}: must be off, or a port from 0 to 65535`)
  const { host, advertisedHost, bootstrapServers } = rest
  const client = {
    network: realNetwork,
    clock: realClock,
    random: realRandom,
    softwareVersion: version(),
    clientId: 'schema-registry',
    bootstrapServers,
  }
  try {
    const server = await serveSchemaRegistry({ host, port, advertisedHost, client, logger })
    if (flag !== undefined) logger.info(`schema registry on port ${server.port}`)
    return server
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'EADDRINUSE' ? 'something else listens there' : (error as Error).message
    if (flag !== undefined) throw new ConfigError('--schema-registry', `--schema-registry ${port}: ${why}`)
    logger.info(`no schema registry on port ${port}: ${why}; --schema-registry PORT takes another, off leaves it out`)
    return undefined
  }
}

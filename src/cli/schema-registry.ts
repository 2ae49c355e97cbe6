// `moldau schema-registry`: the registry as a process of its own, for any Kafka.

import { hostname } from 'node:os'
import { realClock } from '../host/clock.ts'
import { lineLogger } from '../host/logger.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { clientOptions, readProperties } from './client-properties.ts'
import { serveSchemaRegistry } from './schema-registry-server.ts'
import { integer, runTool, text, toolCommand, UsageError, withConnection } from './tool.ts'
import { version } from './version.ts'

const definition = {
  name: 'moldau schema-registry',
  summary: "Serves a schema registry (Confluent's REST API) that keeps its schemas in a topic of a Kafka cluster.",
  examples: `# for the brokers at localhost:9092, on port 8081
moldau schema-registry --bootstrap-server localhost:9092
# a second one, to which other registries can forward
moldau schema-registry --bootstrap-server localhost:9092 --port 8082 --advertised-host registry-2.example
`,
}

interface Flags {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly port?: number
  readonly host?: string
  readonly advertisedHost?: string
  readonly topic?: string
  readonly replicationFactor?: number
  readonly groupId?: string
  readonly follower?: boolean
  readonly logFormat?: string
}

const DEFAULT_PORT = 8081

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
    .addOption(integer('--port <port>', `port to listen on; 0 picks a free one (default: ${DEFAULT_PORT})`, 0, 65_535))
    .addOption(text('--host <host>', 'address to listen on (default: all)'))
    .addOption(text('--advertised-host <host>', "name by which other registries reach this one (default: the machine's)"))
    .addOption(text('--topic <name>', 'topic that holds the schemas (default: _schemas)'))
    .addOption(
      integer('--replication-factor <n>', 'of the topic, if it is to be created (default: 3, or all brokers)', 1, 32_767),
    )
    .addOption(text('--group-id <id>', 'group in which registries elect the one that writes (default: schema-registry)'))
    .option('--follower', 'never write, only read and forward')
    .addOption(text('--log-format <format>', 'text or json, on standard error (default: text)'))
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    const { logFormat = 'text', port = DEFAULT_PORT } = flags
    if (logFormat !== 'text' && logFormat !== 'json') throw new UsageError('--log-format must be text or json')
    const properties = flags.commandConfig === undefined ? new Map<string, string>() : await readProperties(flags.commandConfig)
    const bootstrapServers = flags.bootstrapServer ?? properties.get('bootstrap.servers')
    if (bootstrapServers === undefined) throw new UsageError('--bootstrap-server must be specified, for example localhost:9092')
    const logger = lineLogger(
      logFormat,
      () => realClock.wallMs(),
      (line) => process.stderr.write(line),
    )
    const server = await serveSchemaRegistry({
      host: flags.host ?? '',
      port,
      advertisedHost: flags.advertisedHost ?? hostname(),
      client: {
        network: realNetwork,
        clock: realClock,
        random: realRandom,
        softwareVersion: version(),
        ...clientOptions(properties),
        clientId: properties.get('client.id') ?? 'schema-registry',
        bootstrapServers,
      },
      logger,
      topic: flags.topic,
      replicationFactor: flags.replicationFactor,
      groupId: flags.groupId,
      eligible: flags.follower !== true,
      eager: true,
    })
    stopOn(server.close)
    process.stdout.write(`Schema registry started: moldau ${version()}, on port ${server.port}, for ${bootstrapServers}\n`)
  })
}

function stopOn(close: () => Promise<void>): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => {
      close().then(
        () => process.exit(0),
        () => process.exit(1),
      )
    })
  }
}

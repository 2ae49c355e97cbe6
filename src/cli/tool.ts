// What the tools have in common: flags as Kafka's tools take them, errors in one line, a client for the cluster.

import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { ClusterClient } from '../client/cluster-client.ts'
import { TimeoutError } from '../client/errors.ts'
import { realClock } from '../host/clock.ts'
import { realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { clientOptions, type Properties, readProperties } from './client-properties.ts'
import { version } from './version.ts'

/** What the user asked for makes no sense: said in one line, without a stack. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

export interface ToolDefinition {
  /** As people type it: `kafka-topics.sh`. */
  readonly name: string
  readonly summary: string
  /** Commands to copy, each with a line of explanation above it. */
  readonly examples: string
  /** In front of what goes wrong, as the tool's original puts it; the tool's name if absent. */
  readonly errorPrefix?: string
}

/** A command with the flags that every tool has. */
export function toolCommand(definition: ToolDefinition): Command {
  const command = new Command(definition.name)
    .description(definition.summary)
    .version(version(), '--version', 'print the version and exit')
    .helpOption('--help', 'print this and exit')
    .addHelpText('after', `\nExamples:\n${definition.examples.replace(/^(?=.)/gm, '  ')}`)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
    .configureHelp({ helpWidth: process.stdout.columns ?? 100 })
  return command
}

/** `--bootstrap-server` and `--command-config`. Required, but checked by `connect`, after what else may be wrong. */
export function withConnection(command: Command): Command {
  return command
    .addOption(text('--bootstrap-server <host:port>', 'servers to start from, separated by commas (required)'))
    .addOption(text('--command-config <file>', 'properties of the client'))
}

/** A flag that takes one value and may be given once. */
export function text(flags: string, description: string): Option {
  return new Option(flags, description).argParser(once((value) => value))
}

/** A flag that takes an integer within bounds, once. */
export function integer(flags: string, description: string, min = 0, max = 0x7fff_ffff): Option {
  return new Option(flags, description).argParser(
    once((value) => {
      const number = Number(value)
      if (!/^[+-]?\d+$/.test(value) || number < min || number > max) {
        throw new InvalidArgumentError(`It must be an integer from ${min} to ${max}.`)
      }
      return number
    }),
  )
}

/** A flag that takes a value each time it is given: an array. */
export function texts(flags: string, description: string): Option {
  return new Option(flags, description).argParser((value: string, previous: string[] | undefined) => [...(previous ?? []), value])
}

function once<T>(parse: (value: string) => T): (value: string, previous: unknown) => T {
  return (value, previous) => {
    if (previous !== undefined) throw new InvalidArgumentError('It is given twice.')
    return parse(value)
  }
}

/**
 * Parses the arguments and does the work. Whatever goes wrong is printed in one line to standard error, and the exit code is 1. The
 * process ends when nothing is left to do, so that what was printed reaches a slow reader.
 */
export async function runTool(
  definition: ToolDefinition,
  command: Command,
  args: readonly string[],
  work: () => Promise<void>,
): Promise<void> {
  // A reader that has seen enough (`| head`) is no error; Node would throw.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
  try {
    if (args.length === 0) {
      command.outputHelp()
      process.exitCode = 1
      return
    }
    command.parse(completed(command, args), { from: 'user' })
    await work()
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return
    process.stderr.write(`${sentence(definition, error)}\n`)
    process.exitCode = 1
  }
}

function sentence(definition: ToolDefinition, error: unknown): string {
  const isMissing = error instanceof CommanderError && error.code === 'commander.help'
  const message = isMissing ? 'a command is missing' : oneLine(error)
  if (error instanceof CommanderError)
    return `${definition.name}: ${message.replace(/^error: /, '')}; see ${definition.name} --help`
  if (error instanceof UsageError) return `${definition.name}: ${message}`
  return `${definition.errorPrefix ?? `${definition.name}:`} ${message}`
}

/** What an error says, whatever it is. Bugs show where they happened if MOLDAU_DEBUG is set. */
export function oneLine(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  if (process.env['MOLDAU_DEBUG'] !== undefined) return error.stack ?? error.message
  return error.message.trim().replaceAll(/\s*\n\s*/g, ' ')
}

/** Kafka's tools take a flag by any beginning that is no other flag's. */
function completed(command: Command, args: readonly string[]): string[] {
  const flags = command.options.map((option) => option.long!).concat('--help')
  return args.map((arg) => {
    const [, name, rest] = /^(--[a-z][a-z.-]*)(=.*)?$/s.exec(arg) ?? []
    if (name === undefined || flags.includes(name)) return arg
    const candidates = flags.filter((flag) => flag.startsWith(name))
    return candidates.length === 1 ? `${candidates[0]}${rest ?? ''}` : arg
  })
}

/** How long a tool tries to find a server that answers at all, before it says that there is none. */
const CONNECT_TIMEOUT_MS = 3000

/**
 * Does the work with a client, which is closed afterwards. `properties` override those of the file.
 */
export async function withCluster<T>(
  options: { readonly bootstrapServer?: string; readonly commandConfig?: string },
  defaults: { readonly clientId: string; readonly properties?: Properties },
  work: (cluster: ClusterClient, properties: Properties) => Promise<T>,
): Promise<T> {
  const file = options.commandConfig === undefined ? new Map<string, string>() : await readProperties(options.commandConfig)
  const properties: Properties = new Map([...file, ...(defaults.properties ?? [])])
  const bootstrapServers = options.bootstrapServer ?? properties.get('bootstrap.servers')
  if (bootstrapServers === undefined) throw new UsageError('--bootstrap-server must be specified, for example localhost:9092')
  const cluster = new ClusterClient({
    network: realNetwork,
    clock: realClock,
    random: realRandom,
    softwareVersion: version(),
    ...clientOptions(properties),
    clientId: properties.get('client.id') ?? defaults.clientId,
    bootstrapServers,
  })
  try {
    await cluster
      .retrying('connecting', CONNECT_TIMEOUT_MS, () => cluster.anyBroker())
      .catch((error) => {
        // Why it failed says more than that the time was up.
        throw error instanceof TimeoutError ? (error.cause ?? error) : error
      })
    return await work(cluster, properties)
  } finally {
    await cluster.close()
  }
}

/** `key=value`, as --property and its like take it. Throws UsageError. */
export function keyValues(entries: readonly string[], flag: string): Map<string, string> {
  return new Map(
    entries.map((entry) => {
      const at = entry.indexOf('=')
      if (at <= 0) throw new UsageError(`${flag} ${entry}: key=value is meant`)
      return [entry.slice(0, at), entry.slice(at + 1)]
    }),
  )
}

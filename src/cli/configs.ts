// kafka-configs: describes and alters configuration of topics, brokers, groups and client metrics, and quotas of clients.

import {
  type ConfigChange,
  type ConfigEntry,
  type ConfigResource,
  type ConfigSource,
  type ResourceTypeName,
  resourceKey,
} from '../client/admin/config-admin.ts'
import { orThrow } from '../client/admin/results.ts'
import { Admin } from '../client/admin.ts'
import { UnsupportedVersionError } from '../client/errors.ts'
import { readProperties } from './client-properties.ts'
import { alterQuotas, describeQuotas, isQuotaType } from './quotas.ts'
import { runTool, text, texts, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'kafka-configs',
  summary: 'Describes and alters the configuration of topics, brokers, groups, clients and users, while they run.',
  examples: `# what a topic has of its own, and everything that holds for it
kafka-configs.sh --bootstrap-server localhost:9092 --describe --topic events
kafka-configs.sh --bootstrap-server localhost:9092 --describe --topic events --all
# keep records for a day; back to the default
kafka-configs.sh --bootstrap-server localhost:9092 --alter --topic events --add-config retention.ms=86400000
kafka-configs.sh --bootstrap-server localhost:9092 --alter --topic events --delete-config retention.ms
# values with commas stand in brackets
kafka-configs.sh --bootstrap-server localhost:9092 --alter --topic events --add-config cleanup.policy=[compact,delete]
# all brokers; one of them
kafka-configs.sh --bootstrap-server localhost:9092 --alter --broker-defaults --add-config log.retention.ms=86400000
kafka-configs.sh --bootstrap-server localhost:9092 --describe --broker 1
# a quota for a client id
kafka-configs.sh --bootstrap-server localhost:9092 --alter --client reports --add-config consumer_byte_rate=1048576

--topic NAME is short for --entity-type topics --entity-name NAME, and so on.
`,
}

interface Flags {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly describe?: boolean
  readonly alter?: boolean
  readonly all?: boolean
  readonly addConfig?: string
  readonly addConfigFile?: string
  readonly deleteConfig?: readonly string[]
}

/** What is meant: types in the order of the command line, and names in theirs. An empty name is the default. */
interface Entities {
  readonly types: string[]
  readonly names: string[]
}

/** Types whose configuration is a resource of its own; the others have quotas. */
const RESOURCES: Readonly<Record<string, { readonly type: ResourceTypeName; readonly dynamicSource: ConfigSource | undefined }>> =
  {
    topics: { type: 'TOPIC', dynamicSource: 'DYNAMIC_TOPIC_CONFIG' },
    brokers: { type: 'BROKER', dynamicSource: 'DYNAMIC_BROKER_CONFIG' },
    'broker-loggers': { type: 'BROKER_LOGGER', dynamicSource: undefined },
    'client-metrics': { type: 'CLIENT_METRICS', dynamicSource: 'DYNAMIC_CLIENT_METRICS_CONFIG' },
    groups: { type: 'GROUP', dynamicSource: 'DYNAMIC_GROUP_CONFIG' },
  }
const SHORT_FLAGS: Readonly<Record<string, string>> = {
  topic: 'topics',
  client: 'clients',
  user: 'users',
  broker: 'brokers',
  'broker-logger': 'broker-loggers',
  ip: 'ips',
  group: 'groups',
  'client-metrics': 'client-metrics',
}
const WITH_DEFAULTS: Readonly<Record<string, string>> = { client: 'clients', user: 'users', broker: 'brokers', ip: 'ips' }

export async function run(args: string[]): Promise<void> {
  const entities: Entities = { types: [], names: [] }
  const command = withConnection(toolCommand(definition))
    .option('--describe', 'print configuration')
    .option('--alter', 'change it')
    .option('--all', 'describe everything that holds, not only what was set')
    .addOption(text('--add-config <k=v,k=[a,b]>', 'values to set, separated by commas'))
    .addOption(text('--add-config-file <file>', 'the same from a properties file'))
    .addOption(texts('--delete-config <k,k>', 'keys to take back to their defaults'))
    .addOption(texts('--entity-type <type>', 'topics, clients, users, brokers, broker-loggers, ips, client-metrics, groups'))
    .addOption(texts('--entity-name <name>', 'of the topic, client, user, broker (its id), address, …'))
    .option('--entity-default', 'the default of all of that type, in place of a name')
  command.on('option:entity-type', (type: string) => entities.types.push(type))
  command.on('option:entity-name', (name: string) => entities.names.push(name))
  command.on('option:entity-default', () => entities.names.push(''))
  const short: Entities = { types: [], names: [] }
  for (const [flag, type] of Object.entries(SHORT_FLAGS)) {
    command.addOption(text(`--${flag} <name>`, `short for --entity-type ${type} --entity-name`))
    command.on(`option:${flag}`, (name: string) => {
      short.types.push(type)
      short.names.push(name)
    })
  }
  for (const [flag, type] of Object.entries(WITH_DEFAULTS)) {
    command.option(`--${flag}-defaults`, `short for --entity-type ${type} --entity-default`)
    command.on(`option:${flag}-defaults`, () => {
      short.types.push(type)
      short.names.push('')
    })
  }
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    const all = { types: [...entities.types, ...short.types], names: [...entities.names, ...short.names] }
    check(flags, all)
    await withCluster(flags, { clientId: 'kafka-configs' }, async (cluster) => {
      const admin = new Admin(cluster)
      if (flags.alter) await alter(admin, all, flags)
      else await describe(admin, all, flags.all ?? false)
    })
  })
}

function check(flags: Flags, { types, names }: Entities): void {
  if ((flags.describe ?? false) === (flags.alter ?? false)) {
    throw new UsageError('Command must include exactly one action: --describe, --alter')
  }
  const known = [...Object.keys(RESOURCES), 'clients', 'users', 'ips']
  for (const type of types) {
    if (!known.includes(type))
      throw new UsageError(`Invalid entity type ${type}, the entity type must be one of ${known.join(', ')}`)
  }
  if (types.length === 0) throw new UsageError('At least one entity type must be specified')
  const isUserAndClient = types.length === 2 && types.includes('users') && types.includes('clients')
  if (types.length > 1 && !isUserAndClient) {
    throw new UsageError("Only 'users' and 'clients' entity types may be specified together")
  }
  if (names.length > types.length) throw new UsageError('More entity names specified than entity types')
  if (RESOURCES[types[0]] !== undefined && types[0] !== 'brokers' && names[0] === '') {
    throw new UsageError(`an empty name, or the default, makes no sense with --entity-type ${types[0]}`)
  }
  if (types[0].startsWith('broker') && names.length > 0 && !/^\d*$/.test(names[0])) {
    throw new UsageError(`The entity name for ${types[0]} must be a valid integer broker id, found: ${names[0]}`)
  }
  if (flags.describe) {
    if ((flags.addConfig ?? flags.addConfigFile ?? flags.deleteConfig) !== undefined) {
      throw new UsageError('--add-config, --add-config-file and --delete-config go with --alter only')
    }
    return
  }
  if (flags.all) throw new UsageError(`Option "--all" can't be used with option "--alter"`)
  if (flags.addConfig !== undefined && flags.addConfigFile !== undefined) {
    throw new UsageError('Only one of --add-config or --add-config-file must be specified')
  }
  if ((flags.addConfig ?? flags.addConfigFile ?? flags.deleteConfig) === undefined) {
    throw new UsageError('At least one of --add-config, --add-config-file, or --delete-config must be specified with --alter')
  }
  if (types.length !== names.length) throw new UsageError('An entity name must be specified for every entity type')
}

// ── altering ────────────────────────────────────────────────────────────────────────────────────────────────────────

async function alter(admin: Admin, { types, names }: Entities, flags: Flags): Promise<void> {
  const [type] = types
  const [name] = names
  const added = flags.addConfigFile === undefined ? parseAdded(flags.addConfig ?? '') : await readProperties(flags.addConfigFile)
  for (const key of added.keys()) {
    if (!/^[$a-zA-Z0-9._-]*$/.test(key)) throw new UsageError(`Invalid character found for config key: ${key}`)
  }
  const deleted = (flags.deleteConfig ?? []).flatMap((keys) => keys.split(',')).map((key) => key.trim())
  const resource = RESOURCES[type]
  if (resource === undefined) await alterQuotas(admin, types, names, added, deleted)
  else await alterResource(admin, type, { type: resource.type, name }, added, deleted)
  // Kafka's way to the singular.
  if (name !== '') console.log(`Completed updating config for ${type.slice(0, -1)} ${name}.`)
  else console.log(`Completed updating default config for ${type} in the cluster.`)
}

async function alterResource(
  admin: Admin,
  type: string,
  resource: ConfigResource,
  added: ReadonlyMap<string, string>,
  deleted: readonly string[],
): Promise<void> {
  if (deleted.length > 0 || resource.type === 'BROKER_LOGGER') {
    const set = new Set((await entriesOf(admin, type, resource.name, false)).map((entry) => entry.name))
    const invalid = resource.type === 'BROKER_LOGGER' ? [...deleted, ...added.keys()] : deleted
    const unknown = invalid.filter((key) => !set.has(key))
    const what = resource.type === 'BROKER_LOGGER' ? 'broker logger(s)' : 'config(s)'
    if (unknown.length > 0) throw new UsageError(`Invalid ${what}: ${unknown.join()}`)
  }
  const changes: ConfigChange[] = [
    ...deleted.map((key): ConfigChange => ({ name: key, operation: 'DELETE', value: null })),
    ...[...added].map(([key, value]): ConfigChange => ({ name: key, operation: 'SET', value })),
  ]
  orThrow(await admin.configs.change([{ ...resource, changes }]))
}

/** `k=v,k=[a,b]`. Commas and signs of equality in brackets belong to the value. */
export function parseAdded(list: string): Map<string, string> {
  const outsideBrackets = '(?=[^\\]]*(?:\\[|$))'
  const entries = list.split(new RegExp(`,${outsideBrackets}`)).filter((entry) => entry.trim() !== '')
  return new Map(
    entries.map((entry) => {
      const pair = entry.split(new RegExp(`\\s*=\\s*${outsideBrackets}`))
      if (pair.length !== 2) {
        throw new UsageError(
          'Invalid entity config: all configs to be added must be in the format "key=val" or "key=[val1,val2]" to group values which contain commas.',
        )
      }
      return [pair[0].trim(), pair[1].replaceAll(/[[\]]/g, '').trim()]
    }),
  )
}

// ── describing ──────────────────────────────────────────────────────────────────────────────────────────────────────

async function describe(admin: Admin, { types, names }: Entities, all: boolean): Promise<void> {
  const [type] = types
  if (isQuotaType(type)) return describeQuotas(admin, types, names)
  const name = names.at(0)
  const singular = type.slice(0, -1)
  if (!all && name !== undefined && !(await exists(admin, type, name))) {
    console.log(`The ${singular} '${name}' doesn't exist and doesn't have dynamic config.`)
    return
  }
  for (const entity of name === undefined ? await entitiesOf(admin, type) : [name]) {
    if (entity === '') console.log(`Default configs for ${type} in the cluster are:`)
    else console.log(`${all ? 'All' : 'Dynamic'} configs for ${singular} ${entity} are:`)
    for (const entry of await entriesOf(admin, type, entity, all)) console.log(`  ${entryText(entry)}`)
  }
}

function entryText(entry: ConfigEntry): string {
  const synonyms = entry.synonyms.map(({ source, name, value }) => `${source}:${name}=${value}`)
  return `${entry.name}=${entry.value} sensitive=${entry.isSensitive} synonyms={${synonyms.join(', ')}}`
}

async function exists(admin: Admin, type: string, name: string): Promise<boolean> {
  if (name === '') return true
  const known = await entitiesOf(admin, type)
  return known.includes(name)
}

/** Every name that has, or could have, configuration. The defaults of all brokers are last. */
async function entitiesOf(admin: Admin, type: string): Promise<string[]> {
  switch (type) {
    case 'topics':
      return (await admin.topics.list()).map(({ name }) => name)
    case 'brokers':
    case 'broker-loggers': {
      const { brokers } = await admin.cluster.describe()
      const ids = brokers.map(({ nodeId }) => String(nodeId))
      return type === 'brokers' ? [...ids, ''] : ids
    }
    case 'groups': {
      const groups = (await admin.groups.list()).map(({ groupId }) => groupId)
      const configured = await admin.configs.listResources(['GROUP']).catch((error) => {
        // Before Kafka 4.1 nobody can list them.
        if (error instanceof UnsupportedVersionError) return []
        throw error
      })
      return [...new Set([...groups, ...configured.map(({ name }) => name)])].sort()
    }
    default:
      return (await admin.configs.listResources(['CLIENT_METRICS'])).map(({ name }) => name)
  }
}

async function entriesOf(admin: Admin, type: string, name: string, all: boolean): Promise<ConfigEntry[]> {
  const { type: resourceType, dynamicSource } = RESOURCES[type]
  const resource = { type: resourceType, name }
  const described = orThrow(await admin.configs.describe([resource], { includeSynonyms: true }))
  const source = type === 'brokers' && name === '' ? 'DYNAMIC_DEFAULT_BROKER_CONFIG' : dynamicSource
  return (described.get(resourceKey(resource)) ?? [])
    .filter((entry) => all || source === undefined || entry.source === source)
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}

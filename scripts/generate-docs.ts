// `npm run docs`: writes the pages of docs/ that follow from the code: configuration.md from the keys, protocol-support.md from the
// handlers. A test fails while the committed pages differ from what this writes.

import { writeFile } from 'node:fs/promises'
import { handlers } from '../src/broker/handlers/all-handlers.ts'
import type { ConfigDefinition } from '../src/config/definition.ts'
import { type ConfigScope, definitions } from '../src/config/registry.ts'
import type { Versions } from '../src/protocol/schema.ts'

/** File in docs/ → what belongs in it. */
export const PAGES: Readonly<Record<string, () => string>> = {
  'configuration.md': configurationPage,
  'protocol-support.md': protocolPage,
}

/** What clients and tools can ask a broker of Kafka 4.3 for, by the part of Kafka that it belongs to. */
const KAFKA_APIS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  'Records and topics': {
    0: 'Produce',
    1: 'Fetch',
    2: 'ListOffsets',
    3: 'Metadata',
    18: 'ApiVersions',
    19: 'CreateTopics',
    20: 'DeleteTopics',
    21: 'DeleteRecords',
    22: 'InitProducerId',
    23: 'OffsetForLeaderEpoch',
    37: 'CreatePartitions',
    75: 'DescribeTopicPartitions',
  },
  'Consumer groups': {
    8: 'OffsetCommit',
    9: 'OffsetFetch',
    10: 'FindCoordinator',
    11: 'JoinGroup',
    12: 'Heartbeat',
    13: 'LeaveGroup',
    14: 'SyncGroup',
    15: 'DescribeGroups',
    16: 'ListGroups',
    42: 'DeleteGroups',
    47: 'OffsetDelete',
  },
  'Configuration and the cluster': {
    32: 'DescribeConfigs',
    33: 'AlterConfigs',
    34: 'AlterReplicaLogDirs',
    35: 'DescribeLogDirs',
    43: 'ElectLeaders',
    44: 'IncrementalAlterConfigs',
    45: 'AlterPartitionReassignments',
    46: 'ListPartitionReassignments',
    55: 'DescribeQuorum',
    57: 'UpdateFeatures',
    60: 'DescribeCluster',
    64: 'UnregisterBroker',
    74: 'ListConfigResources',
    80: 'AddRaftVoter',
    81: 'RemoveRaftVoter',
  },
  Transactions: {
    24: 'AddPartitionsToTxn',
    25: 'AddOffsetsToTxn',
    26: 'EndTxn',
    27: 'WriteTxnMarkers',
    28: 'TxnOffsetCommit',
    61: 'DescribeProducers',
    65: 'DescribeTransactions',
    66: 'ListTransactions',
  },
  'Security and quotas': {
    17: 'SaslHandshake',
    29: 'DescribeAcls',
    30: 'CreateAcls',
    31: 'DeleteAcls',
    36: 'SaslAuthenticate',
    38: 'CreateDelegationToken',
    39: 'RenewDelegationToken',
    40: 'ExpireDelegationToken',
    41: 'DescribeDelegationToken',
    48: 'DescribeClientQuotas',
    49: 'AlterClientQuotas',
    50: 'DescribeUserScramCredentials',
    51: 'AlterUserScramCredentials',
  },
  'Groups of the new protocol (KIP-848), share groups, streams groups': {
    68: 'ConsumerGroupHeartbeat',
    69: 'ConsumerGroupDescribe',
    76: 'ShareGroupHeartbeat',
    77: 'ShareGroupDescribe',
    78: 'ShareFetch',
    79: 'ShareAcknowledge',
    88: 'StreamsGroupHeartbeat',
    89: 'StreamsGroupDescribe',
    90: 'DescribeShareGroupOffsets',
    91: 'AlterShareGroupOffsets',
    92: 'DeleteShareGroupOffsets',
  },
  'Client metrics': {
    71: 'GetTelemetrySubscriptions',
    72: 'PushTelemetry',
  },
}

const GENERATED = '<!-- Written by `npm run docs`. Change the code, not this page. -->'

function protocolPage(): string {
  const served = new Map(handlers.map((handler) => [handler.api.key, handler]))
  const sections = Object.entries(KAFKA_APIS).map(([title, apis]) => {
    const rows = Object.entries(apis).map(([key, name]) => {
      const handler = served.get(Number(key))
      if (handler === undefined) return [key, name, 'not yet']
      const { versions, announced } = handler
      const note = range(announced) === range(versions) ? '' : ` (announced: ${range(announced)})`
      return [key, name, `${range(versions)}${note}`]
    })
    return `## ${title}\n\n${table(['key', 'API', 'versions'], rows)}`
  })
  return `${GENERATED}

# What is served of Kafka's protocol

A client asks with ApiVersions and gets exactly this. Where a version is served, it is the whole version, as Kafka 4.3 has it.
What brokers and controllers say only to each other is left out. Records are batches of message format v2
([decision 2](decisions/0002-message-format.md)), in all five codecs.

${sections.join('\n\n')}
`
}

const range = ({ min, max }: Versions) => (min === max ? `${min}` : `${min}–${max}`)

const SCOPES: Readonly<Record<ConfigScope, string>> = {
  broker: 'Broker',
  topic: 'Topics',
  group: 'Groups',
}

const INTRODUCTIONS: Readonly<Record<ConfigScope, string>> = {
  broker: `Set in \`server.properties\` (\`--config\`), in the environment (\`KAFKA_LOG_RETENTION_MS\` is \`log.retention.ms\`), or with \`--set\`.
Keys marked *yes* can change while the broker runs: \`kafka-configs.sh --alter --entity-type brokers\`.`,
  topic:
    'Set when a topic is created (`--config`) or with `kafka-configs.sh --alter --topic`. What a topic does not set comes from the broker’s key.',
  group: 'Set with `kafka-configs.sh --alter --group`.',
}

function configurationPage(): string {
  const sections = (Object.keys(SCOPES) as ConfigScope[]).map((scope) => {
    const columns = { broker: ['while running'], topic: ['broker’s key'], group: [] }[scope]
    const rows = definitions(scope).map(([name, definition]) => [
      `\`${name}\``,
      definition.type,
      defaultOf(definition),
      ...(scope === 'broker' ? [definition.dynamic === 'static' ? '' : 'yes'] : []),
      ...(scope === 'topic' ? [definition.brokerSynonyms.map((synonym) => `\`${synonym.name}\``).join(', ')] : []),
      describe(definition),
    ])
    const heading = `## ${SCOPES[scope]}\n\n${INTRODUCTIONS[scope]}`
    return `${heading}\n\n${table(['key', 'type', 'default', ...columns, 'what it does'], rows)}`
  })
  return `${GENERATED}

# Configuration

Names, types and defaults are Kafka's. A key that Kafka does not know is refused, with the nearest one that it does.
*Without effect* means: read, checked, shown, and not acted on, so that the configuration files of a Kafka cluster work here.

${sections.join('\n\n')}
`
}

function defaultOf({ defaultText }: ConfigDefinition): string {
  if (defaultText === null) return ''
  return defaultText === '' ? '(empty)' : `\`${defaultText}\``
}

function describe({ documentation, honoured, oneOf }: ConfigDefinition): string {
  const choices = oneOf === undefined ? '' : ` One of: ${oneOf.map((value) => `\`${value}\``).join(', ')}.`
  if (honoured === true) return `${documentation}${choices}`
  if (honoured === 'accepted') return `${documentation}${choices} *Without effect.*`
  if ('accepted' in honoured) return `${documentation}${choices} *Without effect: ${honoured.accepted}.*`
  return `${documentation}${choices} *Only the default is taken: ${honoured.refused}.*`
}

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n')
}

if (import.meta.main) {
  for (const [name, page] of Object.entries(PAGES)) await writeFile(new URL(`../docs/${name}`, import.meta.url), page())
}

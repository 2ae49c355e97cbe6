// kafka-consumer-groups: list, describe and delete groups, and set or delete their positions.

import { Option } from 'commander'
import { Admin } from '../client/admin.ts'
import type { TopicPartition } from '../client/metadata.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { describeMembers, describeOffsets, describeStates } from './consumer-group-description.ts'
import { byPartition, deleteOffsets, resetOffsets, toCsv } from './offset-reset.ts'
import { row, widest } from './table.ts'
import { runTool, text, texts, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'kafka-consumer-groups',
  summary: 'Lists, describes and deletes consumer groups, and resets their positions.',
  errorPrefix: 'Error: Executing consumer group command failed due to',
  examples: `# how far a group has read, and what is left
kafka-consumer-groups.sh --bootstrap-server localhost:9092 --describe --group reports
# who is in it
kafka-consumer-groups.sh --bootstrap-server localhost:9092 --describe --group reports --members --verbose
# read everything again: first look, then do it; the group must have no running members
kafka-consumer-groups.sh --bootstrap-server localhost:9092 --group reports --topic events --reset-offsets --to-earliest --dry-run
kafka-consumer-groups.sh --bootstrap-server localhost:9092 --group reports --topic events --reset-offsets --to-earliest --execute
# ten records back in partitions 0 and 1
kafka-consumer-groups.sh --bootstrap-server localhost:9092 --group reports --topic events:0,1 --reset-offsets --shift-by -10 --execute
kafka-consumer-groups.sh --bootstrap-server localhost:9092 --list --state
kafka-consumer-groups.sh --bootstrap-server localhost:9092 --delete --group reports
`,
}

export interface GroupFlags {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly list?: boolean
  readonly describe?: boolean
  readonly delete?: boolean
  readonly resetOffsets?: boolean
  readonly deleteOffsets?: boolean
  readonly validateRegex?: string
  readonly group?: readonly string[]
  readonly allGroups?: boolean
  readonly topic?: readonly string[]
  readonly allTopics?: boolean
  readonly members?: boolean
  readonly offsets?: boolean
  readonly state?: string | true
  readonly type?: string | true
  readonly verbose?: boolean
  readonly timeout?: string
  readonly dryRun?: boolean
  readonly execute?: boolean
  readonly export?: boolean
  readonly toOffset?: string
  readonly fromFile?: string
  readonly toDatetime?: string
  readonly byDuration?: string
  readonly toEarliest?: boolean
  readonly toLatest?: boolean
  readonly toCurrent?: boolean
  readonly shiftBy?: string
}

const ACTIONS = ['list', 'describe', 'delete', 'resetOffsets', 'deleteOffsets', 'validateRegex'] as const
export const RESET_FLAGS = [
  'toOffset',
  'shiftBy',
  'toDatetime',
  'byDuration',
  'toEarliest',
  'toLatest',
  'toCurrent',
  'fromFile',
] as const
const STATES = ['Empty', 'PreparingRebalance', 'CompletingRebalance', 'Stable', 'Dead', 'Assigning', 'Reconciling'] as const
const TYPES = ['Classic', 'Consumer'] as const
/** As long as Kafka's tool waits for each of its requests. */
const TIMEOUT_MS = '5000'

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
    .option('--list', 'list groups, with --state or --type in a table')
    .option('--describe', 'print positions and lag, or --members, or --state')
    .option('--delete', 'delete groups without members')
    .option('--reset-offsets', 'set positions; only shows them unless --execute is given')
    .option('--delete-offsets', 'delete positions')
    .addOption(text('--validate-regex <regex>', 'say whether this is a regular expression'))
    .addOption(texts('--group <id>', 'the group; may be repeated'))
    .option('--all-groups', 'all groups')
    .addOption(texts('--topic <topic[:0,1]>', 'topic, with or without partitions, for resets and deletions; may be repeated'))
    .option('--all-topics', 'all topics that the group has positions in')
    .option('--offsets', 'describe positions, as is done without it')
    .option('--members', 'describe members')
    .addOption(new Option('--state [states]', 'describe state and coordinator; with --list, list the states, or groups in these'))
    .addOption(new Option('--type [types]', 'with --list, list the types, or groups of these: classic, consumer'))
    .option('--verbose', 'describe more')
    .addOption(text('--timeout <ms>', 'how long each step may take (default: 5000)'))
    .option('--to-earliest', 'reset to the first record')
    .option('--to-latest', 'reset to the end')
    .option('--to-current', 'reset to where the group stands')
    .addOption(text('--to-offset <offset>', 'reset to an offset'))
    .addOption(text('--shift-by <number>', 'reset so many records on, or back if negative'))
    .addOption(
      text(
        '--to-datetime <time>',
        'reset to the first record since a time: 2026-01-31T12:00:00.000, in UTC unless it says +02:00',
      ),
    )
    .addOption(text('--by-duration <duration>', 'reset to the first record within a time before now: P7D, PT1H30M'))
    .addOption(text('--from-file <csv>', 'reset to what --export has written'))
    .option('--dry-run', 'only show what a reset would do')
    .option('--execute', 'do it')
    .option('--export', 'print the result as CSV')
  await runTool(definition, command, args, async () => {
    const flags = command.opts<GroupFlags>()
    check(flags)
    if (flags.validateRegex !== undefined) return validateRegex(flags.validateRegex)
    if (flags.timeout !== undefined && !/^\d+$/.test(flags.timeout))
      throw new UsageError(`--timeout ${flags.timeout}: milliseconds are meant`)
    const properties = new Map([['default.api.timeout.ms', flags.timeout ?? TIMEOUT_MS]])
    await withCluster(flags, { clientId: 'kafka-consumer-groups', properties }, async (cluster) => act(new Admin(cluster), flags))
  })
}

async function act(admin: Admin, flags: GroupFlags): Promise<void> {
  if (flags.list) return list(admin, flags)
  const groupIds = flags.allGroups ? (await consumerGroups(admin)).map(({ groupId }) => groupId) : [...new Set(flags.group)]
  if (flags.describe) {
    const print = flags.members ? describeMembers : flags.state ? describeStates : describeOffsets
    return print(admin, groupIds, flags.verbose ?? false)
  }
  if (flags.delete) return deleteGroups(admin, groupIds)
  if (flags.deleteOffsets) return printDeletedOffsets(admin, groupIds[0], flags.topic!)
  const plan = await resetOffsets(admin, groupIds, flags)
  if (flags.export) process.stdout.write(`${toCsv(plan, groupIds.length > 1 || (flags.allGroups ?? false))}\n`)
  else printPlan(plan)
}

function check(flags: GroupFlags): void {
  const actions = ACTIONS.filter((action) => flags[action] !== undefined)
  if (actions.length !== 1) {
    throw new UsageError(
      'Command must include exactly one action: --list, --describe, --delete, --reset-offsets, --delete-offsets, --validate-regex',
    )
  }
  const hasGroups = flags.group !== undefined || flags.allGroups
  const [action] = actions
  if (flags.group?.includes('')) throw new UsageError('--group is empty')
  if ((action === 'describe' || action === 'delete' || action === 'resetOffsets') && !hasGroups) {
    throw new UsageError(`Option [${flagName(action)}] takes one of these options: [group], [all-groups]`)
  }
  if (action === 'describe') {
    if ([flags.members, flags.offsets, flags.state].filter((flag) => flag !== undefined).length > 1) {
      throw new UsageError('Option [describe] takes at most one of these options: [members], [offsets], [state]')
    }
    if (typeof flags.state === 'string') throw new UsageError('Option [describe] does not take a value for [state]')
  } else if (flags.members || flags.offsets || flags.verbose) {
    throw new UsageError('--members, --offsets and --verbose go with --describe only')
  }
  if (action === 'delete' && flags.topic !== undefined) {
    throw new UsageError('The consumer does not support topic-specific offset deletion from a consumer group.')
  }
  if (action === 'deleteOffsets' && (flags.group?.length !== 1 || flags.topic === undefined)) {
    throw new UsageError('Option [delete-offsets] takes the following options: [group], [topic]')
  }
  if (action === 'resetOffsets') checkReset(flags)
}

function checkReset(flags: GroupFlags): void {
  if (flags.dryRun && flags.execute) throw new UsageError('Option [reset-offsets] only accepts one of [execute] and [dry-run]')
  if (RESET_FLAGS.filter((flag) => flags[flag] !== undefined).length !== 1) {
    throw new UsageError(
      `Option [reset-offsets] requires one of the following scenarios: ${RESET_FLAGS.map(flagName).join(', ')}`,
    )
  }
  if (flags.topic !== undefined && flags.allTopics) throw new UsageError('--topic and --all-topics contradict each other')
  if (flags.topic === undefined && !flags.allTopics && flags.fromFile === undefined) {
    throw new UsageError('One of the reset scopes should be defined: --all-topics, --topic.')
  }
  if (!flags.dryRun && !flags.execute) {
    process.stderr.write('WARN: No action will be performed as the --execute option is missing. --dry-run says so explicitly.\n')
  }
}

function flagName(name: string): string {
  return name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
}

function validateRegex(expression: string): void {
  try {
    new RegExp(expression)
    console.log(`The regular expression \`${expression}\` is valid.`)
  } catch (error) {
    console.log(`The regular expression \`${expression}\` is invalid: ${(error as Error).message}.`)
  }
}

/** Groups of consumers, and those that only hold positions. */
async function consumerGroups(admin: Admin, filter: { states?: string[]; types?: string[] } = {}) {
  const groups = await admin.groups.list(filter)
  return groups.filter(
    ({ type, protocolType }) => type === 'consumer' || (type === 'classic' && ['consumer', ''].includes(protocolType)),
  )
}

async function list(admin: Admin, flags: GroupFlags): Promise<void> {
  const states = chosen(flags.state, STATES, 'state')
  const types = chosen(flags.type, TYPES, 'types')
  const groups = await consumerGroups(admin, { states, types })
  if (flags.state === undefined && flags.type === undefined) {
    for (const { groupId } of groups) console.log(groupId)
    return
  }
  const widths = [
    widest(
      15,
      groups.map(({ groupId }) => groupId),
    ) + 10,
    ...(flags.type ? [20] : []),
    ...(flags.state ? [20] : []),
  ]
  console.log(row(widths, ['GROUP', ...(flags.type ? ['TYPE'] : []), ...(flags.state ? ['STATE'] : [])]))
  for (const { groupId, type, state } of groups) {
    const typeName = TYPES.find((name) => name.toLowerCase() === type) ?? 'Unknown'
    console.log(row(widths, [groupId, ...(flags.type ? [typeName] : []), ...(flags.state ? [state || 'Unknown'] : [])]))
  }
}

function chosen(value: string | true | undefined, valid: readonly string[], what: string): string[] {
  if (value === undefined || value === true) return []
  return value.split(',').map((name) => {
    const found = valid.find((candidate) => candidate.toLowerCase() === name.trim().replaceAll('_', '').toLowerCase())
    if (found === undefined) throw new UsageError(`Invalid ${what} list '${value}'. Valid ${what} are: ${valid.join(', ')}`)
    return found
  })
}

async function deleteGroups(admin: Admin, groupIds: readonly string[]): Promise<void> {
  const results = [...(await admin.groups.delete(groupIds))]
  const quoted = (entries: typeof results) => entries.map(([groupId]) => `'${groupId}'`).join(', ')
  const failed = results.filter(([, result]) => result instanceof KafkaError)
  const deleted = results.filter(([, result]) => !(result instanceof KafkaError))
  if (failed.length === 0) {
    console.log(`Deletion of requested consumer groups (${quoted(deleted)}) was successful.`)
    return
  }
  process.exitCode = 1
  process.stderr.write('\nError: Deletion of some consumer groups failed:\n')
  for (const [groupId, error] of failed)
    console.log(`* Group '${groupId}' could not be deleted due to: ${(error as KafkaError).message}`)
  if (deleted.length > 0) console.log(`\nThese consumer groups were deleted successfully: ${quoted(deleted)}`)
}

async function printDeletedOffsets(admin: Admin, groupId: string, topics: readonly string[]): Promise<void> {
  const { error, results } = await deleteOffsets(admin, groupId, topics)
  const statuses = [...results.values()]
  const isPartial = statuses.some(({ result }) => result instanceof KafkaError)
  if (error === undefined && !isPartial) console.log(`Request succeeded for deleting offsets from group ${groupId}.`)
  else {
    process.exitCode = 1
    const what = error?.message ?? 'Encountered some partition-level error, see the follow-up details.'
    process.stderr.write(`\nError: ${what}\n`)
  }
  const widths = [
    widest(
      15,
      statuses.map(({ topic }) => topic),
    ),
    10,
    15,
  ]
  process.stdout.write(`\n${row(widths, ['TOPIC', 'PARTITION', 'STATUS'])}`)
  for (const { topic, partition, result } of statuses.sort(byPartition)) {
    const status = result instanceof KafkaError ? `Error: ${result.message}` : 'Successful'
    process.stdout.write(`\n${row(widths, [topic, partition < 0 ? '-' : String(partition), status])}`)
  }
  console.log()
}

function printPlan(plan: ReadonlyMap<string, readonly (TopicPartition & { readonly offset: bigint })[]>): void {
  const topics = [...plan.values()].flat().map(({ topic }) => topic)
  const widths = [widest(15, [...plan.keys()]), widest(15, topics), 10, 0]
  if (plan.size > 0) process.stdout.write(`\n${row(widths, ['GROUP', 'TOPIC', 'PARTITION', 'NEW-OFFSET'])}`)
  for (const [groupId, offsets] of plan) {
    for (const { topic, partition, offset } of offsets) {
      process.stdout.write(`\n${row(widths, [groupId, topic, String(partition), String(offset)])}`)
    }
  }
  console.log()
}

// kafka-topics: create, list, describe, alter and delete topics.

import { resourceKey } from '../client/admin/config-admin.ts'
import { orThrow } from '../client/admin/results.ts'
import type { NewTopic, PartitionDescription, TopicDescription } from '../client/admin/topic-admin.ts'
import { Admin } from '../client/admin.ts'
import { UnsupportedVersionError } from '../client/errors.ts'
import { partitionKey } from '../client/metadata.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { ZERO_UUID } from '../protocol/ids.ts'
import { integer, runTool, text, texts, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'
import { topicPattern } from './topic-pattern.ts'

const definition = {
  name: 'kafka-topics',
  summary: 'Creates, lists, describes, alters and deletes topics.',
  errorPrefix: 'Error while executing topic command :',
  examples: `# a topic with three partitions that keeps records for an hour
kafka-topics.sh --bootstrap-server localhost:9092 --create --topic payments --partitions 3 --config retention.ms=3600000
# who leads which partition
kafka-topics.sh --bootstrap-server localhost:9092 --describe --topic payments
# all names
kafka-topics.sh --bootstrap-server localhost:9092 --list
# more partitions: keys will go to other partitions than before
kafka-topics.sh --bootstrap-server localhost:9092 --alter --topic payments --partitions 6
kafka-topics.sh --bootstrap-server localhost:9092 --delete --topic payments
`,
}

const ACTIONS = ['create', 'list', 'describe', 'alter', 'delete'] as const
type Action = (typeof ACTIONS)[number]

interface Flags extends Partial<Record<Action, boolean>> {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly topic?: string
  readonly topicId?: string
  readonly partitions?: number
  readonly replicationFactor?: number
  readonly replicaAssignment?: string
  readonly config?: readonly string[]
  readonly ifExists?: boolean
  readonly ifNotExists?: boolean
  readonly excludeInternal?: boolean
  readonly underReplicatedPartitions?: boolean
  readonly unavailablePartitions?: boolean
  readonly underMinIsrPartitions?: boolean
  readonly atMinIsrPartitions?: boolean
  readonly topicsWithOverrides?: boolean
  readonly partitionSizeLimitPerResponse?: number
}

/** Where each flag belongs. */
const ALLOWED: readonly [keyof Flags, string, readonly Action[]][] = [
  ['config', '--config', ['create']],
  ['partitions', '--partitions', ['create', 'alter']],
  ['replicationFactor', '--replication-factor', ['create']],
  ['replicaAssignment', '--replica-assignment', ['create', 'alter']],
  ['ifExists', '--if-exists', ['alter', 'delete', 'describe']],
  ['ifNotExists', '--if-not-exists', ['create']],
  ['excludeInternal', '--exclude-internal', ['list', 'describe']],
  ['underReplicatedPartitions', '--under-replicated-partitions', ['describe']],
  ['unavailablePartitions', '--unavailable-partitions', ['describe']],
  ['underMinIsrPartitions', '--under-min-isr-partitions', ['describe']],
  ['atMinIsrPartitions', '--at-min-isr-partitions', ['describe']],
  ['topicsWithOverrides', '--topics-with-overrides', ['describe']],
]

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
    .option('--create', 'create a topic')
    .option('--list', 'list the names of all topics')
    .option('--describe', 'print partitions, leaders, replicas and configuration')
    .option('--alter', 'give a topic more partitions (for its configuration there is kafka-configs)')
    .option('--delete', 'delete topics')
    .addOption(text('--topic <name>', 'the topic; a regular expression except with --create'))
    .addOption(text('--topic-id <id>', 'the topic to describe, by its id'))
    .addOption(integer('--partitions <number>', "number of partitions (with --create, default: the broker's)", 1))
    .addOption(integer('--replication-factor <number>', "replicas of each partition (default: the broker's)", 1, 0x7fff))
    .addOption(
      text(
        '--replica-assignment <brokers>',
        'brokers of each partition: 0:1,1:2 puts the first on 0 and 1, the second on 1 and 2',
      ),
    )
    .addOption(texts('--config <key=value>', 'configuration of the new topic; may be repeated'))
    .addOption(texts('--delete-config <key>', 'no longer supported, as in Kafka since 4.0: see kafka-configs').hideHelp())
    .option('--if-exists', 'do nothing if the topic does not exist')
    .option('--if-not-exists', 'do nothing if the topic exists')
    .option('--exclude-internal', 'leave out internal topics')
    .option('--under-replicated-partitions', 'describe partitions that lack in-sync replicas')
    .option('--unavailable-partitions', 'describe partitions without a living leader')
    .option('--under-min-isr-partitions', 'describe partitions with fewer in-sync replicas than min.insync.replicas')
    .option('--at-min-isr-partitions', 'describe partitions with exactly as many')
    .option('--topics-with-overrides', 'describe only topics with configuration of their own')
    .addOption(integer('--partition-size-limit-per-response <number>', 'partitions per answer when describing', 1))
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    const action = actionOf(flags)
    await withCluster(flags, { clientId: 'kafka-topics' }, (cluster) => actions[action](new Admin(cluster), flags))
  })
}

function actionOf(flags: Flags): Action {
  const chosen = ACTIONS.filter((action) => flags[action])
  if (chosen.length !== 1) {
    throw new UsageError('Command must include exactly one action: --list, --describe, --create, --alter or --delete')
  }
  const [action] = chosen
  for (const [flag, name, allowed] of ALLOWED) {
    if (flags[flag] !== undefined && !allowed.includes(action))
      throw new UsageError(`Option "${name}" can't be used with option "--${action}"`)
  }
  if (action !== 'list' && action !== 'describe' && flags.topic === undefined)
    throw new UsageError('Missing required argument "--topic"')
  if (action === 'alter' && flags.partitions === undefined) throw new UsageError('Missing required argument "--partitions"')
  if (action === 'describe' && flags.ifExists && flags.topic === undefined && flags.topicId === undefined) {
    throw new UsageError('--topic or --topic-id is required to describe a topic')
  }
  if (
    action === 'create' &&
    flags.replicaAssignment !== undefined &&
    (flags.partitions ?? flags.replicationFactor) !== undefined
  ) {
    throw new UsageError(`Option "--replica-assignment" can't be used with "--partitions" or "--replication-factor"`)
  }
  return action
}

const actions: Readonly<Record<Action, (admin: Admin, flags: Flags) => Promise<void>>> = {
  async create(admin, flags) {
    const name = flags.topic!
    if (/[._]/.test(name)) {
      console.log(
        "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.",
      )
    }
    const topic: NewTopic = {
      name,
      partitions: flags.partitions,
      replicationFactor: flags.replicationFactor,
      assignments: flags.replicaAssignment === undefined ? undefined : parseAssignment(flags.replicaAssignment),
      configs: parseConfigs(flags.config ?? []),
    }
    const created = (await admin.topics.create([topic])).get(name)
    if (created instanceof KafkaError) {
      if (created.code === 'TOPIC_ALREADY_EXISTS' && flags.ifNotExists) return
      throw created
    }
    console.log(`Created topic ${name}.`)
  },

  async list(admin, flags) {
    console.log((await matching(admin, flags)).join('\n'))
  },

  async alter(admin, flags) {
    const names = await existing(admin, flags)
    const described =
      flags.replicaAssignment === undefined ? new Map<string, TopicDescription>() : orThrow(await admin.topics.describe(names))
    const topics = names.map((name) => {
      const assignments = flags.replicaAssignment === undefined ? undefined : parseAssignment(flags.replicaAssignment)
      // The assignment names all partitions; the broker wants those that are new.
      return { name, count: flags.partitions!, assignments: assignments?.slice(described.get(name)?.partitions.length ?? 0) }
    })
    if (topics.length > 0) orThrow(await admin.topics.createPartitions(topics))
  },

  async delete(admin, flags) {
    const names = await existing(admin, flags)
    if (names.length > 0) orThrow(await admin.topics.delete(names))
  },

  async describe(admin, flags) {
    const names =
      flags.topicId !== undefined && flags.topicId !== ZERO_UUID ? await byId(admin, flags) : await existing(admin, flags)
    if (names.length === 0) return
    const described = orThrow(await admin.topics.describe(names, { partitionLimit: flags.partitionSizeLimitPerResponse }))
    const configs = orThrow(await admin.configs.describe(names.map((name) => ({ type: 'TOPIC', name }))))
    const live = new Set((await admin.cluster.describe()).brokers.map(({ nodeId }) => nodeId))
    const moves = await reassignments(admin)
    const show = choose(flags, live)
    for (const name of names) {
      const topic = described.get(name)!
      const config = configs.get(resourceKey({ type: 'TOPIC', name }))!
      const overrides = config.filter((entry) => entry.source !== 'DEFAULT_CONFIG')
      if (show.topics && (!flags.topicsWithOverrides || overrides.length > 0)) {
        const [first] = topic.partitions
        const move = moves.get(partitionKey(name, first?.index ?? 0))
        const factor = move === undefined ? (first?.replicas.length ?? 0) : move.replicas.length - move.addingReplicas.length
        console.log(
          [
            `Topic: ${name}`,
            ...(topic.topicId === ZERO_UUID ? [] : [`TopicId: ${topic.topicId}`]),
            `PartitionCount: ${topic.partitions.length}`,
            `ReplicationFactor: ${factor}`,
            `Configs: ${overrides.map((entry) => `${entry.name}=${entry.value}`).join(',')}`,
          ].join('\t'),
        )
      }
      if (flags.topicsWithOverrides) continue
      const minIsr = Number(config.find((entry) => entry.name === 'min.insync.replicas')?.value ?? 1)
      for (const partition of topic.partitions) {
        const move = moves.get(partitionKey(name, partition.index))
        const factor = move === undefined ? partition.replicas.length : move.replicas.length - move.addingReplicas.length
        if (show.partition(partition, minIsr, factor)) console.log(partitionLine(name, partition, move))
      }
    }
  },
}

type Moves = Awaited<ReturnType<Admin['cluster']['reassignments']>>
type Move = Moves extends Map<string, infer M> ? M : never

/** Which lines --describe prints. */
function choose(flags: Flags, live: ReadonlySet<number>) {
  const hasLeader = (partition: PartitionDescription) => partition.leaderId >= 0
  const wanted: ((partition: PartitionDescription, minIsr: number, factor: number) => boolean)[] = []
  if (flags.underReplicatedPartitions) wanted.push((partition, _, factor) => factor > partition.isr.length)
  if (flags.unavailablePartitions) wanted.push((partition) => !hasLeader(partition) || !live.has(partition.leaderId))
  if (flags.underMinIsrPartitions) wanted.push((partition, minIsr) => !hasLeader(partition) || partition.isr.length < minIsr)
  if (flags.atMinIsrPartitions) wanted.push((partition, minIsr) => partition.isr.length === minIsr)
  return {
    topics: wanted.length === 0,
    partition: (partition: PartitionDescription, minIsr: number, factor: number) =>
      wanted.length === 0 || wanted.some((is) => is(partition, minIsr, factor)),
  }
}

function partitionLine(topic: string, partition: PartitionDescription, move: Move | undefined): string {
  return [
    '',
    `Topic: ${topic}`,
    `Partition: ${partition.index}`,
    `Leader: ${partition.leaderId < 0 ? 'none' : partition.leaderId}`,
    `Replicas: ${partition.replicas.join()}`,
    `Isr: ${partition.isr.join()}`,
    ...(move === undefined
      ? []
      : [`Adding Replicas: ${move.addingReplicas.join()}`, `Removing Replicas: ${move.removingReplicas.join()}`]),
    `Elr: ${partition.eligibleLeaderReplicas?.join() ?? 'N/A'}`,
    `LastKnownElr: ${partition.lastKnownElr?.join() ?? 'N/A'}`,
  ].join('\t')
}

/** Brokers that do not tell what moves, or not us, have nothing that moves. */
async function reassignments(admin: Admin): Promise<Moves> {
  try {
    return await admin.cluster.reassignments()
  } catch (error) {
    const isRefused = error instanceof KafkaError && error.code === 'CLUSTER_AUTHORIZATION_FAILED'
    if (error instanceof UnsupportedVersionError || isRefused) return new Map()
    throw error
  }
}

async function matching(admin: Admin, flags: Flags): Promise<string[]> {
  const matches = flags.topic === undefined ? () => true : topicPattern(flags.topic)
  const topics = await admin.topics.list()
  return topics.filter((topic) => matches(topic.name) && !(flags.excludeInternal && topic.isInternal)).map((topic) => topic.name)
}

async function existing(admin: Admin, flags: Flags): Promise<string[]> {
  const names = await matching(admin, flags)
  if (names.length === 0 && flags.topic !== undefined && !flags.ifExists) {
    throw new UsageError(`Topic '${flags.topic}' does not exist as expected`)
  }
  return names
}

async function byId(admin: Admin, flags: Flags): Promise<string[]> {
  const names = (await admin.topics.list()).filter((topic) => topic.topicId === flags.topicId).map((topic) => topic.name)
  if (names.length === 0 && !flags.ifExists) throw new UsageError(`TopicId '${flags.topicId}' does not exist as expected`)
  return names
}

function parseAssignment(list: string): number[][] {
  const partitions = list.split(',').map((brokers) => brokers.split(':').map((broker) => Number(broker.trim())))
  for (const [index, brokers] of partitions.entries()) {
    if (brokers.some((broker) => !Number.isInteger(broker) || broker < 0)) {
      throw new UsageError(`--replica-assignment ${list}: broker ids like 0:1,1:2 are meant`)
    }
    if (new Set(brokers).size < brokers.length) {
      throw new UsageError(`Partition replica lists may not contain duplicate entries: ${brokers.join()}`)
    }
    if (brokers.length !== partitions[0].length)
      throw new UsageError(`Partition ${index} has different replication factor: ${brokers}`)
  }
  return partitions
}

function parseConfigs(entries: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    entries.map((entry) => {
      const match = /^\s*([^=\s]+)\s*=\s*(.*)$/s.exec(entry)
      if (match === null) throw new UsageError('Invalid topic config: all configs to be added must be in the format "key=val".')
      return [match[1], match[2].trim()]
    }),
  )
}

// kafka-get-offsets: one offset per partition, at an end of the log or at a time.

import { Admin } from '../client/admin.ts'
import { OffsetSpec } from '../client/list-offsets.ts'
import { partitionKey, type TopicMetadata, type TopicPartition } from '../client/metadata.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { runTool, text, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'
import { topicPattern } from './topic-pattern.ts'

const definition = {
  name: 'kafka-get-offsets',
  summary: 'Prints an offset of each partition, as topic:partition:offset.',
  errorPrefix: 'Error occurred:',
  examples: `# where each partition ends
kafka-get-offsets.sh --bootstrap-server localhost:9092 --topic events
# where it begins
kafka-get-offsets.sh --bootstrap-server localhost:9092 --topic events --time earliest
# the first record since a time, in milliseconds since 1970
kafka-get-offsets.sh --bootstrap-server localhost:9092 --topic events --time 1735689600000
# partition 0 of one topic and those from 2 on of others
kafka-get-offsets.sh --bootstrap-server localhost:9092 --topic-partitions events:0,audit.*:2-
`,
}

interface Flags {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly topic?: string
  readonly topicPartitions?: string
  readonly partitions?: string
  readonly time?: string
  readonly excludeInternalTopics?: boolean
}

const TIMES: Readonly<Record<string, bigint>> = {
  latest: OffsetSpec.LATEST,
  earliest: OffsetSpec.EARLIEST,
  'max-timestamp': OffsetSpec.MAX_TIMESTAMP,
  'earliest-local': OffsetSpec.EARLIEST_LOCAL,
  'latest-tiered': OffsetSpec.LATEST_TIERED,
  'earliest-pending-upload': OffsetSpec.EARLIEST_PENDING_UPLOAD,
}

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
    .addOption(text('--topic <regex>', 'topics whose whole name matches (default: all)'))
    .addOption(text('--partitions <ids>', 'only these partitions, separated by commas'))
    .addOption(
      text(
        '--topic-partitions <patterns>',
        'topic patterns with partitions in place of both: events:1, events:0-3 (without 3), events:2-, :0',
      ),
    )
    .addOption(
      text(
        '--time <time>',
        'latest (-1, the default), earliest (-2), max-timestamp (-3), earliest-local (-4), latest-tiered (-5), earliest-pending-upload (-6), or milliseconds since 1970',
      ),
    )
    .option('--exclude-internal-topics', 'leave out internal topics')
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    if (flags.topicPartitions !== undefined && (flags.topic ?? flags.partitions) !== undefined) {
      throw new UsageError('--topic-partitions cannot be used with --topic or --partitions')
    }
    const timestamp = parseTime(flags.time ?? 'latest')
    const isWanted = filterOf(flags)
    await withCluster(flags, { clientId: 'GetOffsetShell' }, async (cluster) => {
      const admin = new Admin(cluster)
      const partitions = (await admin.topics.list())
        .filter((topic) => !(flags.excludeInternalTopics && topic.isInternal))
        .flatMap((topic) => partitionsOf(topic).filter(isWanted))
      if (partitions.length === 0) throw new Error('Could not match any topic-partitions with the specified filters')
      const offsets = await admin.topics.offsets(partitions.map((partition) => ({ ...partition, timestamp })))
      for (const { topic, partition } of partitions) {
        const result = offsets.get(partitionKey(topic, partition))
        if (result instanceof KafkaError) {
          process.stderr.write(`Skip getting offsets for topic-partition ${topic}-${partition} due to error: ${result.message}\n`)
        } else if (result !== undefined && result.offset >= 0n) console.log(`${topic}:${partition}:${result.offset}`)
      }
    })
  })
}

function partitionsOf(topic: TopicMetadata): TopicPartition[] {
  return topic.partitions.map(({ index }) => ({ topic: topic.name, partition: index }))
}

function parseTime(time: string): bigint {
  const known = TIMES[time]
  if (known !== undefined) return known
  if (/^-?\d+$/.test(time)) return BigInt(time)
  throw new UsageError(
    `Malformed time argument ${time}. Please use -1 or latest / -2 or earliest / -3 or max-timestamp / -4 or earliest-local / -5 or latest-tiered / -6 or earliest-pending-upload, or a specified long format timestamp`,
  )
}

type Filter = (partition: TopicPartition) => boolean

function filterOf(flags: Flags): Filter {
  if (flags.topicPartitions !== undefined) {
    const rules = flags.topicPartitions.split(',').map(parseRule)
    return (partition) => rules.some((rule) => rule(partition))
  }
  const matches = flags.topic === undefined ? () => true : topicPattern(flags.topic)
  const ids = flags.partitions?.split(',').filter((id) => id.trim() !== '')
  const wanted = ids === undefined ? undefined : new Set(ids.map((id) => parsePartition(id, '--partitions')))
  return ({ topic, partition }) => matches(topic) && (wanted === undefined || wanted.has(partition))
}

/** `topic:1`, `topic:1-3`, `topic:1-`, `topic:-3`, `topic`, `:1`. The upper end is not included. */
function parseRule(rule: string): Filter {
  const match = /^([^:]*)(?::(?:(\d+)|(\d*)-(\d*))?)?$/.exec(rule.trim())
  if (match === null) throw new UsageError(`Invalid rule specification: ${rule}`)
  const [, name, single, from, to] = match
  const matches = name === '' ? () => true : topicPattern(name)
  const low = Number(single ?? (from || 0))
  const high = single !== undefined ? low + 1 : to ? Number(to) : Number.POSITIVE_INFINITY
  return ({ topic, partition }) => matches(topic) && partition >= low && partition < high
}

function parsePartition(id: string, flag: string): number {
  if (!/^\s*\d+\s*$/.test(id)) throw new UsageError(`${flag} expects a list of numeric partition ids, but received: ${id}`)
  return Number(id)
}

// kafka-leader-election: gives leadership back to preferred replicas, or to whatever replica is there.

import { readFile } from 'node:fs/promises'
import { Admin } from '../client/admin.ts'
import { partitionKey, type TopicPartition } from '../client/metadata.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { integer, runTool, text, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'kafka-leader-election',
  summary:
    'Elects leaders of partitions: the preferred replicas, or, where nobody leads, any replica that is there (which loses records).',
  errorPrefix: 'Error:',
  examples: `# give leadership back to the preferred replicas of all partitions
kafka-leader-election.sh --bootstrap-server localhost:9092 --election-type preferred --all-topic-partitions
# of one partition
kafka-leader-election.sh --bootstrap-server localhost:9092 --election-type preferred --topic payments --partition 0
# those who had everything are gone for good: go on with what another replica has
kafka-leader-election.sh --bootstrap-server localhost:9092 --election-type unclean --topic payments --partition 0
`,
}

interface Flags {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly electionType?: string
  readonly topic?: string
  readonly partition?: number
  readonly pathToJsonFile?: string
  readonly allTopicPartitions?: boolean
}

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
    .addOption(text('--election-type <type>', 'preferred or unclean (required)'))
    .addOption(text('--topic <name>', 'the topic, with --partition'))
    .addOption(integer('--partition <index>', 'the partition, with --topic'))
    .addOption(text('--path-to-json-file <file>', 'partitions as {"partitions":[{"topic":"foo","partition":1}]}'))
    .option('--all-topic-partitions', 'all partitions that need it')
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    const type = flags.electionType?.toLowerCase()
    if (type === undefined) throw new UsageError('Missing required option(s): election-type')
    if (type !== 'preferred' && type !== 'unclean')
      throw new UsageError(`--election-type ${flags.electionType}: preferred or unclean is meant`)
    const partitions = await partitionsOf(flags)
    await withCluster(flags, { clientId: 'kafka-leader-election' }, (cluster) => elect(new Admin(cluster), type, partitions))
  })
}

/** Null: all. */
async function partitionsOf({
  topic,
  partition,
  pathToJsonFile: file,
  allTopicPartitions,
}: Flags): Promise<TopicPartition[] | null> {
  const given = [topic, file, allTopicPartitions].filter((flag) => flag !== undefined).length
  if (given === 0)
    throw new UsageError('One and only one of the following options is required: topic, all-topic-partitions, path-to-json-file')
  if (given > 1)
    throw new UsageError('Only one of the following options is allowed: topic, all-topic-partitions, path-to-json-file')
  if ((topic === undefined) !== (partition === undefined))
    throw new UsageError(
      topic === undefined ? 'Option partition is only allowed if topic is used' : 'Missing required option(s): partition',
    )
  if (topic !== undefined) return [{ topic, partition: partition! }]
  if (file === undefined) return null
  const listed = parsePartitions(
    await readFile(file, 'utf8').catch((error) => Promise.reject(new UsageError(`${file}: ${error.message}`))),
    file,
  )
  const names = listed.map((each) => partitionKey(each.topic, each.partition))
  const twice = names.find((name, i) => names.indexOf(name) < i)
  if (twice !== undefined) throw new UsageError(`Replica election data contains duplicate partitions: ${twice}`)
  return listed
}

function parsePartitions(json: string, file: string): TopicPartition[] {
  try {
    const { partitions } = JSON.parse(json) as { partitions: TopicPartition[] }
    for (const { topic, partition } of partitions)
      if (typeof topic !== 'string' || !Number.isInteger(partition)) throw new Error('a topic or partition is missing')
    return partitions
  } catch (error) {
    throw new UsageError(`${file}: {"partitions":[{"topic":"foo","partition":1}]} is meant: ${(error as Error).message}`)
  }
}

async function elect(admin: Admin, type: 'preferred' | 'unclean', partitions: readonly TopicPartition[] | null): Promise<void> {
  const results = [...(await admin.cluster.electLeaders(type, partitions))].map(([key, result]) => [shown(key), result] as const)
  const codeOf = (result: KafkaError | null) => (result instanceof KafkaError ? result.code : 'NONE')
  const named = (code: string) => results.flatMap(([name, result]) => (codeOf(result) === code ? [name] : [])).join(', ')
  const [elected, unneeded] = [named('NONE'), named('ELECTION_NOT_NEEDED')]
  if (elected !== '') console.log(`Successfully completed leader election (${type.toUpperCase()}) for partitions ${elected}`)
  if (unneeded !== '') console.log(`Valid replica already elected for partitions ${unneeded}`)
  const failed = results.filter(([, result]) => !['NONE', 'ELECTION_NOT_NEEDED'].includes(codeOf(result)))
  for (const [name, error] of failed)
    console.log(`Error completing leader election (${type.toUpperCase()}) for partition: ${name}: ${error!.message}`)
  if (failed.length > 0) throw new Error(`${failed.length} replica(s) could not be elected`)
}

/** `topic/partition` as people write it. */
const shown = (key: string) => key.replace(/\/(\d+)$/, '-$1')

// kafka-log-dirs: what lies in the log directories of brokers.

import { Admin } from '../client/admin.ts'
import { ErrorCode, errorName } from '../protocol/error-codes.ts'
import { runTool, text, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'kafka-log-dirs',
  summary: 'Tells how large the replicas in the log directories of brokers are, as JSON.',
  examples: `# all brokers, all topics
kafka-log-dirs.sh --bootstrap-server localhost:9092 --describe
# one topic on two of them
kafka-log-dirs.sh --bootstrap-server localhost:9092 --describe --broker-list 1,2 --topic-list payments
`,
}

interface Flags {
  readonly bootstrapServer?: string
  readonly commandConfig?: string
  readonly describe?: boolean
  readonly brokerList?: string
  readonly topicList?: string
}

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
    .option('--describe', 'describe the log directories (required)')
    .addOption(text('--broker-list <ids>', 'these brokers, separated by commas (default: all)'))
    .addOption(text('--topic-list <names>', 'these topics, separated by commas (default: all)'))
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    if (!flags.describe) throw new UsageError('Missing required option(s): describe')
    await withCluster(flags, { clientId: 'kafka-log-dirs' }, (cluster) => describe(new Admin(cluster), flags))
  })
}

const listOf = (text: string | undefined) => (text ?? '').split(',').filter((part) => part !== '')

async function describe(admin: Admin, flags: Flags): Promise<void> {
  const all = (await admin.cluster.describe()).brokers.map(({ nodeId }) => nodeId)
  const wanted = listOf(flags.brokerList).map(Number)
  const unknown = wanted.filter((id) => !all.includes(id))
  if (unknown.length > 0) {
    const known = [...all].sort((a, b) => a - b).join()
    throw new UsageError(
      `The given brokers do not exist from --broker-list: ${unknown.join()}. Current existent brokers: ${known}`,
    )
  }
  const brokers = (wanted.length === 0 ? all : [...new Set(wanted)]).sort((a, b) => a - b)
  const topics = new Set(listOf(flags.topicList))
  console.log('Querying brokers for log directories information')
  const described = await Promise.all(brokers.map(async (broker) => ({ broker, logDirs: await admin.cluster.logDirs(broker) })))
  console.log(`Received log directory information from brokers ${brokers.join()}`)
  const result = {
    brokers: described.map(({ broker, logDirs }) => ({
      broker,
      logDirs: logDirs.map((directory) => ({
        partitions: directory.topics
          .filter(({ name }) => topics.size === 0 || topics.has(name))
          .flatMap(({ name, partitions }) =>
            partitions.map(({ partitionIndex, partitionSize, offsetLag, isFutureKey }) => ({
              partition: `${name}-${partitionIndex}`,
              size: Number(partitionSize),
              offsetLag: Number(offsetLag),
              isFuture: isFutureKey,
            })),
          ),
        error: directory.errorCode === ErrorCode.NONE ? null : errorName(directory.errorCode),
        logDir: directory.logDir,
      })),
    })),
    version: 1,
  }
  console.log(JSON.stringify(result))
}

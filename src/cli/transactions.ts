// kafka-transactions: what transactions there are, what producers a partition knows, and an end for those that hang.

import type { OpenTransaction, ProducerDescription } from '../client/admin/transaction-admin.ts'
import { Admin } from '../client/admin.ts'
import type { TopicPartition } from '../client/metadata.ts'
import { realClock } from '../host/clock.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { integer, runTool, text, toolCommand, UsageError, withCluster, withConnection } from './tool.ts'

const definition = {
  name: 'kafka-transactions',
  summary: 'Shows the state of transactions and of transactional producers, and ends transactions that hang.',
  examples: `# all transactional ids, or those whose transaction runs for more than a minute
kafka-transactions.sh --bootstrap-server localhost:9092 list
kafka-transactions.sh --bootstrap-server localhost:9092 list --duration-filter 60000
# one of them, with the partitions it writes to
kafka-transactions.sh --bootstrap-server localhost:9092 describe --transactional-id payments-1
# a partition whose last stable offset stands still: who has a transaction open there, and does anyone know of it?
kafka-transactions.sh --bootstrap-server localhost:9092 describe-producers --topic payments --partition 0
kafka-transactions.sh --bootstrap-server localhost:9092 find-hanging --topic payments
# end the one that begins at offset 1234
kafka-transactions.sh --bootstrap-server localhost:9092 abort --topic payments --partition 0 --start-offset 1234
`,
}

interface Flags {
  readonly durationFilter?: string
  readonly transactionalIdPattern?: string
  readonly transactionalId?: string
  readonly topic?: string
  readonly partition?: number
  readonly brokerId?: number
  readonly startOffset?: string
  readonly producerId?: string
  readonly producerEpoch?: number
  readonly coordinatorEpoch?: number
  readonly maxTransactionTimeout?: number
}

type Work = (admin: Admin) => Promise<void>
/** Checks the flags before anyone is asked. */
type Plan = (flags: Flags) => Work

export async function run(args: string[]): Promise<void> {
  const command = withConnection(toolCommand(definition))
  let plan: (() => Work) | undefined
  const add = (name: string, summary: string, planOf: Plan) => {
    const sub = command.command(name).description(summary).allowExcessArguments(false)
    sub.action((flags: Flags) => {
      plan = () => planOf(flags)
    })
    return sub
  }
  add('list', 'list transactional ids', list)
    .addOption(text('--duration-filter <ms>', 'only those whose transaction runs for longer than this, in milliseconds'))
    .addOption(text('--transactional-id-pattern <regex>', 'only ids that match as a whole'))
  add('describe', 'describe a transactional id', describe).addOption(
    text('--transactional-id <id>', 'the id').makeOptionMandatory(),
  )
  add('describe-producers', 'describe the producers that a partition knows', describeProducers)
    .addOption(text('--topic <name>', 'the topic').makeOptionMandatory())
    .addOption(integer('--partition <index>', 'the partition').makeOptionMandatory())
    .addOption(integer('--broker-id <id>', 'as this replica knows them (default: the leader)'))
  add('abort', 'abort a transaction in one partition, past its coordinator', abort)
    .addOption(text('--topic <name>', 'the topic').makeOptionMandatory())
    .addOption(integer('--partition <index>', 'the partition').makeOptionMandatory())
    .addOption(text('--start-offset <offset>', 'the first offset of the transaction'))
    .addOption(text('--producer-id <id>', 'in place of the offset, with both epochs'))
    .addOption(integer('--producer-epoch <epoch>', 'the epoch of the producer'))
    .addOption(integer('--coordinator-epoch <epoch>', 'the epoch of the coordinator', -1))
  add('find-hanging', 'find open transactions that no coordinator will end', findHanging)
    .addOption(integer('--broker-id <id>', 'search the partitions of this broker'))
    .addOption(integer('--max-transaction-timeout <minutes>', 'only those without a record for this long (default: 15)'))
    .addOption(text('--topic <name>', 'search this topic'))
    .addOption(integer('--partition <index>', 'search this partition of the topic'))
  add('forceTerminateTransaction', 'fence the producer of a transactional id and abort its transaction', terminate).addOption(
    text('--transactionalId, --transactional-id <id>', 'the id').makeOptionMandatory(),
  )
  await runTool(definition, command, args, async () => {
    const work = plan!()
    await withCluster(command.opts(), { clientId: 'kafka-transactions' }, (cluster) => work(new Admin(cluster)))
  })
}

const list: Plan = ({ durationFilter, transactionalIdPattern: pattern }) => {
  const durationMs = durationFilter === undefined ? undefined : bigint(durationFilter, '--duration-filter')
  return async (admin) => {
    const listed = await admin.transactions.list({ durationMs, pattern })
    print(
      ['TransactionalId', 'Coordinator', 'ProducerId', 'TransactionState'],
      listed.map(({ transactionalId, coordinatorId, producerId, state }) => [transactionalId, coordinatorId, producerId, state]),
    )
  }
}

const describe: Plan =
  ({ transactionalId = '' }) =>
  async (admin) => {
    const found = (await admin.transactions.describe([transactionalId])).get(transactionalId)!
    if (found instanceof KafkaError) {
      throw new Error(`Failed to describe transaction state of transactional-id \`${transactionalId}\`: ${found.message}`)
    }
    const { startTimeMs, partitions } = found
    print(
      [
        'CoordinatorId',
        'TransactionalId',
        'ProducerId',
        'ProducerEpoch',
        'TransactionState',
        'TransactionTimeoutMs',
        'CurrentTransactionStartTimeMs',
        'TransactionDurationMs',
        'TopicPartitions',
      ],
      [
        [
          found.coordinatorId,
          transactionalId,
          found.producerId,
          found.producerEpoch,
          found.state,
          found.timeoutMs,
          startTimeMs ?? 'None',
          startTimeMs === undefined ? 'None' : now() - startTimeMs,
          partitions.map(({ topic, partition }) => `${topic}-${partition}`).join(),
        ],
      ],
    )
  }

const describeProducers: Plan =
  ({ brokerId, ...flags }) =>
  async (admin) => {
    const producers = await admin.transactions.producers(partitionOf(flags), brokerId)
    print(
      ['ProducerId', 'ProducerEpoch', 'LatestCoordinatorEpoch', 'LastSequence', 'LastTimestamp', 'CurrentTransactionStartOffset'],
      producers.map((producer) => [
        producer.producerId,
        producer.producerEpoch,
        producer.coordinatorEpoch,
        producer.lastSequence,
        producer.lastTimestamp,
        producer.transactionStartOffset ?? 'None',
      ]),
    )
  }

const abort: Plan = (flags) => {
  const partition = partitionOf(flags)
  const { startOffset, producerId, producerEpoch, coordinatorEpoch } = flags
  if (startOffset === undefined && producerId === undefined) {
    throw new UsageError(
      'The transaction to abort must be identified either with --start-offset or with --producer-id, --producer-epoch, and --coordinator-epoch',
    )
  }
  if (startOffset !== undefined) {
    const offset = bigint(startOffset, '--start-offset')
    return async (admin) => {
      const producers = await admin.transactions.producers(partition)
      const producer = producers.find(({ transactionStartOffset }) => transactionStartOffset === offset)
      if (producer === undefined) {
        const name = `${partition.topic}-${partition.partition}`
        throw new Error(`Could not find any open transactions starting at offset ${offset} on partition ${name}`)
      }
      await admin.transactions.abort(partition, withCoordinator(producer))
    }
  }
  if (producerEpoch === undefined) throw new UsageError('Missing required argument --producer-epoch')
  if (coordinatorEpoch === undefined) throw new UsageError('Missing required argument --coordinator-epoch')
  const producer = { producerId: bigint(producerId!, '--producer-id'), producerEpoch, coordinatorEpoch }
  return (admin) => admin.transactions.abort(partition, withCoordinator(producer))
}

const findHanging: Plan = ({ brokerId, topic, partition, maxTransactionTimeout = 15 }) => {
  if (topic === undefined && brokerId === undefined) {
    throw new UsageError('The `find-hanging` command requires either --topic or --broker-id to limit the scope of the search')
  }
  if (partition !== undefined && topic === undefined) throw new UsageError('--partition needs --topic')
  return async (admin) => {
    const topics = (await admin.topics.list()).filter(({ name }) => topic === undefined || name === topic)
    if (topic !== undefined && topics.length === 0) throw new Error(`topic ${topic} does not exist`)
    const places = topics.flatMap(({ name, partitions }) =>
      partitions
        .filter(
          ({ index, replicas }) => (partition ?? index) === index && (brokerId === undefined || replicas.includes(brokerId)),
        )
        .map(({ index }): TopicPartition => ({ topic: name, partition: index })),
    )
    const before = now() - BigInt(maxTransactionTimeout) * 60_000n
    const open: OpenTransaction[] = []
    for (const place of places) {
      for (const producer of await admin.transactions.producers(place, brokerId)) {
        if (producer.transactionStartOffset === undefined || producer.lastTimestamp >= before) continue
        open.push({ ...place, producer })
      }
    }
    const hanging = await admin.transactions.hanging(open)
    print(
      ['Topic', 'Partition', 'ProducerId', 'ProducerEpoch', 'CoordinatorEpoch', 'StartOffset', 'LastTimestamp', 'Duration(min)'],
      hanging.map(({ topic, partition, producer }) => [
        topic,
        partition,
        producer.producerId,
        producer.producerEpoch,
        producer.coordinatorEpoch,
        producer.transactionStartOffset!,
        producer.lastTimestamp,
        (now() - producer.lastTimestamp) / 60_000n,
      ]),
    )
  }
}

const terminate: Plan =
  ({ transactionalId = '' }) =>
  (admin) =>
    admin.transactions.terminate(transactionalId)

function partitionOf({ topic = '', partition = 0 }: Flags): TopicPartition {
  return { topic, partition }
}

/** The partition takes markers of the newest coordinator only; it has seen none of a producer's first transaction. */
function withCoordinator<T extends Pick<ProducerDescription, 'coordinatorEpoch'>>(producer: T): T {
  return { ...producer, coordinatorEpoch: Math.max(0, producer.coordinatorEpoch) }
}

/** Every cell padded to the widest of its column, and followed by a tab, as Kafka's tool prints it. */
function print(header: readonly string[], rows: readonly (readonly (string | number | bigint)[])[]): void {
  const lines = [header, ...rows.map((row) => row.map(String))]
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column].length)))
  for (const line of lines) console.log(line.map((cell, column) => `${cell.padEnd(widths[column])}\t`).join(''))
}

function bigint(value: string, flag: string): bigint {
  if (!/^-?\d{1,18}$/.test(value)) throw new UsageError(`${flag} ${value}: an integer is meant`)
  return BigInt(value)
}

function now(): bigint {
  return BigInt(Math.trunc(realClock.wallMs()))
}

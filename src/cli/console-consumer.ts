// kafka-console-consumer: prints records of topics until told to stop.

import { once } from 'node:events'
import type { ClusterClient } from '../client/cluster-client.ts'
import { Consumer } from '../client/consumer.ts'
import type { ConsumerRecord } from '../client/fetched-records.ts'
import { GroupConsumer } from '../client/group-consumer.ts'
import type { TopicPartition } from '../client/metadata.ts'
import { realRandom } from '../host/random.ts'
import { consumerOptions, groupOptions, type Properties, readProperties } from './client-properties.ts'
import { type RecordFormatter, recordFormatter } from './record-formatter.ts'
import { integer, keyValues, oneLine, runTool, text, texts, toolCommand, UsageError, withCluster } from './tool.ts'

const definition = {
  name: 'kafka-console-consumer',
  summary: 'Prints the records of topics as they come. Ctrl-C ends it.',
  examples: `# everything, from the beginning
kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic events --from-beginning
# as a member of a group, which remembers how far it has read
kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic events --group reports
# keys, headers and times
kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic events --from-beginning --formatter-property print.key=true \\
  --formatter-property print.headers=true --formatter-property print.timestamp=true
# ten records of partition 0, from offset 100 on
kafka-console-consumer.sh --bootstrap-server localhost:9092 --topic events --partition 0 --offset 100 --max-messages 10

Formatter properties, with their defaults: print.timestamp=false print.partition=false print.offset=false print.epoch=false
print.headers=false print.key=false print.value=true key.separator=<TAB> line.separator=<newline> headers.separator=,
null.literal=null key.deserializer= value.deserializer= headers.deserializer=
`,
}

interface Flags {
  readonly bootstrapServer?: string
  readonly topic?: string
  readonly include?: string
  readonly partition?: number
  readonly offset?: string
  readonly fromBeginning?: boolean
  readonly group?: string
  readonly maxMessages?: number
  readonly timeoutMs?: number
  readonly isolationLevel?: string
  readonly formatter?: string
  readonly formatterProperty?: readonly string[]
  readonly property?: readonly string[]
  readonly formatterConfig?: string
  readonly keyDeserializer?: string
  readonly valueDeserializer?: string
  readonly skipMessageOnError?: boolean
  readonly enableSystestEvents?: boolean
  readonly commandProperty?: readonly string[]
  readonly consumerProperty?: readonly string[]
  readonly commandConfig?: string
  readonly 'consumer.config'?: string
}

/** How long a poll waits at most: that is how soon an idle consumer notices that its time is up. */
const POLL_MS = 1000
/** How long a topic may take to appear. */
const TOPIC_TIMEOUT_MS = 10_000
/** Committing and leaving must not keep people who pressed Ctrl-C. */
const CLOSE_TIMEOUT_MS = 5000

export async function run(args: string[]): Promise<void> {
  const command = toolCommand(definition)
    .addOption(text('--bootstrap-server <host:port>', 'servers to start from, separated by commas (required)'))
    .addOption(text('--topic <name>', 'the topic to read'))
    .addOption(text('--include <regex>', 'read all topics whose whole name matches'))
    .option('--from-beginning', 'start with the first record there is, unless the group has a position')
    .addOption(text('--group <id>', 'read as a member of this group (default: a group of its own that commits nothing)'))
    .addOption(integer('--partition <number>', 'read only this partition, from its end unless --offset says otherwise'))
    .addOption(text('--offset <offset>', 'where to start in it: a number, earliest or latest'))
    .addOption(integer('--max-messages <number>', 'end after so many records', -1))
    .addOption(integer('--timeout-ms <ms>', 'end when no record has come for so long', -1, Number.MAX_SAFE_INTEGER))
    .addOption(
      text(
        '--isolation-level <level>',
        'read_committed leaves out records of open and aborted transactions (default: read_uncommitted)',
      ),
    )
    .addOption(texts('--formatter-property <key=value>', 'what to print, see below; may be repeated'))
    .addOption(texts('--property <key=value>', 'older name of --formatter-property').hideHelp())
    .addOption(text('--formatter-config <file>', 'the same from a properties file'))
    .addOption(text('--formatter <class>', 'for internal topics: OffsetsMessageFormatter or GroupMetadataMessageFormatter'))
    .addOption(text('--key-deserializer <class>', 'how to print keys: StringDeserializer, LongDeserializer, …'))
    .addOption(text('--value-deserializer <class>', 'how to print values'))
    .option('--skip-message-on-error', 'go on after a record that cannot be printed')
    .option('--enable-systest-events', 'print an event when the consumer has shut down')
    .addOption(
      texts('--command-property <key=value>', "a setting of Kafka's consumer, such as max.poll.records=10; may be repeated"),
    )
    .addOption(texts('--consumer-property <key=value>', 'older name of --command-property').hideHelp())
    .addOption(text('--command-config <file>', 'the same from a properties file'))
    .addOption(text('--consumer.config <file>', 'older name of --command-config').hideHelp())
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    check(flags)
    const formatter = await formatterOf(flags)
    const commandConfig = flags.commandConfig ?? flags['consumer.config']
    const given = keyValues(flags.commandProperty ?? flags.consumerProperty ?? [], '--command-property')
    if (flags.isolationLevel !== undefined) given.set('isolation.level', flags.isolationLevel)
    const connection = { bootstrapServer: flags.bootstrapServer, commandConfig }
    await withCluster(connection, { clientId: 'console-consumer', properties: given }, async (cluster, properties) => {
      const source =
        flags.partition === undefined
          ? groupSource(cluster, flags, properties)
          : await partitionSource(cluster, flags, properties)
      await print(source, formatter, flags)
    })
  })
}

function check(flags: Flags): void {
  if ((flags.topic === undefined) === (flags.include === undefined))
    throw new UsageError('Exactly one of --topic and --include is required')
  if (flags.partition === undefined) {
    if (flags.offset !== undefined) throw new UsageError('The partition is required when offset is specified.')
    return
  }
  if (flags.topic === undefined) throw new UsageError('The topic is required when partition is specified.')
  if (flags.group !== undefined) throw new UsageError('Options group and partition cannot be specified together.')
  if (flags.fromBeginning && flags.offset !== undefined) {
    throw new UsageError('Options from-beginning and offset cannot be specified together.')
  }
  if (flags.offset !== undefined && !/^(earliest|latest|\d+)$/i.test(flags.offset)) {
    throw new UsageError(
      `The provided offset value '${flags.offset}' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.`,
    )
  }
}

async function formatterOf(flags: Flags): Promise<RecordFormatter> {
  const properties = new Map(flags.formatterConfig === undefined ? [] : await readProperties(flags.formatterConfig))
  if (flags.keyDeserializer !== undefined) properties.set('key.deserializer', flags.keyDeserializer)
  if (flags.valueDeserializer !== undefined) properties.set('value.deserializer', flags.valueDeserializer)
  for (const [key, value] of keyValues(flags.formatterProperty ?? flags.property ?? [], '--formatter-property'))
    properties.set(key, value)
  return recordFormatter(flags.formatter ?? 'DefaultMessageFormatter', properties)
}

/** Where records come from, whatever the kind of consumer. */
interface Source {
  poll(timeoutMs: number): Promise<ConsumerRecord[]>
  wake(): void
  seek(partition: TopicPartition, offset: bigint): void
  close(timeoutMs: number): Promise<void>
  /** Topics that are waited for. */
  readonly missing?: readonly string[]
}

function groupSource(cluster: ClusterClient, flags: Flags, properties: Properties): Source {
  const groupIds = new Set([flags.group, properties.get('group.id')].filter((id) => id !== undefined))
  if (groupIds.size > 1) {
    const ids = [...groupIds].map((id) => `'${id}'`).join(', ')
    throw new UsageError(
      `The group ids provided in different places (directly using '--group', or as a property) do not match: ${ids}`,
    )
  }
  const [groupId] = groupIds
  const reset = properties.get('auto.offset.reset')
  if (flags.fromBeginning && reset !== undefined && reset !== 'earliest') {
    throw new UsageError(
      `Can't simultaneously specify --from-beginning and 'auto.offset.reset=${reset}', please remove one option`,
    )
  }
  const options = groupOptions(properties)
  const consumer = new GroupConsumer(cluster, {
    ...options,
    autoOffsetReset: options.autoOffsetReset ?? (flags.fromBeginning ? 'earliest' : 'latest'),
    // A group that nobody named is not used again: its positions are of no interest.
    enableAutoCommit: options.enableAutoCommit ?? groupId !== undefined,
    groupId: groupId ?? `console-consumer-${realRandom.u32() % 100_000}`,
  })
  consumer.subscribe(flags.topic !== undefined ? [flags.topic] : expression(flags.include!))
  return consumer
}

async function partitionSource(cluster: ClusterClient, flags: Flags, properties: Properties): Promise<Source> {
  const partition = { topic: flags.topic!, partition: flags.partition! }
  // A group waits for topics that do not exist yet; who names a partition should know whether it does.
  const topic = await cluster.topic(partition.topic, { allowAutoTopicCreation: true, timeoutMs: TOPIC_TIMEOUT_MS })
  if (topic.partitions[partition.partition] === undefined) {
    throw new UsageError(`topic ${topic.name} has no partition ${partition.partition}, it has ${topic.partitions.length}`)
  }
  const options = consumerOptions(properties)
  const consumer = new Consumer(cluster, options)
  consumer.assign([partition])
  const offset = flags.offset?.toLowerCase() ?? (flags.fromBeginning ? 'earliest' : 'latest')
  if (offset === 'earliest' || offset === 'latest') consumer.seekTo(offset)
  else consumer.seek(partition, BigInt(offset))
  return consumer
}

function expression(include: string): RegExp {
  try {
    return new RegExp(include)
  } catch (error) {
    throw new UsageError(`--include ${include}: ${(error as Error).message}`)
  }
}

async function print(source: Source, formatter: RecordFormatter, flags: Flags): Promise<void> {
  const maxMessages = flags.maxMessages === undefined || flags.maxMessages < 0 ? Number.POSITIVE_INFINITY : flags.maxMessages
  const timeoutMs = flags.timeoutMs === undefined || flags.timeoutMs < 0 ? Number.POSITIVE_INFINITY : flags.timeoutMs
  let stopped = false
  const stop = () => {
    if (stopped) process.exit(130)
    stopped = true
    source.wake()
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  // Nobody reads what we print: as good as Ctrl-C.
  process.stdout.removeAllListeners('error')
  process.stdout.on('error', () => {
    if (stopped) return
    process.stderr.write('Unable to write to standard out, closing consumer.\n')
    stop()
  })
  let count = 0
  let lastRecordMs = performance.now()
  let warned = false
  try {
    while (!stopped && count < maxMessages) {
      const leftMs = lastRecordMs + timeoutMs - performance.now()
      if (leftMs <= 0) break
      const records = await source.poll(Math.min(POLL_MS, leftMs))
      if (records.length > 0) lastRecordMs = performance.now()
      if (!warned && source.missing !== undefined && source.missing.length > 0) {
        warned = true
        process.stderr.write(`Waiting for ${source.missing.join(', ')}: there is no such topic yet\n`)
      }
      const wanted = records.slice(0, maxMessages - count)
      // What is not printed must not be committed.
      for (const [, [first]] of Map.groupBy(records.slice(wanted.length), ({ topic, partition }) => `${topic}/${partition}`)) {
        source.seek(first, first.offset)
      }
      count += wanted.length
      await write(wanted, formatter, flags.skipMessageOnError ?? false)
    }
  } finally {
    await source.close(CLOSE_TIMEOUT_MS)
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    process.stderr.write(`Processed a total of ${count} messages\n`)
    if (flags.enableSystestEvents) process.stdout.write('shutdown_complete\n')
  }
}

async function write(records: readonly ConsumerRecord[], formatter: RecordFormatter, skipErrors: boolean): Promise<void> {
  const lines: Buffer[] = []
  try {
    for (const record of records) {
      try {
        lines.push(formatter.format(record))
      } catch (error) {
        const where = `${record.topic}-${record.partition} at offset ${record.offset}`
        if (!skipErrors) throw new Error(`cannot print the record in ${where}: ${oneLine(error)}`, { cause: error })
        process.stderr.write(`skipped the record in ${where}: ${oneLine(error)}\n`)
      }
    }
  } finally {
    const bytes = Buffer.concat(lines)
    if (bytes.length > 0 && !process.stdout.write(bytes) && process.stdout.writable)
      await once(process.stdout, 'drain').catch(() => {})
  }
}

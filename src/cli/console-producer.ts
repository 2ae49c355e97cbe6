// kafka-console-producer: every line of standard input becomes a record.

import { createInterface } from 'node:readline'
import { Option } from 'commander'
import type { ClusterClient } from '../client/cluster-client.ts'
import { Producer } from '../client/producer.ts'
import { producerOptions, readProperties } from './client-properties.ts'
import { LineReader } from './line-reader.ts'
import { integer, keyValues, oneLine, runTool, text, texts, toolCommand, UsageError, withCluster } from './tool.ts'

const definition = {
  name: 'kafka-console-producer',
  summary: 'Sends each line of standard input as a record.',
  examples: `# type lines, end with Ctrl-D
kafka-console-producer.sh --bootstrap-server localhost:9092 --topic events
# lines of key:value
kafka-console-producer.sh --bootstrap-server localhost:9092 --topic events --reader-property parse.key=true --reader-property key.separator=:
# headers, key and value, separated by tabs: trace:42,source:web<TAB>user1<TAB>clicked
kafka-console-producer.sh --bootstrap-server localhost:9092 --topic events --reader-property parse.headers=true --reader-property parse.key=true
# a file, compressed
kafka-console-producer.sh --bootstrap-server localhost:9092 --topic events --compression-codec zstd < events.txt

Reader properties, with their defaults: parse.key=false parse.headers=false ignore.error=false key.separator=<TAB>
headers.delimiter=<TAB> headers.separator=, headers.key.separator=: null.marker=<none>
`,
}

interface Flags {
  readonly bootstrapServer?: string
  readonly brokerList?: string
  readonly topic?: string
  readonly sync?: boolean
  readonly compressionCodec?: string | true
  readonly batchSize?: number
  readonly maxPartitionMemoryBytes?: number
  readonly messageSendMaxRetries?: number
  readonly retryBackoffMs?: number
  readonly timeout?: number
  readonly requestRequiredAcks?: string
  readonly requestTimeoutMs?: number
  readonly metadataExpiryMs?: number
  readonly maxBlockMs?: number
  readonly maxMemoryBytes?: number
  readonly lineReader?: string
  readonly readerProperty?: readonly string[]
  readonly property?: readonly string[]
  readonly readerConfig?: string
  readonly commandProperty?: readonly string[]
  readonly producerProperty?: readonly string[]
  readonly commandConfig?: string
  readonly 'producer.config'?: string
}

const LINE_READER = 'org.apache.kafka.tools.LineMessageReader'

export async function run(args: string[]): Promise<void> {
  const command = toolCommand(definition)
    .addOption(text('--bootstrap-server <host:port>', 'servers to start from, separated by commas (required)'))
    .addOption(text('--broker-list <host:port>', 'older name of --bootstrap-server').hideHelp())
    .addOption(text('--topic <name>', 'the topic to send to (required)'))
    .option('--sync', 'wait for each record to be acknowledged before the next is sent')
    .addOption(new Option('--compression-codec [codec]', 'none, gzip, snappy, lz4 or zstd; gzip if none is named'))
    .addOption(
      text('--request-required-acks <acks>', 'who must have a record before it counts as sent: 0, 1 or all (default: all)'),
    )
    .addOption(integer('--timeout <ms>', 'how long a record may wait for others to share its batch (default: 1000)'))
    .addOption(integer('--batch-size <bytes>', 'a batch is sent when it is so large (default: 16384)'))
    .addOption(integer('--max-partition-memory-bytes <bytes>', 'the same'))
    .addOption(integer('--message-send-max-retries <number>', 'tries after the first (default: 3)'))
    .addOption(integer('--retry-backoff-ms <ms>', 'pause before the first of them (default: 100)'))
    .addOption(integer('--request-timeout-ms <ms>', 'how long an answer may take (default: 1500)', 1))
    .addOption(integer('--metadata-expiry-ms <ms>', 'how old metadata may be (default: 300000)'))
    .addOption(integer('--max-block-ms <ms>', 'how long to wait for metadata, and for room in the buffer (default: 60000)'))
    .addOption(integer('--max-memory-bytes <bytes>', 'size of that buffer (default: 33554432)', 0, Number.MAX_SAFE_INTEGER))
    .addOption(
      integer('--socket-buffer-size <bytes>', 'accepted and of no effect: the operating system sizes its buffers').hideHelp(),
    )
    .addOption(text('--line-reader <class>', `only ${LINE_READER} is there`).hideHelp())
    .addOption(texts('--reader-property <key=value>', 'how to read lines, see below; may be repeated'))
    .addOption(texts('--property <key=value>', 'older name of --reader-property').hideHelp())
    .addOption(text('--reader-config <file>', 'the same from a properties file'))
    .addOption(texts('--command-property <key=value>', "a setting of Kafka's producer, such as linger.ms=5; may be repeated"))
    .addOption(texts('--producer-property <key=value>', 'older name of --command-property').hideHelp())
    .addOption(text('--command-config <file>', 'the same from a properties file'))
    .addOption(text('--producer.config <file>', 'older name of --command-config').hideHelp())
  await runTool(definition, command, args, async () => {
    const flags = command.opts<Flags>()
    if (flags.topic === undefined) throw new UsageError('--topic must be specified')
    if (flags.lineReader !== undefined && flags.lineReader !== LINE_READER && flags.lineReader !== 'LineMessageReader') {
      throw new UsageError(`--line-reader ${flags.lineReader}: only ${LINE_READER} is there`)
    }
    const fromFile = flags.readerConfig === undefined ? [] : [...(await readProperties(flags.readerConfig))]
    const readerFlags = keyValues(flags.readerProperty ?? flags.property ?? [], '--reader-property')
    const reader = new LineReader(flags.topic, new Map([...fromFile, ...readerFlags]))
    const properties = settings(flags)
    const connection = {
      bootstrapServer: flags.bootstrapServer ?? flags.brokerList,
      commandConfig: flags.commandConfig ?? flags['producer.config'],
    }
    await withCluster(connection, { clientId: 'console-producer', properties }, async (cluster, all) => {
      // What the tool has defaults of its own for gives way to the file; flags override both.
      await produce(cluster, new Producer(cluster, producerOptions(new Map([...DEFAULTS, ...all]))), reader, flags.sync ?? false)
    })
  })
}

/** As the tool has them, not as producers do. */
const DEFAULTS: readonly [string, string][] = [
  ['linger.ms', '1000'],
  ['retries', '3'],
  ['request.timeout.ms', '1500'],
]

function settings(flags: Flags): Map<string, string> {
  const codec = flags.compressionCodec === true ? 'gzip' : flags.compressionCodec
  const named: [string, string | number | undefined][] = [
    ['compression.type', codec],
    ['acks', flags.requestRequiredAcks],
    ['linger.ms', flags.timeout],
    ['batch.size', flags.maxPartitionMemoryBytes ?? flags.batchSize],
    ['retries', flags.messageSendMaxRetries],
    ['retry.backoff.ms', flags.retryBackoffMs],
    ['request.timeout.ms', flags.requestTimeoutMs],
    ['metadata.max.age.ms', flags.metadataExpiryMs],
    ['max.block.ms', flags.maxBlockMs],
    ['buffer.memory', flags.maxMemoryBytes],
  ]
  const given = named.flatMap(([key, value]): [string, string][] => (value === undefined ? [] : [[key, String(value)]]))
  return new Map([...keyValues(flags.commandProperty ?? flags.producerProperty ?? [], '--command-property'), ...given])
}

/** Until the end of input, or Ctrl-C: what has been read is still sent. A record that is refused is reported; the others go on. */
async function produce(cluster: ClusterClient, producer: Producer, reader: LineReader, sync: boolean): Promise<void> {
  const isInteractive = process.stdin.isTTY === true
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY })
  const stop = () => {
    lines.close()
    process.stdin.destroy()
  }
  process.once('SIGINT', stop)
  process.once('SIGTERM', stop)
  const prompt = () => {
    if (isInteractive) process.stdout.write('>')
  }
  const report = (error: Error) => {
    process.stderr.write(`Error when sending message to topic: ${oneLine(error)}\n`)
    process.exitCode = 1
  }
  try {
    prompt()
    for await (const line of lines) {
      const sent = producer.send(reader.read(line))
      if (sync) await sent
      else {
        sent.catch(report)
        await producer.ready()
      }
      prompt()
    }
    if (isInteractive) process.stdout.write('\n')
  } finally {
    lines.close()
    await producer.close()
    process.off('SIGINT', stop)
    process.off('SIGTERM', stop)
    await cluster.close()
  }
}

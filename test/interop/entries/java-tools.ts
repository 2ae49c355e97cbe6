// Apache Kafka's own command line programs, every one whose requests a single broker of ours serves. What they print is compared
// with what they print against Apache Kafka.

import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { javaCommand, kafkaClassPath } from '../apache-kafka.ts'
import { runCommand } from '../command.ts'
import { runCases, type Suite, type Target } from '../suite.ts'

const TOOLS = {
  'kafka-topics': 'org.apache.kafka.tools.TopicCommand',
  'kafka-configs': 'kafka.admin.ConfigCommand',
  'kafka-console-producer': 'org.apache.kafka.tools.ConsoleProducer',
  'kafka-console-consumer': 'org.apache.kafka.tools.consumer.ConsoleConsumer',
  'kafka-consumer-groups': 'org.apache.kafka.tools.consumer.group.ConsumerGroupCommand',
  'kafka-groups': 'org.apache.kafka.tools.GroupsCommand',
  'kafka-get-offsets': 'org.apache.kafka.tools.GetOffsetShell',
  'kafka-delete-records': 'org.apache.kafka.tools.DeleteRecordsCommand',
  'kafka-broker-api-versions': 'org.apache.kafka.tools.BrokerApiVersionsCommand',
  'kafka-dump-log': 'org.apache.kafka.tools.DumpLogSegments',
  'kafka-log-dirs': 'org.apache.kafka.tools.LogDirsCommand',
  'kafka-cluster': 'org.apache.kafka.tools.ClusterTool',
  'kafka-client-compatibility-test': 'org.apache.kafka.tools.ClientCompatibilityTest',
  'kafka-verifiable-producer': 'org.apache.kafka.tools.VerifiableProducer',
  'kafka-verifiable-consumer': 'org.apache.kafka.tools.VerifiableConsumer',
  'kafka-producer-perf-test': 'org.apache.kafka.tools.ProducerPerformance',
  'kafka-consumer-perf-test': 'org.apache.kafka.tools.ConsumerPerformance',
  'kafka-e2e-latency': 'org.apache.kafka.tools.EndToEndLatency',
  'kafka-transactions': 'org.apache.kafka.tools.TransactionsCommand',
} as const
type Tool = keyof typeof TOOLS
/** These take no --bootstrap-server. */
const WITHOUT_BROKER: readonly Tool[] = ['kafka-dump-log', 'kafka-cluster', 'kafka-e2e-latency']

export const suite: Suite = {
  config: { 'num.partitions': '1', 'auto.create.topics.enable': 'true', 'group.initial.rebalance.delay.ms': '0' },

  async prepare() {
    await kafkaClassPath()
  },

  run: runCases({
    'kafka-transactions lists, describes, finds what hangs and ends it': (target) =>
      transcript(target, [
        ['kafka-topics', '--create --topic transacted'],
        ['kafka-transactions', 'list', undefined, linesOf('transfers')],
        [
          'kafka-producer-perf-test',
          '--topic transacted --num-records 20 --record-size 10 --throughput -1 --transactional-id transfers --transaction-duration-ms 60000',
          undefined,
          (output) => output.replace(/sent, .*/s, 'sent\n'),
        ],
        ['kafka-transactions', 'list', undefined, withoutTimes],
        ['kafka-transactions', 'list --transactional-id-pattern (?i)TRANS.*', undefined, withoutTimes],
        ['kafka-transactions', 'list --transactional-id-pattern trans', undefined, withoutTimes],
        ['kafka-transactions', 'list --transactional-id-pattern trans(', undefined, withoutTimes],
        ['kafka-transactions', 'describe --transactional-id transfers', undefined, withoutTimes],
        ['kafka-transactions', 'describe --transactional-id not-there'],
        ['kafka-transactions', 'describe-producers --topic transacted --partition 0', undefined, withoutTimes],
        ['kafka-transactions', 'find-hanging --broker-id 1'],
        ['kafka-transactions', 'abort --topic transacted --partition 0 --start-offset 0'],
        ['kafka-transactions', 'forceTerminateTransaction --transactionalId transfers'],
        ['kafka-transactions', 'describe --transactional-id transfers', undefined, withoutTimes],
        [
          'kafka-console-consumer',
          '--topic transacted --partition 0 --offset earliest --isolation-level read_committed --timeout-ms 2000 ' +
            '--formatter-property print.offset=true --formatter-property print.value=false',
        ],
      ]),

    'kafka-topics creates, lists, describes, alters and deletes': (target) =>
      transcript(target, [
        ['kafka-topics', '--create --topic orders --partitions 2 --replication-factor 1 --config retention.ms=3600000'],
        ['kafka-topics', '--create --topic orders --partitions 2'],
        ['kafka-topics', '--create --topic orders --if-not-exists'],
        ['kafka-topics', '--create --topic defaults'],
        ['kafka-topics', '--create --topic too-many-replicas --replication-factor 3'],
        ['kafka-topics', '--create --topic no-partitions --partitions 0'],
        ['kafka-topics', '--create --topic wrong-config --config retention.ms=soon'],
        ['kafka-topics', '--create --topic unknown-config --config no.such.key=1'],
        ['kafka-topics', '--create --topic with.period_and_underscore'],
        ['kafka-topics', '--create --topic placed --replica-assignment 1,1,1'],
        ['kafka-topics', '--list'],
        ['kafka-topics', '--describe --topic orders'],
        ['kafka-topics', '--describe --topics-with-overrides', undefined, sortLines],
        ['kafka-topics', '--describe --unavailable-partitions'],
        ['kafka-topics', '--describe --topic not-there'],
        ['kafka-topics', '--alter --topic orders --partitions 3'],
        ['kafka-topics', '--alter --topic orders --partitions 2'],
        ['kafka-topics', '--describe --topic orders'],
        ['kafka-topics', '--delete --topic orders'],
        ['kafka-topics', '--delete --topic orders'],
        ['kafka-topics', '--list'],
      ]),

    'kafka-console-producer and -consumer carry keys, headers, partitions and codecs': (target) =>
      transcript(target, [
        [
          'kafka-console-producer',
          '--topic console --reader-property parse.key=true --reader-property parse.headers=true',
          'a:1,b:2\tkey\tvalue\na:\t\tempty\n',
        ],
        ['kafka-console-producer', '--topic console --compression-codec gzip', 'gzip\n'],
        ['kafka-console-producer', '--topic console --compression-codec snappy', 'snappy\n'],
        ['kafka-console-producer', '--topic console --compression-codec lz4 --request-required-acks 1', 'lz4\n'],
        ['kafka-console-producer', '--topic console --compression-codec zstd --sync', 'zstd\n'],
        ['kafka-console-consumer', `--topic console --group console-1 --from-beginning --max-messages 6 ${ALL_FIELDS}`],
        ['kafka-console-consumer', `--topic console --partition 0 --offset 4 --max-messages 2 ${ALL_FIELDS}`],
        [
          'kafka-console-consumer',
          '--topic console --group console-2 --from-beginning --isolation-level read_committed --max-messages 6',
        ],
        [
          'kafka-console-consumer',
          '--topic not-there --group console-3 --timeout-ms 1500 --command-property allow.auto.create.topics=false',
        ],
      ]),

    'kafka-consumer-groups lists, describes, resets and deletes': (target) =>
      transcript(target, [
        ['kafka-topics', '--create --topic shipped --partitions 2'],
        ['kafka-console-producer', '--topic shipped --reader-property parse.key=true', 'a\t1\nb\t2\nc\t3\nd\t4\n'],
        [
          'kafka-console-consumer',
          '--topic shipped --from-beginning --group shipping --max-messages 4 --command-property group.protocol=classic',
          undefined,
          sortLines,
        ],
        ['kafka-console-producer', '--topic shipped --reader-property parse.key=true', 'a\t5\n'],
        ['kafka-consumer-groups', '--list', undefined, linesOf('shipping')],
        ['kafka-consumer-groups', '--list --state', undefined, linesOf('shipping')],
        ['kafka-groups', '--list', undefined, linesOf('shipping')],
        ['kafka-consumer-groups', '--describe --group shipping'],
        ['kafka-consumer-groups', '--describe --group shipping --members'],
        ['kafka-consumer-groups', '--describe --group shipping --state'],
        ['kafka-consumer-groups', '--describe --group not-there'],
        ['kafka-consumer-groups', '--reset-offsets --group shipping --topic shipped --to-earliest --dry-run'],
        ['kafka-consumer-groups', '--reset-offsets --group shipping --topic shipped:0 --shift-by -1 --execute'],
        [
          'kafka-consumer-groups',
          '--reset-offsets --group shipping --all-topics --to-datetime 2020-01-01T00:00:00.000 --dry-run',
        ],
        ['kafka-consumer-groups', '--reset-offsets --group shipping --topic shipped --by-duration PT0S --dry-run'],
        ['kafka-consumer-groups', '--reset-offsets --group shipping --topic shipped --to-latest --execute'],
        ['kafka-consumer-groups', '--describe --group shipping'],
        ['kafka-consumer-groups', '--delete-offsets --group shipping --topic shipped:1'],
        ['kafka-consumer-groups', '--delete --group shipping'],
        ['kafka-consumer-groups', '--delete --group shipping'],
        ['kafka-consumer-groups', '--list', undefined, linesOf('shipping')],
        ['kafka-console-consumer', OFFSETS_TOPIC, undefined, commitsOf('shipping')],
      ]),

    'kafka-configs describes and alters topics and brokers': (target) =>
      transcript(target, [
        ['kafka-topics', '--create --topic configured'],
        ['kafka-configs', '--entity-type topics --entity-name configured --describe'],
        [
          'kafka-configs',
          '--entity-type topics --entity-name configured --alter --add-config cleanup.policy=[compact,delete],max.message.bytes=2000',
        ],
        ['kafka-configs', '--entity-type topics --entity-name configured --describe'],
        ['kafka-topics', '--describe --topic configured'],
        ['kafka-configs', '--entity-type topics --entity-name configured --alter --delete-config max.message.bytes'],
        ['kafka-configs', '--entity-type topics --entity-name configured --alter --add-config max.message.bytes=-5'],
        ['kafka-configs', '--entity-type topics --entity-name configured --alter --add-config no.such.key=1'],
        ['kafka-configs', '--entity-type topics --entity-name not-there --alter --add-config retention.ms=1'],
        ['kafka-configs', '--entity-type topics --entity-name configured --describe'],
        ['kafka-configs', '--entity-type brokers --entity-name 1 --alter --add-config log.retention.ms=7200000'],
        ['kafka-configs', '--entity-type brokers --entity-default --alter --add-config log.segment.bytes=104857600'],
        ['kafka-configs', '--entity-type brokers --entity-name 1 --alter --add-config log.dirs=/elsewhere'],
        ['kafka-configs', '--entity-type brokers --entity-name 1 --describe'],
        ['kafka-configs', '--entity-type brokers --entity-default --describe'],
        ['kafka-configs', '--entity-type brokers --entity-name 1 --alter --delete-config log.retention.ms'],
        ['kafka-configs', '--entity-type brokers --entity-default --alter --delete-config log.segment.bytes'],
        ['kafka-configs', '--entity-type brokers --entity-default --describe'],
      ]),

    'every topic configuration has the default of Apache Kafka': (target) =>
      transcript(target, [
        ['kafka-topics', '--create --topic every-default'],
        ['kafka-configs', '--entity-type topics --entity-name every-default --describe --all', undefined, withoutOurOwn],
      ]),

    'kafka-get-offsets and kafka-delete-records': async (target) => {
      await using directory = await temporaryDirectory()
      const file = join(directory.path, 'offsets.json')
      const partitions = [
        { topic: 'trimmed', partition: 0, offset: 2 },
        { topic: 'trimmed', partition: 1, offset: 50 },
      ]
      await writeFile(file, JSON.stringify({ partitions, version: 1 }))
      const text = await transcript(target, [
        ['kafka-topics', '--create --topic trimmed --partitions 2'],
        ['kafka-console-producer', '--topic trimmed --reader-property parse.key=true', 'a\t1\na\t2\na\t3\n'],
        ['kafka-get-offsets', '--topic trimmed'],
        ['kafka-get-offsets', '--topic-partitions trimmed:0 --time earliest'],
        ['kafka-get-offsets', '--topic trimmed --time 1'],
        ['kafka-get-offsets', '--topic not-there'],
        ['kafka-delete-records', `--offset-json-file ${file}`, undefined, sortLines],
        ['kafka-get-offsets', '--topic trimmed --time -2'],
        ['kafka-console-consumer', `--topic trimmed --group console-4 --from-beginning --max-messages 1 ${ALL_FIELDS}`],
      ])
      return text.replaceAll(file, 'FILE')
    },

    'kafka-cluster, kafka-log-dirs and kafka-broker-api-versions': async (target) => {
      const versions = await tool(target, 'kafka-broker-api-versions', '')
      const unusable = versions.split('\n').filter((line) => /UNKNOWN|usable: *\]/.test(line))
      if (!/Produce\(0\): 0 to \d+ \[usable: \d+\]/.test(versions) || unusable.length > 0) throw new Error(versions)
      return transcript(target, [
        ['kafka-cluster', 'cluster-id --bootstrap-server BROKER'],
        ['kafka-cluster', 'list-endpoints --bootstrap-server BROKER'],
        ['kafka-topics', '--create --topic sized --partitions 2'],
        ['kafka-log-dirs', '--describe --topic-list sized --broker-list 1'],
      ])
    },

    'kafka-dump-log reads the files of the broker': async (target) => {
      const directory = join(target.logDirectory, 'dumped-0')
      return transcript(target, [
        ['kafka-topics', '--create --topic dumped'],
        [
          'kafka-console-producer',
          '--topic dumped --reader-property parse.key=true --reader-property parse.headers=true',
          'h:1\tkey\tvalue\n',
        ],
        ['kafka-console-producer', '--topic dumped --compression-codec zstd', 'zstd\n'],
        ['kafka-console-producer', '--topic dumped --command-property enable.idempotence=false', 'plain\n'],
        ['kafka-dump-log', `--files ${directory}/00000000000000000000.log --print-data-log`, undefined, withoutChecksums],
      ])
    },

    'kafka-dump-log finds the indexes of full segments right': async (target) => {
      await tool(target, 'kafka-topics', '--create --topic indexed --config segment.bytes=1048576')
      await tool(target, 'kafka-producer-perf-test', '--topic indexed --num-records 3000 --record-size 1000 --throughput -1')
      const directory = join(target.logDirectory, 'indexed-0')
      const indexes = (await readdir(directory)).filter((file) => /index$/.test(file)).sort()
      // Neither broker completes the indexes of the segment that it appends to.
      const full = indexes.filter((file) => file.slice(0, 20) !== indexes.at(-1)!.slice(0, 20))
      if (full.length < 4) throw new Error(`files: ${indexes.join(', ')}`)
      for (const file of full) {
        const dumped = await tool(target, 'kafka-dump-log', `--files ${directory}/${file}`)
        const entries = /\.timeindex$/.test(file) ? /^timestamp: \d+ offset: \d+$/gm : /^offset: \d+ position: \d+$/gm
        if (!entries.test(dumped) || /mismatch|not found|exit code|out of order/i.test(dumped))
          throw new Error(dumped.slice(0, 2000))
      }
      return undefined
    },

    'the clients agree that the broker has what they need': async (target) => {
      await tool(target, 'kafka-topics', '--create --topic compatible')
      const said = await tool(
        target,
        'kafka-client-compatibility-test',
        '--topic compatible --offsets-for-times-supported true --cluster-id-supported true --expect-record-too-large-exception false' +
          // ACLs come later.
          ` --num-cluster-nodes 1 --create-topics-supported true --describe-acls-supported ${target.name === 'kafka'}` +
          ' --describe-configs-supported true' +
          ' --idempotent-producer-supported true',
      )
      if (!/SUCCESS/i.test(said)) throw new Error(said)
      return undefined
    },

    'kafka-verifiable-producer and -consumer account for every record': async (target) => {
      const produced = await tool(target, 'kafka-verifiable-producer', '--topic verifiable --max-messages 2000 --acks -1')
      if (!/"acked":2000,|"acked":2000}/.test(produced)) throw new Error(produced.slice(-2000))
      const consumed = await tool(
        target,
        'kafka-verifiable-consumer',
        '--topic verifiable --group-id verifying --max-messages 2000 --group-protocol classic',
      )
      const counts = [...consumed.matchAll(/"name":"records_consumed".*?"count":(\d+)/g)].map(([, count]) => Number(count))
      const sum = counts.reduce((a, b) => a + b, 0)
      if (sum !== 2000 || !consumed.includes('offsets_committed')) throw new Error(`${sum} consumed\n${consumed.slice(-2000)}`)
      return undefined
    },

    'the performance tools end with their figures': async (target) => {
      await tool(target, 'kafka-topics', '--create --topic fast')
      const produced = await tool(
        target,
        'kafka-producer-perf-test',
        '--topic fast --num-records 100000 --record-size 100 --throughput -1',
      )
      if (!/100000 records sent, .* 99\.9th/.test(produced)) throw new Error(produced)
      const consumed = await tool(target, 'kafka-consumer-perf-test', '--topic fast --num-records 100000 --timeout 20000')
      if (!/, 100\d{3}, /.test(consumed)) throw new Error(consumed)
      const latency = await tool(
        target,
        'kafka-e2e-latency',
        '--bootstrap-server BROKER --topic latency --num-records 200 --producer-acks all --record-size 100',
      )
      if (!/Avg latency: [\d.]+ ms[\s\S]*Percentiles/.test(latency)) throw new Error(latency)
      return undefined
    },
  }),
}

/** Warnings come and go with the timing of a topic's creation. */
const TOOL_JVM = ['-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dmoldau.log.level=ERROR']
const ALL_FIELDS =
  '--formatter-property print.key=true --formatter-property print.headers=true --formatter-property print.offset=true' +
  ' --formatter-property print.partition=true --formatter-property print.epoch=true'
const OFFSETS_TOPIC =
  '--topic __consumer_offsets --group reads-offsets --from-beginning --timeout-ms 4000 --formatter org.apache.kafka.tools.consumer.OffsetsMessageFormatter'

/** A tool, its arguments, its standard input, and what takes out of its output what is not to be compared. */
type Step = readonly [name: Tool, args: string, input?: string | undefined, keep?: (output: string) => string]

/** Runs the steps one after another and writes down commands with their output. */
async function transcript(target: Target, steps: readonly Step[]): Promise<string> {
  let text = ''
  for (const [name, args, input, keep = (output: string) => output] of steps)
    text += `$ ${name} ${args}\n${keep(await tool(target, name, args, input))}\n`
  return text
}

/** All that a tool wrote, with its exit code if it failed. BROKER in its arguments stands for the address. */
async function tool(target: Target, name: Tool, args: string, input = ''): Promise<string> {
  const words = args.replaceAll('BROKER', target.bootstrapServers).split(' ').filter(Boolean)
  if (!WITHOUT_BROKER.includes(name)) words.unshift('--bootstrap-server', target.bootstrapServers)
  const { code, output, timedOut } = await runCommand(await javaCommand(TOOLS[name], words, TOOL_JVM), {
    input,
    timeoutMs: 60_000,
  })
  if (timedOut) throw new Error(`${name} ${args} did not end:\n${output.slice(-3000)}`)
  return withoutStackTraces(code === 0 ? output : `${output}\nexit code ${code}\n`)
}

/** Tools print the stack of an error, and log lines that carry times; the words of an error that the broker answered are its own. */
function withoutStackTraces(output: string): string {
  return output
    .replace(/^\s+at .*\n|^\s*\.\.\. \d+ more\n/gm, '')
    .replace(/^Error while executing topic command : .*\n(?=.*common\.errors\.)/gm, '')
    .replace(/(\.common\.errors\.\w+): .*/g, '$1')
    .replace(/^[[\d:,\]-]{12,24}/gm, 'TIME')
}

/** The records of one group in `__consumer_offsets`, which come without line breaks between them. */
function commitsOf(group: string): (output: string) => string {
  return (output) =>
    output
      .split(/(?={"key")/)
      .filter((record) => record.includes(`"group":"${group}"`))
      .map((record) => record.slice(0, record.lastIndexOf('}') + 1).replace(/"topicId":"[^"]+"/, '"topicId":"ID"'))
      .join('\n')
}

/** Of a table, the header and the lines of one group: other cases leave groups of their own. Columns are as wide as the longest name. */
function linesOf(group: string): (output: string) => string {
  return (output) =>
    output
      .split('\n')
      .filter((line) => line.startsWith('GROUP') || line.startsWith(group))
      .map((line) => line.replace(/ +/g, ' ').trim())
      .join('\n')
}

/** Of a table of transactions or producers: its columns are as wide as their longest value. */
function withoutTimes(output: string): string {
  return output
    .replace(/[ ]+(?=\t)/g, '')
    .replace(/\b1[789]\d{11}(\t\d+)?/g, (_, duration) => (duration === undefined ? 'TIME' : 'TIME\tDURATION'))
}

function sortLines(output: string): string {
  return output.trim().split('\n').sort().join('\n')
}

/** `flush.policy` is ours alone. Which broker keys a default is said to come from has no use. */
function withoutOurOwn(output: string): string {
  return output.replace(/^ {2}flush\.policy=.*\n/m, '').replace(/synonyms=\{(DEFAULT_CONFIG:[^}]*)?\}/g, 'synonyms={…}')
}

/** Checksums and producer ids depend on the time of producing and on what else has run. */
function withoutChecksums(output: string): string {
  return output
    .replace(/crc: \d+/g, 'crc: CRC')
    .replace(/producerId: \d+/g, 'producerId: ID')
    .replace(/Time: \d+/g, 'Time: TIME')
}

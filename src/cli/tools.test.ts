// Every tool as a user runs it, against a broker in this process. With TEST_BROKER=apache-kafka it is Kafka's broker and Kafka's tools:
// that is how we know that the tests ask for what Kafka does.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, suite, test } from 'node:test'
import { againstKafka, environment, root } from '../../test/support/broker-process.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../../test/support/broker-under-test.ts'
import { eventually } from '../../test/support/eventually.ts'
import { temporaryDirectory } from '../../test/support/temporary-directory.ts'
import { startTool, type ToolResult, tool } from '../../test/support/tools.ts'
import { startBroker } from '../testing/start-broker.ts'

let broker: BrokerUnderTest

before(async () => {
  broker = await startBrokerUnderTest()
})

after(() => broker.close())

const server = () => ['--bootstrap-server', broker.bootstrapServers]

/** Words as on a command line. */
async function run(line: string, input = ''): Promise<string> {
  const [name, ...args] = line.split(/\s+/)
  return (await tool(name, [...args, ...server()], input)).stdout
}

/** A run that ends with an error. */
async function refused(name: string, args: readonly string[], withServer = true): Promise<ToolResult> {
  const running = await startTool(name, withServer ? [...args, ...server()] : args)
  running.child.stdin!.end()
  const result = await running.ended
  assert.equal(result.code, 1, result.stdout + result.stderr)
  return result
}

function oneLineOf(result: ToolResult): string {
  const lines = result.stderr.trim().split('\n')
  assert.equal(lines.length, 1, result.stderr)
  return lines[0]
}

suite('tools', { concurrency: 3 }, () => {
  test('kafka-topics creates, describes, grows and deletes', async () => {
    assert.equal(
      await run('kafka-topics --create --topic one --partitions 2 --config retention.ms=60000'),
      'Created topic one.\n',
    )
    const described = await run('kafka-topics --describe --topic one')
    assert.match(
      described,
      /^Topic: one\tTopicId: [\w-]{22}\tPartitionCount: 2\tReplicationFactor: 1\tConfigs: (min\.insync\.replicas=1,)?retention\.ms=60000\n/,
    )
    assert.deepEqual(described.split('\n').slice(1, 3), [
      '\tTopic: one\tPartition: 0\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: ',
      '\tTopic: one\tPartition: 1\tLeader: 1\tReplicas: 1\tIsr: 1\tElr: \tLastKnownElr: ',
    ])
    assert.equal(await run('kafka-topics --create --topic one --if-not-exists'), '')
    await run('kafka-topics --alter --topic one --partitions 3')
    assert.match(await run('kafka-topics --describe --topic one --topics-with-overrides'), /PartitionCount: 3/)
    assert.equal(await run('kafka-topics --describe --under-replicated-partitions'), '')
    await run('kafka-topics --delete --topic o.e')
    await eventually(async () => assert.equal(await run('kafka-topics --list --topic one'), '\n'))
  })

  test('kafka-topics refuses in one line', { skip: againstKafka }, async () => {
    const unanswered = refused('kafka-topics', ['--list', '--bootstrap-server', '127.0.0.1:1'], false)
    const missing = await refused('kafka-topics', ['--describe', '--topic', 'nowhere'])
    assert.equal(oneLineOf(missing), "kafka-topics: Topic 'nowhere' does not exist as expected")
    const bad = await refused('kafka-topics', ['--create', '--topic', 'bad name'])
    assert.match(oneLineOf(bad), /^Error while executing topic command : .*bad name/)
    assert.match(oneLineOf(await refused('kafka-topics', ['--create', '--list', '--topic', 'a'])), /exactly one action/)
    assert.match(
      oneLineOf(await refused('kafka-topics', ['--list', '--partitions', '3'])),
      /"--partitions" can't be used with option "--list"/,
    )
    assert.match(oneLineOf(await refused('kafka-topics', ['--lost'])), /unknown option '--lost'/)
    assert.match(oneLineOf(await refused('kafka-topics', ['--list'], false)), /--bootstrap-server must be specified/)
    assert.match(oneLineOf(await unanswered), /cannot connect to 127\.0\.0\.1:1: .*ECONNREFUSED/)
  })

  test('what the console producer is given the console consumer prints', async () => {
    await run('kafka-topics --create --topic console')
    const parse = '--reader-property parse.key=true --reader-property parse.headers=true --reader-property null.marker=NULL'
    await run(`kafka-console-producer --topic console ${parse} --compression-codec gzip`, 'a:1,b:2\tk1\tv1\nNULL\tk2\tNULL\n')
    const show = ['partition', 'offset', 'headers', 'key'].map((name) => `--formatter-property print.${name}=true`).join(' ')
    const printed = await run(`kafka-console-consumer --topic console --partition 0 --offset 0 --max-messages 2 ${show}`)
    assert.equal(printed, 'Partition:0\tOffset:0\ta:1,b:2\tk1\tv1\nPartition:0\tOffset:1\tNO_HEADERS\tk2\tnull\n')
  })

  test('what was read but not printed is not committed', async () => {
    await run('kafka-topics --create --topic counted')
    await run('kafka-console-producer --topic counted', 'a\nb\nc\nd\n')
    const consume = 'kafka-console-consumer --topic counted --group counting --from-beginning'
    assert.equal(await run(`${consume} --max-messages 3`), 'a\nb\nc\n')
    const described = await run('kafka-consumer-groups --describe --group counting')
    assert.match(
      described,
      /^\nGROUP {11}TOPIC {11}PARTITION {2}CURRENT-OFFSET {2}LOG-END-OFFSET {2}LAG {13}CONSUMER-ID {5}HOST {12}CLIENT-ID\n/,
    )
    assert.match(described, /\ncounting {8}counted {9}0 {10}3 {15}4 {15}1 {15}- {15}- {15}-\n$/)
    assert.equal(await run(`${consume} --max-messages 1`), 'd\n')
  })

  test('Ctrl-C ends the console consumer: it says how much it read, and leaves its group', { skip: againstKafka }, async () => {
    await run('kafka-topics --create --topic endless')
    const consumer = await startTool('kafka-console-consumer', [
      '--topic',
      'endless',
      '--group',
      'endless',
      '--from-beginning',
      ...server(),
    ])
    await run('kafka-console-producer --topic endless', 'a\nb\n')
    await eventually(() => assert.deepEqual(consumer.lines(), ['a', 'b']))
    const members = await run('kafka-consumer-groups --describe --group endless --members --verbose')
    assert.match(members, /^endless +console-consumer-[\w-]+ +\/127\.0\.0\.1 +console-consumer +1 +- +endless:0 +- +- +$/m)
    const { code, stderr } = await consumer.interrupt()
    assert.equal(stderr, 'Processed a total of 2 messages\n')
    assert.equal(code, 0)
    assert.match(
      await run('kafka-consumer-groups --describe --group endless --state'),
      /\nendless +\S+:\d+ {2}\(1\) +- +Empty +0\n$/,
    )
  })

  test('a reader that has seen enough ends the console consumer', { skip: againstKafka }, async () => {
    await run('kafka-topics --create --topic piped')
    await run('kafka-console-producer --topic piped', 'x\n'.repeat(1000))
    const consumer = await startTool('kafka-console-consumer', ['--topic', 'piped', '--from-beginning', ...server()])
    await once(consumer.child.stdout!, 'data')
    consumer.child.stdout!.destroy()
    await run('kafka-console-producer --topic piped', 'x\n'.repeat(1000))
    const { code, stderr } = await consumer.ended
    assert.match(stderr, /Unable to write to standard out, closing consumer/)
    assert.equal(code, 0)
  })

  test('positions are reset by plan, by offset and from a file', async () => {
    await run('kafka-topics --create --topic replayed --partitions 2')
    await run('kafka-console-producer --topic replayed', Array.from({ length: 20 }, (_, index) => `${index}\n`).join(''))
    await run('kafka-console-consumer --topic replayed --group replaying --from-beginning --max-messages 20')
    const reset = 'kafka-consumer-groups --group replaying --reset-offsets'
    const planned = await run(`${reset} --topic replayed --to-earliest --dry-run`)
    assert.match(planned, /^\nGROUP {11}TOPIC {11}PARTITION {2}NEW-OFFSET/)
    assert.match(planned, /\nreplaying {7}replayed {8}0 {10}0/)
    assert.match(await run(`${reset} --all-topics --to-current --dry-run --export`), /^(replayed,[01],\d+\n){2}\n$/)

    await using directory = await temporaryDirectory()
    const file = join(directory.path, 'plan.csv')
    await writeFile(file, 'replayed,0,0\nreplayed,1,0\n')
    await run(`${reset} --from-file ${file} --execute`)
    const again = await run('kafka-console-consumer --topic replayed --group replaying --max-messages 20')
    assert.equal(again.trimEnd().split('\n').length, 20)
    await run(`${reset} --topic replayed:0,1 --shift-by -1 --execute`)
    const rows = (await run('kafka-consumer-groups --describe --group replaying')).trim().split('\n').slice(1)
    assert.ok(
      rows.every((line) => ['0', '1'].includes(line.split(/\s+/)[5])),
      rows.join('\n'),
    )

    assert.match(await run('kafka-consumer-groups --list --state'), /^replaying +Empty *$/m)
    assert.match(
      await run('kafka-consumer-groups --group replaying --delete-offsets --topic replayed:0'),
      /^Request succeeded for deleting offsets from group replaying\.\n\nTOPIC {11}PARTITION {2}STATUS {9}\nreplayed {8}0 {10}Successful {5}\n$/,
    )
    assert.equal(
      await run('kafka-consumer-groups --delete --group replaying'),
      "Deletion of requested consumer groups ('replaying') was successful.\n",
    )
  })

  test('a group with members is not reset', { skip: againstKafka }, async () => {
    await run('kafka-topics --create --topic busy')
    const consumer = await startTool('kafka-console-consumer', [
      '--topic',
      'busy',
      '--group',
      'busy',
      '--from-beginning',
      ...server(),
    ])
    await run('kafka-console-producer --topic busy', 'a\n')
    await eventually(() => assert.deepEqual(consumer.lines(), ['a']))
    const result = await refused('kafka-consumer-groups', [
      '--group',
      'busy',
      '--topic',
      'busy',
      '--reset-offsets',
      '--to-earliest',
      '--execute',
    ])
    assert.match(
      result.stderr,
      /Assignments can only be reset if the group 'busy' is inactive, but the current state is Stable\./,
    )
    await consumer.interrupt()
    const partition = await refused('kafka-console-consumer', ['--topic', 'busy', '--partition', '7'])
    assert.equal(oneLineOf(partition), 'kafka-console-consumer: topic busy has no partition 7, it has 1')
    assert.match(
      (await refused('kafka-consumer-groups', ['--describe', '--group', 'nobody'])).stderr,
      /Consumer group 'nobody' does not exist\./,
    )
  })

  test('kafka-configs sets, shows and deletes', async () => {
    await run('kafka-topics --create --topic configured')
    const alter = 'kafka-configs --alter --entity-type topics --entity-name configured'
    const done = 'Completed updating config for topic configured.\n'
    assert.equal(await run(`${alter} --add-config cleanup.policy=[compact,delete],max.message.bytes=2000`), done)
    const described = (await run('kafka-configs --describe --topic configured')).split('\n')
    assert.equal(described[0], 'Dynamic configs for topic configured are:')
    assert.match(
      described[1],
      /^ {2}cleanup\.policy=compact,delete sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:cleanup\.policy=compact,delete, /,
    )
    assert.match(
      described[2],
      /^ {2}max\.message\.bytes=2000 sensitive=false synonyms=\{DYNAMIC_TOPIC_CONFIG:max\.message\.bytes=2000, /,
    )
    assert.equal(await run(`${alter} --delete-config cleanup.policy,max.message.bytes`), done)
    assert.equal(await run('kafka-configs --describe --topic configured'), 'Dynamic configs for topic configured are:\n')
    assert.match(
      await run('kafka-configs --describe --topic configured --all'),
      /^All configs for topic configured are:\n( {2}\S+=.* synonyms=\{.*\}\n){20,}$/,
    )
    assert.equal(
      await run('kafka-configs --describe --topic nowhere'),
      "The topic 'nowhere' doesn't exist and doesn't have dynamic config.\n",
    )
    await run('kafka-configs --alter --broker-defaults --add-config log.retention.ms=3600000')
    assert.match(
      await run('kafka-configs --describe --entity-type brokers'),
      /^Dynamic configs for broker 1 are:\nDefault configs for brokers in the cluster are:\n {2}log\.retention\.ms=3600000 sensitive=false synonyms=\{DYNAMIC_DEFAULT_BROKER_CONFIG:log\.retention\.ms=3600000/,
    )
  })

  test('offsets are printed, and move when records are deleted', async () => {
    await run('kafka-topics --create --topic trimmed --partitions 2')
    await run('kafka-console-producer --topic trimmed --command-property partitioner.ignore.keys=true', 'a\nb\nc\n')
    const ends = (await run('kafka-get-offsets --topic trimmed')).trimEnd().split('\n')
    assert.deepEqual(
      ends.map((line) => line.split(':').slice(0, 2).join(':')),
      ['trimmed:0', 'trimmed:1'],
    )
    const [partition, offset] = ends.map((line) => line.split(':').slice(1).map(Number)).find(([, end]) => end > 0)!
    await using directory = await temporaryDirectory()
    const file = join(directory.path, 'offsets.json')
    await writeFile(file, JSON.stringify({ partitions: [{ topic: 'trimmed', partition, offset: -1 }], version: 1 }))
    assert.equal(
      await run(`kafka-delete-records --offset-json-file ${file}`),
      `Executing records delete operation\nRecords delete operation completed:\npartition: trimmed-${partition}\tlow_watermark: ${offset}\n`,
    )
    assert.equal(
      await run(`kafka-get-offsets --topic-partitions trim.*:${partition} --time earliest`),
      `trimmed:${partition}:${offset}\n`,
    )
  })

  test('kafka-broker-api-versions prints each broker with what it speaks', async () => {
    const printed = await run('kafka-broker-api-versions')
    assert.match(
      printed,
      /^127\.0\.0\.1:\d+ \(id: 1 rack: null isFenced: false\) -> \(\n\tProduce\(0\): 0 to 13 \[usable: 13\],\n\tFetch\(1\): 4 to 18 \[usable: 18\],\n/,
    )
    assert.match(printed, /\n\)\n$/)
  })

  test('kafka-dump-log prints batches, records and indexes of our files', { skip: againstKafka }, async () => {
    await using directory = await temporaryDirectory()
    {
      await using onDisk = await startBroker({ storage: 'disk', directory: directory.path })
      const there = ['--bootstrap-server', onDisk.bootstrapServers]
      await tool('kafka-console-producer', ['--topic', 'dumped', '--reader-property', 'parse.key=true', ...there], 'k\tv\nl\tw\n')
      await tool('kafka-console-consumer', [
        '--topic',
        'dumped',
        '--group',
        'dumping',
        '--from-beginning',
        '--max-messages',
        '2',
        ...there,
      ])
    }
    const dump = async (...args: string[]) => (await tool('kafka-dump-log', args)).stdout.split('\n')
    const segment = join(directory.path, 'dumped-0', '00000000000000000000.log')
    const [dumping, start, batch, first, second] = await dump('--files', segment, '--print-data-log')
    assert.equal(dumping, `Dumping ${segment}`)
    assert.equal(start, 'Log starting offset: 0')
    assert.match(
      batch,
      /^baseOffset: 0 lastOffset: 1 count: 2 baseSequence: 0 lastSequence: 1 producerId: \d+ producerEpoch: 0 partitionLeaderEpoch: 0 isTransactional: false isControl: false deleteHorizonMs: OptionalLong\.empty position: 0 CreateTime: \d+ size: \d+ magic: 2 compresscodec: none crc: \d+ isvalid: true$/,
    )
    assert.match(first, /^\| offset: 0 CreateTime: \d+ keySize: 1 valueSize: 1 sequence: 0 headerKeys: \[\] key: k payload: v$/)
    assert.match(second, /^\| offset: 1 .* sequence: 1 headerKeys: \[\] key: l payload: w$/)

    // The partition of the group is by its hash: dump them all.
    const all = Array.from({ length: 50 }, (_, index) =>
      join(directory.path, `__consumer_offsets-${index}`, '00000000000000000000.log'),
    )
    const files = all.filter((path) => existsSync(path))
    const groups = (await dump('--files', files.join(), '--offsets-decoder')).filter((line) => line.startsWith('|'))
    const position =
      /key: \{"type":"1","data":\{"group":"dumping","topic":"dumped","partition":0\}\} payload: \{"version":"[34]","data":\{"offset":2,/
    assert.ok(groups.some((line) => position.test(line)))
    assert.ok(groups.some((line) => line.includes('"subscription":{"topics":["dumped"],')))
  })

  test('help teaches, and the version is that of the package', { skip: againstKafka }, async () => {
    const help = (await tool('kafka-consumer-groups', ['--help'])).stdout
    assert.match(help, /^Usage: kafka-consumer-groups \[options\]\n/)
    assert.match(
      help,
      /\nExamples:\n {2}# how far a group has read, and what is left\n {2}kafka-consumer-groups\.sh --bootstrap-server /,
    )
    const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
    assert.equal((await tool('kafka-configs', ['--version'])).stdout, `${version}\n`)
  })

  test('moldau runs the same tools, and lists them', { skip: againstKafka }, async () => {
    const moldau = async (...args: string[]) => {
      const child = spawn(join(root, 'bin', 'moldau'), args, { env: environment(), stdio: ['ignore', 'pipe', 'pipe'] })
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
      const [code] = await once(child, 'close')
      return { code, output }
    }
    assert.equal((await moldau('topics', '--list', '--topic', 'nothing', ...server())).output, '\n')
    assert.match((await moldau('help')).output, /\n {2}consumer-groups +list, describe, reset and delete consumer groups\n/)
    assert.deepEqual(await moldau('topic'), {
      code: 1,
      output: 'moldau: there is no command "topic"; "moldau help" lists them\n',
    })
  })
})

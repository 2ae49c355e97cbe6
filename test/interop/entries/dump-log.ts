// Our kafka-dump-log and Java's on the same files, of ours and of Apache Kafka's: both have to print the same, line by line. Files of
// ours are read while the broker serves, after it was shut down, and after it was killed.

import assert from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type BrokerProcess, root, startBrokerProcess } from '../../support/broker-process.ts'
import { eventually } from '../../support/eventually.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { javaCommand, kafkaClassPath } from '../apache-kafka.ts'
import { runCommand } from '../command.ts'
import { runCases, type Suite } from '../suite.ts'
import { readWithNewProtocol, writeVariedData } from '../varied-data.ts'

const CONFIG = {
  'group.initial.rebalance.delay.ms': '0',
  // Ours: how soon the indexes of active segments are in their files.
  'log.flush.offset.checkpoint.interval.ms': '300',
  // Kafka's: how soon there is a snapshot of its metadata.
  'metadata.log.max.record.bytes.between.snapshots': '4000',
}
const TOOL_JVM = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dmoldau.log.level=ERROR']

export const suite: Suite = {
  config: {},

  async prepare() {
    await kafkaClassPath()
  },

  run: runCases({
    'files of a broker of ours that serves': () =>
      onData({}, async (_broker, data) => {
        await indexesAreThere(data)
        await compareAll(data)
      }),
    'files of a broker of ours that was shut down': () =>
      onData({}, async (broker, data) => {
        await broker.stop()
        await compareAll(data)
      }),
    'files of a broker of ours that was killed': () =>
      onData({}, async (broker, data) => {
        await indexesAreThere(data)
        await broker.kill()
        await compareAll(data)
      }),
    'files of Apache Kafka that was shut down': () =>
      onData({ apacheKafka: true }, async (broker, data) => {
        await broker.stop()
        await compareAll(join(data, 'logs'))
      }),
    'files of Apache Kafka that was killed': () =>
      onData({ apacheKafka: true }, async (broker, data) => {
        await broker.kill()
        // The indexes of hers are then as large as they may become, which both tools take ill.
        await compareAll(join(data, 'logs'), { sound: false })
      }),
  }),
}

async function onData(
  options: { readonly apacheKafka?: boolean },
  use: (broker: BrokerProcess, data: string) => Promise<void>,
): Promise<undefined> {
  await using directory = await temporaryDirectory()
  const broker = await startBrokerProcess(directory.path, { ...options, config: CONFIG })
  try {
    await writeVariedData(broker.bootstrapServers, { open: true })
    if (options.apacheKafka === true) await readWithNewProtocol(broker.bootstrapServers, 'of the new protocol')
    await use(broker, directory.path)
  } finally {
    await broker.kill()
  }
  return undefined
}

/** Kafka maps its indexes into memory, so that they are always in their files. Ours get there soon. */
function indexesAreThere(data: string): Promise<unknown> {
  const missing = async () => {
    const said = await ours(['--files', await filesIn(data, /^transfers-0$/, /\.txnindex$/)])
    return !said.includes('producerId: ')
  }
  return eventually(async () => !(await missing()), { what: 'the index of aborted transactions', withinMs: 10_000 })
}

/** Which files, and how they are read. A run has to print something that `shows` matches: nothing would be the same, too. */
interface Reading {
  readonly logs: RegExp
  readonly files: RegExp
  readonly args: readonly string[]
  readonly shows: RegExp
}

const TOPICS = /^(codecs|stamped|segments|compacted|transfers|again)-\d+$/
const READINGS: readonly Reading[] = [
  {
    logs: /^(codecs|stamped|compacted|transfers|again)-\d+$/,
    files: /\.log$/,
    args: ['--print-data-log'],
    shows: /compresscodec: zstd[\s\S]*ABORT/,
  },
  { logs: TOPICS, files: /\.log$/, args: [], shows: /position: \d{6}/ },
  { logs: TOPICS, files: /\.log$/, args: ['--deep-iteration', '--skip-record-metadata'], shows: /baseOffset/ },
  {
    logs: TOPICS,
    files: /\.(index|timeindex)$/,
    args: [],
    shows: /^offset: \d+ position: \d+[\s\S]*^timestamp: \d+ offset: \d+/m,
  },
  { logs: TOPICS, files: /\.(index|timeindex)$/, args: ['--verify-index-only'], shows: /Dumping/ },
  { logs: TOPICS, files: /\.index$/, args: ['--index-sanity-check'], shows: /passed sanity check/ },
  { logs: TOPICS, files: /\.txnindex$/, args: [], shows: /lastStableOffset: \d+/ },
  { logs: TOPICS, files: /\.snapshot$/, args: [], shows: /producerId: \d+ producerEpoch/ },
  { logs: /^__consumer_offsets-\d+$/, files: /\.log$/, args: ['--offsets-decoder'], shows: /as far as here/ },
  {
    logs: /^__transaction_state-\d+$/,
    files: /\.log$/,
    args: ['--transaction-log-decoder'],
    shows: /"transactionalId":"transfers"/,
  },
  {
    logs: /^__cluster_metadata-0$/,
    files: /\.(log|checkpoint)$/,
    args: ['--cluster-metadata-decoder'],
    shows: /Snapshot end offset[\s\S]*TOPIC_RECORD/,
  },
]

async function compareAll(data: string, { sound = true }: { readonly sound?: boolean } = {}): Promise<void> {
  const logs = await readdir(data)
  for (const { logs: wanted, files, args, shows } of READINGS) {
    // Ours keeps its metadata elsewhere.
    if (!logs.some((log) => wanted.test(log))) continue
    const list = await filesIn(data, wanted, files)
    const words = ['--files', list, ...args]
    const theirs = normalised(await java(words))
    const said = normalised(await ours(words))
    const shown = `${wanted.source} ${files.source} ${args.join(' ')}`
    const [a, b] = [theirs.split('\n'), said.split('\n')]
    for (let i = 0; i < Math.max(a.length, b.length); i++) assert.equal(b[i], a[i], `${shown}, line ${i + 1}`)
    assert.match(said, shows, shown)
    if (sound) assert.doesNotMatch(said, /mismatch|not found|out of order|isvalid: false|invalid bytes/i, shown)
  }
}

async function filesIn(data: string, logs: RegExp, files: RegExp): Promise<string> {
  const found: string[] = []
  for (const log of (await readdir(data)).filter((name) => logs.test(name)))
    for (const file of (await readdir(join(data, log))).filter((name) => files.test(name))) found.push(join(data, log, file))
  return found.sort().join(',')
}

async function java(args: readonly string[]): Promise<string> {
  const { code, output } = await runCommand(await javaCommand('org.apache.kafka.tools.DumpLogSegments', args, TOOL_JVM))
  assert.equal(code, 0, output.slice(0, 2000))
  return output
}

async function ours(args: readonly string[]): Promise<string> {
  const { code, output } = await runCommand([process.execPath, join(root, 'bin', 'moldau'), 'dump-log', ...args])
  assert.equal(code, 0, output.slice(0, 2000))
  return output
}

/**
 * Java prints what is wrong with a file where she finds it, ours at the end, on standard error: sorted, that is the same. Our own field
 * of transactions she does not know.
 */
function normalised(output: string): string {
  const text = output.replaceAll(/,"lastProducerEpoch":-?\d+/g, '')
  const isProblem = (line: string) => /^(Non-consecutive|Mismatches|Found |The following| {2})/.test(line)
  const lines = text.split('\n')
  return [...lines.filter((line) => !isProblem(line)), ...lines.filter(isProblem).sort()].join('\n')
}

// `moldau adopt` against the data of a real Apache Kafka: everything is read back as it was, groups go on where they were, and the
// Kafka's own files stay as they are. The commands of docs/operations.md.

import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { orThrow } from '../../../src/client/admin/results.ts'
import { Admin } from '../../../src/client/admin.ts'
import { Producer } from '../../../src/client/producer.ts'
import { type BrokerProcess, root, startBrokerProcess } from '../../support/broker-process.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { javaCommand, kafkaClassPath } from '../apache-kafka.ts'
import { mustRun, runCommand } from '../command.ts'
import { runCases, type Suite } from '../suite.ts'
import {
  connect,
  GROUP,
  GROUP_HAS_READ,
  readAll,
  readInGroup,
  readWithNewProtocol,
  TRANSACTIONAL_ID,
  writeVariedData,
} from '../varied-data.ts'

const KAFKA_CONFIG = {
  'group.initial.rebalance.delay.ms': '0',
  // Within a minute of DeleteRecords a Kafka that is killed forgets where the log starts.
  'log.flush.start.offset.checkpoint.interval.ms': '100',
  'log.initial.task.delay.ms': '0',
  // So small that there is a snapshot of the metadata, and more behind it.
  'metadata.log.max.record.bytes.between.snapshots': '4000',
}
const NEW_GROUP = 'of the new protocol'
const TOOL_JVM = ['-Xmx256m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Dmoldau.log.level=ERROR']

export const suite: Suite = {
  config: {},

  async prepare() {
    await kafkaClassPath()
  },

  run: runCases({
    'a Kafka that was stopped, with two log directories': () => adopted({ signal: 'SIGTERM', directories: ['one', 'two'] }),
    'a Kafka that was killed, with a transaction open': () => adopted({ signal: 'SIGKILL', directories: ['logs'] }),
  }),
}

interface End {
  readonly signal: 'SIGTERM' | 'SIGKILL'
  readonly directories: readonly string[]
}

async function adopted({ signal, directories }: End): Promise<undefined> {
  await using directory = await temporaryDirectory()
  const at = (name: string) => join(directory.path, name)
  const sources = directories.map((name) => at(`kafka/${name}`))
  const config = { ...KAFKA_CONFIG, 'log.dirs': sources.join(',') }
  const kafka = await startBrokerProcess(at('kafka'), { apacheKafka: true, config })
  let before: Seen
  try {
    await writeVariedData(kafka.bootstrapServers, { open: signal === 'SIGKILL' })
    await readWithNewProtocol(kafka.bootstrapServers, NEW_GROUP)
    await configure(kafka)
    before = await see(kafka)
    const refused = await moldau(['adopt', ...sources, '--data-dir', at('data')])
    assert.match(refused.output, /Kafka uses .*: stop it first/)
    assert.equal(refused.code, 1)
  } finally {
    await (signal === 'SIGTERM' ? kafka.stop() : kafka.kill())
  }
  const files = await contentsOf(sources)

  const tried = await moldau(['adopt', ...sources, '--data-dir', at('data'), '--dry-run'])
  assert.equal(tried.code, 0, tried.output)
  assert.ok(!existsSync(at('data')))
  const taken = await moldau(['adopt', ...sources, '--data-dir', at('data')])
  assert.equal(taken.code, 0, taken.output)
  assert.match(taken.stdout, /^segments: 1 partition, \d+ offsets, \d+ bytes$/m)
  assert.match(
    taken.stdout,
    /^left out:\n {2}configuration of client metrics telemetry: interval\.ms\n {2}quotas: producer_byte_rate of user u$/m,
  )
  assert.match(taken.stdout, /^\d+ topics taken over into .* moldau start --data-dir /m)
  assert.deepEqual(await contentsOf(sources), files, 'the files of Kafka have changed')
  const again = await moldau(['adopt', ...sources, '--data-dir', at('data')])
  assert.match(again.output, /is not empty/)
  for (const source of sources) await requireSameSegments(source, at('data'))

  const ours = await startBrokerProcess(at('data'), { config: { 'group.initial.rebalance.delay.ms': '0' } })
  try {
    const after = await see(ours)
    requireSameRecords(after.uncommitted, before.uncommitted)
    requireSameRecords(after.committed, before.committed)
    assert.deepEqual(after.topics, before.topics)
    assert.deepEqual(after.configs, before.configs)
    assert.deepEqual(after.groups, before.groups)
    await goOn(ours)
  } finally {
    assert.equal(await ours.stop(), 0)
  }
  assert.doesNotMatch(ours.output(), /WARN|ERROR/)
  return undefined
}

const moldau = (args: readonly string[]) => runCommand([process.execPath, join(root, 'bin', 'moldau'), ...args])

/** Configuration of all kinds, with some that we have no place for. */
async function configure({ bootstrapServers }: BrokerProcess): Promise<void> {
  const alter = async (entity: string, change: string) => {
    const args = `--bootstrap-server ${bootstrapServers} --alter ${entity} ${change}`
    await mustRun(await javaCommand('kafka.admin.ConfigCommand', args.split(' '), TOOL_JVM))
  }
  await alter('--entity-type brokers --entity-default', '--add-config log.retention.ms=123456789')
  await alter('--entity-type topics --entity-name stamped', '--add-config retention.bytes=1000000,segment.ms=3600000')
  await alter('--entity-type client-metrics --entity-name telemetry', '--add-config interval.ms=60000')
  await alter('--entity-type users --entity-name u', '--add-config producer_byte_rate=1024')
}

interface Seen {
  readonly uncommitted: Record<string, string[]>
  readonly committed: Record<string, string[]>
  /** Names with ids and counts of partitions. */
  readonly topics: readonly string[]
  readonly configs: readonly string[]
  readonly groups: readonly string[]
}

async function see({ bootstrapServers }: BrokerProcess): Promise<Seen> {
  const uncommitted = await readAll(bootstrapServers, 'read_uncommitted')
  const committed = await readAll(bootstrapServers, 'read_committed')
  const client = connect(bootstrapServers)
  const admin = new Admin(client)
  try {
    const topics = await admin.topics.list()
    const resources = topics.map(({ name }) => ({ type: 'TOPIC', name }) as const)
    const configs = [...orThrow(await admin.configs.describe(resources))].flatMap(([key, entries]) =>
      entries
        .filter(({ source, name }) => source === 'DYNAMIC_TOPIC_CONFIG' || name === 'retention.ms')
        .map(({ name, value, source }) => `${key} ${name}=${value} ${source}`),
    )
    const groups: string[] = []
    for (const group of [GROUP, NEW_GROUP]) {
      for (const [key, { offset, metadata }] of await admin.groups.offsets(group))
        groups.push(`${group} ${key} ${offset} ${metadata}`)
    }
    return {
      uncommitted,
      committed,
      topics: topics.map(({ name, topicId, partitions }) => `${name} ${topicId} ${partitions.length}`),
      configs: configs.sort(),
      groups: groups.sort(),
    }
  } finally {
    await client.close()
  }
}

/** What differs first is enough to say. */
function requireSameRecords(actual: Record<string, string[]>, expected: Record<string, string[]>): void {
  assert.deepEqual(Object.keys(actual).sort(), Object.keys(expected).sort())
  for (const [partition, lines] of Object.entries(expected)) {
    const found = actual[partition]!
    for (let i = 0; i < Math.max(lines.length, found.length); i++) assert.equal(found[i], lines[i], `${partition}, line ${i}`)
  }
}

/** Groups read on from where they were, transactional ids go on, and offsets follow those of Kafka. */
async function goOn({ bootstrapServers }: BrokerProcess): Promise<void> {
  const client = connect(bootstrapServers)
  try {
    const committed = await new Admin(client).groups.offsets(GROUP)
    const rest = await readInGroup(client, 101 - GROUP_HAS_READ)
    assert.equal(new Set(rest).size, rest.length)
    for (const read of rest) {
      const [partition, offset] = read.split('/')
      assert.ok(BigInt(offset!) >= (committed.get(`codecs/${partition}`)?.offset ?? 0n), `${read} had been read`)
    }
    const producer = new Producer(client, { transactionalId: TRANSACTIONAL_ID })
    await producer.initTransactions()
    await producer.begin()
    const { offset } = await producer.send({ topic: 'transfers', partition: 0, value: 'goes on' })
    await producer.commit()
    await producer.close()
    const lines = (await readAll(bootstrapServers, 'read_committed'))['transfers/0']!
    assert.ok(lines.at(-1)!.startsWith(`${offset} `), lines.join('\n'))
  } finally {
    await client.close()
  }
}

async function contentsOf(sources: readonly string[]): Promise<Record<string, string>> {
  const found: Record<string, string> = {}
  for (const source of sources) {
    for (const entry of await readdir(source, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue
      const path = join(entry.parentPath, entry.name)
      found[path] = createHash('sha256')
        .update(await readFile(path))
        .digest('hex')
    }
  }
  return found
}

/** Every byte of every segment of the partitions in `source` that are there in `data`. */
async function requireSameSegments(source: string, data: string): Promise<void> {
  for (const log of await readdir(source)) {
    if (!existsSync(join(data, log, 'partition.metadata'))) continue
    for (const name of (await readdir(join(source, log))).filter((name) => name.endsWith('.log'))) {
      const same = (await readFile(join(source, log, name))).equals(await readFile(join(data, log, name)))
      assert.ok(same, `${log}/${name} differs`)
    }
  }
}

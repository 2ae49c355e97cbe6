// `npm run bench:clients`: our client beside KafkaJS, @platformatic/kafka and @confluentinc/kafka-javascript, against one broker of ours,
// in one run, in turns: throughput, and processor time per record. docs/client-features.md shows a run.

import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { connect, orThrow } from '../src/client/client.ts'
import { cacheDirectory } from '../test/interop/apache-kafka.ts'
import { mustRun } from '../test/interop/command.ts'
import { librdkafka } from '../test/interop/librdkafka-source.ts'
import { startBrokerProcess } from '../test/support/broker-process.ts'
import type { NodeClientFigures, NodeClientRun } from './node-clients/program.ts'

const CONFLUENT_VERSION = '1.10.1'
const PROGRAM = fileURLToPath(new URL('node-clients/program.ts', import.meta.url))
const TIMEOUT_MS = 300_000
const PARTITIONS = 3
const CLIENTS = ['moldau', 'platformatic', 'kafkajs', 'confluent'] as const

const { values } = parseArgs({
  options: {
    clients: { type: 'string', default: CLIENTS.join() },
    rounds: { type: 'string', default: '3' },
    /** Thousands of records of 100 bytes; a quarter of it of 1 KiB. */
    thousands: { type: 'string', default: '400' },
    /** Writes a CPU profile of each of our runs into this directory. */
    profile: { type: 'string' },
  },
})

type Client = NodeClientRun['client']

const clients = values.clients.split(',') as Client[]
const confluent = clients.includes('confluent') ? await installConfluent() : undefined
const data = await mkdtemp(join(tmpdir(), 'moldau-clients-'))
const broker = await startBrokerProcess(data, { args: ['--port', '0'] })
try {
  await bench()
} finally {
  await broker.stop()
  await rm(data, { recursive: true, force: true })
}

async function bench(): Promise<void> {
  const address = broker.bootstrapServers
  await using client = connect({ bootstrapServers: address })
  const rows = new Map<string, NodeClientFigures[]>()
  const sizes = [
    { size: 100, records: Number(values.thousands) * 1000 },
    { size: 1024, records: Number(values.thousands) * 250 },
  ]
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const { size, records } of sizes) {
      for (const name of clients) {
        if (name === 'confluent' && confluent === undefined) continue
        const topic = `${name}-${size}-${round}`
        orThrow(await client.admin.topics.create([{ name: topic, partitions: PARTITIONS }]))
        for (const kind of ['produce', 'consume'] as const) {
          const figures = await run({ client: name, kind, address, topic, records, size, confluent })
          const row = `${kind} ${size} B ${name}`
          rows.set(row, [...(rows.get(row) ?? []), figures])
        }
        orThrow(await client.admin.topics.delete([topic]))
      }
    }
  }
  console.log('| | size | client | records/s | CPU µs/record |\n|---|---:|---|---:|---:|')
  for (const kind of ['produce', 'consume']) {
    for (const { size, records } of sizes) {
      for (const name of clients) {
        const found = rows.get(`${kind} ${size} B ${name}`)
        if (found === undefined) continue
        const { seconds } = middle(found, (figures) => figures.seconds)
        const { cpuSeconds } = middle(found, (figures) => figures.cpuSeconds)
        const rate = Math.round(records / seconds).toLocaleString('en')
        console.log(`| ${kind} | ${size} B | ${name} | ${rate} | ${((cpuSeconds / records) * 1e6).toFixed(2)} |`)
      }
    }
  }
}

async function run(load: NodeClientRun): Promise<NodeClientFigures> {
  const isProfiled = values.profile !== undefined && load.client === 'moldau'
  const profile = isProfiled
    ? ['--cpu-prof', `--cpu-prof-dir=${values.profile}`, `--cpu-prof-name=${load.kind}-${load.size}.cpuprofile`]
    : []
  const { stdout } = await mustRun([process.execPath, ...profile, PROGRAM, JSON.stringify(load)], { timeoutMs: TIMEOUT_MS })
  return JSON.parse(stdout.trim().split('\n').at(-1)!) as NodeClientFigures
}

function middle(figures: readonly NodeClientFigures[], of: (figures: NodeClientFigures) => number): NodeClientFigures {
  return [...figures].sort((a, b) => of(a) - of(b))[figures.length >> 1]
}

/** It is bound to the version of Node that it was built by. */
async function loads(binary: string, directory: string): Promise<string> {
  await mustRun([process.execPath, '-e', `process.dlopen({ exports: {} }, ${JSON.stringify(binary)})`])
  return directory
}

/** Its binaries are not among what npm has, so it is built against the librdkafka that the interop tests build. Undefined where that fails. */
async function installConfluent(): Promise<string | undefined> {
  const directory = cacheDirectory(`confluent-kafka-javascript-${CONFLUENT_VERSION}`)
  const built = join(directory, 'node_modules/@confluentinc/kafka-javascript/build/Release/confluent-kafka-javascript.node')
  try {
    if (existsSync(built)) return await loads(built, directory)
    const { sources } = await librdkafka()
    await mkdir(directory, { recursive: true })
    await writeFile(join(directory, 'package.json'), '{ "private": true }\n')
    const env = {
      // The machine's own Node, whose headers npm knows.
      PATH: process.env['PATH']!.split(delimiter)
        .filter((entry) => !entry.includes('node_modules'))
        .join(delimiter),
      BUILD_LIBRDKAFKA: '0',
      CXXFLAGS: sources.map((path) => `-I${path}`).join(' '),
      LDFLAGS: sources.map((path) => `-L${path} -Wl,-rpath,${path}`).join(' '),
    }
    const install = ['nice', 'npm', 'install', `@confluentinc/kafka-javascript@${CONFLUENT_VERSION}`, '--no-fund', '--no-audit']
    await mustRun(install, { cwd: directory, env, timeoutMs: 900_000 })
    return await loads(built, directory)
  } catch (error) {
    console.error(
      `without @confluentinc/kafka-javascript, which cannot be built and loaded here: ${(error as Error).message.slice(-500)}`,
    )
    return undefined
  }
}

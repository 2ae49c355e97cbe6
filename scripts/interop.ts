// `npm run interop -- NAME…`: other people's clients and suites against our broker, or against Apache Kafka, the baseline.
// A case that once passed must keep passing: test/interop/allow-lists/NAME.json holds their names and only grows. A transcript has to be
// what Apache Kafka showed (test/interop/transcripts/NAME.txt, written by --against kafka --update).

import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs, styleText } from 'node:util'
import { KAFKA_VERSION, startApacheKafka } from '../test/interop/apache-kafka.ts'
import type { CaseResult, Suite, Target } from '../test/interop/suite.ts'
import { root, startBrokerProcess } from '../test/support/broker-process.ts'
import { temporaryDirectory } from '../test/support/temporary-directory.ts'

const USAGE = `npm run interop -- NAME… [--against moldau|kafka] [--only REGEXP] [--update] [--set key=value]…

  --against   the broker to run against (default: moldau)
  --only      cases whose names match
  --update    adds cases that pass to the allow-list; against kafka, also records transcripts
  --set       broker configuration beside the entry's own`
const interop = join(root, 'test', 'interop')

/** Cases that pass, by broker. A case counts for us only where it passes on Apache Kafka. */
interface AllowList {
  kafka: { version: string; passing: string[] }
  moldau: { passing: string[] }
}

const { values, positionals: names } = parseArgs({
  allowPositionals: true,
  options: {
    against: { type: 'string', default: 'moldau' },
    only: { type: 'string', default: '' },
    update: { type: 'boolean', default: false },
    set: { type: 'string', multiple: true, default: [] },
  },
})
if (names.length === 0 || (values.against !== 'kafka' && values.against !== 'moldau')) {
  const entries = (await readdir(join(interop, 'entries'))).map((file) => file.replace('.ts', ''))
  console.error(`${USAGE}\n\nEntries: ${entries.join(', ')}`)
  process.exit(1)
}
// What was started ends with this process, also when it is interrupted.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
let failed = false
for (const name of names) failed = !(await runEntry(name, values.against)) || failed
process.exit(failed ? 1 : 0)

async function runEntry(name: string, against: 'kafka' | 'moldau'): Promise<boolean> {
  const { suite } = (await import(join(interop, 'entries', `${name}.ts`))) as { suite: Suite }
  await suite.prepare?.()
  const config = { ...suite.config, ...Object.fromEntries(values.set.map((pair) => pair.split(/=(.*)/s).slice(0, 2))) }
  const broker = against === 'kafka' ? await startKafka(config) : await startMoldau(config)
  const transcripts = await readTranscripts(name)
  const results: CaseResult[] = []
  const start = performance.now()
  try {
    for await (const ran of suite.run(broker.target, new RegExp(values.only))) {
      const result = judge(ran, against, transcripts)
      results.push(result)
      const mark = { pass: styleText('green', 'ok  '), fail: styleText('red', 'FAIL'), skip: 'skip' }[result.outcome]
      console.log(`${mark} ${result.name}${result.detail === undefined ? '' : `\n${result.detail.replace(/^/gm, '       ')}`}`)
    }
  } finally {
    await broker.stop()
  }
  const names = (outcome: CaseResult['outcome']) =>
    results.filter((result) => result.outcome === outcome).map((result) => result.name)
  const passing = new Set(names('pass'))
  const list = await readAllowList(name)
  // Entries with cases of our own have no list to begin with: all of theirs have to pass.
  const required = list?.[against].passing ?? results.map((result) => result.name)
  const ran = new Set(results.map((result) => result.name))
  const lost = required.filter((name) => !passing.has(name) && (ran.has(name) || values.only === ''))
  const seconds = ((performance.now() - start) / 1000).toFixed(0)
  const counts = `${passing.size} passed, ${names('fail').length} failed, ${names('skip').length} skipped`
  console.log(`${name} against ${against === 'kafka' ? `Apache Kafka ${KAFKA_VERSION}` : 'moldau'}: ${counts}, in ${seconds} s`)
  if (list !== undefined && against === 'moldau') {
    const baseline = list.kafka.passing.filter((name) => ran.has(name))
    console.log(
      `of the ${baseline.length} that pass on Apache Kafka, ${baseline.filter((name) => passing.has(name)).length} pass here`,
    )
  }
  if (lost.length > 0) console.log(`${styleText('red', 'these have to pass')}: ${lost.join(', ')}`)
  if (values.update) {
    if (list !== undefined) await writeAllowList(name, grown(list, against, passing))
    if (against === 'kafka') await writeTranscripts(name, transcripts, results)
  }
  return lost.length === 0
}

/** A transcript that is not Apache Kafka's fails the case, and shows where. */
function judge(result: CaseResult, against: 'kafka' | 'moldau', transcripts: ReadonlyMap<string, string>): CaseResult {
  if (result.transcript === undefined || (against === 'kafka' && values.update)) return result
  const expected = transcripts.get(result.name)
  if (expected === result.transcript) return result
  if (expected === undefined) return { ...result, outcome: 'fail', detail: 'no transcript of Apache Kafka is recorded for it' }
  return { ...result, outcome: 'fail', detail: difference(expected, result.transcript) }
}

/** The lines that differ: the smallest set, by longest common subsequence. */
function difference(expected: string, actual: string): string {
  const [a, b] = [expected.split('\n'), actual.split('\n')]
  const common = Array.from({ length: a.length + 1 }, () => new Array<number>(b.length + 1).fill(0))
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i]![j] = a[i] === b[j] ? common[i + 1]![j + 1]! + 1 : Math.max(common[i + 1]![j]!, common[i]![j + 1]!)
  const lines: string[] = []
  for (let i = 0, j = 0; i < a.length || j < b.length; ) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      if (a[i]!.startsWith('$ ')) lines.push(`  ${a[i]}`)
      i++
      j++
    } else if (j >= b.length || (i < a.length && common[i + 1]![j]! >= common[i]![j + 1]!)) lines.push(`- ${a[i++]}`)
    else lines.push(`+ ${b[j++]}`)
  }
  return lines.join('\n')
}

interface Broker {
  target: Target
  stop(): Promise<unknown>
}

async function startKafka(config: Record<string, string>): Promise<Broker> {
  const kafka = await startApacheKafka({ config })
  const { bootstrapServers, port, dataDirectory } = kafka
  return {
    target: {
      name: 'kafka',
      bootstrapServers,
      port,
      logDirectory: join(dataDirectory, 'logs'),
      crash: (signal) => kafka.crash(signal),
    },
    stop: () => kafka.stop(),
  }
}

async function startMoldau(config: Record<string, string>): Promise<Broker> {
  const directory = await temporaryDirectory()
  let broker = await startBrokerProcess(directory.path, { config })
  const { bootstrapServers, port } = broker
  const crash: Target['crash'] = async (signal) => {
    await (signal === 'SIGTERM' ? broker.stop() : broker.kill())
    broker = await startBrokerProcess(directory.path, { port, config })
  }
  return {
    target: { name: 'moldau', bootstrapServers, port, logDirectory: directory.path, crash },
    async stop() {
      if (broker.child.exitCode !== null) console.log(`the broker ended by itself:\n${broker.output().slice(-4000)}`)
      await broker.stop()
      await directory[Symbol.asyncDispose]()
    },
  }
}

async function readAllowList(name: string): Promise<AllowList | undefined> {
  const file = join(interop, 'allow-lists', `${name}.json`)
  return existsSync(file) ? (JSON.parse(await readFile(file, 'utf8')) as AllowList) : undefined
}

function grown(list: AllowList, against: 'kafka' | 'moldau', passing: ReadonlySet<string>): AllowList {
  if (against === 'kafka')
    return { ...list, kafka: { version: KAFKA_VERSION, passing: sorted([...list.kafka.passing, ...passing]) } }
  const onKafka = new Set(list.kafka.passing)
  const counting = [...passing].filter((name) => onKafka.has(name))
  return { ...list, moldau: { passing: sorted([...list.moldau.passing, ...counting]) } }
}

function sorted(names: readonly string[]): string[] {
  return [...new Set(names)].sort()
}

async function writeAllowList(name: string, list: AllowList): Promise<void> {
  await writeFile(join(interop, 'allow-lists', `${name}.json`), `${JSON.stringify(list, null, 2)}\n`)
}

/** Sections headed `=== NAME`. */
async function readTranscripts(name: string): Promise<Map<string, string>> {
  const file = join(interop, 'transcripts', `${name}.txt`)
  if (!existsSync(file)) return new Map()
  const sections = (await readFile(file, 'utf8')).split(/^=== /m).slice(1)
  return new Map(
    sections.map((section) => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n') + 1).trim()]),
  )
}

async function writeTranscripts(
  name: string,
  before: ReadonlyMap<string, string>,
  results: readonly CaseResult[],
): Promise<void> {
  const all = new Map(before)
  for (const { name, outcome, transcript } of results)
    if (outcome === 'pass' && transcript !== undefined) all.set(name, transcript)
  if (all.size === 0) return
  await mkdir(join(interop, 'transcripts'), { recursive: true })
  const text = [...all].map(([name, transcript]) => `=== ${name}\n${transcript}\n`).join('\n')
  await writeFile(join(interop, 'transcripts', `${name}.txt`), text)
}

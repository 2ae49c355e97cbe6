// `npm run bench`: ours beside Apache Kafka and what else people would pick, on the reader's machine, in one run.
// Flags below; docs/performance.md explains method and rows.

import { rmSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root } from '../test/support/broker-process.ts'
import { BROKERS } from './brokers/all-brokers.ts'
import type { BrokerKind } from './brokers/broker.ts'
import { loadProgram } from './clients/load.ts'
import { describeMachine } from './measure/machine.ts'
import type { Results } from './measure/results.ts'
import { run } from './measure/run.ts'
import { scenarioChart } from './report/chart.ts'
import { chartName, withResults } from './report/documentation.ts'
import { profileSummary } from './report/profile.ts'
import { scenarioTable } from './report/table.ts'
import { FAMILIES } from './scenarios/all-families.ts'
import type { Family } from './scenarios/scenario.ts'

const USAGE = `npm run bench -- [flags]

  --only REGEXP      scenarios whose names match (family/name)
  --brokers A,B      of ${BROKERS.map(({ name }) => name).join(', ')}
  --rounds N         how often each broker has its turn (default: 3)
  --quick            one round of small loads, in some minutes: shows that all works, not who is faster
  --directory DIR    where brokers keep their data (default: the system's temporary directory)
  --profile          Node's CPU profile of each of our brokers: beside the results, the top of it in the terminal
  --list             the scenarios
  --write-docs FILE  writes a run's results.json into docs/performance.md, and its charts beside it

Results go to bench/results/. Needs Linux, Go, Java 17, Maven; nats-server and redis-server are installed from Debian as root,
or left out.`

/** Two signals closer than this are one that came twice. */
const SAME_SIGNAL_MS = 1000
let interruptedMs: number | undefined

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    brokers: { type: 'string' },
    rounds: { type: 'string' },
    quick: { type: 'boolean', default: false },
    directory: { type: 'string', default: tmpdir() },
    profile: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
    'write-docs': { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
if (values.help) console.log(USAGE)
else if (values.list) list()
else if (values['write-docs'] !== undefined) await writeDocumentation(values['write-docs'])
else await bench()

async function bench(): Promise<void> {
  const families = chosenFamilies()
  const rounds = Number(values.rounds ?? (values.quick ? 1 : 3))
  if (families.length === 0 || !(rounds >= 1)) throw new Error(`nothing to do\n\n${USAGE}`)
  const interruption = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupt(interruption, signal))
  const parent = await mkdtemp(join(values.directory, 'moldau-bench-'))
  // Whatever else makes a temporary directory makes it there.
  process.env['TMPDIR'] = parent
  process.once('exit', () => rmSync(parent, { recursive: true, force: true }))
  const output = join(root, 'bench', 'results', new Date().toISOString().slice(0, 19).replaceAll(':', ''))
  await mkdir(output, { recursive: true })
  await loadProgram()
  const { kinds, versions, skipped } = await prepareBrokers(families)
  const measured = await run(families, kinds, {
    rounds,
    quick: values.quick,
    parent,
    signal: interruption.signal,
    ...(values.profile && { profileDirectory: output }),
    onProgress: (message) => console.error(`${elapsed()} ${message}`),
  })
  const machine = await describeMachine(parent)
  if (interruption.signal.aborted) console.error('interrupted: this is what was measured by then')
  await report({ machine, rounds, quick: values.quick, versions, skipped, families: measured }, output)
}

/** The first signal lets everything be stopped and removed, a second does not wait for that. npm passes on what the terminal sent to us as well. */
function interrupt(interruption: AbortController, signal: string): void {
  const now = performance.now()
  if (interruptedMs !== undefined && now - interruptedMs > SAME_SIGNAL_MS) process.exit(130)
  interruptedMs ??= now
  interruption.abort(new Error(signal))
}

/** Minutes and seconds of this run. */
function elapsed(): string {
  const seconds = Math.round(performance.now() / 1000)
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
}

function chosenFamilies(): Family[] {
  const only = new RegExp(values.only)
  return FAMILIES.map((family) => ({
    ...family,
    scenarios: family.scenarios.filter((scenario) => only.test(`${family.name}/${scenario.name}`)),
  })).filter(({ scenarios }) => scenarios.length > 0)
}

async function prepareBrokers(families: readonly Family[]) {
  const named = values.brokers?.split(',')
  const unknown = named?.filter((name) => !BROKERS.some((kind) => kind.name === name)) ?? []
  if (unknown.length > 0) throw new Error(`there is no broker ${unknown.join(', ')}\n\n${USAGE}`)
  const taking = ({ name }: BrokerKind) =>
    families.some(({ scenarios }) => scenarios.some(({ brokers }) => brokers.includes(name)))
  const kinds: BrokerKind[] = []
  const versions: Record<string, string> = {}
  const skipped: Record<string, string> = {}
  for (const kind of BROKERS.filter((kind) => (named === undefined || named.includes(kind.name)) && taking(kind))) {
    try {
      versions[kind.name] = await kind.prepare()
      kinds.push(kind)
    } catch (error) {
      skipped[kind.name] = (error as Error).message.split('\n')[0]!
      console.error(`without ${kind.title}: ${skipped[kind.name]}`)
    }
  }
  return { kinds, versions, skipped }
}

async function report(results: Results, output: string): Promise<void> {
  const scenarios = results.families.flatMap(({ scenarios }) => scenarios)
  for (const scenario of scenarios) {
    console.log(scenarioTable(scenario))
    await writeFile(join(output, chartName(scenario)), scenarioChart(scenario))
  }
  const { processor, cores, memoryGb, kernel, disk, flushMs } = results.machine
  console.log(`${processor}, ${cores} cores, ${memoryGb} GB, ${kernel}, ${disk}, flush ${flushMs} ms`)
  await writeFile(join(output, 'results.json'), `${JSON.stringify(results, null, 1)}\n`)
  for (const file of (await readdir(output)).filter((name) => name.endsWith('.cpuprofile'))) {
    console.log(profileSummary(JSON.parse(await readFile(join(output, file), 'utf8'))))
  }
  console.log(`written to ${output}`)
}

async function writeDocumentation(file: string): Promise<void> {
  const results = JSON.parse(await readFile(file, 'utf8')) as Results
  const page = join(root, 'docs', 'performance.md')
  const directory = join(root, 'docs', 'performance')
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true })
  for (const scenario of results.families.flatMap(({ scenarios }) => scenarios)) {
    await writeFile(join(directory, chartName(scenario)), scenarioChart(scenario))
  }
  await writeFile(join(directory, 'results.json'), `${JSON.stringify(results, null, 1)}\n`)
  await writeFile(page, withResults(await readFile(page, 'utf8'), results))
}

function list(): void {
  for (const { name, scenarios } of FAMILIES) {
    for (const scenario of scenarios) console.log(`${name}/${scenario.name}: ${scenario.title}; ${scenario.brokers.join(', ')}`)
  }
}

// `npm run sim:log -- --seed N | --seeds A..B`: histories of logs on the simulated disk. A failing seed is explained, with its last
// events, and fails again.
import { setImmediate } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { HistoryFailure, runHistory } from '../src/sim/log-histories.ts'

/** Of the trace of a failing seed, and how many of the last calls of its disk. */
const LAST_EVENTS = 60
const LAST_CALLS = 20
const FAILURES_SHOWN = 5

const { values } = parseArgs({
  options: { seed: { type: 'string' }, seeds: { type: 'string', default: '0..9999' }, events: { type: 'string' } },
})
const [first, last] =
  values.seed === undefined ? values.seeds.split('..').map(Number) : [Number(values.seed), Number(values.seed)]
if (!Number.isInteger(first) || !Number.isInteger(last)) {
  console.error('usage: npm run sim:log -- --seed N | --seeds A..B [--events SHOWN]')
  process.exit(1)
}
let seed = first
// An error that nobody catches would end a broker.
process.on('unhandledRejection', (error) => fail(new HistoryFailure(seed, error as Error, [])))

const failed = new Set<number>()
const total: Record<string, number> = {}
const startedMs = performance.now()
for (; seed <= last && failed.size < FAILURES_SHOWN; seed++) {
  try {
    for (const [fact, count] of Object.entries(await runHistory(seed))) total[fact] = (total[fact] ?? 0) + count
  } catch (error) {
    fail(error as HistoryFailure)
  }
  // Rejections that nobody has caught by now are heard of.
  await setImmediate()
}
const facts = Object.entries(total).map(([fact, count]) => `${count} ${fact}`)
console.log(
  `${seed - first} histories in ${Math.round(performance.now() - startedMs)} ms: ${facts.join(', ')}; ${failed.size} failed`,
)
process.exitCode = failed.size === 0 ? 0 : 1

function fail(error: HistoryFailure): void {
  if (failed.has(error.seed)) return
  failed.add(error.seed)
  console.error(`\n${error.message}\n`)
  // Calls of the disk are many: only the last are of interest, unless more is asked for.
  const calls = error.trace.filter(isCall)
  const shown = values.events === undefined ? new Set(calls.slice(-LAST_CALLS)) : new Set(calls)
  const events = error.trace.filter((line) => !isCall(line) || shown.has(line))
  for (const line of events.slice(-Number(values.events ?? LAST_EVENTS))) console.error(`  ${line}`)
}

function isCall(line: string): boolean {
  return line.includes('   ')
}

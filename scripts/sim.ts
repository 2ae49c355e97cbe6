// `npm run sim -- --seed N | --seeds A..B [--shrink] [--events SHOWN]`: histories of whole clusters in simulated time. A failing seed is explained with
// its last events; `--shrink` looks for the smallest scenario that fails alike, and prints it as JSON: for src/sim/regressions.

import { setImmediate } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type ClusterFacts, runScenario } from '../src/sim/cluster-histories.ts'
import { type Scenario, scenarioOf } from '../src/sim/cluster-scenario.ts'
import { shrink } from '../src/sim/cluster-shrink.ts'
import { Tally } from '../src/sim/simulation.ts'

const FAILURES_SHOWN = 5
const LAST_EVENTS = 60

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    seeds: { type: 'string', default: '0..99' },
    /** Runs each seed twice, and compares. */
    twice: { type: 'boolean', default: false },
    shrink: { type: 'boolean', default: false },
    events: { type: 'string', default: String(LAST_EVENTS) },
    /** Stop beginning new ones after so many seconds of real time. */
    seconds: { type: 'string' },
    verbose: { type: 'boolean', default: false },
    failures: { type: 'string', default: String(FAILURES_SHOWN) },
  },
})
const [first, last] =
  values.seed === undefined ? values.seeds.split('..').map(Number) : [Number(values.seed), Number(values.seed)]
if (!Number.isInteger(first) || !Number.isInteger(last)) {
  console.error(
    'usage: npm run sim -- --seed N | --seeds A..B [--twice] [--shrink] [--events SHOWN] [--seconds S] [--failures N]',
  )
  process.exit(1)
}

let uncaught: Error | undefined
process.on('unhandledRejection', (error) => {
  uncaught ??= error as Error
})

async function run(scenario: Scenario, trace?: string[]): Promise<ClusterFacts> {
  const facts = await runScenario(scenario, trace)
  // What nobody has caught is heard of when the event loop turns.
  await setImmediate()
  const error = uncaught
  uncaught = undefined
  if (error !== undefined) throw error
  return facts
}

const total = new Tally()
const failed: number[] = []
const startedMs = performance.now()
let seed = first!
let simulated = 0
for (; seed <= last! && failed.length < Number(values.failures); seed++) {
  if (values.seconds !== undefined && performance.now() - startedMs > Number(values.seconds) * 1000) break
  if (values.verbose) console.error(`seed ${seed} at ${Math.round(performance.now() - startedMs)} ms`)
  const scenario = scenarioOf(seed)
  try {
    const { tally, hash, events } = await run(scenario)
    total.addAll(tally)
    simulated += events
    if (!values.twice) continue
    const again = await run(scenario)
    if (again.hash !== hash) throw new Error(`two runs of seed ${seed} differ: ${hash} and ${again.hash}`)
  } catch (error) {
    failed.push(seed)
    uncaught = undefined
    console.error(`\nseed ${seed}: ${(error as Error).message}`)
    const trace: string[] = []
    await run(scenario, trace).catch((again) => console.error(again))
    for (const line of Number(values.events) === 0 ? [] : trace.slice(-Number(values.events)))
      console.error(`  ${line.slice(0, 600)}`)
    if (!values.shrink) continue
    const small = await shrink(scenario, run, (line) => console.error(line))
    console.log(JSON.stringify(small, undefined, 1))
  }
}
// What is not in the table has not been tested.
for (const what of [...total.keys()].sort()) console.log(`${String(total.get(what)).padStart(10)}  ${what}`)
const seconds = Math.round((performance.now() - startedMs) / 1000)
console.log(
  `${seed - first!} histories, ${simulated} events, in ${seconds} s; ${failed.length} failed${failed.length > 0 ? `: ${failed.join(' ')}` : ''}`,
)
process.exitCode = failed.length === 0 ? 0 : 1

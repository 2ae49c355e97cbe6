// What the commands that run histories have in common: `npm run sim:NAME -- --seed N | --seeds A..B`. A failing seed is explained, with
// its last events, and fails again.

import { setImmediate } from 'node:timers/promises'
import { parseArgs } from 'node:util'

export interface Failure extends Error {
  readonly seed: number
  /** One line for each event. */
  readonly trace: readonly string[]
}

export interface SeedsOptions {
  /** As in package.json. */
  readonly command: string
  /** Resolves with counts, which are added up. Rejects with a Failure. */
  readonly run: (seed: number) => Promise<Readonly<Record<string, number>>>
  /** Of an error that nobody has caught. */
  readonly unhandled: (seed: number, error: Error) => Failure
  /** Of the trace of a failure, the lines to be shown; `events` is how many are asked for. */
  readonly shown: (trace: readonly string[], events: number | undefined) => readonly string[]
}

const FAILURES_SHOWN = 5

/** Sets the exit code of the process. */
export async function runSeeds({ command, run, unhandled, shown }: SeedsOptions): Promise<void> {
  const { values } = parseArgs({
    options: { seed: { type: 'string' }, seeds: { type: 'string', default: '0..9999' }, events: { type: 'string' } },
  })
  const [first, last] =
    values.seed === undefined ? values.seeds.split('..').map(Number) : [Number(values.seed), Number(values.seed)]
  if (!Number.isInteger(first) || !Number.isInteger(last)) {
    console.error(`usage: npm run ${command} -- --seed N | --seeds A..B [--events SHOWN]`)
    process.exit(1)
  }
  const failed = new Set<number>()
  const fail = (error: Failure) => {
    if (failed.has(error.seed)) return
    failed.add(error.seed)
    console.error(`\n${error.message}\n`)
    const events = values.events === undefined ? undefined : Number(values.events)
    for (const line of shown(error.trace, events)) console.error(`  ${line}`)
  }
  let seed = first!
  // An error that nobody catches would end a broker.
  process.on('unhandledRejection', (error) => fail(unhandled(seed, error as Error)))
  const total: Record<string, number> = {}
  const startedMs = performance.now()
  for (; seed <= last! && failed.size < FAILURES_SHOWN; seed++) {
    try {
      for (const [fact, count] of Object.entries(await run(seed))) total[fact] = (total[fact] ?? 0) + count
    } catch (error) {
      fail(error as Failure)
    }
    // Rejections that nobody has caught by now are heard of.
    await setImmediate()
  }
  // What is not in the table has not been tested.
  for (const fact of Object.keys(total).sort()) console.log(`${String(total[fact]).padStart(10)}  ${fact}`)
  console.log(`${seed - first!} histories in ${Math.round(performance.now() - startedMs)} ms; ${failed.size} failed`)
  process.exitCode = failed.size === 0 ? 0 : 1
}

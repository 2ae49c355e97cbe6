// `npm run sim:log -- --seed N | --seeds A..B`: histories of logs on the simulated disk.

import { HistoryFailure, runHistory } from '../src/sim/log-histories.ts'
import { runSeeds } from './sim-seeds.ts'

/** Of the trace of a failing seed, and how many of the last calls of its disk. */
const LAST_EVENTS = 60
const LAST_CALLS = 20

await runSeeds({
  command: 'sim:log',
  run: async (seed) => ({ ...(await runHistory(seed)) }),
  unhandled: (seed, error) => new HistoryFailure(seed, error, []),
  // Calls of the disk are many: only the last are of interest, unless more is asked for.
  shown(trace, events) {
    const calls = trace.filter(isCall)
    const shown = events === undefined ? new Set(calls.slice(-LAST_CALLS)) : new Set(calls)
    return trace.filter((line) => !isCall(line) || shown.has(line)).slice(-(events ?? LAST_EVENTS))
  },
})

function isCall(line: string): boolean {
  return line.includes('   ')
}

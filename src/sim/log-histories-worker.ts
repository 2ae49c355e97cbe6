// Runs histories in a thread of its own, for log-histories.test.ts: what node:test keeps of every promise of a test takes four times as
// long as the histories.

import { parentPort, workerData } from 'node:worker_threads'
import { realClock } from '../host/clock.ts'
import { type HistoryFacts, runHistory } from './log-histories.ts'
import { Tally } from './simulation.ts'

export interface Task {
  readonly first: number
  readonly count: number
}

/** Added up, or what the first failure says. */
export type Report = HistoryFacts | { readonly failure: string }

const { first, count } = workerData as Task
let seed = first
process.on('unhandledRejection', (error) => {
  report({ failure: `seed ${seed}: an error that nobody catches: ${(error as Error).stack}` })
})
try {
  const total = new Tally()
  for (; seed < first + count; seed++) {
    total.addAll(new Map(Object.entries(await runHistory(seed))))
    // Rejections that nobody has caught are heard of when the event loop turns.
    if (seed % 50 === 49) await new Promise<void>((resolve) => realClock.soon(resolve))
  }
  report(Object.fromEntries(total))
} catch (error) {
  report({ failure: (error as Error).message })
}

function report(report: Report): void {
  parentPort!.postMessage(report)
}

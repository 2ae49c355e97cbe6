// Runs histories in a thread of its own, for transaction-histories.test.ts: what node:test keeps of every promise of a test takes four
// times as long as the histories.

import { parentPort, workerData } from 'node:worker_threads'
import { runTransactionHistory, type TransactionFacts } from './transaction-histories.ts'

export interface Task {
  readonly first: number
  readonly count: number
}

/** Added up, or what the first failure says. */
export type Report = TransactionFacts | { readonly failure: string }

const { first, count } = workerData as Task
process.on('unhandledRejection', (error) => report({ failure: `an error that nobody catches: ${(error as Error).stack}` }))
try {
  const total: Record<string, number> = {}
  for (let seed = first; seed < first + count; seed++) {
    for (const [fact, number] of Object.entries(await runTransactionHistory(seed))) total[fact] = (total[fact] ?? 0) + number
  }
  report(total as TransactionFacts)
} catch (error) {
  report({ failure: (error as Error).message })
}

function report(report: Report): void {
  parentPort!.postMessage(report)
}

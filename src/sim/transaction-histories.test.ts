import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { runTransactionHistory } from './transaction-histories.ts'
import type { Report, Task } from './transaction-histories-worker.ts'

/** Tens of thousands on command: npm run sim:transactions -- --seeds 0..50000 */
const SEEDS = 2000

test('thousands of random histories of transactions: who reads what is committed gets it whole, once, in order', async (t) => {
  const workerData: Task = { first: 0, count: SEEDS }
  const worker = new Worker(new URL('./transaction-histories-worker.ts', import.meta.url), { workerData })
  t.after(() => worker.terminate())
  const [report] = (await once(worker, 'message')) as [Report]
  if ('failure' in report) assert.fail(report.failure)
  // What the seeds are about, so that nobody makes them about nothing.
  const { committed, aborted, crashes, leaderChanges, refusals } = report
  assert.ok(committed > 10 * SEEDS && aborted > 4 * SEEDS, `${committed} committed, ${aborted} aborted`)
  assert.ok(crashes > 2 * SEEDS && leaderChanges > 2 * SEEDS && refusals > 5 * SEEDS)
  t.diagnostic(`${SEEDS} histories: ${JSON.stringify(report)}`)
})

test('a history of transactions is the same each time', async () => {
  for (const seed of [3, 14, 159]) assert.deepEqual(await runTransactionHistory(seed), await runTransactionHistory(seed))
})

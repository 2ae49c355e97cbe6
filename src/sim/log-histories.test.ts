import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import { runHistory } from './log-histories.ts'
import type { Report, Task } from './log-histories-worker.ts'

/** Tens of thousands on command: npm run sim:log -- --seeds 0..50000 */
const SEEDS = 1300

/** What the seeds are about, so that nobody makes them about nothing: how often at least, in a hundred histories. */
const AT_LEAST = {
  'power cuts': 150,
  kills: 100,
  'batches produced': 500,
  'batches copied from a leader': 50,
  'batches of coordinators': 50,
  markers: 50,
  duplicates: 20,
  audits: 20,
  compactions: 10,
  'compactions that remove something': 8,
  'lost renames in a power cut': 3,
  'swaps cut short': 3,
  'lost new names in a power cut': 10,
  'files with other bytes after a power cut': 10,
  'faults set up': 5,
}

test('thousands of random histories of logs keep every promise through power cuts, kills and failing disks', async (t) => {
  const workerData: Task = { first: 0, count: SEEDS }
  const worker = new Worker(new URL('./log-histories-worker.ts', import.meta.url), { workerData })
  t.after(() => worker.terminate())
  const [report] = (await once(worker, 'message')) as [Report]
  if ('failure' in report) assert.fail(String(report.failure))
  for (const [what, times] of Object.entries(AT_LEAST)) {
    const found = report[what] ?? 0
    assert.ok(found >= (times * SEEDS) / 100, `${what}: ${found} times in ${SEEDS} histories`)
  }
  t.diagnostic(`${SEEDS} histories: ${JSON.stringify(report)}`)
})

test('a history of logs is the same each time', async () => {
  for (const seed of [3, 14, 159]) assert.deepEqual(await runHistory(seed), await runHistory(seed))
})

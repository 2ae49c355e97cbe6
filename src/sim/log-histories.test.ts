import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HistoryFailure, runHistory } from './log-histories.ts'

/** As many as fit. Tens of thousands on command: npm run sim:log -- --seeds 0..50000 */
const SEEDS = 4000
const BUDGET_MS = 8000
/** However slow the machine is. */
const AT_LEAST = 300

test('thousands of random histories of logs keep every promise through power cuts, kills and failing disks', async (t) => {
  const startedMs = performance.now()
  const total = { powerCuts: 0, kills: 0, restarts: 0, batches: 0, faults: 0 }
  let seed = 0
  const rejected: unknown[] = []
  const onRejection = (error: unknown) => rejected.push(new HistoryFailure(seed, error as Error, []))
  process.on('unhandledRejection', onRejection)
  for (; seed < SEEDS && rejected.length === 0; seed++) {
    if (seed >= AT_LEAST && performance.now() - startedMs > BUDGET_MS) break
    const facts = await runHistory(seed)
    for (const fact of Object.keys(total) as (keyof typeof total)[]) total[fact] += facts[fact]
    // Rejections that nobody has caught are heard of when the event loop turns.
    if (seed % 50 === 49) await new Promise((resolve) => setImmediate(resolve))
  }
  process.off('unhandledRejection', onRejection)
  if (rejected.length > 0) throw rejected[0]
  // What the seeds are about, so that nobody makes them about nothing.
  assert.ok(total.powerCuts > seed && total.kills > seed && total.batches > 10 * seed && total.faults > seed / 10)
  t.diagnostic(`${seed} histories: ${JSON.stringify(total)}`)
})

test('a history is the same each time', async () => {
  for (const seed of [3, 14, 159]) assert.deepEqual(await runHistory(seed), await runHistory(seed))
})

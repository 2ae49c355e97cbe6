import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runReplicationHistory } from './replication-histories.ts'

/** As many as fit. */
const SEEDS = 400
const BUDGET_MS = 6000
const AT_LEAST = 20

test('random histories of replicas keep every promise through crashes, power cuts and partitions', async (t) => {
  const startedMs = performance.now()
  const total = {
    kills: 0,
    powerCuts: 0,
    elections: 0,
    truncations: 0,
    shrinks: 0,
    expansions: 0,
    acknowledged: 0,
    refused: 0,
    reads: 0,
  }
  let seed = 0
  for (; seed < SEEDS; seed++) {
    if (seed >= AT_LEAST && performance.now() - startedMs > BUDGET_MS) break
    const facts = await runReplicationHistory(seed)
    for (const fact of Object.keys(total) as (keyof typeof total)[]) total[fact] += facts[fact]
  }
  t.diagnostic(`${seed} histories: ${JSON.stringify(total)}`)
  // What the seeds are about, so that nobody makes them about nothing.
  for (const [fact, count] of Object.entries(total)) assert.ok(count >= seed / 10, `${fact}: ${count}`)
})

test('a history is the same each time', async () => {
  for (const seed of [2, 7, 18]) assert.deepEqual(await runReplicationHistory(seed), await runReplicationHistory(seed))
})

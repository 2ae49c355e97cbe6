import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runHistory } from './log-histories.ts'
import { testHistories } from './log-history-seeds.ts'

testHistories(0)

test('a history is the same each time', async () => {
  for (const seed of [3, 14, 159]) assert.deepEqual(await runHistory(seed), await runHistory(seed))
})

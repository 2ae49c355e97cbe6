// The published figures are those of the published run.

import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import type { Results } from '../measure/results.ts'
import { scenarioChart } from './chart.ts'
import { chartName, withResults } from './documentation.ts'

const docs = new URL('../../docs/', import.meta.url)
const STALE = 'run "npm run bench -- --write-docs docs/performance/results.json"'

test('docs/performance.md and its charts say what results.json says', async () => {
  const page = await readFile(new URL('performance.md', docs), 'utf8')
  const file = new URL('performance/results.json', docs)
  if (!existsSync(file)) return assert.match(page, /No run is published yet/)
  const results = JSON.parse(await readFile(file, 'utf8')) as Results
  assert.ok(page === withResults(page, results), STALE)
  for (const scenario of results.families.flatMap(({ scenarios }) => scenarios)) {
    const chart = await readFile(new URL(`performance/${chartName(scenario)}`, docs), 'utf8')
    assert.ok(chart === scenarioChart(scenario), `${chartName(scenario)}: ${STALE}`)
  }
})

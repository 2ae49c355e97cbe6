// The histories of clusters that every run of the tests goes through. Hundreds more in .ci/run, as many as wanted on command: npm run sim.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { runScenario } from './cluster-histories.ts'
import { type Scenario, scenarioOf } from './cluster-scenario.ts'
import { Tally } from './simulation.ts'

const SEEDS = 8
const REGRESSIONS = join(import.meta.dirname, 'regressions')

test('whole clusters keep every promise through random histories', async (t) => {
  const total = new Tally()
  for (let seed = 0; seed < SEEDS; seed++) total.addAll((await runScenario(scenarioOf(seed))).tally)
  for (const what of ['elections', 'ISRs shrunk', 'ISRs grown', 'records acknowledged (acks=all)', 'transactions committed'])
    assert.ok((total.get(what) ?? 0) > 0, `no ${what} in ${SEEDS} histories`)
  t.diagnostic([...total].map(([what, times]) => `${times} ${what}`).join(', '))
})

test('a scenario happens twice in the same way', async () => {
  const scenario = scenarioOf(3)
  const [first, second] = [await runScenario(scenario), await runScenario(scenario)]
  assert.equal(first.hash, second.hash)
  assert.equal(first.events, second.events)
})

for (const file of readdirSync(REGRESSIONS).filter((name) => name.endsWith('.json'))) {
  const { story, scenario } = JSON.parse(readFileSync(join(REGRESSIONS, file), 'utf8')) as { story: string; scenario: Scenario }
  test(`what failed once: ${story}`, async () => {
    await runScenario(scenario)
  })
}

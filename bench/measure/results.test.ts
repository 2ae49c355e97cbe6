// From rounds to ratios, tables, charts and the page: all of it without a broker.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Worth } from '../brokers/broker.ts'
import { scenarioChart } from '../report/chart.ts'
import { BEGIN, END, withResults } from '../report/documentation.ts'
import { scenarioTable } from '../report/table.ts'
import type { Metric } from './metrics.ts'
import { type BrokerResult, comparisonsOf, type Results, type ScenarioResult } from './results.ts'
import { inTurn } from './run.ts'
import { summarize } from './statistics.ts'

function result(broker: string, worth: Worth | undefined, metrics: { readonly [M in Metric]?: number[] }): BrokerResult {
  const summaries = Object.fromEntries(Object.entries(metrics).map(([name, rounds]) => [name, summarize(rounds)]))
  return { broker, title: broker.toUpperCase(), ...(worth && { worth }), metrics: summaries, failures: [] }
}

const scenario: ScenarioResult = {
  name: 'family/one',
  title: 'fast & <small>',
  brokers: [
    result('moldau', 'synced', { recordsPerSecond: [40, 50, 60], peakMb: [100] }),
    result('moldau-os', 'written', { recordsPerSecond: [90], peakMb: [110] }),
    result('kafka', 'written', { recordsPerSecond: [100], peakMb: [400] }),
    result('kafka-flush', 'synced', { recordsPerSecond: [10], peakMb: [0] }),
    result('nats', 'written', { recordsPerSecond: [1_000_000] }),
  ],
}
const results: Results = {
  machine: { processor: 'P', cores: 2, memoryGb: 8, kernel: 'Linux 6', disk: 'ext4', flushMs: 0.2 },
  rounds: 3,
  quick: false,
  versions: { moldau: 'moldau 1', 'moldau-os': 'moldau 1', kafka: 'Apache Kafka 4' },
  skipped: { redis: 'not here' },
  families: [{ name: 'family', title: 'A family', scenarios: [scenario] }],
}

test('ours is compared with the Kafka that promises the same', () => {
  const compared = comparisonsOf(scenario).map(({ ours, theirs, ratios }) => [ours.broker, theirs.broker, ratios])
  assert.deepEqual(compared, [
    ['moldau', 'kafka-flush', { recordsPerSecond: 5 }],
    ['moldau-os', 'kafka', { recordsPerSecond: 0.9, peakMb: 0.275 }],
  ])
})

test('where nothing is acknowledged, all promise the same', () => {
  const brokers = [result('moldau', undefined, { recordsPerSecond: [3] }), result('kafka', undefined, { recordsPerSecond: [2] })]
  assert.deepEqual(comparisonsOf({ ...scenario, brokers })[0]!.ratios, { recordsPerSecond: 1.5 })
})

test('a table has a row per broker and per comparison, and says what failed', () => {
  const brokers = [...scenario.brokers.slice(0, 4), { ...scenario.brokers[4]!, failures: ['out of breath'] }]
  const lines = scenarioTable({ ...scenario, brokers }).split('\n')
  assert.equal(lines.length, 2 + 5 + 2 + 2)
  assert.match(lines[1]!, /acknowledged is +records\/s +peak MB$/)
  assert.match(lines[2]!, /^ {2}MOLDAU +synced +50 +100$/)
  assert.match(lines[6]!, /^ {2}NATS +written +1,000,000$/)
  assert.match(lines[8]!, /^ {2}MOLDAU-OS : KAFKA +written +×0.9 +×0.275$/)
  assert.equal(lines[9], '  NATS failed: out of breath')
})

test('a chart is well-formed, with a bar for each figure', () => {
  const chart = scenarioChart(scenario)
  assert.match(chart, /fast &amp; &lt;small>/)
  assert.equal(chart.match(/<rect x=/g)!.length, 5 + 4)
  assert.doesNotMatch(chart, /NaN|undefined|Infinity/)
})

test('the page gets new tables between its markers, names every loss, and keeps the rest', () => {
  const page = withResults(`words\n${BEGIN}\nold\n${END}\nmore words\n`, results)
  assert.match(page, /^words\n/)
  assert.match(page, /\nmore words\n$/)
  assert.doesNotMatch(page, /\nold\n/)
  assert.match(page, /\| family\/one \| MOLDAU-OS : KAFKA \| records\/s ×0.9 \|/)
  assert.doesNotMatch(page, /\| family\/one \| MOLDAU : KAFKA-FLUSH \|/)
  assert.equal(page, withResults(page, results))
  assert.throws(() => withResults('no markers', results), /markers/)
})

test('each broker has its turn at each place', () => {
  assert.deepEqual(
    [0, 1, 2, 3].map((round) => inTurn(['a', 'b', 'c'], round).join('')),
    ['abc', 'bca', 'cab', 'abc'],
  )
  assert.deepEqual(inTurn([], 1), [])
})

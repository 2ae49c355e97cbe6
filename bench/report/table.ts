// A scenario's results as lines of text: brokers below each other, then how ours compares where the promise is the same.

import { METRICS, metricsOf } from '../measure/metrics.ts'
import { comparisonsOf, type ScenarioResult } from '../measure/results.ts'
import { display } from '../measure/statistics.ts'

export function scenarioTable(scenario: ScenarioResult): string {
  const metrics = metricsOf(scenario.brokers.map(({ metrics }) => metrics))
  const rows = [['', 'acknowledged is', ...metrics.map((metric) => METRICS[metric].label)]]
  for (const { title, worth, metrics: values } of scenario.brokers) {
    rows.push([title, worth ?? '', ...metrics.map((metric) => (values[metric] ? display(values[metric].median) : ''))])
  }
  for (const { ours, theirs, ratios } of comparisonsOf(scenario)) {
    const shown = metrics.map((metric) => (ratios[metric] === undefined ? '' : `×${display(ratios[metric])}`))
    rows.push([`${ours.title} : ${theirs.title}`, ours.worth ?? '', ...shown])
  }
  const failures = scenario.brokers.flatMap(({ title, failures }) => failures.map((failure) => `  ${title} failed: ${failure}`))
  return [`${scenario.name}: ${scenario.title}`, ...aligned(rows), ...failures, ''].join('\n')
}

/** Words to the left, figures to the right. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)))
  const cell = (text: string, column: number) => (column < 2 ? text.padEnd(widths[column]!) : text.padStart(widths[column]!))
  return rows.map((row) => `  ${row.map(cell).join('  ')}`.trimEnd())
}

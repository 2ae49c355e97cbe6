// A run's results, as results.json keeps them, and the comparisons that are drawn from them.

import type { Worth } from '../brokers/broker.ts'
import type { MachineDescription } from './machine.ts'
import { METRICS, type Metric, metricsOf } from './metrics.ts'
import type { Summary } from './statistics.ts'

export interface Results {
  readonly machine: MachineDescription
  readonly rounds: number
  readonly quick: boolean
  /** By broker: what ran. */
  readonly versions: Readonly<Record<string, string>>
  /** By broker: why it did not run. */
  readonly skipped: Readonly<Record<string, string>>
  readonly families: readonly FamilyResult[]
}

export interface FamilyResult {
  readonly name: string
  readonly title: string
  readonly scenarios: readonly ScenarioResult[]
}

export interface ScenarioResult {
  /** Of its family and itself: `latency/1000`. */
  readonly name: string
  readonly title: string
  readonly brokers: readonly BrokerResult[]
}

export interface BrokerResult {
  readonly broker: string
  readonly title: string
  /** Of what it acknowledged; none where nothing was. */
  readonly worth?: Worth
  readonly metrics: { readonly [M in Metric]?: Summary }
  /** Of rounds that did not come to an end: the first lines of what was said. */
  readonly failures: readonly string[]
}

/** Ours and Kafka's, where both promise the same. */
export interface Comparison {
  readonly ours: BrokerResult
  readonly theirs: BrokerResult
  /** Ours by theirs, of medians. */
  readonly ratios: { readonly [M in Metric]?: number }
}

const OURS = ['moldau', 'moldau-os']
const BASELINE = ['kafka', 'kafka-flush']

export function comparisonsOf({ brokers }: ScenarioResult): Comparison[] {
  const named = (names: readonly string[]) => brokers.filter(({ broker }) => names.includes(broker))
  return named(OURS).flatMap((ours) =>
    named(BASELINE)
      .filter((theirs) => theirs.worth === ours.worth)
      .map((theirs) => ({ ours, theirs, ratios: ratiosOf(ours, theirs) })),
  )
}

function ratiosOf(ours: BrokerResult, theirs: BrokerResult): Comparison['ratios'] {
  const both = metricsOf([ours.metrics]).filter((metric) => theirs.metrics[metric] !== undefined)
  const ratio = (metric: Metric) => ours.metrics[metric]!.median / theirs.metrics[metric]!.median
  return Object.fromEntries(both.map((metric) => [metric, ratio(metric)]).filter(([, value]) => Number.isFinite(value)))
}

/** Whether a ratio says that ours is behind. */
export function isBehind(metric: Metric, ratio: number): boolean {
  return METRICS[metric].better === 'more' ? ratio < 1 : ratio > 1
}

// A run: in every round each broker has its turn at each family, in an order that moves on, so that what changes on the machine in
// the meantime meets all of them.

import type { BrokerKind } from '../brokers/broker.ts'
import { quickened } from '../loads/load.ts'
import type { Family, Scenario } from '../scenarios/scenario.ts'
import type { Metric, Values } from './metrics.ts'
import { metricsOf } from './metrics.ts'
import type { BrokerResult, FamilyResult } from './results.ts'
import { Session, type SessionOptions } from './session.ts'
import { summarize } from './statistics.ts'

export interface RunOptions extends SessionOptions {
  readonly rounds: number
  /** Is told of each measurement as it is made. */
  onProgress(message: string): void
}

interface Measured {
  readonly values: Values[]
  readonly failures: string[]
}

/** Measures. A load that fails is reported in its place and stops nothing else; after an interruption there is what was measured by then. */
export async function run(
  families: readonly Family[],
  kinds: readonly BrokerKind[],
  options: RunOptions,
): Promise<FamilyResult[]> {
  const measured = new Map<string, Measured>()
  const key = (family: Family, scenario: Scenario, kind: BrokerKind) => `${family.name}/${scenario.name} ${kind.name}`
  try {
    for (let round = 0; round < options.rounds; round++) {
      for (const block of blocksOf(families, options.quick)) {
        const taking = kinds.filter(({ name }) => block.some(({ scenario }) => scenario.brokers.includes(name)))
        for (const kind of inTurn(taking, round)) {
          await measureBlock(kind, block, options, (family, scenario, outcome) => {
            const name = key(family, scenario, kind)
            const entry = measured.get(name) ?? { values: [], failures: [] }
            measured.set(name, entry)
            if (typeof outcome === 'string') entry.failures.push(outcome)
            else entry.values.push(outcome)
            const said = typeof outcome === 'string' ? `FAILED: ${outcome}` : headline(outcome)
            options.onProgress(`round ${round + 1}/${options.rounds} ${name}: ${said}`)
          })
        }
      }
    }
  } catch (error) {
    if (!options.signal.aborted) throw error
  }
  return families.map((family) => ({
    name: family.name,
    title: family.title,
    scenarios: family.scenarios.map((scenario) => ({
      name: `${family.name}/${scenario.name}`,
      title: scenario.title,
      brokers: kinds.flatMap((kind) => {
        const entry = measured.get(key(family, scenario, kind))
        return entry === undefined ? [] : [brokerResult(scenario, kind, entry)]
      }),
    })),
  }))
}

interface Step {
  readonly family: Family
  readonly scenario: Scenario
}

/** What one broker process goes through. A quick run starts brokers less often: its figures do not count. */
function blocksOf(families: readonly Family[], quick: boolean): Step[][] {
  const steps = (family: Family) => family.scenarios.map((scenario) => ({ family, scenario }))
  if (quick) return [families.flatMap(steps)]
  return families.flatMap((family) => (family.fresh ? steps(family).map((step) => [step]) : [steps(family)]))
}

/** Each broker has its turn at each place: who comes later finds a busier disk. */
export function inTurn<T>(items: readonly T[], round: number): T[] {
  const first = round % Math.max(1, items.length)
  return [...items.slice(first), ...items.slice(0, first)]
}

async function measureBlock(
  kind: BrokerKind,
  block: readonly Step[],
  options: RunOptions,
  record: (family: Family, scenario: Scenario, outcome: Values | string) => void,
): Promise<void> {
  await using session = new Session(kind, options)
  for (const { family, scenario } of block) {
    if (!scenario.brokers.includes(kind.name)) continue
    options.signal.throwIfAborted()
    try {
      record(family, scenario, await session.measure(options.quick ? quickened(scenario.load) : scenario.load))
    } catch (error) {
      options.signal.throwIfAborted()
      record(family, scenario, (error as Error).message.slice(0, 500))
      await session[Symbol.asyncDispose]()
    }
  }
}

function headline(values: Values): string {
  return metricsOf([values])
    .map((metric) => `${metric} ${values[metric]!.toPrecision(3)}`)
    .join(', ')
}

function brokerResult({ load }: Scenario, kind: BrokerKind, { values, failures }: Measured): BrokerResult {
  const metrics = Object.fromEntries(
    metricsOf(values).map((metric: Metric) => [
      metric,
      summarize(values.map((round) => round[metric]).filter((value) => value !== undefined)),
    ]),
  )
  const worth = 'acks' in load && load.acks !== undefined ? kind.worth[load.acks] : undefined
  return { broker: kind.name, title: kind.title, ...(worth && { worth }), metrics, failures }
}

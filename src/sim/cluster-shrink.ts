// Makes a failing scenario smaller, as long as it breaks the same promise: fewer faults first, then fewer clients, topics and brokers, then
// less time.

import type { Scenario } from './cluster-scenario.ts'
import { ClusterViolation } from './cluster-world.ts'

/** Rejects where the scenario fails. */
type Run = (scenario: Scenario) => Promise<unknown>

/** Rejects with Error where the scenario does not fail. */
export async function shrink(scenario: Scenario, run: Run, report: (line: string) => void): Promise<Scenario> {
  const rule = await broken(scenario, run)
  if (rule === undefined) throw new Error('this scenario does not fail')
  const fails = async (smaller: Scenario) => (await broken(smaller, run)) === rule
  let small = scenario
  for (let before = ''; before !== JSON.stringify(small); ) {
    before = JSON.stringify(small)
    const lists = ['faults', 'clients', 'topics'] as const
    for (const list of lists) {
      const base = small
      const kept = await minimize(base[list] as readonly unknown[], (some) => fails({ ...base, [list]: some } as Scenario))
      small = { ...base, [list]: kept } as Scenario
      report(`${rule}: ${small.faults.length} faults, ${small.clients.length} clients, ${small.topics.length} topics`)
    }
    for (const brokers of [3, 4]) {
      if (brokers >= small.brokers || !(await fails({ ...small, brokers }))) continue
      small = { ...small, brokers }
      break
    }
    for (const durationMs of [small.durationMs / 4, small.durationMs / 2, (small.durationMs * 3) / 4]) {
      if (!(await fails({ ...small, durationMs: Math.round(durationMs) }))) continue
      small = { ...small, durationMs: Math.round(durationMs) }
      break
    }
  }
  return small
}

/** The promise that a scenario breaks; undefined where it breaks none. */
async function broken(scenario: Scenario, run: Run): Promise<string | undefined> {
  try {
    await run(scenario)
    return undefined
  } catch (error) {
    return error instanceof ClusterViolation ? error.rule : (error as Error).message
  }
}

/** Delta debugging: halves first, then smaller parts. */
async function minimize<T>(all: readonly T[], fails: (some: readonly T[]) => Promise<boolean>): Promise<readonly T[]> {
  let list = all
  for (let parts = 2; list.length > 0; ) {
    const size = Math.ceil(list.length / parts)
    let smaller: readonly T[] | undefined
    for (let at = 0; at < list.length && smaller === undefined; at += size) {
      const rest = [...list.slice(0, at), ...list.slice(at + size)]
      if (await fails(rest)) smaller = rest
    }
    if (smaller !== undefined) {
      list = smaller
      parts = Math.max(2, parts - 1)
    } else if (size === 1) break
    else parts = Math.min(list.length, parts * 2)
  }
  return list
}

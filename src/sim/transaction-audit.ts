// Holds the transactions of a log against its model: how far readers of committed records see, and which records they get.

import { readCommitted } from '../log/log-fixture.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { baseOffset, isControl, isTransactional, producerId } from '../protocol/records/batch-header.ts'
import { readControlRecord } from '../protocol/records/control-record.ts'
import { demand } from './log-audit.ts'
import type { LogModel, ModelBatch, Sequence } from './log-model.ts'
import type { Dice } from './simulation.ts'

interface Outcome {
  readonly firstOffset: bigint
  readonly batches: ModelBatch[]
  /** Of the marker; undefined while it is open. */
  lastOffset?: bigint
  aborted: boolean
}

/** By replaying all there ever was. */
function outcomesOf(batches: Sequence): Outcome[] {
  const outcomes: Outcome[] = []
  const open = new Map<bigint, Outcome>()
  for (const batch of batches) {
    if (!isTransactional(batch.bytes)) continue
    const id = producerId(batch.bytes)
    let outcome = open.get(id)
    if (isControl(batch.bytes)) {
      if (outcome === undefined) continue
      outcome.lastOffset = batch.base
      outcome.aborted = readControlRecord(batch.bytes)?.type === 'abort'
      open.delete(id)
      continue
    }
    if (outcome === undefined) {
      outcome = { firstOffset: batch.base, batches: [], aborted: false }
      outcomes.push(outcome)
      open.set(id, outcome)
    }
    outcome.batches.push(batch)
  }
  return outcomes
}

/** With nothing under way. All that is written counts as committed. */
export async function auditTransactions(log: PartitionLog, model: LogModel, dice: Dice): Promise<void> {
  const { name, logStartOffset: start, writtenOffset: highWatermark } = log
  const outcomes = outcomesOf(model.batches)
  const stable = log.lastStableOffset(highWatermark)
  // Of what was deleted a log may know, from snapshots, but need not.
  let earliest = highWatermark
  let latest = highWatermark
  for (const { firstOffset, lastOffset, batches } of outcomes) {
    if (lastOffset !== undefined && lastOffset < highWatermark) continue
    const visible = batches.find(({ last }) => last >= start)
    earliest = smallest(earliest, firstOffset)
    if (visible !== undefined) latest = smallest(latest, visible.base)
  }
  const atLeast = (offset: bigint) => (offset < start ? start : offset)
  demand(
    stable >= atLeast(earliest) && stable <= atLeast(latest),
    () => `${name} is stable up to ${stable}: ${atLeast(earliest)} to ${atLeast(latest)} was due`,
  )
  const aborted = new Set(outcomes.filter((outcome) => outcome.aborted).flatMap(({ batches }) => batches))
  const expected = model
    .visible(start)
    .filter((batch) => batch.last < stable && !isControl(batch.bytes) && !aborted.has(batch))
    .map(({ base }) => base)
  const found = (await readCommitted(log, 300 + dice.below(3000), highWatermark)).map((batch) => baseOffset(batch))
  demand(
    found.length === expected.length && found.every((base, i) => base === expected[i]),
    () => `${name}: readers of committed records get the batches at ${found.join(' ')}, not those at ${expected.join(' ')}`,
  )
}

const smallest = (a: bigint, b: bigint): bigint => (b < a ? b : a)

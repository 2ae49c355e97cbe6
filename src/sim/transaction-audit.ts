// Holds the transactions of a log against its model: how far readers of committed records see, and which records they get.

import { readCommitted } from '../log/log-fixture.ts'
import type { PartitionLog } from '../log/partition-log.ts'
import { baseOffset, isControl, recordCount } from '../protocol/records/batch-header.ts'
import { demand } from './log-audit.ts'
import type { LogModel, Sequence } from './log-model.ts'
import type { Dice } from './simulation.ts'
import { outcomesOf } from './transaction-outcomes.ts'

/** With nothing under way, and `held` in the log. All that is written counts as committed. */
export async function auditTransactions(log: PartitionLog, model: LogModel, held: Sequence, dice: Dice): Promise<void> {
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
    // Where a cut went behind what compaction had been through, it may not be there any more.
    if (visible !== undefined && !model.loosened) latest = smallest(latest, visible.base)
  }
  const atLeast = (offset: bigint) => (offset < start ? start : offset)
  demand(
    stable >= atLeast(earliest) && stable <= atLeast(latest),
    () => `${name} is stable up to ${stable}: ${atLeast(earliest)} to ${atLeast(latest)} was due`,
  )
  const aborted = new Set(outcomes.filter((outcome) => outcome.aborted).flatMap(({ batches }) => batches.map(({ base }) => base)))
  // Compaction leaves batches without records.
  const expected = held
    .filter(({ bytes, base, last }) => last < stable && !isControl(bytes) && !aborted.has(base) && recordCount(bytes) > 0)
    .map(({ base }) => base)
  const committed = await readCommitted(log, 300 + dice.below(3000), highWatermark)
  const found = committed.filter((batch) => recordCount(batch) > 0).map((batch) => baseOffset(batch))
  demand(
    found.length === expected.length && found.every((base, i) => base === expected[i]),
    () => `${name}: readers of committed records get the batches at ${found.join(' ')}, not those at ${expected.join(' ')}`,
  )
}

const smallest = (a: bigint, b: bigint): bigint => (b < a ? b : a)

// What has become of the transactions in a log, by replaying all there ever was.

import { isControl, isTransactional, producerId } from '../protocol/records/batch-header.ts'
import { readControlRecord } from '../protocol/records/control-record.ts'
import type { ModelBatch, Sequence } from './log-model.ts'

export interface Outcome {
  readonly firstOffset: bigint
  readonly batches: ModelBatch[]
  /** Of the marker; undefined while it is open. */
  lastOffset?: bigint
  aborted: boolean
}

export function outcomesOf(batches: Sequence): Outcome[] {
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

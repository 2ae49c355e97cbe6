// What compaction may have made of a log: of each key the newest record is there, what was aborted need not be, nothing else has
// changed, and what lies above is as it was.

import {
  baseSequence,
  codecId,
  isControl,
  isLogAppendTime,
  isTransactional,
  producerEpoch,
  producerId,
  recordCount,
} from '../protocol/records/batch-header.ts'
import type { KafkaRecord } from '../protocol/records/record.ts'
import { batchFrom, type LogModel, type ModelBatch, recordsOf, type Sequence } from './log-model.ts'
import { outcomesOf } from './transaction-outcomes.ts'

/** Why `found` cannot be what compaction has left of `visible`, a stretch of `whole`; undefined if it can. */
export function compactionProblem(
  model: LogModel,
  found: readonly Buffer[],
  visible: Sequence,
  whole: Sequence,
): string | undefined {
  const { name, compactedBelow } = model
  const matched = match(model, found, visible)
  if (typeof matched === 'string') return matched
  const fates = fatesOf(whole, model.decidedBelow)
  const newest = newestOffsets(whole, compactedBelow, fates)
  for (const batch of visible) {
    const left = matched.get(batch)
    if (left?.bytes.equals(batch.bytes) === true) continue
    if (batch.last >= compactedBelow) return `${name}: the batch at ${batch.base} is not as it was, behind all that is compacted`
    if (isControl(batch.bytes) || model.loosened) continue
    const fate = fates.get(batch)
    if (fate === 'aborted') continue
    const kept = new Set(left === undefined ? [] : recordsOf(left).map(({ offset }) => offset))
    for (const record of recordsOf(batch)) {
      if (kept.has(record.offset) || record.key === null) continue
      if (fate === 'open') return `${name}: the record at ${record.offset} is gone, and its transaction is open`
      const { offset, isTombstone } = newest.get(keyOf(record))!
      if (offset > record.offset) continue
      if (!isTombstone || !model.tombstonesGo) return `${name}: the newest record of a key is gone, at ${record.offset}`
      const outlived = olderOf(record, matched.values())
      if (outlived !== undefined)
        return `${name}: the tombstone at ${record.offset} is gone, and what it deleted is at ${outlived}`
    }
  }
  return undefined
}

/** Why `found` is not made of some of `candidates`, in order; undefined if it is. */
export function derivationProblem(model: LogModel, found: readonly Buffer[], candidates: Sequence): string | undefined {
  const matched = match(model, found, candidates)
  return typeof matched === 'string' ? matched : undefined
}

/** Each of `found` with what it was made from, or what is wrong with it. */
function match(model: LogModel, found: readonly Buffer[], visible: Sequence): Map<ModelBatch, ModelBatch> | string {
  const matched = new Map<ModelBatch, ModelBatch>()
  let i = 0
  for (const bytes of found) {
    const batch = batchFrom(bytes)
    while (i < visible.length && visible[i].base < batch.base) i++
    const original = visible[i]
    if (original === undefined || original.base !== batch.base) {
      return `${model.name}: a batch from ${batch.base} to ${batch.last} is there, which nobody appended`
    }
    i++
    const problem = bytes.equals(original.bytes) ? undefined : differenceOf(batch, original)
    if (problem !== undefined) return `${model.name}: the batch at ${batch.base} has ${problem}`
    matched.set(original, batch)
  }
  return matched
}

const headerFields = { baseSequence, codecId, isControl, isLogAppendTime, isTransactional, producerEpoch, producerId }

/** What compaction has no business to change. */
function differenceOf(left: ModelBatch, original: ModelBatch): string | undefined {
  if (left.last !== original.last || left.epoch !== original.epoch) return 'another end, or another leader epoch'
  for (const [name, read] of Object.entries(headerFields)) {
    // Of nothing, nothing can be compressed.
    if (name === 'codecId' && recordCount(left.bytes) === 0) continue
    if (read(left.bytes) !== read(original.bytes)) return `another ${name}`
  }
  const records = new Map(recordsOf(original).map((record) => [record.offset, record]))
  for (const record of recordsOf(left)) {
    const before = records.get(record.offset)
    if (before === undefined) return `a record at ${record.offset} that was not there`
    if (!sameRecord(record, before)) return `another record at ${record.offset}`
  }
  return undefined
}

function sameRecord(a: KafkaRecord, b: KafkaRecord): boolean {
  return (
    a.timestamp === b.timestamp &&
    sameBytes(a.key, b.key) &&
    sameBytes(a.value, b.value) &&
    a.headers.length === b.headers.length &&
    a.headers.every(({ key, value }, i) => key === b.headers[i].key && sameBytes(value, b.headers[i].value))
  )
}

function sameBytes(a: Buffer | null, b: Buffer | null): boolean {
  return a === null || b === null ? a === b : a.equals(b)
}

type Fate = 'aborted' | 'open'

/** Of batches in transactions, as far as what lies below `limit` decides on them. Those that are not here count. */
function fatesOf(batches: Sequence, limit: bigint): Map<ModelBatch, Fate> {
  const fates = new Map<ModelBatch, Fate>()
  for (const { batches: written, lastOffset, aborted } of outcomesOf(batches)) {
    const ended = lastOffset !== undefined && lastOffset < limit
    if (!ended || aborted) for (const batch of written) fates.set(batch, ended ? 'aborted' : 'open')
  }
  return fates
}

interface Newest {
  readonly offset: bigint
  readonly isTombstone: boolean
}

/** By key, of the records that count. */
function newestOffsets(batches: Sequence, limit: bigint, fates: ReadonlyMap<ModelBatch, Fate>): Map<string, Newest> {
  const newest = new Map<string, Newest>()
  for (const batch of batches) {
    if (batch.last >= limit || isControl(batch.bytes) || fates.has(batch)) continue
    for (const record of recordsOf(batch)) {
      if (record.key === null) continue
      newest.set(keyOf(record), { offset: record.offset, isTombstone: record.value === null })
    }
  }
  return newest
}

function olderOf({ key, offset }: KafkaRecord, batches: Iterable<ModelBatch>): bigint | undefined {
  for (const batch of batches) {
    for (const record of recordsOf(batch)) {
      if (record.offset < offset && record.key !== null && record.key.equals(key!) && record.value !== null) return record.offset
    }
  }
  return undefined
}

/** Below what the log calls clean, each key stands once. Why that is not so; undefined if it is. */
export function uncleanliness(model: LogModel, held: Sequence, start: bigint, cleanedOffset: bigint): string | undefined {
  if (model.loosened) return undefined
  const fates = fatesOf(model.batches, model.decidedBelow)
  const bases = new Map(model.batches.map((batch) => [batch.base, fates.get(batch)]))
  const seen = new Map<string, bigint>()
  for (const batch of held) {
    if (batch.last >= cleanedOffset) break
    if (isControl(batch.bytes)) continue
    for (const record of recordsOf(batch)) {
      if (bases.get(batch.base) === 'aborted')
        return `${model.name}: aborted records are left at ${batch.base}, below ${cleanedOffset}`
      if (record.key === null || record.offset < start) continue
      const before = seen.get(keyOf(record))
      if (before !== undefined) {
        return `${model.name}: ${cleanedOffset} is said to be clean, and a key is there at ${before} and at ${record.offset}`
      }
      seen.set(keyOf(record), record.offset)
    }
  }
  return undefined
}

const keyOf = ({ key }: KafkaRecord): string => key!.toString('latin1')

// Judges a history: the method of Jepsen's kafka workload. Pure: operations in, anomalies out.

import type { History, Isolation, Key, Operation, Read, Send } from './history.ts'
import { cycles } from './strong-components.ts'

export type AnomalyName =
  /** Two values at one offset. */
  | 'inconsistent-offsets'
  /** One value at two offsets. */
  | 'duplicate'
  /** Acknowledged, and not there in the end. */
  | 'lost-write'
  /** Read by somebody, and not there in the end. */
  | 'vanished-read'
  /** Read as committed, though its transaction was aborted. */
  | 'aborted-read'
  /** Read as committed before its transaction had even been asked to commit. */
  | 'precommitted-read'
  /** A part of a transaction is there in the end, another is not. */
  | 'torn-transaction'
  /** A reader passed over a record. `int-`: within one poll. */
  | 'poll-skip'
  | 'int-poll-skip'
  /** A reader saw an offset again, or one before. */
  | 'nonmonotonic-poll'
  | 'int-nonmonotonic-poll'
  /** Of two records that one producer sent, the second is in front of the first. */
  | 'nonmonotonic-send'
  /** Transactions that have each read what a later one wrote. */
  | 'G1c'
  /** A value was copied twice, or never, by transactions that commit their positions. */
  | 'copied-twice'
  | 'not-copied'
  /** A group went on from before a position whose commit was acknowledged. */
  | 'lost-position'

export interface Anomaly {
  readonly name: AnomalyName
  readonly detail: string
}

/** Of everything that the history shows to be wrong, in no particular order; empty: it is as it should be. */
export function check(history: History): Anomaly[] {
  return [
    ...inconsistentOffsets(history),
    ...duplicates(history),
    ...lostWrites(history),
    ...vanishedReads(history),
    ...abortedReads(history),
    ...precommittedReads(history),
    ...tornTransactions(history),
    ...pollOrder(history),
    ...sendOrder(history),
    ...circularTransactions(history),
    ...copies(history),
    ...lostPositions(history),
  ]
}

/** Of which a history shows one partition at least: those that an acknowledgement or a read tells. */
function* placed({ operations, final }: History): Generator<Read & { readonly who: string }> {
  for (const { process, sends = [], reads = [] } of operations) {
    for (const { key, value, offset } of sends) if (offset !== null) yield { key, value, offset, who: `${process} (sent)` }
    for (const read of reads) yield { ...read, who: process }
  }
  for (const isolation of ISOLATIONS) for (const read of final[isolation]) yield { ...read, who: `final ${isolation}` }
}

const ISOLATIONS: readonly Isolation[] = ['read_committed', 'read_uncommitted']

function* inconsistentOffsets(history: History): Generator<Anomaly> {
  const first = new Map<string, Read & { readonly who: string }>()
  const told = new Set<string>()
  for (const seen of placed(history)) {
    const place = `${seen.key}@${seen.offset}`
    const other = first.get(place)
    if (other === undefined) first.set(place, seen)
    else if (other.value !== seen.value && !told.has(place)) {
      told.add(place)
      yield { name: 'inconsistent-offsets', detail: `${place} is ${other.value} for ${other.who}, ${seen.value} for ${seen.who}` }
    }
  }
}

function* duplicates(history: History): Generator<Anomaly> {
  const places = new Map<string, Set<string>>()
  for (const { key, value, offset } of placed(history)) {
    const known = places.get(value) ?? new Set()
    places.set(value, known.add(`${key}@${offset}`))
  }
  for (const [value, at] of places)
    if (at.size > 1) yield { name: 'duplicate', detail: `${value} is at ${[...at].join(' and ')}` }
}

function* lostWrites({ operations, final }: History): Generator<Anomaly> {
  const kept = valuesOf(final.read_committed)
  for (const { process, type, end, sends = [] } of operations) {
    if (type !== 'ok') continue
    for (const { key, value, offset } of sends)
      if (!kept.has(value))
        yield { name: 'lost-write', detail: `${value}, acknowledged to ${process} at ${place(key, offset)} (${at(end)})` }
  }
}

function* vanishedReads({ operations, final }: History): Generator<Anomaly> {
  const kept = { read_committed: valuesOf(final.read_committed), read_uncommitted: valuesOf(final.read_uncommitted) }
  for (const { process, end, reads = [], isolation = 'read_uncommitted' } of operations)
    for (const { key, offset, value } of reads)
      if (!kept[isolation].has(value))
        yield {
          name: 'vanished-read',
          detail: `${value}, read by ${process} (${isolation}) at ${place(key, offset)} (${at(end)})`,
        }
}

function* abortedReads({ operations, final }: History): Generator<Anomaly> {
  const aborted = new Map<string, Operation>()
  for (const operation of operations)
    if (operation.type === 'fail') for (const { value } of operation.sends ?? []) aborted.set(value, operation)
  const judge = function* (who: string, reads: readonly Read[]): Generator<Anomaly> {
    for (const { key, offset, value } of reads) {
      const writer = aborted.get(value)
      if (writer !== undefined)
        yield { name: 'aborted-read', detail: `${value} of ${writer.process}, read by ${who} at ${place(key, offset)}` }
    }
  }
  for (const { process, reads = [], isolation } of operations) if (isolation === 'read_committed') yield* judge(process, reads)
  yield* judge('the final read', final.read_committed)
}

/** By its own transaction, or by anybody who ended reading before it began. */
function* precommittedReads({ operations }: History): Generator<Anomaly> {
  const writers = writersOf(operations)
  for (const reader of operations) {
    if (reader.isolation !== 'read_committed') continue
    for (const { value, key, offset } of reader.reads ?? []) {
      const writer = writers.get(value)
      if (writer?.f === 'txn' && (writer === reader || writer.start > reader.end))
        yield {
          name: 'precommitted-read',
          detail: `${value} of ${writer.process}, read by ${reader.process} at ${place(key, offset)}`,
        }
    }
  }
}

function* tornTransactions({ operations, final }: History): Generator<Anomaly> {
  const kept = valuesOf(final.read_committed)
  for (const { process, f, type, sends = [] } of operations) {
    if (f !== 'txn') continue
    const there = sends.filter(({ value }) => kept.has(value))
    if (there.length === 0 || there.length === sends.length) continue
    const gone = sends.filter(({ value }) => !kept.has(value))
    yield { name: 'torn-transaction', detail: `of ${process} (${type}): ${list(there)} are there, ${list(gone)} are not` }
  }
}

function* pollOrder({ operations, final }: History): Generator<Anomaly> {
  const indexes = { read_committed: denseIndex(final.read_committed), read_uncommitted: denseIndex(final.read_uncommitted) }
  /** By process and key. */
  const last = new Map<string, Map<Key, { read: Read; operation: Operation }>>()
  for (const operation of inOrder(operations)) {
    const { process, f, isolation = 'read_uncommitted', reads = [] } = operation
    if (f === 'assign') last.delete(process)
    if (reads.length === 0) continue
    const seen = last.get(process) ?? new Map<Key, { read: Read; operation: Operation }>()
    last.set(process, seen)
    for (const read of reads) {
      const before = seen.get(read.key)
      seen.set(read.key, { read, operation })
      if (before === undefined) continue
      const inside = before.operation === operation ? 'int-' : ''
      const detail = `${process}: ${place(read.key, before.read.offset)}, then ${read.offset} (${at(operation.end)})`
      if (read.offset <= before.read.offset) {
        yield { name: `${inside}nonmonotonic-poll`, detail }
        continue
      }
      const from = indexes[isolation].get(place(read.key, before.read.offset))
      const to = indexes[isolation].get(place(read.key, read.offset))
      // Where one of them is gone, that is told already.
      if (from !== undefined && to !== undefined && to !== from + 1)
        yield { name: `${inside}poll-skip`, detail: `${detail}: ${to - from - 1} passed over` }
    }
  }
}

function* sendOrder({ operations }: History): Generator<Anomaly> {
  const last = new Map<string, Send>()
  for (const { process, type, sends = [] } of operations) {
    if (type !== 'ok') continue
    for (const send of sends) {
      if (send.offset === null) continue
      const line = `${process} ${send.key}`
      const before = last.get(line)
      if (before !== undefined && before.offset! >= send.offset)
        yield {
          name: 'nonmonotonic-send',
          detail: `${process}: ${before.value} at ${before.offset}, then ${send.value} at ${send.offset} of ${send.key}`,
        }
      last.set(line, send)
    }
  }
}

/** Edges: a transaction read what another wrote; a process ran one after the other. Write order alone is not Kafka's promise. */
function* circularTransactions({ operations }: History): Generator<Anomaly> {
  const writers = writersOf(operations)
  const edges = new Map<Operation, Set<Operation>>()
  const add = (from: Operation, to: Operation) => edges.set(from, (edges.get(from) ?? new Set()).add(to))
  const previous = new Map<string, Operation>()
  for (const operation of operations) {
    if (operation.f !== 'txn') continue
    const before = previous.get(operation.process)
    if (before !== undefined) add(before, operation)
    previous.set(operation.process, operation)
    for (const { value } of operation.reads ?? []) {
      const writer = writers.get(value)
      if (writer?.f === 'txn' && writer !== operation) add(writer, operation)
    }
  }
  for (const cycle of cycles(edges))
    yield { name: 'G1c', detail: cycle.map(({ process, start }) => `${process} (${at(start)})`).join(' → ') }
}

function* copies({ operations, final }: History): Generator<Anomaly> {
  const copied = new Map<string, string[]>()
  const kept = valuesOf(final.read_committed)
  const sources = new Set<string>()
  for (const { sends = [], reads = [], process } of operations) {
    if (sends.some(({ copyOf }) => copyOf !== undefined)) for (const { key } of reads) sources.add(key)
    for (const { value, copyOf } of sends) {
      if (copyOf === undefined || !kept.has(value)) continue
      copied.set(copyOf, [...(copied.get(copyOf) ?? []), `${value} by ${process}`])
    }
  }
  for (const [source, by] of copied)
    if (by.length > 1) yield { name: 'copied-twice', detail: `${source}: as ${by.join(' and ')}` }
  for (const { key, value, offset } of final.read_committed)
    if (sources.has(key) && !copied.has(value)) yield { name: 'not-copied', detail: `${value} at ${place(key, offset)}` }
}

/** Only what had been acknowledged before the member asked counts; who asked earlier may have been told either. */
function* lostPositions({ operations }: History): Generator<Anomaly> {
  const commits = operations.filter(({ f, type }) => f === 'commit' && type === 'ok')
  for (const { f, process, group, start, positions = [] } of operations) {
    if (f !== 'resume') continue
    const known = new Map<Key, number>()
    for (const commit of commits) {
      if (commit.group !== group || commit.end >= start) continue
      for (const { key, offset } of commit.positions ?? []) known.set(key, Math.max(known.get(key) ?? 0, offset))
    }
    for (const { key, offset } of positions) {
      const committed = known.get(key)
      if (committed !== undefined && offset < committed)
        yield {
          name: 'lost-position',
          detail: `${process} of ${group} went on from ${place(key, offset)} (${at(start)}), though ${committed} was committed`,
        }
    }
  }
}

function writersOf(operations: readonly Operation[]): Map<string, Operation> {
  const writers = new Map<string, Operation>()
  for (const operation of operations) for (const { value } of operation.sends ?? []) writers.set(value, operation)
  return writers
}

/** The place of each record among those that there are: control records and aborted ones leave holes in the offsets. */
function denseIndex(reads: readonly Read[]): Map<string, number> {
  const index = new Map<string, number>()
  for (const [key, of] of Map.groupBy(reads, (read) => read.key)) {
    const offsets = [...new Set(of.map(({ offset }) => offset))].sort((a, b) => a - b)
    for (const [i, offset] of offsets.entries()) index.set(place(key, offset), i)
  }
  return index
}

function inOrder(operations: readonly Operation[]): Operation[] {
  return [...operations].sort((a, b) => a.start - b.start)
}

const valuesOf = (reads: readonly Read[]): Set<string> => new Set(reads.map(({ value }) => value))
const place = (key: Key, offset: number | null): string => `${key}@${offset ?? '?'}`
const at = (ms: number): string => `${(ms / 1000).toFixed(3)} s`
const list = (sends: readonly Send[]): string => sends.map(({ key, value }) => `${value} (${key})`).join(', ')

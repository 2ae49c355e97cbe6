// What one log must hold, told as plainly as it can be: a list of batches, where it starts, and what may have become of it
// when a process or the power ended in the middle of something.

import type { ErrorName } from '../protocol/error-codes.ts'
import {
  baseOffset,
  baseSequence,
  isControl,
  lastOffset,
  leaderEpoch,
  producerEpoch,
  producerId,
  stampLogAppendTime,
  stampOffsetAndEpoch,
} from '../protocol/records/batch-header.ts'
import type { KafkaRecord } from '../protocol/records/record.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'

export interface ModelBatch {
  /** As the log must give it back. */
  readonly bytes: Buffer
  readonly base: bigint
  readonly last: bigint
  readonly epoch: number
}

/** A batch as it was found, or is to be copied. */
export function batchFrom(bytes: Buffer): ModelBatch {
  return { bytes, base: baseOffset(bytes), last: lastOffset(bytes), epoch: leaderEpoch(bytes) }
}

export interface ModelProducer {
  epoch: number
  /** Whatever it was. */
  newest: ModelBatch
  /** The newest five of this epoch. */
  batches: { readonly first: number; readonly last: number; readonly batch: ModelBatch }[]
}

/** What a log must answer to a batch of an idempotent producer. */
export type Verdict = 'append' | 'unsure' | { readonly duplicateOf: ModelBatch; readonly forgotten: boolean } | ErrorName

/** Batches in a row. */
export type Sequence = readonly ModelBatch[]

export class LogModel {
  readonly topic: string
  readonly partition: number
  readonly topicId: string
  /** All that was appended and not cut off again, deleted or not. */
  batches: Sequence = []
  end = 0n
  /** Where it may end instead, while a cut is under way: the batch that holds the place may have been compacted away. */
  latestEnd = 0n
  /** What must have been deleted, and what may have been: a deletion that was not confirmed is done or not. */
  start = 0n
  startLimit = 0n
  /** What the files may hold instead, while a cut is under way. */
  other: Sequence | undefined
  private otherEnd = 0n
  /** It is being emptied: any stretch of `other` may be left. */
  emptying = false
  /** What the log claimed when its process ended: to have on the disk, and in the files. */
  flushed = 0n
  written = 0n
  epoch = 0
  /** Compaction may have been here: below this offset, each key is there with its newest record, of the others nothing is known. */
  compactedBelow = 0n
  /** Compaction may go by what is committed up to here. */
  decidedBelow = 0n
  /** Records without a value may have gone after their time. */
  tombstonesGo = false
  /** The log was cut where it had been compacted already: what outdated a record may have gone after it. */
  loosened = false
  /** All producers that have ever written here. */
  readonly writers = new Set<bigint>()
  /** Producers of whom nothing need be known until they write again. */
  private readonly doubted = new Set<bigint>()
  /** Of producers that have not written since, nothing need be known: they may have expired. */
  expiredBelow = 0n

  constructor(topic: string, partition: number, topicId: string) {
    this.topic = topic
    this.partition = partition
    this.topicId = topicId
  }

  get name(): string {
    return `${this.topic}-${this.partition}`
  }

  append(produced: Buffer, base: bigint, logAppendTimeMs: bigint): void {
    const bytes = Buffer.from(produced)
    stampOffsetAndEpoch(bytes, 0, base, this.epoch)
    if (logAppendTimeMs >= 0n) stampLogAppendTime(bytes, 0, logAppendTimeMs)
    this.copy(bytes)
  }

  /** At the offset that it has, which may leave a hole. */
  copy(bytes: Buffer): void {
    const batch = batchFrom(bytes)
    this.batches = [...this.batches, batch]
    this.end = batch.last + 1n
    this.latestEnd = this.end
    this.other = undefined
    this.emptying = false
    this.doubted.delete(producerId(bytes))
    this.writers.add(producerId(bytes))
  }

  /** The log goes on in front of the batch that holds `offset`. What comes behind may be in the files until that is confirmed. */
  cutTo(offset: bigint): void {
    if (offset >= this.end) return
    const kept = this.batches.filter(({ last }) => last < offset)
    const cut = this.batches[kept.length]
    this.doubt(this.batches.slice(kept.length))
    this.supersede()
    this.batches = kept
    this.end = cut !== undefined && cut.base < offset ? cut.base : offset
    this.latestEnd = this.compactedBelow > 0n ? offset : this.end
    if (this.start > this.end) this.start = this.end
    if (offset < this.decidedBelow) this.loosened = true
  }

  /** The log goes on at `offset`. Any of what it held may be in the files until that is confirmed. */
  empty(offset: bigint): void {
    this.supersede()
    this.emptying = true
    this.batches = []
    this.end = offset
    this.latestEnd = offset
    this.start = offset
    this.startLimit = offset
  }

  private supersede(): void {
    if (this.other !== undefined) return
    this.other = this.batches
    this.otherEnd = this.end
  }

  /** What `lost` had made superfluous of its producers may have been compacted away. */
  private doubt(lost: Sequence): void {
    if (this.compactedBelow > 0n) for (const { bytes } of lost) this.doubted.add(producerId(bytes))
  }

  /** A process comes up with `kept` of one of the sequences. */
  adopt(kept: Sequence, start: bigint, end: bigint): void {
    this.doubt([...this.batches, ...(this.other ?? [])].filter((batch) => !kept.includes(batch)))
    // Snapshots may be left without what they are about.
    if (this.emptying) for (const id of this.writers) this.doubted.add(id)
    this.batches = kept
    this.confirmCut(end)
    this.start = start
    this.startLimit = start
  }

  /** Where the log may end at the most that has `kept` of `sequence`: in front of the next batch, which may leave a hole. */
  endLimit(sequence: Sequence, kept: Sequence): bigint {
    return sequence[kept.length]?.base ?? (sequence === this.batches ? this.latestEnd : this.otherEnd)
  }

  /** What was cut off, or all, is gone for good: the log ends at `end`. */
  confirmCut(end: bigint): void {
    this.other = undefined
    this.emptying = false
    this.end = end
    this.latestEnd = end
    if (this.compactedBelow > end) this.compactedBelow = end
    if (this.decidedBelow > end) this.decidedBelow = end
    if (this.batches.length === 0) this.loosened = false
  }

  /** Behind the last of its batches. */
  get lastEnd(): bigint {
    return this.batches.at(-1) === undefined ? 0n : this.batches.at(-1)!.last + 1n
  }

  /** The power has gone. */
  losePower(): void {
    this.written = this.flushed
  }

  /** What begins at or behind the start, whole or in part. */
  visible(start: bigint, batches: Sequence = this.batches): Sequence {
    return batches.filter(({ last }) => last >= start)
  }

  // ── producers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** By replaying all there ever was. */
  producers(): Map<bigint, ModelProducer> {
    const producers = new Map<bigint, ModelProducer>()
    for (const batch of this.batches) {
      const id = producerId(batch.bytes)
      if (id < 0n) continue
      const epoch = producerEpoch(batch.bytes)
      let producer = producers.get(id)
      if (producer?.epoch !== epoch) {
        producer = { epoch, newest: batch, batches: [] }
        producers.set(id, producer)
      }
      producer.newest = batch
      if (isControl(batch.bytes)) continue
      const first = baseSequence(batch.bytes)
      producer.batches.push({ first, last: first + Number(batch.last - batch.base), batch })
      if (producer.batches.length > 5) producer.batches.shift()
    }
    return producers
  }

  judge(known: ModelProducer | undefined, epoch: number, first: number, last: number, start: bigint): Verdict {
    if (known === undefined) return 'append'
    const newest = known.batches.at(-1)!
    if (!this.mustKnow(known, start)) return 'unsure'
    // Of several batches of a producer compaction leaves one.
    const deleted = ({ batch }: { batch: ModelBatch }) =>
      this.isGone(batch, start) || batch.last < this.compactedBelow || batch.base < this.expiredBelow
    if (epoch < known.epoch) return 'INVALID_PRODUCER_EPOCH'
    if (epoch > known.epoch) return first === 0 ? 'append' : 'OUT_OF_ORDER_SEQUENCE_NUMBER'
    const again = known.batches.findLast((batch) => batch.first === first && batch.last === last)
    if (again !== undefined) return { duplicateOf: again.batch, forgotten: deleted(again) }
    return first === newest.last + 1 ? 'append' : 'OUT_OF_ORDER_SEQUENCE_NUMBER'
  }

  /** Of what was deleted a log may know, from snapshots, but need not. */
  private isGone({ base }: ModelBatch, start: bigint): boolean {
    return base < start || base < this.startLimit
  }

  isDoubted(id: bigint): boolean {
    return this.doubted.has(id)
  }

  /** Whether a log that starts at `start` must know where this producer stands. */
  mustKnow({ newest }: ModelProducer, start: bigint): boolean {
    if (this.doubted.has(producerId(newest.bytes))) return false
    return !this.isGone(newest, start) && newest.base >= this.expiredBelow && !this.loosened
  }

  // ── what reads and look-ups must answer ───────────────────────────────────────────────────────────────────────────

  /** Where an epoch that has batches ended: with its last batch, or further on, in front of the next one. */
  endOfEpoch(epoch: number): readonly [earliest: bigint, latest: bigint] {
    const next = this.batches.findIndex((batch) => batch.epoch > epoch)
    if (next === -1) return [this.end, this.end]
    return [next === 0 ? 0n : this.batches[next - 1].last + 1n, this.batches[next].base]
  }
}

const decoded = new WeakMap<ModelBatch, readonly KafkaRecord[]>()

export function recordsOf(batch: ModelBatch): readonly KafkaRecord[] {
  let records = decoded.get(batch)
  if (records === undefined) {
    records = [...decodeRecords(batch.bytes)]
    decoded.set(batch, records)
  }
  return records
}

/** The first record that is as new as `timestamp`, below `limit`. */
export function offsetForTimestamp(batches: Sequence, timestamp: bigint, start: bigint, limit: bigint): bigint | undefined {
  for (const record of recordsBetween(batches, start, limit)) if (record.timestamp >= timestamp) return record.offset
  return undefined
}

export function newestRecord(batches: Sequence, start: bigint, limit: bigint): KafkaRecord | undefined {
  let newest: KafkaRecord | undefined
  for (const record of recordsBetween(batches, start, limit)) {
    if (newest === undefined || record.timestamp > newest.timestamp) newest = record
  }
  return newest
}

function* recordsBetween(batches: Sequence, start: bigint, limit: bigint): Generator<KafkaRecord> {
  for (const batch of batches) {
    if (batch.last >= limit) return
    for (const record of recordsOf(batch)) if (record.offset >= start) yield record
  }
}

// What one log must hold, told as plainly as it can be: a list of batches, where it starts, and what may have become of it
// when a process or the power ended in the middle of something.

import type { ErrorName } from '../protocol/error-codes.ts'
import {
  baseSequence,
  producerEpoch,
  producerId,
  stampLogAppendTime,
  stampOffsetAndEpoch,
} from '../protocol/records/batch-header.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'

export interface ModelBatch {
  /** As the log must give it back. */
  readonly bytes: Buffer
  readonly base: bigint
  readonly last: bigint
  readonly epoch: number
}

interface ModelProducer {
  epoch: number
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
  /** What must have been deleted, and what may have been: a deletion that was not confirmed is done or not. */
  start = 0n
  startLimit = 0n
  /** What the files may hold instead, while a cut is under way. */
  other: Sequence | undefined
  /** What the log claimed when its process ended: to have on the disk, and in the files. */
  flushed = 0n
  written = 0n
  epoch = 0

  constructor(topic: string, partition: number, topicId: string) {
    this.topic = topic
    this.partition = partition
    this.topicId = topicId
  }

  get name(): string {
    return `${this.topic}-${this.partition}`
  }

  append(produced: Buffer, base: bigint, records: number, logAppendTimeMs: bigint): void {
    const bytes = Buffer.from(produced)
    stampOffsetAndEpoch(bytes, 0, base, this.epoch)
    if (logAppendTimeMs >= 0n) stampLogAppendTime(bytes, 0, logAppendTimeMs)
    const last = base + BigInt(records) - 1n
    this.batches = [...this.batches, { bytes, base, last, epoch: this.epoch }]
    this.end = last + 1n
    this.other = undefined
  }

  /** The log goes on in front of the batch that holds `offset`. What comes behind may be in the files until that is confirmed. */
  cutTo(offset: bigint): void {
    const kept = this.batches.filter(({ last }) => last < offset)
    if (kept.length === this.batches.length) return
    this.other ??= this.batches
    this.batches = kept
    this.end = kept.at(-1) === undefined ? 0n : kept.at(-1)!.last + 1n
    if (this.start > this.end) this.start = this.end
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
        producer = { epoch, batches: [] }
        producers.set(id, producer)
      }
      const first = baseSequence(batch.bytes)
      producer.batches.push({ first, last: first + Number(batch.last - batch.base), batch })
      if (producer.batches.length > 5) producer.batches.shift()
    }
    return producers
  }

  judge(known: ModelProducer | undefined, epoch: number, first: number, last: number, start: bigint): Verdict {
    if (known === undefined) return 'append'
    const newest = known.batches.at(-1)!
    // Of what was deleted a log may know, from snapshots, but need not.
    const deleted = ({ batch }: { batch: ModelBatch }) => batch.base < start || batch.base < this.startLimit
    if (deleted(newest)) return 'unsure'
    if (epoch < known.epoch) return 'INVALID_PRODUCER_EPOCH'
    if (epoch > known.epoch) return first === 0 ? 'append' : 'OUT_OF_ORDER_SEQUENCE_NUMBER'
    const again = known.batches.findLast((batch) => batch.first === first && batch.last === last)
    if (again !== undefined) return { duplicateOf: again.batch, forgotten: deleted(again) }
    return first === newest.last + 1 ? 'append' : 'OUT_OF_ORDER_SEQUENCE_NUMBER'
  }

  // ── what reads and look-ups must answer ───────────────────────────────────────────────────────────────────────────

  /** The first record that is as new as `timestamp`, below `limit`. */
  offsetForTimestamp(timestamp: bigint, start: bigint, limit: bigint): bigint | undefined {
    for (const record of this.records(start, limit)) if (record.timestamp >= timestamp) return record.offset
    return undefined
  }

  newestRecord(start: bigint, limit: bigint): { offset: bigint; timestamp: bigint } | undefined {
    let newest: { offset: bigint; timestamp: bigint } | undefined
    for (const record of this.records(start, limit)) {
      if (newest === undefined || record.timestamp > newest.timestamp) newest = record
    }
    return newest
  }

  private *records(start: bigint, limit: bigint): Generator<{ offset: bigint; timestamp: bigint }> {
    for (const { bytes, last } of this.visible(start)) {
      if (last >= limit) return
      for (const { offset, timestamp } of decodeRecords(bytes)) if (offset >= start) yield { offset, timestamp }
    }
  }

  /** Where an epoch that has batches ended. */
  endOfEpoch(epoch: number): bigint {
    return this.batches.find((batch) => batch.epoch > epoch)?.base ?? this.end
  }
}

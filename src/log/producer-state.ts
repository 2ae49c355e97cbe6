// What a log knows of the producers that write to it idempotently (KIP-98): enough to tell the next batch of each from a
// repeated one and from one that follows a gap. Derived from the log; snapshots of it only save a replay.

import { KafkaError } from '../protocol/error-codes.ts'
import {
  baseOffset,
  baseSequence,
  isControl,
  isTransactional,
  lastOffset,
  lastOffsetDelta,
  maxTimestamp,
  NO_SEQUENCE,
  producerEpoch,
  producerId,
} from '../protocol/records/batch-header.ts'

/** A client may have five requests on the way (max.in.flight.requests.per.connection), and repeat any of them. */
export const REMEMBERED_BATCHES = 5

const INT32_MAX = 0x7fffffff

export interface ProducedBatch {
  readonly lastSequence: number
  readonly lastOffset: bigint
  /** Last minus first, of sequence numbers and offsets alike. */
  readonly offsetDelta: number
  readonly timestamp: bigint
}

export interface ProducerEntry {
  epoch: number
  /** Oldest first, `REMEMBERED_BATCHES` at most. Empty if only a transaction's end was written in this epoch. */
  batches: ProducedBatch[]
  coordinatorEpoch: number
  /** -1: no transaction is open. */
  transactionFirstOffset: bigint
  /** Wall time of the last append, or of loading. */
  lastSeenMs: number
}

export interface Duplicate {
  readonly firstOffset: bigint
  readonly lastOffset: bigint
  readonly timestamp: bigint
}

/** Sequence numbers go from 2^31 - 1 on to 0. */
export function addToSequence(sequence: number, delta: number): number {
  return sequence > INT32_MAX - delta ? delta - (INT32_MAX - sequence) - 1 : sequence + delta
}

export class ProducerState {
  private readonly entries = new Map<bigint, ProducerEntry>()

  get size(): number {
    return this.entries.size
  }

  [Symbol.iterator](): IterableIterator<[bigint, ProducerEntry]> {
    return this.entries.entries()
  }

  /**
   * Whether a produced batch may be appended; its earlier self, if it is a repetition. Batches without a producer id always may.
   * Throws KafkaError: INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER.
   */
  check(batch: Buffer, at: number): Duplicate | undefined {
    const id = producerId(batch, at)
    if (id < 0n) return undefined
    const entry = this.entries.get(id)
    // Never heard of, or expired: it may go on with any number.
    if (entry === undefined) return undefined
    const epoch = producerEpoch(batch, at)
    const first = baseSequence(batch, at)
    if (epoch === entry.epoch) {
      const last = addToSequence(first, lastOffsetDelta(batch, at))
      for (const known of entry.batches) {
        if (known.lastSequence !== last || known.offsetDelta !== lastOffsetDelta(batch, at)) continue
        return {
          firstOffset: known.lastOffset - BigInt(known.offsetDelta),
          lastOffset: known.lastOffset,
          timestamp: known.timestamp,
        }
      }
    }
    if (epoch < entry.epoch) {
      throw new KafkaError('INVALID_PRODUCER_EPOCH', `producer ${id} writes in epoch ${epoch}, it is in epoch ${entry.epoch}`)
    }
    const previous = epoch === entry.epoch ? (entry.batches.at(-1)?.lastSequence ?? NO_SEQUENCE) : NO_SEQUENCE
    const expected = previous === NO_SEQUENCE ? 0 : addToSequence(previous, 1)
    if (first !== expected) {
      throw new KafkaError(
        'OUT_OF_ORDER_SEQUENCE_NUMBER',
        `producer ${id} in epoch ${epoch} sent sequence number ${first}, ${expected} comes next`,
      )
    }
    return undefined
  }

  /** A batch has its place in the log: takes note of it. Also replays what a log holds. */
  update(batch: Buffer, at: number, nowMs: number): void {
    const id = producerId(batch, at)
    if (id < 0n) return
    const epoch = producerEpoch(batch, at)
    let entry = this.entries.get(id)
    if (entry === undefined) {
      entry = { epoch, batches: [], coordinatorEpoch: -1, transactionFirstOffset: -1n, lastSeenMs: nowMs }
      this.entries.set(id, entry)
    }
    if (entry.epoch !== epoch) {
      entry.epoch = epoch
      entry.batches = []
    }
    entry.lastSeenMs = nowMs
    if (isControl(batch, at)) {
      entry.transactionFirstOffset = -1n
      return
    }
    if (isTransactional(batch, at) && entry.transactionFirstOffset === -1n) entry.transactionFirstOffset = baseOffset(batch, at)
    const first = baseSequence(batch, at)
    if (first === NO_SEQUENCE) return
    const delta = lastOffsetDelta(batch, at)
    if (entry.batches.length === REMEMBERED_BATCHES) entry.batches.shift()
    entry.batches.push({
      lastSequence: addToSequence(first, delta),
      lastOffset: lastOffset(batch, at),
      offsetDelta: delta,
      timestamp: maxTimestamp(batch, at),
    })
  }

  /** Whether the producer has a transaction open that it began in this epoch. */
  hasOngoingTransaction(id: bigint, epoch: number): boolean {
    const entry = this.entries.get(id)
    return entry !== undefined && entry.epoch === epoch && entry.transactionFirstOffset !== -1n
  }

  /** Of the last batch that the producer has written; undefined if none is known. */
  lastOffset(id: bigint): bigint | undefined {
    return this.entries.get(id)?.batches.at(-1)?.lastOffset
  }

  put(id: bigint, entry: ProducerEntry): void {
    this.entries.set(id, entry)
  }

  clear(): void {
    this.entries.clear()
  }

  /** Forgets producers silent for `expirationMs`, unless they have a transaction open. */
  expire(nowMs: number, expirationMs: number): void {
    for (const [id, entry] of this.entries) {
      if (entry.transactionFirstOffset === -1n && nowMs - entry.lastSeenMs >= expirationMs) this.entries.delete(id)
    }
  }
}

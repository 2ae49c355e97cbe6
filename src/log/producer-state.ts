// What a log knows of the producers that write to it idempotently or in transactions (KIP-98): enough to tell the next batch of
// each from a repeated one and from one that follows a gap, and which transactions are open. Derived from the log; snapshots of it
// only save a replay.

import { DecodeError } from '../bytes/reader.ts'
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
import { type ControlRecord, readControlRecord } from '../protocol/records/control-record.ts'
import type { AbortedTransaction } from './aborted-index.ts'
import { OpenTransactions } from './open-transactions.ts'

/** A client may have five requests on the way (max.in.flight.requests.per.connection), and repeat any of them. */
export const REMEMBERED_BATCHES = 5

const INT32_MAX = 0x7fffffff
/** No offset, no timestamp. */
const NONE = -1n

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
  /** Of the coordinator that wrote the last marker. -1: none has. */
  coordinatorEpoch: number
  /** -1: no transaction is open. Says the same as `ProducerState.transactions`. */
  transactionFirstOffset: bigint
  /** Of the newest record of the last batch, or of the last marker. */
  lastTimestamp: bigint
  /** Wall time of the last append, or of loading. */
  lastSeenMs: number
}

/** As DescribeProducers tells it. */
export interface ActiveProducer {
  readonly producerId: bigint
  readonly producerEpoch: number
  /** -1: none in this epoch. */
  readonly lastSequence: number
  readonly lastTimestamp: bigint
  readonly coordinatorEpoch: number
  readonly currentTxnStartOffset: bigint
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
  readonly transactions = new OpenTransactions()
  private readonly entries: Map<bigint, ProducerEntry>

  constructor(entries = new Map<bigint, ProducerEntry>()) {
    this.entries = entries
    const open = [...entries].filter(([, { transactionFirstOffset }]) => transactionFirstOffset !== NONE)
    this.transactions.restore(open.map(([id, { transactionFirstOffset }]) => [id, transactionFirstOffset]))
  }

  get size(): number {
    return this.entries.size
  }

  /** Whether any producer that is known has ended a transaction. */
  get hasEnded(): boolean {
    for (const { coordinatorEpoch } of this.entries.values()) if (coordinatorEpoch >= 0) return true
    return false
  }

  [Symbol.iterator](): IterableIterator<[bigint, ProducerEntry]> {
    return this.entries.entries()
  }

  /**
   * Whether a produced batch may be appended; its earlier self, if it is a repetition. Batches without a producer id always may.
   * By the rules of transaction version 2 a producer that is not known begins at sequence number 0 (KIP-890).
   * Throws KafkaError: INVALID_PRODUCER_EPOCH, OUT_OF_ORDER_SEQUENCE_NUMBER, INVALID_TXN_STATE.
   */
  check(batch: Buffer, at: number, transactionVersion = 0): Duplicate | undefined {
    const id = producerId(batch, at)
    if (id < 0n) return undefined
    const epoch = producerEpoch(batch, at)
    const first = baseSequence(batch, at)
    const entry = this.entries.get(id)
    if (entry === undefined) {
      // Never heard of, or expired: as a rule it may go on with any number.
      if (transactionVersion >= 2 && isTransactional(batch, at)) requireSequence(first, 0, id, epoch)
      return undefined
    }
    if (epoch === entry.epoch) {
      const last = addToSequence(first, lastOffsetDelta(batch, at))
      // The newest first: who had expired may have begun anew with the same numbers, and a recovery finds both.
      for (let i = entry.batches.length - 1; i >= 0; i--) {
        const known = entry.batches[i]
        if (known.lastSequence !== last || known.offsetDelta !== lastOffsetDelta(batch, at)) continue
        return {
          firstOffset: known.lastOffset - BigInt(known.offsetDelta),
          lastOffset: known.lastOffset,
          timestamp: known.timestamp,
        }
      }
    }
    requireEpoch(epoch, entry.epoch, id)
    const previous = epoch === entry.epoch ? (entry.batches.at(-1)?.lastSequence ?? NO_SEQUENCE) : NO_SEQUENCE
    requireSequence(first, previous === NO_SEQUENCE ? 0 : addToSequence(previous, 1), id, epoch)
    requireTransactional(batch, at, entry, id)
    return undefined
  }

  /**
   * Whether a batch that a coordinator of this broker has made may be appended; false for a marker that is there already. By the
   * rules of transaction version 2 a marker has a higher epoch than what it ends (KIP-890), so that a late one is known as such.
   * Throws KafkaError: INVALID_PRODUCER_EPOCH, TRANSACTION_COORDINATOR_FENCED, INVALID_TXN_STATE.
   */
  checkOwn(batch: Buffer, at: number, transactionVersion = 0): boolean {
    const id = producerId(batch, at)
    const entry = id < 0n ? undefined : this.entries.get(id)
    if (entry === undefined) return true
    const epoch = producerEpoch(batch, at)
    if (!isControl(batch, at)) {
      requireEpoch(epoch, entry.epoch, id)
      requireTransactional(batch, at, entry, id)
      return true
    }
    if (transactionVersion >= 2 && epoch === entry.epoch) {
      if (entry.transactionFirstOffset === NONE) return false
      throw new KafkaError('INVALID_PRODUCER_EPOCH', `a marker of epoch ${epoch} cannot end what producer ${id} began in it`)
    }
    requireEpoch(epoch, entry.epoch, id)
    const marker = markerIn(batch, at)
    if (marker !== undefined && marker.type !== 'other' && marker.coordinatorEpoch < entry.coordinatorEpoch) {
      throw new KafkaError(
        'TRANSACTION_COORDINATOR_FENCED',
        `a marker of coordinator epoch ${marker.coordinatorEpoch}, producer ${id} has one of ${entry.coordinatorEpoch}`,
      )
    }
    return true
  }

  /**
   * A batch has its place in the log: takes note of it. Also replays what a log holds. Of a control batch the record must be there
   * with the header. Returns the transaction that it aborts, if it does.
   */
  update(batch: Buffer, at: number, nowMs: number): AbortedTransaction | undefined {
    const id = producerId(batch, at)
    if (id < 0n) return undefined
    const control = isControl(batch, at)
    const marker = control ? markerIn(batch, at) : undefined
    if (marker?.type === 'other') return undefined
    const entry = this.entryInEpoch(id, producerEpoch(batch, at))
    entry.lastSeenMs = nowMs
    entry.lastTimestamp = maxTimestamp(batch, at)
    if (control) return marker && this.end(id, entry, marker, lastOffset(batch, at))
    if (isTransactional(batch, at) && entry.transactionFirstOffset === NONE) {
      entry.transactionFirstOffset = baseOffset(batch, at)
      this.transactions.begin(id, entry.transactionFirstOffset)
    }
    const first = baseSequence(batch, at)
    if (first === NO_SEQUENCE) return undefined
    const delta = lastOffsetDelta(batch, at)
    if (entry.batches.length === REMEMBERED_BATCHES) entry.batches.shift()
    entry.batches.push({
      lastSequence: addToSequence(first, delta),
      lastOffset: lastOffset(batch, at),
      offsetDelta: delta,
      timestamp: maxTimestamp(batch, at),
    })
    return undefined
  }

  private entryInEpoch(id: bigint, epoch: number): ProducerEntry {
    let entry = this.entries.get(id)
    if (entry === undefined) {
      entry = { epoch, batches: [], coordinatorEpoch: -1, transactionFirstOffset: NONE, lastTimestamp: NONE, lastSeenMs: 0 }
      this.entries.set(id, entry)
    }
    if (entry.epoch !== epoch) {
      entry.epoch = epoch
      entry.batches = []
    }
    return entry
  }

  private end(id: bigint, entry: ProducerEntry, marker: EndMarker, markerOffset: bigint): AbortedTransaction | undefined {
    entry.coordinatorEpoch = marker.coordinatorEpoch
    const firstOffset = entry.transactionFirstOffset
    // Nothing was written here in the transaction.
    if (firstOffset === NONE) return undefined
    entry.transactionFirstOffset = NONE
    const lastStableOffset = this.transactions.end(id, markerOffset)
    return marker.type === 'abort' ? { producerId: id, firstOffset, lastOffset: markerOffset, lastStableOffset } : undefined
  }

  /** Whether the producer has written here, and not been forgotten. */
  has(id: bigint): boolean {
    return this.entries.has(id)
  }

  /** Whether the producer has a transaction open, in this epoch: then its coordinator knows of what it writes. */
  hasOngoingTransaction(id: bigint, epoch: number): boolean {
    const entry = this.entries.get(id)
    return entry !== undefined && entry.epoch === epoch && entry.transactionFirstOffset !== NONE
  }

  active(): ActiveProducer[] {
    return Array.from(this.entries, ([producerId, entry]) => ({
      producerId,
      producerEpoch: entry.epoch,
      lastSequence: entry.batches.at(-1)?.lastSequence ?? NO_SEQUENCE,
      lastTimestamp: entry.lastTimestamp,
      coordinatorEpoch: entry.coordinatorEpoch,
      currentTxnStartOffset: entry.transactionFirstOffset,
    }))
  }

  /** Whether a batch is the last that tells where its producer stands: its last data, or a marker since which there was none. */
  isLastOf(batch: Buffer, at: number): boolean {
    const entry = this.entries.get(producerId(batch, at))
    if (entry === undefined) return false
    const last = entry.batches.at(-1)
    if (last !== undefined) return last.lastOffset === lastOffset(batch, at)
    return isControl(batch, at) && producerEpoch(batch, at) === entry.epoch
  }

  clear(): void {
    this.entries.clear()
    this.transactions.clear()
  }

  /** Forgets producers silent for `expirationMs`, unless they have a transaction open. */
  expire(nowMs: number, expirationMs: number): void {
    for (const [id, entry] of this.entries) {
      if (entry.transactionFirstOffset === NONE && nowMs - entry.lastSeenMs >= expirationMs) this.entries.delete(id)
    }
  }
}

type EndMarker = Extract<ControlRecord, { coordinatorEpoch: number }>

/** Undefined where compaction has taken the record, or there is none to be made out. */
function markerIn(batch: Buffer, at: number): ControlRecord | undefined {
  try {
    return readControlRecord(batch, at)
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error
    return undefined
  }
}

function requireEpoch(epoch: number, current: number, id: bigint): void {
  if (epoch >= current) return
  throw new KafkaError('INVALID_PRODUCER_EPOCH', `producer ${id} writes in epoch ${epoch}, it is in epoch ${current}`)
}

function requireSequence(sequence: number, expected: number, id: bigint, epoch: number): void {
  if (sequence === expected) return
  throw new KafkaError(
    'OUT_OF_ORDER_SEQUENCE_NUMBER',
    `producer ${id} in epoch ${epoch} sent sequence number ${sequence}, ${expected} comes next`,
  )
}

function requireTransactional(batch: Buffer, at: number, entry: ProducerEntry, id: bigint): void {
  if (entry.transactionFirstOffset === NONE || isTransactional(batch, at)) return
  const { transactionFirstOffset } = entry
  throw new KafkaError('INVALID_TXN_STATE', `producer ${id} has a transaction open since offset ${transactionFirstOffset}`)
}

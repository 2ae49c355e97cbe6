// Producers that are about to begin a transaction in a log: whom the coordinator is being asked about (KIP-890). A marker that gets here
// between its answer and the write ends what it was asked about; what is written all the same would begin a transaction that nobody ends.

import type { Clock } from '../host/clock.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { baseSequence, isControl, isTransactional, producerEpoch, producerId } from '../protocol/records/batch-header.ts'
import type { ProducerState } from './producer-state.ts'

/** Held from the question to the coordinator until the write that it is asked for. Those that ask at the same time share it. */
export interface Verification {
  readonly askedMs: number
}

interface Pending extends Verification {
  epoch: number
  /** Of all batches that ask: while an earlier one is to be sent again, a later one must not be the first of a producer. */
  lowestSequence: number
}

export class Verifications {
  private readonly clock: Clock
  private readonly producers: () => ProducerState
  /** By producer id. */
  private readonly pending = new Map<bigint, Pending>()

  constructor(clock: Clock, producers: () => ProducerState) {
    this.clock = clock
    this.producers = producers
  }

  /**
   * Taken before its coordinator is asked whether a producer may write a transactional batch that begins with this sequence number, and
   * shown with the batch. Null where nobody needs to be asked, because the transaction is open here.
   */
  begin(id: bigint, epoch: number, sequence: number): Verification | null {
    if (this.producers().hasOngoingTransaction(id, epoch)) return null
    const known = this.pending.get(id)
    if (known === undefined) {
      const begun = { askedMs: this.clock.wallMs(), epoch, lowestSequence: sequence }
      this.pending.set(id, begun)
      return begun
    }
    if (epoch > known.epoch || (epoch === known.epoch && sequence < known.lowestSequence)) known.lowestSequence = sequence
    known.epoch = Math.max(known.epoch, epoch)
    return known
  }

  /**
   * Whether a batch may be appended that `begin` has handed this out for; epoch and sequence number have been looked at.
   * Throws KafkaError: INVALID_TXN_STATE, OUT_OF_ORDER_SEQUENCE_NUMBER.
   */
  check(batch: Buffer, shown: Verification | null): void {
    const id = producerId(batch)
    if (!isTransactional(batch) || this.producers().hasOngoingTransaction(id, producerEpoch(batch))) return
    const pending = this.pending.get(id)
    if (pending === undefined || pending !== shown) {
      throw new KafkaError('INVALID_TXN_STATE', `producer ${id} has no transaction open here, nor one that was verified`)
    }
    const first = baseSequence(batch)
    // Of a producer that is not known any number is the next.
    if (first <= pending.lowestSequence || this.producers().has(id)) return
    throw new KafkaError(
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
      `producer ${id} begins with sequence number ${first}, and has ${pending.lowestSequence} still to send`,
    )
  }

  /** A batch has its place in the log: if it is of a transaction, or ends one, what was asked before says nothing any more. */
  update(batch: Buffer): void {
    if (this.pending.size > 0 && (isTransactional(batch) || isControl(batch))) this.pending.delete(producerId(batch))
  }

  clear(): void {
    this.pending.clear()
  }

  /** Forgets those that nothing was written for in `expirationMs`. */
  expire(nowMs: number, expirationMs: number): void {
    for (const [id, { askedMs }] of this.pending) if (nowMs - askedMs >= expirationMs) this.pending.delete(id)
  }
}

// The producers whose transactions write to this partition, as far as it takes to tell those that were fenced. The log knows the same
// of its batches, but an append that it refused would cost us the whole machine: what must not be written is refused before.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { Producer, TransactionMarker } from '../runtime/ports.ts'

/**
 * Producers that are remembered without an open transaction, the last to be heard of: a few megabytes at most. Of one that was
 * forgotten everything is accepted, as by a log that has let its state expire.
 */
const REMEMBERED_PRODUCERS = 10_000

const NO_COORDINATOR_EPOCH = -1

interface KnownProducer {
  readonly producerEpoch: number
  /** Of the last marker. */
  readonly coordinatorEpoch: number
  /** Something was written since the last marker. */
  readonly isOpen: boolean
  /** Which of all markers its last one was; 0 if none is known. */
  readonly lastEnd: number
}

/** Taken before its coordinator is asked for a transaction, and shown when the transaction is written to. */
export interface TransactionGuard {
  readonly producers: Producers
  readonly lastEnd: number
}

export interface TransactionEnd extends TransactionMarker {
  /** From 2 on the marker has the epoch of the next transaction: one that is not newer than what is known is a late one (KIP-890). */
  readonly transactionVersion: number
}

export class Producers {
  /** Those heard of last are the last. */
  private readonly known = new Map<bigint, KnownProducer>()
  private ends = 0

  /** Whether the producer has written in a transaction of this epoch that has not ended. */
  isOpen({ producerId, producerEpoch }: Producer): boolean {
    const known = this.known.get(producerId)
    return known?.isOpen === true && known.producerEpoch === producerEpoch
  }

  guard({ producerId }: Producer): TransactionGuard {
    return { producers: this, lastEnd: this.known.get(producerId)?.lastEnd ?? 0 }
  }

  /** The transaction has ended meanwhile, or what is known was read anew from the log, and may have missed that it has. */
  isOvertaken(guard: TransactionGuard, { producerId }: Producer): boolean {
    return guard.producers !== this || guard.lastEnd !== (this.known.get(producerId)?.lastEnd ?? 0)
  }

  /** The error code for what the producer wants to write. */
  checkWrite({ producerId, producerEpoch }: Producer): number {
    if (!isProducer(producerId, producerEpoch)) return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    const known = this.known.get(producerId)
    return known !== undefined && producerEpoch < known.producerEpoch ? ErrorCode.INVALID_PRODUCER_EPOCH : ErrorCode.NONE
  }

  /** The error code for a marker; 'done' if it is there already. */
  checkEnd({ producerId, producerEpoch, coordinatorEpoch, transactionVersion }: TransactionEnd): number | 'done' {
    if (!isProducer(producerId, producerEpoch)) return ErrorCode.INVALID_PRODUCER_ID_MAPPING
    const known = this.known.get(producerId)
    if (known === undefined) return ErrorCode.NONE
    if (transactionVersion >= 2 && producerEpoch === known.producerEpoch) {
      return known.isOpen ? ErrorCode.INVALID_PRODUCER_EPOCH : 'done'
    }
    if (producerEpoch < known.producerEpoch) return ErrorCode.INVALID_PRODUCER_EPOCH
    return coordinatorEpoch < known.coordinatorEpoch ? ErrorCode.TRANSACTION_COORDINATOR_FENCED : ErrorCode.NONE
  }

  /** Something was written in its transaction. */
  wrote({ producerId, producerEpoch }: Producer): void {
    const { coordinatorEpoch = NO_COORDINATOR_EPOCH, lastEnd = 0 } = this.known.get(producerId) ?? {}
    this.remember(producerId, { producerEpoch, coordinatorEpoch, isOpen: true, lastEnd })
  }

  /** Its transaction has ended. */
  ended({ producerId, producerEpoch, coordinatorEpoch }: TransactionMarker): void {
    this.remember(producerId, { producerEpoch, coordinatorEpoch, isOpen: false, lastEnd: ++this.ends })
  }

  private remember(producerId: bigint, producer: KnownProducer): void {
    this.known.delete(producerId)
    this.known.set(producerId, producer)
    if (this.known.size <= REMEMBERED_PRODUCERS) return
    for (const [id, { isOpen }] of this.known) {
      if (isOpen) continue
      this.known.delete(id)
      return
    }
  }
}

/** In a log, -1 stands for nobody. */
function isProducer(producerId: bigint, producerEpoch: number): boolean {
  return producerId >= 0n && producerEpoch >= 0
}

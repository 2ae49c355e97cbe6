// EndTxn: the decision. Once it is stored it stands, whatever dies; the markers that carry it out are written afterwards.
//
// Up to version 4 an epoch serves many transactions. From 5 on (KIP-890) each end brings the next epoch, so that a late write of this
// transaction cannot join the next, and a producer that did not hear the answer is known by the epoch before.

import { ErrorCode } from '../../protocol/error-codes.ts'
import { NEEDS_PRODUCER_ID, type NeedsProducerId } from './init-producer-id.ts'
import {
  changed,
  completed,
  isExhausted,
  isPrepared,
  isSpent,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  type Transaction,
} from './transaction.ts'
import { TransactionOutcome } from './transaction-records.ts'
import { type ProducerIdentity, type Transactions, transactionOf } from './transactions.ts'

export interface EndTxnRequest extends ProducerIdentity {
  readonly committed: boolean
}

export interface EndTxnResult {
  readonly errorCode: number
  /** What the producer goes on with; only version 5 and later tell it. */
  readonly producerId: bigint
  readonly producerEpoch: number
  /** The decision is new: its markers are to be written. */
  readonly hasEnded: boolean
}

/** Up to version 4. */
export function endTransaction(
  transactions: Transactions,
  request: EndTxnRequest,
  now: number,
): TransactionOutcome<EndTxnResult> {
  const out = new TransactionOutcome<EndTxnResult>()
  const transaction = transactionOf(transactions, request)
  if (typeof transaction === 'number') return out.reply(refusedEnd(transaction))
  const { committed } = request
  if (transaction.state !== 'Ongoing') return out.reply(repeatedEnd(transaction, committed))
  const { producerId, producerEpoch } = transaction
  out.writeTransaction(changed(transaction, now, { state: preparedState(committed), transactionVersion: 0 }))
  return out.reply({ errorCode: ErrorCode.NONE, producerId, producerEpoch, hasEnded: true })
}

/** From version 5 on. A producer that is not sure may abort what it has not begun. */
export function endTransactionAndBump(
  transactions: Transactions,
  request: EndTxnRequest,
  newProducerId: bigint | null,
  now: number,
): TransactionOutcome<EndTxnResult | NeedsProducerId> {
  const out = new TransactionOutcome<EndTxnResult | NeedsProducerId>()
  const { committed, producerId, producerEpoch } = request
  const transaction = transactions.get(request.transactionalId)
  if (transaction === undefined) return out.reply(refusedEnd(ErrorCode.INVALID_PRODUCER_ID_MAPPING))
  const isRetryAcrossIds =
    transaction.previousProducerId === producerId && isExhausted(producerEpoch) && transaction.producerEpoch === 0
  if (transaction.producerId !== producerId && !isRetryAcrossIds) {
    return out.reply(refusedEnd(ErrorCode.INVALID_PRODUCER_ID_MAPPING))
  }
  if (isRetryAcrossIds ? hasEnded(transaction) : wasEndedBy(transaction, producerEpoch)) {
    const repeated = repeatedEnd(transaction, committed)
    if (repeated.errorCode !== ErrorCode.NONE || !isSpent(transaction.producerEpoch)) return out.reply(repeated)
    // A time-out has aborted it, with the last epoch of the id. Nobody may have that.
    if (newProducerId === null) return out.reply(NEEDS_PRODUCER_ID)
    const next = { producerId: newProducerId, producerEpoch: 0 }
    out.writeTransaction(changed(transaction, now, { ...next, lastProducerEpoch: producerEpoch }))
    return out.reply({ ...repeated, ...next })
  }
  if (transaction.producerEpoch !== producerEpoch || isPrepared(transaction)) {
    return out.reply(refusedEnd(ErrorCode.PRODUCER_FENCED))
  }
  const isOngoing = transaction.state === 'Ongoing'
  if (committed && !isOngoing) return out.reply(refusedEnd(ErrorCode.INVALID_TXN_STATE))
  if (isExhausted(producerEpoch) && newProducerId === null) return out.reply(NEEDS_PRODUCER_ID)
  const prepared = changed(transaction, now, {
    state: preparedState(committed),
    producerEpoch: producerEpoch + 1,
    lastProducerEpoch: producerEpoch,
    nextProducerId: isExhausted(producerEpoch) ? newProducerId! : NO_PRODUCER_ID,
    startTimestampMs: isOngoing ? transaction.startTimestampMs : now,
    transactionVersion: 2,
  })
  const complete = completed(prepared, now)
  // Nothing was touched, no marker is due: it is through at once.
  out.writeTransaction(isOngoing ? prepared : complete)
  const next = { producerId: complete.producerId, producerEpoch: complete.producerEpoch }
  return out.reply({ errorCode: ErrorCode.NONE, ...next, hasEnded: isOngoing })
}

function hasEnded({ state }: Transaction): boolean {
  return state !== 'Ongoing' && state !== 'Empty'
}

/**
 * Kafka looks at the epoch alone. Where the transaction was ended by the older rules, the epoch before is that of another producer,
 * which has been fenced, and would be handed the epoch of the one that has fenced it.
 */
function wasEndedBy(transaction: Transaction, epoch: number): boolean {
  return hasEnded(transaction) && transaction.transactionVersion >= 2 && transaction.producerEpoch === epoch + 1
}

export function refusedEnd(errorCode: number): EndTxnResult {
  return { errorCode, producerId: NO_PRODUCER_ID, producerEpoch: NO_PRODUCER_EPOCH, hasEnded: false }
}

/** The end of a transaction that is decided already, asked for once more. */
function repeatedEnd(transaction: Transaction, committed: boolean): EndTxnResult {
  const { producerId, producerEpoch, state } = transaction
  if (state === preparedState(committed)) return refusedEnd(ErrorCode.CONCURRENT_TRANSACTIONS)
  if (state !== (committed ? 'CompleteCommit' : 'CompleteAbort')) return refusedEnd(ErrorCode.INVALID_TXN_STATE)
  return { errorCode: ErrorCode.NONE, producerId, producerEpoch, hasEnded: false }
}

function preparedState(committed: boolean): 'PrepareCommit' | 'PrepareAbort' {
  return committed ? 'PrepareCommit' : 'PrepareAbort'
}

// InitProducerId: a producer takes a transactional id. It gets an epoch that nobody has had, which fences whoever used the id before;
// a transaction that was left open is aborted first, and the producer asked to come again.

import { ErrorCode } from '../../protocol/error-codes.ts'
import { abortOngoing } from './abort-ongoing.ts'
import { NO_PARTITIONS } from './topic-partitions.ts'
import { changed, isExhausted, isPrepared, isSpent, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, type Transaction } from './transaction.ts'
import { TransactionOutcome } from './transaction-records.ts'
import type { Transactions } from './transactions.ts'

export interface InitProducerIdRequest {
  readonly transactionalId: string
  readonly transactionTimeoutMs: number
  /** What the producer has (KIP-360): -1 and -1 if it begins. */
  readonly producerId: bigint
  readonly producerEpoch: number
}

export interface InitProducerIdResult {
  readonly errorCode: number
  readonly producerId: bigint
  readonly producerEpoch: number
  /** A transaction was ended on the way: its markers are to be written. */
  readonly hasEnded: boolean
}

/** Steps cannot wait for a producer id: one that turns out to need one says so, and is taken again with it. */
export const NEEDS_PRODUCER_ID = 'needs a producer id'
export type NeedsProducerId = typeof NEEDS_PRODUCER_ID

type Identity = Pick<Transaction, 'producerId' | 'producerEpoch' | 'lastProducerEpoch' | 'previousProducerId'>

export function initProducerId(
  transactions: Transactions,
  request: InitProducerIdRequest,
  newProducerId: bigint | null,
  now: number,
): TransactionOutcome<InitProducerIdResult | NeedsProducerId> {
  const out = new TransactionOutcome<InitProducerIdResult | NeedsProducerId>()
  const { transactionalId, transactionTimeoutMs: timeoutMs } = request
  const transaction = transactions.get(transactionalId)
  let initialized: Transaction
  if (transaction === undefined) {
    if (newProducerId === null) return out.reply(NEEDS_PRODUCER_ID)
    initialized = newTransaction(transactionalId, newProducerId, timeoutMs, now)
  } else {
    if (!isTheirs(transaction, request)) return out.reply(refusedInit(ErrorCode.PRODUCER_FENCED))
    if (isPrepared(transaction)) return out.reply(refusedInit(ErrorCode.CONCURRENT_TRANSACTIONS))
    if (transaction.state === 'Ongoing') {
      // Kafka aborts first and refuses when the producer comes again: a zombie could stop the one that has fenced it.
      if (isStale(transaction, request)) return out.reply(refusedInit(ErrorCode.PRODUCER_FENCED))
      out.note(`transactional id ${transactionalId}: its open transaction is aborted, because a producer has come anew`)
      out.writeTransaction(abortOngoing(transaction, transactions.config.transactionVersion, now))
      return out.reply({ ...refusedInit(ErrorCode.CONCURRENT_TRANSACTIONS), hasEnded: true })
    }
    const identity = nextIdentity(transaction, request, newProducerId)
    if (identity === NEEDS_PRODUCER_ID) return out.reply(NEEDS_PRODUCER_ID)
    if (identity === undefined) return out.reply(refusedInit(ErrorCode.PRODUCER_FENCED))
    initialized = changed(transaction, now, {
      ...identity,
      state: 'Empty',
      timeoutMs,
      partitions: NO_PARTITIONS,
      startTimestampMs: -1,
    })
  }
  out.writeTransaction(initialized)
  const { producerId, producerEpoch } = initialized
  return out.reply({ errorCode: ErrorCode.NONE, producerId, producerEpoch, hasEnded: false })
}

export function refusedInit(errorCode: number): InitProducerIdResult {
  return { errorCode, producerId: NO_PRODUCER_ID, producerEpoch: NO_PRODUCER_EPOCH, hasEnded: false }
}

function newTransaction(transactionalId: string, producerId: bigint, timeoutMs: number, now: number): Transaction {
  return {
    transactionalId,
    state: 'Empty',
    producerId,
    producerEpoch: 0,
    lastProducerEpoch: NO_PRODUCER_EPOCH,
    previousProducerId: NO_PRODUCER_ID,
    nextProducerId: NO_PRODUCER_ID,
    timeoutMs,
    partitions: NO_PARTITIONS,
    startTimestampMs: -1,
    lastUpdateTimestampMs: now,
    transactionVersion: 0,
  }
}

/** The id that the producer has is that of the transaction, or was until its epochs were used up. Epochs are looked at later. */
function isTheirs(transaction: Transaction, { producerId, producerEpoch }: InitProducerIdRequest): boolean {
  return (
    producerId === NO_PRODUCER_ID ||
    producerId === transaction.producerId ||
    (producerId === transaction.previousProducerId && isExhausted(producerEpoch))
  )
}

/** Whoever began the transaction has the epoch that there is. */
function isStale({ producerEpoch }: Transaction, expected: InitProducerIdRequest): boolean {
  return expected.producerId !== NO_PRODUCER_ID && expected.producerEpoch !== producerEpoch
}

/** Undefined for a producer that somebody else has fenced. */
function nextIdentity(
  transaction: Transaction,
  expected: InitProducerIdRequest,
  newProducerId: bigint | null,
): Identity | NeedsProducerId | undefined {
  const { producerId, producerEpoch, lastProducerEpoch, previousProducerId } = transaction
  const isFirst = expected.producerId === NO_PRODUCER_ID
  const isNext = expected.producerId === producerId && expected.producerEpoch === producerEpoch
  const isRetry = !isFirst && !isNext && expected.producerEpoch === lastProducerEpoch
  if (!isFirst && !isNext && !isRetry) return undefined
  // The last epoch of an id can be what a time-out has left. Nobody may have it.
  if (isRetry ? isSpent(producerEpoch) : isExhausted(producerEpoch)) {
    if (newProducerId === null) return NEEDS_PRODUCER_ID
    const lastProducerEpoch = isFirst ? NO_PRODUCER_EPOCH : expected.producerEpoch
    return { producerId: newProducerId, producerEpoch: 0, lastProducerEpoch, previousProducerId: producerId }
  }
  // Its first answer was lost. Nobody can have come between: that would have made the last epoch -1.
  if (isRetry) return { producerId, producerEpoch, lastProducerEpoch, previousProducerId }
  return {
    producerId,
    producerEpoch: producerEpoch + 1,
    lastProducerEpoch: isFirst ? NO_PRODUCER_EPOCH : producerEpoch,
    previousProducerId: NO_PRODUCER_ID,
  }
}

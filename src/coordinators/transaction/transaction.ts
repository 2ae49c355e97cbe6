// A transactional id: who may use it now, and how far its transaction is. A value: each change makes another one (`changed`), which
// is written and takes the place of the old when it is replayed.

import { NO_PARTITIONS, type TopicPartitions } from './topic-partitions.ts'
import type { TransactionVersion } from './transaction-config.ts'

/** Kafka's, at the places of the numbers that stand for them in the log. */
export const TRANSACTION_STATES = [
  'Empty',
  'Ongoing',
  'PrepareCommit',
  'PrepareAbort',
  'CompleteCommit',
  'CompleteAbort',
  'Dead',
  'PrepareEpochFence',
] as const
/** Kafka passes through the last two while it writes; here no transaction is ever found in them, and none is stored so. */
export type TransactionState = Exclude<(typeof TRANSACTION_STATES)[number], 'Dead' | 'PrepareEpochFence'>

export const NO_PRODUCER_ID = -1n
export const NO_PRODUCER_EPOCH = -1
/** Never given to a producer: there must be one epoch left to fence it with. */
const LAST_EPOCH = 0x7fff

export interface Transaction {
  readonly transactionalId: string
  readonly state: TransactionState
  readonly producerId: bigint
  readonly producerEpoch: number
  /** Whose retry is answered with the epoch there is now, because nobody else can have got that. -1 for nobody's. */
  readonly lastProducerEpoch: number
  /** The id before, if the last change has changed it. -1 if not. */
  readonly previousProducerId: bigint
  /** In Prepare*, when the epochs of the id are used up: the one to go on with, which the producer may have been told. -1 if not. */
  readonly nextProducerId: bigint
  readonly timeoutMs: number
  /** Those that the transaction has touched, or may have. Empty in Empty and Complete*. */
  readonly partitions: TopicPartitions
  /** -1 in Empty. */
  readonly startTimestampMs: number
  readonly lastUpdateTimestampMs: number
  /** By whose rules the transaction was begun or ended. */
  readonly transactionVersion: TransactionVersion
}

/** The transaction after a change at a time: fields that are not named stay as they are. */
export function changed(transaction: Transaction, now: number, changes: Partial<Transaction>): Transaction {
  const { producerId } = transaction
  const isNewId = changes.producerId !== undefined && changes.producerId !== producerId
  return {
    ...transaction,
    previousProducerId: isNewId ? producerId : NO_PRODUCER_ID,
    lastUpdateTimestampMs: now,
    ...changes,
  }
}

/** The markers hold everywhere. An id whose epochs are used up gives way to the next one. */
export function completed(transaction: Transaction, now: number): Transaction {
  const { nextProducerId, state } = transaction
  return changed(transaction, now, {
    state: state === 'PrepareCommit' ? 'CompleteCommit' : 'CompleteAbort',
    partitions: NO_PARTITIONS,
    nextProducerId: NO_PRODUCER_ID,
    ...(nextProducerId !== NO_PRODUCER_ID && { producerId: nextProducerId, producerEpoch: 0 }),
  })
}

/** No producer may have a later epoch than this one: the last is kept for fencing it. */
export function isExhausted(producerEpoch: number): boolean {
  return producerEpoch >= LAST_EPOCH - 1
}

/** Nothing can be fenced any more under this id. */
export function isSpent(producerEpoch: number): boolean {
  return producerEpoch >= LAST_EPOCH
}

/** Decided, and not carried out yet. */
export function isPrepared({ state }: Transaction): boolean {
  return state === 'PrepareCommit' || state === 'PrepareAbort'
}

/** Of a transaction that has been carried out, or was never begun. */
export function isAtRest({ state }: Transaction): boolean {
  return state === 'Empty' || state === 'CompleteCommit' || state === 'CompleteAbort'
}

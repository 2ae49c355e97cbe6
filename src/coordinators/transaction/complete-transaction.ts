// What follows a decision: markers into every partition of the transaction, and then the note that they are there. Until that note is
// stored the markers are written again after each change of coordinator.

import type { TopicPartitions } from './topic-partitions.ts'
import { completed, isPrepared } from './transaction.ts'
import type { TransactionVersion } from './transaction-config.ts'
import { TransactionOutcome } from './transaction-records.ts'
import type { ProducerIdentity, Transactions } from './transactions.ts'

/** A decision to be carried out. */
export interface EndedTransaction extends ProducerIdentity {
  readonly committed: boolean
  readonly transactionVersion: TransactionVersion
  readonly partitions: TopicPartitions
}

/** Null if there is nothing to be carried out (any more). */
export function endedTransaction(
  transactions: Transactions,
  transactionalId: string,
): TransactionOutcome<EndedTransaction | null> {
  const out = new TransactionOutcome<EndedTransaction | null>()
  const transaction = transactions.get(transactionalId)
  if (transaction === undefined || !isPrepared(transaction)) return out.reply(null)
  const { producerId, producerEpoch, partitions, transactionVersion, state } = transaction
  const committed = state === 'PrepareCommit'
  return out.reply({ transactionalId, producerId, producerEpoch, committed, transactionVersion, partitions })
}

/** Transactional ids whose transactions are decided: what a new coordinator has to see through. */
export function endedTransactions(transactions: Transactions): TransactionOutcome<readonly string[]> {
  const prepared = Array.from(transactions.all()).filter(isPrepared)
  return new TransactionOutcome<readonly string[]>().reply(prepared.map(({ transactionalId }) => transactionalId))
}

/** The markers hold everywhere. Answers whether that was news. */
export function completeTransaction(
  transactions: Transactions,
  ended: EndedTransaction,
  now: number,
): TransactionOutcome<boolean> {
  const out = new TransactionOutcome<boolean>()
  const transaction = transactions.get(ended.transactionalId)
  const isSame =
    transaction !== undefined &&
    isPrepared(transaction) &&
    transaction.producerId === ended.producerId &&
    transaction.producerEpoch === ended.producerEpoch
  if (isSame) out.writeTransaction(completed(transaction, now))
  return out.reply(isSame)
}

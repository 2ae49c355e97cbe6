// The coordinator itself ends a transaction: its producer was too slow, or another one has come for the transactional id. The epoch
// goes up with it, so that nothing of the old producer gets in any more.

import { changed, NO_PRODUCER_EPOCH, type Transaction } from './transaction.ts'
import type { TransactionVersion } from './transaction-config.ts'
import { TransactionOutcome } from './transaction-records.ts'
import type { Transactions } from './transactions.ts'

/** Transactions that one step aborts: each may hold thousands of partitions, and others want their turn. */
const ABORTED_AT_ONCE = 100

/** An epoch is always left for this: producers never get the last. */
export function abortOngoing(transaction: Transaction, transactionVersion: TransactionVersion, now: number): Transaction {
  const { producerEpoch } = transaction
  return changed(transaction, now, {
    state: 'PrepareAbort',
    producerEpoch: producerEpoch + 1,
    // A producer by the newer rules that aborts late is told that this was done, and may go on. By the older it is fenced for good.
    lastProducerEpoch: transactionVersion >= 2 ? producerEpoch : NO_PRODUCER_EPOCH,
    transactionVersion,
  })
}

/** Answers the transactional ids whose transactions have taken longer than their producers asked for, and are aborted now. */
export function abortTimedOut(transactions: Transactions, now: number): TransactionOutcome<readonly string[]> {
  const out = new TransactionOutcome<readonly string[]>()
  const aborted: string[] = []
  for (const transaction of transactions.all()) {
    const { startTimestampMs, state, timeoutMs, transactionalId } = transaction
    if (state !== 'Ongoing' || now <= startTimestampMs + timeoutMs) continue
    out.note(`transactional id ${transactionalId}: its transaction has taken more than ${timeoutMs} ms, and is aborted`)
    out.writeTransaction(abortOngoing(transaction, transactions.config.transactionVersion, now))
    aborted.push(transactionalId)
    if (aborted.length === ABORTED_AT_ONCE) break
  }
  return out.reply(aborted)
}

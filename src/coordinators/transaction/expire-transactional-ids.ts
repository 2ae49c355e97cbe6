// Transactional ids that nobody has used for `transactional.id.expiration.ms` are forgotten.

import { isAtRest } from './transaction.ts'
import { TransactionOutcome } from './transaction-records.ts'
import type { Transactions } from './transactions.ts'

/** Ids that one step forgets: others want their turn. */
export const EXPIRED_AT_ONCE = 1_000

/** Answers how many were forgotten: with EXPIRED_AT_ONCE there may be more. */
export function expireTransactionalIds(transactions: Transactions, now: number): TransactionOutcome<number> {
  const out = new TransactionOutcome<number>()
  const latest = now - transactions.config.idExpirationMs
  for (const transaction of transactions.all()) {
    if (!isAtRest(transaction) || transaction.lastUpdateTimestampMs > latest) continue
    out.write({ transactionalId: transaction.transactionalId, transaction: null })
    if (out.records.length === EXPIRED_AT_ONCE) break
  }
  if (out.records.length > 0) out.note(`${out.records.length} transactional ids have expired`)
  return out.reply(out.records.length)
}

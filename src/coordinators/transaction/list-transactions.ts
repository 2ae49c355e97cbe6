// ListTransactions: the transactional ids that a coordinator knows, for administrators (KIP-664).

import { TRANSACTION_STATES } from './transaction.ts'
import { TransactionOutcome } from './transaction-records.ts'
import type { Transactions } from './transactions.ts'

export interface TransactionFilter {
  /** Empty for all. */
  readonly stateFilters: readonly string[]
  /** Empty for all. */
  readonly producerIdFilters: readonly bigint[]
  /** Only what was begun longer ago, in ms; -1n for all. As in Kafka, what was never begun passes. */
  readonly durationFilter: bigint
  /** Null for all. */
  readonly matches: ((transactionalId: string) => boolean) | null
}

export interface TransactionListing {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly transactionState: string
}

export function listTransactions(
  transactions: Transactions,
  filter: TransactionFilter,
  now: number,
): TransactionOutcome<readonly TransactionListing[]> {
  const { durationFilter, matches } = filter
  const states = new Set(filter.stateFilters)
  const producerIds = new Set(filter.producerIdFilters)
  const listings: TransactionListing[] = []
  for (const { transactionalId, producerId, state, startTimestampMs } of transactions.all()) {
    if (states.size > 0 && !states.has(state)) continue
    if (producerIds.size > 0 && !producerIds.has(producerId)) continue
    if (durationFilter >= 0n && BigInt(now - startTimestampMs) <= durationFilter) continue
    if (matches?.(transactionalId) === false) continue
    listings.push({ transactionalId, producerId, transactionState: state })
  }
  return new TransactionOutcome<readonly TransactionListing[]>().reply(listings)
}

export function unknownStates(stateFilters: readonly string[]): string[] {
  const known = new Set<string>(TRANSACTION_STATES)
  return stateFilters.filter((state) => !known.has(state))
}

// The transaction coordinator for handlers, as long as not every broker has one.

import type { TransactionCoordinator } from '../coordinators/transaction/transaction-coordinator.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { Services } from './services.ts'

/** Throws KafkaError INVALID_REQUEST, which ends a client's search, where there is none. */
export function transactionsOf({ transactions }: Services): TransactionCoordinator {
  if (transactions === undefined) throw new KafkaError('INVALID_REQUEST', 'transactions are not supported yet')
  return transactions
}

// All that the coordinator of one partition of `__transaction_state` knows. Operations, one per file beside this one, read it and
// say what to write; it changes in `replay` alone.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { StateMachine } from '../runtime/partition-runtime.ts'
import type { Transaction } from './transaction.ts'
import type { TransactionConfig } from './transaction-config.ts'
import { TransactionOutcome, type TransactionRecord, type TransactionTimer } from './transaction-records.ts'

export class Transactions implements StateMachine<TransactionRecord, TransactionTimer> {
  readonly config: TransactionConfig
  private readonly byId = new Map<string, Transaction>()

  constructor(config: TransactionConfig) {
    this.config = config
  }

  get(transactionalId: string): Transaction | undefined {
    return this.byId.get(transactionalId)
  }

  all(): IterableIterator<Transaction> {
    return this.byId.values()
  }

  replay({ transactionalId, transaction }: TransactionRecord): void {
    if (transaction === null) this.byId.delete(transactionalId)
    else this.byId.set(transactionalId, transaction)
  }

  /** Decided transactions are taken up by the facade, which can write markers. */
  loaded(): TransactionOutcome<void> {
    return new TransactionOutcome()
  }

  wake(): TransactionOutcome<void> {
    return new TransactionOutcome()
  }
}

/** Who says that a transactional id is theirs. */
export interface ProducerIdentity {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** The transaction, if it is the producer's to use now; or why not. */
export function transactionOf(transactions: Transactions, producer: ProducerIdentity): Transaction | number {
  const transaction = transactions.get(producer.transactionalId)
  if (transaction?.producerId !== producer.producerId) return ErrorCode.INVALID_PRODUCER_ID_MAPPING
  if (transaction.producerEpoch !== producer.producerEpoch) return ErrorCode.PRODUCER_FENCED
  return transaction
}

// DescribeTransactions: what becomes of a transactional id, for administrators (KIP-664).

import { ErrorCode } from '../../protocol/error-codes.ts'
import { NO_PRODUCER_EPOCH, NO_PRODUCER_ID } from './transaction.ts'
import { TransactionOutcome } from './transaction-records.ts'
import type { Transactions } from './transactions.ts'

export interface TransactionDescription {
  readonly errorCode: number
  readonly transactionalId: string
  readonly transactionState: string
  readonly transactionTimeoutMs: number
  readonly transactionStartTimeMs: bigint
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly topics: readonly { readonly topic: string; readonly partitions: readonly number[] }[]
}

export function describeTransaction(
  transactions: Transactions,
  transactionalId: string,
): TransactionOutcome<TransactionDescription> {
  const out = new TransactionOutcome<TransactionDescription>()
  const transaction = transactions.get(transactionalId)
  if (transaction === undefined) return out.reply(undescribed(transactionalId, ErrorCode.TRANSACTIONAL_ID_NOT_FOUND))
  return out.reply({
    errorCode: ErrorCode.NONE,
    transactionalId,
    transactionState: transaction.state,
    transactionTimeoutMs: transaction.timeoutMs,
    transactionStartTimeMs: BigInt(transaction.startTimestampMs),
    producerId: transaction.producerId,
    producerEpoch: transaction.producerEpoch,
    topics: Array.from(transaction.partitions, ([topic, partitions]) => ({ topic, partitions: [...partitions] })),
  })
}

export function undescribed(transactionalId: string, errorCode: number): TransactionDescription {
  return {
    errorCode,
    transactionalId,
    transactionState: '',
    transactionTimeoutMs: 0,
    transactionStartTimeMs: 0n,
    producerId: NO_PRODUCER_ID,
    producerEpoch: NO_PRODUCER_EPOCH,
    topics: [],
  }
}

// What a producer understands of transactions is told by the version of the request it writes with. Errors of the coordinator reach it
// through the partition leader, in words that it knows.

import { ErrorCode } from '../../protocol/error-codes.ts'

/**
 * `classic`: knows nothing of KIP-890. `abortable`: knows TRANSACTION_ABORTABLE. `implicit`: leaves it to the leader to add the
 * partition to the transaction, and takes a new epoch with each.
 */
export type ProducerSupport = 'classic' | 'abortable' | 'implicit'

export function supportOfProduce(version: number): ProducerSupport {
  return version >= 12 ? 'implicit' : version === 11 ? 'abortable' : 'classic'
}

export function supportOfTxnOffsetCommit(version: number): ProducerSupport {
  return version >= 5 ? 'implicit' : version === 4 ? 'abortable' : 'classic'
}

/** What a producer is told whose write could not be verified. */
export function errorForProducer(errorCode: number, support: ProducerSupport): number {
  switch (errorCode) {
    case ErrorCode.PRODUCER_FENCED:
      return ErrorCode.INVALID_PRODUCER_EPOCH
    case ErrorCode.TRANSACTION_ABORTABLE:
      return support === 'classic' ? ErrorCode.INVALID_TXN_STATE : errorCode
    // Common right after a commit: newer producers know how to wait, older ones try again what a leader cannot take yet.
    case ErrorCode.CONCURRENT_TRANSACTIONS:
      return support === 'implicit' ? errorCode : ErrorCode.NOT_ENOUGH_REPLICAS
    // Not of this partition's coordinator, as the producer would think.
    case ErrorCode.NETWORK_EXCEPTION:
    case ErrorCode.COORDINATOR_LOAD_IN_PROGRESS:
    case ErrorCode.COORDINATOR_NOT_AVAILABLE:
    case ErrorCode.NOT_COORDINATOR:
      return ErrorCode.NOT_ENOUGH_REPLICAS
    default:
      return errorCode
  }
}

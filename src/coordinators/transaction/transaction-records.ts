// What the transaction coordinator writes to `__transaction_state`, as values: the runtime stores them, `Transactions.replay` takes
// them in.

import { DecodeError } from '../../bytes/reader.ts'
import {
  decodeTransactionLogRecord,
  TransactionLogRecord,
  type TransactionLogValue,
} from '../../protocol/internal-records/transaction-log.ts'
import { Outcome } from '../runtime/outcome.ts'
import type { RecordCodec } from '../runtime/partition-runtime.ts'
import { TRANSACTION_STATES, type Transaction } from './transaction.ts'
import type { TransactionVersion } from './transaction-config.ts'

/** All that there is to know of a transactional id from now on; null when it is forgotten. */
export interface TransactionRecord {
  readonly transactionalId: string
  readonly transaction: Transaction | null
}

/** What happens by itself is begun by the facade, so that it knows when it is stored. */
export type TransactionTimer = never

export class TransactionOutcome<Response> extends Outcome<Response, TransactionRecord, TransactionTimer> {
  writeTransaction(transaction: Transaction): void {
    this.write({ transactionalId: transaction.transactionalId, transaction })
  }
}

export const transactionCodec: RecordCodec<TransactionRecord> = {
  encode({ transactionalId, transaction }) {
    return {
      key: TransactionLogRecord.encodeKey({ transactionalId }),
      value: transaction && TransactionLogRecord.encodeValue(stored(transaction)),
    }
  },
  decode(key, value) {
    const record = decodeTransactionLogRecord(key, value)
    if (record === undefined) return undefined
    const { transactionalId } = record.key
    return { transactionalId, transaction: record.value && restored(transactionalId, record.value) }
  },
}

function stored(transaction: Transaction) {
  const { partitions, state } = transaction
  return {
    producerId: transaction.producerId,
    previousProducerId: transaction.previousProducerId,
    nextProducerId: transaction.nextProducerId,
    producerEpoch: transaction.producerEpoch,
    lastProducerEpoch: transaction.lastProducerEpoch,
    transactionTimeoutMs: transaction.timeoutMs,
    transactionStatus: TRANSACTION_STATES.indexOf(state),
    transactionPartitions:
      state === 'Empty' ? null : Array.from(partitions, ([topic, ids]) => ({ topic, partitionIds: [...ids] })),
    transactionLastUpdateTimestampMs: BigInt(transaction.lastUpdateTimestampMs),
    transactionStartTimestampMs: BigInt(transaction.startTimestampMs),
    clientTransactionVersion: transaction.transactionVersion,
  }
}

function restored(transactionalId: string, value: TransactionLogValue): Transaction {
  const state = TRANSACTION_STATES[value.transactionStatus]
  if (state === undefined || state === 'Dead' || state === 'PrepareEpochFence') {
    throw new DecodeError(`transactional id ${transactionalId} is stored in state ${state ?? value.transactionStatus}`)
  }
  return {
    transactionalId,
    state,
    producerId: value.producerId,
    producerEpoch: value.producerEpoch,
    lastProducerEpoch: value.lastProducerEpoch,
    previousProducerId: value.previousProducerId,
    nextProducerId: value.nextProducerId,
    timeoutMs: value.transactionTimeoutMs,
    partitions: new Map((value.transactionPartitions ?? []).map(({ topic, partitionIds }) => [topic, new Set(partitionIds)])),
    startTimestampMs: Number(value.transactionStartTimestampMs),
    lastUpdateTimestampMs: Number(value.transactionLastUpdateTimestampMs),
    transactionVersion: Math.min(value.clientTransactionVersion, 2) as TransactionVersion,
  }
}

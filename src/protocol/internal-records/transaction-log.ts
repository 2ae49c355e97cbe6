// The records of `__transaction_state`: what becomes of each transactional id, one record for each of its changes.

import { array, int8, int16, int32, int64, string, type Value, type ValueInput } from '../schema.ts'
import { recordDecoder, recordType, type StoredRecord } from './record-type.ts'

/**
 * A transactional id after a change. Values: 1 is flexible (KIP-890), and is what gets written. `previousProducerId` and
 * `nextProducerId` are told only around a change of id. `lastProducerEpoch` is our own: Kafka keeps it in memory alone, so that there
 * a retry which meets another coordinator is fenced. Kafka skips tags that it does not know; this one is far from any it may come to.
 */
export const TransactionLogRecord = recordType('TransactionLog', {
  id: 0,
  key: { transactionalId: string() },
  value: {
    versions: '0-1',
    flexible: '1+',
    fields: {
      producerId: int64(),
      previousProducerId: int64('1+').default(-1n).tagged(0, '1+'),
      nextProducerId: int64('1+').default(-1n).tagged(1, '1+'),
      producerEpoch: int16(),
      nextProducerEpoch: int16('1+').default(-1).tagged(3, '1+'),
      transactionTimeoutMs: int32(),
      transactionStatus: int8(),
      transactionPartitions: array({ topic: string(), partitionIds: array(int32()) }).nullable(),
      transactionLastUpdateTimestampMs: int64(),
      transactionStartTimestampMs: int64(),
      clientTransactionVersion: int16('1+').default(0).tagged(2, '1+'),
      lastProducerEpoch: int16('1+').default(-1).tagged(1_000, '1+'),
    },
    write: () => 1,
  },
})
export type TransactionLogKey = Value<typeof TransactionLogRecord.key>
export type TransactionLogValue = Value<typeof TransactionLogRecord.value>
export type TransactionLogValueInput = ValueInput<typeof TransactionLogRecord.value>

const types = [TransactionLogRecord]

export type TransactionLogEntry = StoredRecord<(typeof types)[number]>

/** A record of `__transaction_state`; `undefined` for one of a type that is not known. Throws DecodeError. */
export const decodeTransactionLogRecord: (key: Buffer, value: Buffer | null) => TransactionLogEntry | undefined =
  recordDecoder(types)

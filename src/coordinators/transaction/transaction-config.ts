// What can be configured of transactions, under the names of Kafka's keys, with Kafka's defaults.

/** Levels of the feature `transaction.version`: 2 brings KIP-890, with a new epoch for each transaction. */
export type TransactionVersion = 0 | 1 | 2

export interface TransactionConfig {
  /** `transaction.max.timeout.ms` */
  readonly maxTimeoutMs: number
  /** `transaction.abort.timed.out.transaction.cleanup.interval.ms` */
  readonly abortTimedOutIntervalMs: number
  /** `transactional.id.expiration.ms` */
  readonly idExpirationMs: number
  /** `transaction.remove.expired.transaction.cleanup.interval.ms` */
  readonly removeExpiredIntervalMs: number
  /** `add.partitions.to.txn.retry.backoff.ms`: between two tries to begin a transaction whose predecessor is still being ended. */
  readonly addPartitionsRetryBackoffMs: number
  /** `add.partitions.to.txn.retry.backoff.max.ms`: how long they go on. */
  readonly addPartitionsRetryBackoffMaxMs: number
  /** By whose rules the coordinator itself ends transactions. Clients choose theirs with the versions of their requests. */
  readonly transactionVersion: TransactionVersion
}

export const defaultTransactionConfig: TransactionConfig = {
  maxTimeoutMs: 900_000,
  abortTimedOutIntervalMs: 10_000,
  idExpirationMs: 604_800_000,
  removeExpiredIntervalMs: 3_600_000,
  addPartitionsRetryBackoffMs: 20,
  addPartitionsRetryBackoffMaxMs: 100,
  transactionVersion: 2,
}

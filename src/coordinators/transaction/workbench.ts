// For tests: transactions without a runtime. Time passes when told to, records are stored and read back as they are written, markers
// hold when a test says so. Sends requests with everything filled in that a test does not care about.

import assert from 'node:assert/strict'
import { type ErrorName, errorName } from '../../protocol/error-codes.ts'
import type { LogRecord } from '../runtime/ports.ts'
import { abortTimedOut } from './abort-ongoing.ts'
import { addPartitions, verifyPartitions } from './add-partitions.ts'
import { completeTransaction, endedTransaction } from './complete-transaction.ts'
import { endTransaction, endTransactionAndBump } from './end-transaction.ts'
import { expireTransactionalIds } from './expire-transactional-ids.ts'
import { type InitProducerIdResult, initProducerId, NEEDS_PRODUCER_ID, type NeedsProducerId } from './init-producer-id.ts'
import type { Transaction, TransactionState } from './transaction.ts'
import { defaultTransactionConfig, type TransactionConfig } from './transaction-config.ts'
import { type TransactionOutcome, type TransactionRecord, transactionCodec } from './transaction-records.ts'
import { Transactions } from './transactions.ts'

export const ID = 'tx'

/** A producer id and an epoch. */
export interface Identity {
  readonly id: bigint
  readonly epoch: number
}

export class Workbench {
  transactions: Transactions
  /** What would be in the log, in its stored form. */
  readonly log: LogRecord[] = []
  now = 1_000_000
  private readonly config: TransactionConfig
  private ids = 1_000n

  constructor(config: Partial<TransactionConfig> = {}) {
    this.config = { ...defaultTransactionConfig, ...config }
    this.transactions = new Transactions(this.config)
  }

  get transaction(): Transaction {
    const transaction = this.transactions.get(ID)
    assert(transaction !== undefined, 'the transactional id is known')
    return transaction
  }

  get state(): TransactionState {
    return this.transaction.state
  }

  get identity(): Identity {
    return { id: this.transaction.producerId, epoch: this.transaction.producerEpoch }
  }

  /** Does what an outcome asks for, as the runtime would if every append succeeded at once. */
  take<R>(outcome: TransactionOutcome<R>): R {
    for (const record of outcome.records) {
      const stored = transactionCodec.encode(record)
      this.log.push(stored)
      const restored = transactionCodec.decode(stored.key, stored.value) as TransactionRecord
      assert.deepEqual(restored, record, 'a record reads back as what was written')
      this.transactions.replay(record)
    }
    return outcome.response!
  }

  /** Another coordinator takes over what was stored. */
  restart(): void {
    this.transactions = new Transactions(this.config)
    for (const { key, value } of this.log) this.transactions.replay(transactionCodec.decode(key, value)!)
  }

  /** Puts a transaction where it would take too long to get. */
  set(changes: Partial<Transaction>): void {
    this.transactions.replay({ transactionalId: ID, transaction: { ...this.transaction, ...changes } })
  }

  private takeWithId<R>(step: (newProducerId: bigint | null) => TransactionOutcome<R | NeedsProducerId>): R {
    const response = this.take(step(null))
    if (response !== NEEDS_PRODUCER_ID) return response as R
    const again = this.take(step(this.ids++))
    assert(again !== NEEDS_PRODUCER_ID, 'one producer id is enough')
    return again as R
  }

  // ── requests ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Answers the identity, or the name of the error. */
  init(has: Identity = { id: -1n, epoch: -1 }, transactionTimeoutMs = 60_000): Identity | ErrorName {
    const request = { transactionalId: ID, transactionTimeoutMs, producerId: has.id, producerEpoch: has.epoch }
    const result: InitProducerIdResult = this.takeWithId((id) => initProducerId(this.transactions, request, id, this.now))
    return result.errorCode === 0 ? { id: result.producerId, epoch: result.producerEpoch } : errorName(result.errorCode)
  }

  /** For a producer that is to get it. */
  begin(): Identity {
    const identity = this.init()
    assert(typeof identity === 'object', `${identity}`)
    return identity
  }

  /** Partitions of topic `t`. By default as a producer of the newer rules has it done. */
  add({ id, epoch }: Identity, partitions: readonly number[] = [0], version: 0 | 2 = 2): ErrorName {
    const topics = [{ name: 't', partitions }]
    return errorName(this.take(addPartitions(this.transactions, producer(id, epoch), topics, version, this.now)))
  }

  /** One error for each partition of topic `t`. */
  verify({ id, epoch }: Identity, partitions: readonly number[]): ErrorName[] {
    const results = this.take(verifyPartitions(this.transactions, producer(id, epoch), [{ name: 't', partitions }]))
    return results[0].resultsByPartition.map(({ partitionErrorCode }) => errorName(partitionErrorCode))
  }

  /** By the older rules. */
  end({ id, epoch }: Identity, how: 'commit' | 'abort'): ErrorName {
    const request = { ...producer(id, epoch), committed: how === 'commit' }
    return errorName(this.take(endTransaction(this.transactions, request, this.now)).errorCode)
  }

  /** By the newer rules. Answers the next identity, or the name of the error. */
  endAndBump({ id, epoch }: Identity, how: 'commit' | 'abort'): Identity | ErrorName {
    const request = { ...producer(id, epoch), committed: how === 'commit' }
    const result = this.takeWithId((newId) => endTransactionAndBump(this.transactions, request, newId, this.now))
    return result.errorCode === 0 ? { id: result.producerId, epoch: result.producerEpoch } : errorName(result.errorCode)
  }

  /** The markers hold. Answers what they were. */
  complete(): { id: bigint; epoch: number; committed: boolean; version: number; partitions: Record<string, number[]> } {
    const ended = this.take(endedTransaction(this.transactions, ID))
    assert(ended !== null, 'a transaction is decided')
    assert.equal(this.take(completeTransaction(this.transactions, ended, this.now)), true)
    return {
      id: ended.producerId,
      epoch: ended.producerEpoch,
      committed: ended.committed,
      version: ended.transactionVersion,
      partitions: Object.fromEntries(Array.from(ended.partitions, ([topic, partitions]) => [topic, [...partitions]])),
    }
  }

  abortTimedOut(): readonly string[] {
    return this.take(abortTimedOut(this.transactions, this.now))
  }

  expire(): number {
    return this.take(expireTransactionalIds(this.transactions, this.now))
  }
}

const producer = (producerId: bigint, producerEpoch: number) => ({ transactionalId: ID, producerId, producerEpoch })

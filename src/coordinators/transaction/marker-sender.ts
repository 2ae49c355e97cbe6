// Sees decided transactions through: writes their markers, again until they hold, and then has the completion stored. Sits beside the
// state machine, because it waits for brokers: what it may do next it asks the machine each time.

import { ErrorCode, errorName, KafkaError } from '../../protocol/error-codes.ts'
import type { PartitionRuntime } from '../runtime/partition-runtime.ts'
import type { CoordinatorClock, Report } from '../runtime/ports.ts'
import { completeTransaction, type EndedTransaction, endedTransaction, endedTransactions } from './complete-transaction.ts'
import type { TopicPartitions } from './topic-partitions.ts'
import type { TransactionRecord, TransactionTimer } from './transaction-records.ts'
import type { Transactions } from './transactions.ts'

export type TransactionRuntime = PartitionRuntime<Transactions, TransactionRecord, TransactionTimer>

/** One marker for each of the partitions, as WriteTxnMarkers carries it. */
export interface TxnMarker {
  readonly producerId: bigint
  /** By the rules of transaction version 2 that of the next transaction, else that of this one. */
  readonly producerEpoch: number
  /** Of the partition of `__transaction_state`: its leader epoch. Leaders refuse markers of a coordinator that was replaced. */
  readonly coordinatorEpoch: number
  readonly committed: boolean
  readonly transactionVersion: number
  readonly partitions: TopicPartitions
}

export interface MarkerResult {
  readonly topic: string
  readonly partition: number
  /** NONE also where the partition is gone for good: nobody waits for its marker. */
  readonly errorCode: number
}

/**
 * Writes a marker into each of the partitions through their leaders; a marker that is there already counts as written. Answers for
 * every partition, in bounded time, and when nothing more can come of it: a marker must not be written behind the answer. Rejecting
 * stands for all of them.
 */
export type WriteMarkers = (marker: TxnMarker) => Promise<readonly MarkerResult[]>

interface Attempt {
  /** Nothing of it can be written any more. Never rejects. */
  over: Promise<void>
}

/** Leaders are elected within so long; later tries leave them more and more time. */
const FIRST_RETRY_MS = 100
const LAST_RETRY_MS = 1_000
/** Complaints about one transaction: the first tries usually meet a leader that is just changing. */
const TRIES_PER_COMPLAINT = 30

export interface MarkerSenderOptions {
  readonly writeMarkers: WriteMarkers
  readonly clock: CoordinatorClock
  readonly report: Report
}

/** What it does for one partition of `__transaction_state`. */
export class MarkerSender {
  private readonly options: MarkerSenderOptions
  private readonly runtime: TransactionRuntime
  private readonly coordinatorEpoch: () => number
  /** By transactional id, what sees its transaction through: the last to begin, if there are several. */
  private readonly underWay = new Map<string, Attempt>()
  private readonly retries = new Set<{ cancel(): void }>()
  private isClosed = false

  constructor(options: MarkerSenderOptions, runtime: TransactionRuntime, coordinatorEpoch: () => number) {
    this.options = options
    this.runtime = runtime
    this.coordinatorEpoch = coordinatorEpoch
  }

  /** Takes up what an earlier coordinator, or this one before a failure, has left. */
  async resume(): Promise<void> {
    try {
      const transactionalIds = await this.runtime.run<readonly string[]>(endedTransactions)
      for (const transactionalId of transactionalIds) this.finish(transactionalId)
    } catch (error) {
      // Whoever serves the partition next resumes.
      if (!(error instanceof KafkaError)) this.options.report('taking up transactions failed', error)
    }
  }

  /** Begins, or begins anew. Gives up if the partition is not served any more: with the next load it is taken up again. */
  finish(transactionalId: string): void {
    const former = this.underWay.get(transactionalId)
    const attempt: Attempt = { over: Promise.resolve() }
    this.underWay.set(transactionalId, attempt)
    attempt.over = this.seeThrough(transactionalId, attempt, former)
  }

  private async seeThrough(transactionalId: string, self: Attempt, former: Attempt | undefined): Promise<void> {
    const isCurrent = () => !this.isClosed && this.underWay.get(transactionalId) === self
    try {
      // A marker that comes late would end the next transaction, if that has the same epoch.
      await former?.over
      // Resolves when the decision is stored.
      const ended = await this.runtime.run<EndedTransaction | null>((transactions) =>
        endedTransaction(transactions, transactionalId),
      )
      if (ended === null || !(await this.writeAll(ended, isCurrent))) return
      await this.runtime.run<boolean>((transactions, _ticket, now) => completeTransaction(transactions, ended, now))
    } catch (error) {
      if (!(error instanceof KafkaError)) this.options.report(`ending the transaction of ${transactionalId} failed`, error)
    } finally {
      if (this.underWay.get(transactionalId) === self) this.underWay.delete(transactionalId)
    }
  }

  close(): void {
    this.isClosed = true
    for (const retry of this.retries) retry.cancel()
    this.retries.clear()
  }

  /** Answers false if somebody else is to see to it. */
  private async writeAll(ended: EndedTransaction, isCurrent: () => boolean): Promise<boolean> {
    const { transactionalId, partitions: all, ...marker } = ended
    let partitions = all
    for (let tries = 1; partitions.size > 0; tries++) {
      if (!isCurrent()) return false
      const results = await this.writeOnce({ ...marker, partitions, coordinatorEpoch: this.coordinatorEpoch() }, transactionalId)
      if (!isCurrent()) return false
      if (results.some(({ errorCode }) => errorCode === ErrorCode.TRANSACTION_COORDINATOR_FENCED)) {
        this.options.report(`markers of ${transactionalId} are left to the broker that coordinates it now`)
        return false
      }
      partitions = remaining(partitions, results)
      if (partitions.size === 0) break
      if (tries % TRIES_PER_COMPLAINT === 0) {
        this.options.report(`markers of ${transactionalId} could not be written ${tries} times: ${describe(results)}`)
      }
      await this.pause(Math.min(FIRST_RETRY_MS * tries, LAST_RETRY_MS))
    }
    return isCurrent()
  }

  private async writeOnce(marker: TxnMarker, transactionalId: string): Promise<readonly MarkerResult[]> {
    try {
      return await this.options.writeMarkers(marker)
    } catch (error) {
      if (!(error instanceof KafkaError)) this.options.report(`writing markers of ${transactionalId} failed`, error)
      return []
    }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const retry = this.options.clock.timer(ms, () => {
        this.retries.delete(retry)
        resolve()
      })
      this.retries.add(retry)
    })
  }
}

/** Partitions that have not been answered for with NONE. */
function remaining(partitions: TopicPartitions, results: readonly MarkerResult[]): TopicPartitions {
  const left = new Map(Array.from(partitions, ([topic, ids]) => [topic, new Set(ids)]))
  for (const { topic, partition, errorCode } of results) {
    if (errorCode !== ErrorCode.NONE) continue
    left.get(topic)?.delete(partition)
    if (left.get(topic)?.size === 0) left.delete(topic)
  }
  return left
}

function describe(results: readonly MarkerResult[]): string {
  const failed = results.filter(({ errorCode }) => errorCode !== ErrorCode.NONE)
  const some = failed.slice(0, 5).map(({ topic, partition, errorCode }) => `${topic}-${partition} ${errorName(errorCode)}`)
  return failed.length === 0 ? 'no answer' : `${some.join(', ')}${failed.length > some.length ? ', …' : ''}`
}

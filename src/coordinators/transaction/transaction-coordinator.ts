// The transaction coordinator as the broker sees it: one state machine for each partition of `__transaction_state` that this broker
// leads, requests sent to the one their transactional id belongs to, failures turned into the answers that clients understand.

import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { partitionFor } from '../runtime/partition-for.ts'
import { PartitionRuntime } from '../runtime/partition-runtime.ts'
import type { CoordinatorClock, CoordinatorLog, Report } from '../runtime/ports.ts'
import { abortTimedOut } from './abort-ongoing.ts'
import { addPartitions, type PartitionResults, sameForAll, verifyPartitions } from './add-partitions.ts'
import { describeTransaction, type TransactionDescription, undescribed } from './describe-transactions.ts'
import { type EndTxnRequest, type EndTxnResult, endTransaction, endTransactionAndBump, refusedEnd } from './end-transaction.ts'
import { EXPIRED_AT_ONCE, expireTransactionalIds } from './expire-transactional-ids.ts'
import {
  type InitProducerIdRequest,
  type InitProducerIdResult,
  initProducerId,
  NEEDS_PRODUCER_ID,
  type NeedsProducerId,
  refusedInit,
} from './init-producer-id.ts'
import { listTransactions, type TransactionFilter, type TransactionListing, unknownStates } from './list-transactions.ts'
import { MarkerSender, type TransactionRuntime, type WriteMarkers } from './marker-sender.ts'
import type { TopicList } from './topic-partitions.ts'
import { NO_PRODUCER_EPOCH, NO_PRODUCER_ID } from './transaction.ts'
import type { TransactionConfig } from './transaction-config.ts'
import { type TransactionOutcome, transactionCodec } from './transaction-records.ts'
import { type ProducerIdentity, Transactions } from './transactions.ts'

export interface TransactionCoordinatorOptions {
  readonly config: TransactionConfig
  /** Partitions of `__transaction_state`: must never change once there is data. */
  readonly partitionCount: () => number
  /** The log of a partition that this broker leads. Called for each load. */
  readonly logFor: (partition: number) => CoordinatorLog
  /** An id that no producer has ever had. */
  readonly nextProducerId: () => Promise<bigint>
  readonly writeMarkers: WriteMarkers
  readonly clock: CoordinatorClock
  readonly report: Report
}

export interface AddPartitionsRequest extends ProducerIdentity {
  readonly topics: TopicList
}

/** One partition of `__transaction_state`. */
interface Coordinated {
  readonly runtime: TransactionRuntime
  readonly markers: MarkerSender
  /** The leader epoch under which this broker leads it. */
  epoch: number
}

/** What records of `__transaction_state` can hold: their strings have an int16 for their length. */
const LONGEST_STRING_BYTES = 32_767

export class TransactionCoordinator {
  private readonly options: TransactionCoordinatorOptions
  private readonly partitions = new Map<number, Coordinated>()
  private readonly sweeps = new Map<() => Promise<void>, { cancel(): void }>()
  private isClosed = false

  constructor(options: TransactionCoordinatorOptions) {
    this.options = options
    const { abortTimedOutIntervalMs, removeExpiredIntervalMs } = options.config
    this.every(abortTimedOutIntervalMs, this.abortTimedOut)
    this.every(removeExpiredIntervalMs, this.expireTransactionalIds)
  }

  /** Of `__transaction_state`: its leader coordinates the transactional id. */
  partitionFor(transactionalId: string): number {
    return partitionFor(transactionalId, this.options.partitionCount())
  }

  /**
   * This broker leads the partition now, under this leader epoch. Requests are answered COORDINATOR_LOAD_IN_PROGRESS until this
   * resolves; rejects if its log cannot be read. Decided transactions are seen through from then on.
   */
  loadPartition(partition: number, leaderEpoch: number): Promise<void> {
    if (this.isClosed) return Promise.reject(new KafkaError('COORDINATOR_NOT_AVAILABLE'))
    let coordinated = this.partitions.get(partition)
    if (coordinated === undefined) {
      coordinated = this.coordinate(partition, leaderEpoch)
      this.partitions.set(partition, coordinated)
    }
    coordinated.epoch = leaderEpoch
    return coordinated.runtime.load()
  }

  /** Another broker leads it now: producers are sent there, and it sees decided transactions through. */
  unloadPartition(partition: number): void {
    this.partitions.get(partition)?.runtime.unload()
  }

  /** All who wait are answered COORDINATOR_NOT_AVAILABLE. Nothing more is written. */
  close(): void {
    this.isClosed = true
    for (const timer of this.sweeps.values()) timer.cancel()
    this.sweeps.clear()
    for (const { runtime, markers } of this.partitions.values()) {
      markers.close()
      runtime.unload('COORDINATOR_NOT_AVAILABLE')
    }
    this.partitions.clear()
  }

  // ── producers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Gives a producer the transactional id, and fences whoever had it. CONCURRENT_TRANSACTIONS while a transaction is being ended.
   * Version 3 and older do not know PRODUCER_FENCED.
   */
  async initProducerId(
    request: InitProducerIdRequest,
    { version }: { readonly version: number },
  ): Promise<Pick<InitProducerIdResult, 'errorCode' | 'producerId' | 'producerEpoch'>> {
    const { transactionalId, transactionTimeoutMs } = request
    let result: InitProducerIdResult
    if ((request.producerId === NO_PRODUCER_ID) !== (request.producerEpoch === NO_PRODUCER_EPOCH)) {
      result = refusedInit(ErrorCode.INVALID_REQUEST)
    } else if (!isTransactionalId(transactionalId)) {
      result = refusedInit(ErrorCode.INVALID_REQUEST)
    } else if (transactionTimeoutMs <= 0 || transactionTimeoutMs > this.options.config.maxTimeoutMs) {
      result = refusedInit(ErrorCode.INVALID_TRANSACTION_TIMEOUT)
    } else {
      result = await this.runWithId<InitProducerIdResult>(
        transactionalId,
        (transactions, newProducerId, now) => initProducerId(transactions, request, newProducerId, now),
        refusedInit,
      )
    }
    if (result.hasEnded) this.finish(transactionalId)
    const { producerId, producerEpoch } = result
    return { errorCode: withoutFenced(result.errorCode, version < 4), producerId, producerEpoch }
  }

  /**
   * Partitions join the transaction, all of them or none, and the first of them begins one. Up to version 3 it is the producer that
   * asks, later the leader of a partition, for a producer of transaction version 2. Resolves when it is stored, with an error code.
   * Whether the partitions exist is for the caller to know.
   */
  async addPartitionsToTxn(request: AddPartitionsRequest, { version }: { readonly version: number }): Promise<number> {
    const transactionVersion = version >= 4 ? 2 : 0
    const errorCode = await this.run<number>(
      request.transactionalId,
      (transactions, now) => addPartitions(transactions, request, request.topics, transactionVersion, now),
      (code) => code,
    )
    return withoutFenced(errorCode, version < 2)
  }

  /** Whether partitions are in the open transaction. Adds nothing. */
  verifyPartitionsInTxn(request: AddPartitionsRequest): Promise<PartitionResults> {
    return this.run<PartitionResults>(
      request.transactionalId,
      (transactions) => verifyPartitions(transactions, request, request.topics),
      (errorCode) => sameForAll(request.topics, errorCode),
    )
  }

  /** The same as adding the partition of `__consumer_offsets` that holds the group, which is what the caller passes. */
  async addOffsetsToTxn(
    request: ProducerIdentity,
    offsets: { readonly topic: string; readonly partition: number },
    { version }: { readonly version: number },
  ): Promise<number> {
    const topics = [{ name: offsets.topic, partitions: [offsets.partition] }]
    // Producers of transaction version 2 do not send it.
    return this.addPartitionsToTxn({ ...request, topics }, { version: Math.min(version, 3) })
  }

  /**
   * Commits or aborts: resolves when the decision is stored, while the markers that carry it out are written behind the scenes.
   * From version 5 on the answer has the id and the epoch for the next transaction.
   */
  async endTxn(
    request: EndTxnRequest,
    { version }: { readonly version: number },
  ): Promise<Pick<EndTxnResult, 'errorCode' | 'producerId' | 'producerEpoch'>> {
    const { transactionalId } = request
    const result = await this.runWithId<EndTxnResult>(
      transactionalId,
      (transactions, newProducerId, now) =>
        version >= 5
          ? endTransactionAndBump(transactions, request, newProducerId, now)
          : endTransaction(transactions, request, now),
      refusedEnd,
    )
    if (result.hasEnded) this.finish(transactionalId)
    const { producerId, producerEpoch } = result
    return { errorCode: withoutFenced(result.errorCode, version < 2), producerId, producerEpoch }
  }

  /** What brokers ask before the first write of a transaction to partitions that they lead (partition-verifier.ts). */
  askForPartitions = async (request: AddPartitionsRequest, verifyOnly: boolean): Promise<PartitionResults> =>
    verifyOnly
      ? this.verifyPartitionsInTxn(request)
      : sameForAll(request.topics, await this.addPartitionsToTxn(request, { version: 4 }))

  // ── administrators ────────────────────────────────────────────────────────────────────────────────────────────────

  /** In the order asked. */
  describeTransactions(transactionalIds: readonly string[]): Promise<TransactionDescription[]> {
    return Promise.all(
      transactionalIds.map((transactionalId) =>
        this.run<TransactionDescription>(
          transactionalId,
          (transactions) => describeTransaction(transactions, transactionalId),
          (errorCode) => undescribed(transactionalId, errorCode),
        ),
      ),
    )
  }

  /** All that this broker coordinates. COORDINATOR_LOAD_IN_PROGRESS while some are not known yet. */
  async listTransactions(filter: TransactionFilter): Promise<{
    readonly errorCode: number
    readonly unknownStateFilters: readonly string[]
    readonly transactionStates: readonly TransactionListing[]
  }> {
    const unknownStateFilters = unknownStates(filter.stateFilters)
    try {
      const listings = await Promise.all(
        Array.from(this.partitions.values(), ({ runtime }) =>
          runtime
            .run<readonly TransactionListing[]>((transactions, _ticket, now) => listTransactions(transactions, filter, now))
            .catch((error) => {
              // Somebody else coordinates these.
              if (codeOf(error) === ErrorCode.NOT_COORDINATOR) return []
              throw error
            }),
        ),
      )
      return { errorCode: ErrorCode.NONE, unknownStateFilters, transactionStates: listings.flat() }
    } catch (error) {
      return { errorCode: codeOf(error), unknownStateFilters: [], transactionStates: [] }
    }
  }

  // ── by itself ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Aborts what has taken longer than its producer asked for. Runs by itself every `abortTimedOutIntervalMs`. */
  abortTimedOut = async (): Promise<void> => {
    await this.sweep(async ({ runtime, markers }) => {
      for (;;) {
        const aborted = await runtime.run<readonly string[]>((transactions, _ticket, now) => abortTimedOut(transactions, now))
        for (const transactionalId of aborted) markers.finish(transactionalId)
        if (aborted.length === 0) return
      }
    })
  }

  /** Forgets ids that were not used for `idExpirationMs`. Runs by itself every `removeExpiredIntervalMs`. */
  expireTransactionalIds = async (): Promise<void> => {
    await this.sweep(async ({ runtime }) => {
      let expired: number
      do {
        expired = await runtime.run<number>((transactions, _ticket, now) => expireTransactionalIds(transactions, now))
      } while (expired === EXPIRED_AT_ONCE)
    })
  }

  // ── inside ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private coordinate(partition: number, epoch: number): Coordinated {
    const { clock, config, logFor, report } = this.options
    const runtime: TransactionRuntime = new PartitionRuntime({
      name: `__transaction_state-${partition}`,
      create: () => new Transactions(config),
      codec: transactionCodec,
      openLog: () => logFor(partition),
      clock,
      report,
      onLoaded: () => void markers.resume(),
    })
    const markers = new MarkerSender(this.options, runtime, () => coordinated.epoch)
    const coordinated: Coordinated = { runtime, markers, epoch }
    return coordinated
  }

  private coordinatedFor(transactionalId: string): Coordinated {
    const coordinated = this.partitions.get(this.partitionFor(transactionalId))
    if (coordinated !== undefined) return coordinated
    throw new KafkaError(this.isClosed ? 'COORDINATOR_NOT_AVAILABLE' : 'NOT_COORDINATOR')
  }

  private finish(transactionalId: string): void {
    this.partitions.get(this.partitionFor(transactionalId))?.markers.finish(transactionalId)
  }

  private async run<Response>(
    transactionalId: string,
    step: (transactions: Transactions, now: number) => TransactionOutcome<Response>,
    refuse: (errorCode: number) => Response,
  ): Promise<Response> {
    if (!isTransactionalId(transactionalId)) return refuse(ErrorCode.INVALID_REQUEST)
    try {
      const { runtime } = this.coordinatedFor(transactionalId)
      return await runtime.run<Response>((transactions, _ticket, now) => step(transactions, now))
    } catch (error) {
      if (!(error instanceof KafkaError)) this.options.report(`a request for transactional id ${transactionalId} failed`, error)
      return refuse(codeOf(error))
    }
  }

  /** Of a step that may need a producer id: it is taken without one first. */
  private async runWithId<Response>(
    transactionalId: string,
    step: (
      transactions: Transactions,
      newProducerId: bigint | null,
      now: number,
    ) => TransactionOutcome<Response | NeedsProducerId>,
    refuse: (errorCode: number) => Response,
  ): Promise<Response> {
    let newProducerId: bigint | null = null
    for (;;) {
      const id: bigint | null = newProducerId
      const response = await this.run<Response | NeedsProducerId>(
        transactionalId,
        (transactions, now) => step(transactions, id, now),
        refuse,
      )
      if (response !== NEEDS_PRODUCER_ID) return response as Response
      try {
        newProducerId = await this.options.nextProducerId()
      } catch (error) {
        this.options.report(`there was no producer id for transactional id ${transactionalId}`, error)
        return refuse(ErrorCode.COORDINATOR_NOT_AVAILABLE)
      }
    }
  }

  /** What fails is tried again with the next sweep. */
  private async sweep(visit: (coordinated: Coordinated) => Promise<void>): Promise<void> {
    for (const coordinated of [...this.partitions.values()]) {
      try {
        await visit(coordinated)
      } catch (error) {
        // Not served at the moment: whoever takes it over sweeps it, too.
        if (!(error instanceof KafkaError)) this.options.report('sweeping transactions failed', error)
      }
    }
  }

  private every(intervalMs: number, sweep: () => Promise<void>): void {
    const timer = this.options.clock.timer(intervalMs, async () => {
      await sweep()
      if (!this.isClosed) this.every(intervalMs, sweep)
    })
    this.sweeps.set(sweep, timer)
  }
}

function codeOf(error: unknown): number {
  return error instanceof KafkaError ? error.errorCode : ErrorCode.UNKNOWN_SERVER_ERROR
}

function isTransactionalId(transactionalId: string): boolean {
  return transactionalId !== '' && Buffer.byteLength(transactionalId) <= LONGEST_STRING_BYTES
}

/** Producers of old take PRODUCER_FENCED for a mistake of the broker, and know INVALID_PRODUCER_EPOCH. */
function withoutFenced(errorCode: number, isOld: boolean): number {
  return isOld && errorCode === ErrorCode.PRODUCER_FENCED ? ErrorCode.INVALID_PRODUCER_EPOCH : errorCode
}

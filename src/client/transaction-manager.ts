// Where a transactional producer stands, and its conversation with the coordinators: who it is (producer id and epoch), what belongs to
// the open transaction, how that ends (KIP-98, KIP-447, KIP-890). Records travel through the sender (sender.ts), which asks here first.

import { ErrorCode, type ErrorName, errorName, KafkaError } from '../protocol/error-codes.ts'
import { NO_PRODUCER_ID } from '../protocol/ids.ts'
import { InitProducerId } from '../protocol/messages/22-init-producer-id.ts'
import { AddPartitionsToTxn } from '../protocol/messages/24-add-partitions-to-txn.ts'
import { AddOffsetsToTxn } from '../protocol/messages/25-add-offsets-to-txn.ts'
import { EndTxn } from '../protocol/messages/26-end-txn.ts'
import { TxnOffsetCommit } from '../protocol/messages/28-txn-offset-commit.ts'
import { type ClusterClient, CoordinatorType } from './cluster-client.ts'
import type { Connection } from './connection.ts'
import { FencedError, TransactionAbortableError, TransactionStateError, UnsupportedVersionError } from './errors.ts'
import { check, type GroupMember, type OffsetToCommit, offsetsByTopic } from './group-offsets.ts'
import { partitionKey, type TopicPartition } from './metadata.ts'
import { retry } from './retry.ts'

export interface TransactionOptions {
  readonly transactionalId: string
  /** The coordinator aborts a transaction that is open for longer. */
  readonly transactionTimeoutMs: number
  /** How long each call may take in all, whatever is tried again. */
  readonly maxBlockMs: number
}

/** A group and, if its positions are to be fenced by generation, who commits them. */
export interface GroupMetadata extends Partial<GroupMember> {
  readonly groupId: string
}

/**
 * new → ready → open → committing or aborting → ready, and so on. Once a part of an open transaction is lost it is `abort only`; a
 * producer that has `failed` stays so.
 */
type State = 'new' | 'ready' | 'open' | 'abort only' | 'committing' | 'aborting' | 'failed'

/** No transaction of this producer can go well after these. */
const FATAL: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'TRANSACTIONAL_ID_AUTHORIZATION_FAILED',
  'CLUSTER_AUTHORIZATION_FAILED',
  'INVALID_PRODUCER_ID_MAPPING',
])
/** The last transaction's markers are nearly always written by then. */
export const CONCURRENT_TRANSACTIONS_BACKOFF_MS = 20
/** The last versions of the protocol in which partitions and groups join a transaction by requests of their own. */
const CLASSIC = { PRODUCE: 11, ADD_PARTITIONS: 3, END: 4, OFFSET_COMMIT: 4 } as const
/** The first versions of the one in which they join with what is written, and each transaction has an epoch of its own. */
const IMPLICIT = { PRODUCE: 12, END: 5, OFFSET_COMMIT: 5 } as const
const EPOCH_BUMP = 3
const FENCED_BY_GENERATION = 3

export class TransactionManager {
  producerId = NO_PRODUCER_ID
  producerEpoch = -1
  /** Called when either has changed: sequence numbers begin anew. */
  onIdentity: (producerId: bigint, producerEpoch: number) => void = () => {}

  private readonly cluster: ClusterClient
  private readonly options: TransactionOptions
  private state: State = 'new'
  /** Counts transactions, so that what was accepted in one does not end up in the next. */
  private number = 0
  /** Why the state is `abort only` or `failed`. */
  private failure: Error | undefined
  /** transaction.version 2 of KIP-890. Fixed for the length of a transaction. */
  private isImplicit = false
  /** Those that the coordinator knows of, in the classic protocol. */
  private readonly partitions = new Set<string>()
  /** Whether the coordinator has a transaction of ours to end; `perhaps` while no answer says so. */
  private started: 'no' | 'perhaps' | 'yes' = 'no'
  /** Requests that extend the transaction. It must not end before them, or they would extend the next. */
  private readonly extending = new Set<Promise<unknown>>()
  private ending: Promise<void> | undefined
  private initializing: Promise<void> | undefined

  constructor(cluster: ClusterClient, options: TransactionOptions) {
    if (options.transactionalId === '') throw new TypeError('the transactional id is empty')
    this.cluster = cluster
    this.options = options
  }

  get transactionalId(): string {
    return this.options.transactionalId
  }

  /** For Produce requests. */
  get produceVersions(): { readonly minVersion?: number; readonly maxVersion?: number } {
    return this.isImplicit ? { minVersion: IMPLICIT.PRODUCE } : { maxVersion: CLASSIC.PRODUCE }
  }

  /** Records may still go out: the transaction is open, or its commit waits for them. */
  get isAlive(): boolean {
    return this.is('open') || this.is('committing')
  }

  /** There is a transaction to end. */
  get isOpen(): boolean {
    return this.is('open') || this.is('abort only')
  }

  /** Takes the transactional id over from whoever had it, and waits until what they left open is aborted. Does so once. */
  async init(): Promise<void> {
    if (this.is('failed')) throw this.failure
    if (!this.is('new')) return
    this.initializing ??= this.obtainIdentity().then(
      () => {
        this.state = 'ready'
      },
      (error) => {
        this.initializing = undefined
        throw this.fail(error)
      },
    )
    await this.initializing
  }

  async begin(): Promise<void> {
    await this.init()
    this.expect('begin a transaction', 'ready')
    const isImplicit = await this.ask('beginning a transaction', async (connection) => speaksImplicit(connection))
    this.expect('begin a transaction', 'ready')
    try {
      // The brokers were upgraded: an epoch of its own for the first transaction of the new kind, too.
      if (isImplicit && !this.isImplicit) await this.obtainIdentity(isImplicit)
    } catch (error) {
      throw this.fail(error as Error)
    }
    this.isImplicit = isImplicit
    this.started = 'no'
    this.partitions.clear()
    this.failure = undefined
    this.number++
    this.state = 'open'
  }

  /** The number of the open transaction. Throws where records cannot be sent. */
  enter(): number {
    this.expect('send', 'open')
    return this.number
  }

  /** Throws if the transaction has ended, or can only be aborted, since `enter`. */
  stillIn(number: number): void {
    if (number !== this.number || !this.isAlive) throw this.refusal('send')
  }

  /** Before records go to these partitions. Rejects with what makes the transaction `abort only`, or the producer fail. */
  addPartitions(partitions: readonly TopicPartition[]): Promise<void> {
    if (this.isImplicit) {
      this.started = 'yes'
      return Promise.resolve()
    }
    const added = partitions.filter(({ topic, partition }) => !this.partitions.has(partitionKey(topic, partition)))
    if (added.length === 0) return Promise.resolve()
    const topics = [...Map.groupBy(added, ({ topic }) => topic)].map(([name, of]) => ({
      name,
      partitions: of.map(({ partition }) => partition),
    }))
    return this.extend('adding partitions to the transaction', async (connection) => {
      const request = {
        transactions: [],
        v3AndBelowTransactionalId: this.transactionalId,
        v3AndBelowProducerId: this.producerId,
        v3AndBelowProducerEpoch: this.producerEpoch,
        v3AndBelowTopics: topics,
      }
      const response = await connection.request(AddPartitionsToTxn, request, { maxVersion: CLASSIC.ADD_PARTITIONS })
      const results = response.resultsByTopicV3AndBelow.flatMap(({ name, resultsByPartition }) =>
        resultsByPartition.map(({ partitionIndex, partitionErrorCode }) => ({ name, partitionIndex, partitionErrorCode })),
      )
      // All are refused for one: its error tells, not that of those it took with it.
      const blamed = results.filter(({ partitionErrorCode }) => partitionErrorCode !== ErrorCode.OPERATION_NOT_ATTEMPTED)
      for (const { name, partitionIndex, partitionErrorCode } of blamed.length > 0 ? blamed : results) {
        const code = errorName(partitionErrorCode)
        check(partitionErrorCode, `adding ${name}-${partitionIndex} to transaction ${this.transactionalId}: ${code}`)
      }
      this.started = 'yes'
      for (const { topic, partition } of added) this.partitions.add(partitionKey(topic, partition))
    })
  }

  /** Positions that are committed with the transaction, or not at all. */
  async sendOffsets(offsets: readonly OffsetToCommit[], group: GroupMetadata): Promise<void> {
    this.expect('send offsets', 'open')
    if (offsets.length === 0) return
    const { transactionalId } = this
    const { groupId, memberId = '', generationId = -1, groupInstanceId = null } = group
    // Coordinators take positions without a generation from anyone. A consumer that was thrown out of its group is not anyone.
    if (group.generationId !== undefined && generationId < 0) {
      throw this.fail(new KafkaError('UNKNOWN_MEMBER_ID', `the consumer is not a member of group ${groupId} now`))
    }
    const joins = `adding group ${groupId} to the transaction`
    if (this.isImplicit) this.started = 'yes'
    else {
      await this.extend(joins, async (connection) => {
        const { producerId, producerEpoch } = this
        const response = await connection.request(AddOffsetsToTxn, { transactionalId, producerId, producerEpoch, groupId })
        check(response.errorCode, `${joins}: ${errorName(response.errorCode)}`)
        this.started = 'yes'
      })
    }
    const versions = {
      ...(this.isImplicit ? { minVersion: IMPLICIT.OFFSET_COMMIT } : { maxVersion: CLASSIC.OFFSET_COMMIT }),
      // Older brokers would take the positions of a member that the group has replaced.
      ...(!this.isImplicit && memberId !== '' ? { minVersion: FENCED_BY_GENERATION } : {}),
    }
    const coordinator = { type: CoordinatorType.GROUP, key: groupId }
    await this.extend(
      `sending offsets of group ${groupId} to the transaction`,
      async (connection) => {
        const { producerId, producerEpoch } = this
        const who = { transactionalId, producerId, producerEpoch, groupId, memberId, generationId, groupInstanceId }
        const response = await connection.request(TxnOffsetCommit, { ...who, topics: offsetsByTopic(offsets) }, versions)
        for (const topic of response.topics) {
          for (const { partitionIndex, errorCode } of topic.partitions) {
            check(errorCode, `offset of ${topic.name}-${partitionIndex} for group ${groupId}: ${errorName(errorCode)}`)
          }
        }
      },
      coordinator,
    )
  }

  /**
   * Waits for `settle`, which sends what is left, and commits. After a TimeoutError nobody knows whether it is committed: the call may
   * be repeated, and nothing else.
   */
  async commit(settle: () => Promise<void>): Promise<void> {
    this.expect('commit', 'open', 'committing')
    this.state = 'committing'
    this.ending ??= this.finish(async () => {
      await settle()
      await Promise.allSettled(this.extending)
      this.expect('commit', 'committing')
      await this.end(true)
    })
    await this.ending
  }

  /** Waits for `discard`, which drops what is left and answers whether sequence numbers are lost with it, and aborts. */
  async abort(discard: () => Promise<boolean>): Promise<void> {
    this.expect('abort', 'open', 'abort only', 'aborting')
    this.state = 'aborting'
    this.ending ??= this.finish(async () => {
      const hasLost = await discard()
      await Promise.allSettled(this.extending)
      this.expect('abort', 'aborting')
      await this.end(false, hasLost)
    })
    await this.ending
  }

  /** Takes note of what has befallen a part of transaction `number`, and returns what to tell whoever waits for it. */
  failed(error: Error, number: number = this.number): Error {
    return number === this.number ? this.fail(error) : error
  }

  // ── state ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Not a comparison in place: the compiler takes a state that it has seen for lasting over `await`. */
  private is(state: State): boolean {
    return this.state === state
  }

  private expect(what: string, ...states: State[]): void {
    if (!states.includes(this.state)) throw this.refusal(what)
  }

  private refusal(what: string): Error {
    if (this.is('failed')) return this.failure!
    if (this.is('abort only')) return new TransactionAbortableError(this.failure!)
    const outside = 'not in a transaction'
    const states: Partial<Record<State, string>> = { new: outside, ready: outside, open: 'in a transaction already' }
    return new TransactionStateError(`cannot ${what}: the producer is ${states[this.state] ?? this.state}`)
  }

  private fail(error: Error, losesTransaction = true): Error {
    const code = error instanceof KafkaError ? error.code : undefined
    if (this.is('failed')) return error
    if (code !== undefined && this.isFencing(code)) {
      this.state = 'failed'
      this.failure = new FencedError(this.transactionalId, { cause: error })
      return this.failure
    }
    if (error instanceof UnsupportedVersionError || (code !== undefined && FATAL.has(code))) {
      this.state = 'failed'
      this.failure = error
    } else if (this.isAlive && losesTransaction) {
      this.state = 'abort only'
      this.failure = error
    }
    return error
  }

  /**
   * The epoch of a transaction that has timed out is past, as is that of a producer that was fenced. Where each transaction has its
   * own, the coordinator lets the former abort and go on, and tells the latter when it tries.
   */
  private isFencing(code: ErrorName): boolean {
    return code === 'PRODUCER_FENCED' || (code === 'INVALID_PRODUCER_EPOCH' && !this.isImplicit)
  }

  private finish(work: () => Promise<void>): Promise<void> {
    return work().finally(() => {
      this.ending = undefined
    })
  }

  // ── asking coordinators ───────────────────────────────────────────────────────────────────────────────────────────

  private ask<T>(
    what: string,
    work: (connection: Connection) => Promise<T>,
    coordinator: { type: 0 | 1; key: string } = { type: CoordinatorType.TRANSACTION, key: this.transactionalId },
  ): Promise<T> {
    const { cluster } = this
    const { clock, random } = cluster
    const backoff = { ...cluster.backoff, initialMs: Math.min(cluster.backoff.initialMs, CONCURRENT_TRANSACTIONS_BACKOFF_MS) }
    const beforeRetry = (error: unknown) => cluster.learnFrom(error)
    return retry({ clock, random, backoff, timeoutMs: this.options.maxBlockMs, what, beforeRetry }, async () =>
      work(await cluster.coordinator(coordinator.type, coordinator.key)),
    )
  }

  /** A request that makes the transaction larger. It is not tried again once the transaction is to be aborted. */
  private extend(
    what: string,
    work: (connection: Connection) => Promise<void>,
    coordinator?: { type: 0 | 1; key: string },
  ): Promise<void> {
    const asking = this.ask(
      what,
      async (connection) => {
        if (!this.isAlive) throw this.refusal('go on')
        if (this.started === 'no') this.started = 'perhaps'
        await work(connection)
      },
      coordinator,
    )
      .catch((error) => {
        throw this.fail(error)
      })
      .finally(() => this.extending.delete(asking))
    this.extending.add(asking)
    return asking
  }

  /** A producer id and epoch: the first, or the one after those it has. */
  private async obtainIdentity(isImplicit?: boolean): Promise<void> {
    const { producerId, producerEpoch } = this
    const { transactionalId, transactionTimeoutMs } = this.options
    const versions = producerId === NO_PRODUCER_ID ? {} : { minVersion: EPOCH_BUMP }
    const what = `initializing transactional id ${transactionalId}`
    await this.ask(what, async (connection) => {
      const request = { transactionalId, transactionTimeoutMs, producerId, producerEpoch }
      const response = await connection.request(InitProducerId, request, versions)
      check(response.errorCode, `${what}: ${errorName(response.errorCode)}`)
      this.isImplicit = isImplicit ?? speaksImplicit(connection)
      this.become(response.producerId, response.producerEpoch)
    })
  }

  private become(producerId: bigint, producerEpoch: number): void {
    this.producerId = producerId
    this.producerEpoch = producerEpoch
    this.onIdentity(producerId, producerEpoch)
  }

  private async end(committed: boolean, hasLost = false): Promise<void> {
    const { transactionalId, producerId, producerEpoch, started } = this
    const what = `${committed ? 'committing' : 'aborting'} transaction ${transactionalId}`
    try {
      if (started !== 'no') {
        const versions = this.isImplicit ? { minVersion: IMPLICIT.END } : { maxVersion: CLASSIC.END }
        const response = await this.ask(what, async (connection) => {
          const answer = await connection.request(EndTxn, { transactionalId, producerId, producerEpoch, committed }, versions)
          // Nothing of the transaction had reached the coordinator.
          const nothingThere = !committed && started === 'perhaps' && answer.errorCode === ErrorCode.INVALID_TXN_STATE
          if (!nothingThere) check(answer.errorCode, `${what}: ${errorName(answer.errorCode)}`)
          return answer
        })
        if (this.isImplicit) this.become(response.producerId, response.producerEpoch)
        // A second call, after a failure below, finds this done.
        this.started = 'no'
      }
      if (hasLost && !this.isImplicit) await this.obtainIdentity(false)
    } catch (error) {
      throw this.endFailed(error as Error)
    }
    this.state = 'ready'
  }

  private endFailed(error: Error): Error {
    // Nobody knows how it ended: the state stays, and the call may be repeated.
    if (!(error instanceof KafkaError)) return this.fail(error, false)
    const abortable =
      error.code === 'TRANSACTION_ABORTABLE' || (error.code === 'INVALID_TXN_STATE' && this.isImplicit && this.isAlive)
    if (!abortable && !this.isFencing(error.code)) {
      this.state = 'failed'
      this.failure = error
    }
    return this.fail(error)
  }
}

function speaksImplicit(connection: Connection): boolean {
  const feature = connection.apiVersions?.finalizedFeatures.find(({ name }) => name === 'transaction.version')
  return (feature?.maxVersionLevel ?? 0) >= 2
}

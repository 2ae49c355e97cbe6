// The consumer of `moldau/client`: polls in the background, hands records to a handler or an iterator, and commits what is finished.
// What it stands on: group-consumer.ts (membership, fetching), work-queue.ts (what may run, what is finished), process.ts (transactions).

import { delay } from '../host/clock.ts'
import type { Assignor } from './assignors/assignor.ts'
import { cooperativeStickyAssignor } from './assignors/cooperative-sticky.ts'
import { rangeAssignor } from './assignors/range.ts'
import { roundRobinAssignor } from './assignors/round-robin.ts'
import type { ClusterClient } from './cluster-client.ts'
import { ClientClosedError } from './errors.ts'
import type { ConsumerRecord } from './fetched-records.ts'
import { GroupConsumer } from './group-consumer.ts'
import type { OffsetToCommit } from './group-offsets.ts'
import { listOffsets } from './list-offsets.ts'
import { partitionKey, type TopicPartition } from './metadata.ts'
import { Offering } from './offering.ts'
import { processWith } from './process.ts'
import { Producer } from './producer.ts'
import { type BatchHandler, type Handler, HandlerRunner, type RunOptions, StoppedError } from './run-handler.ts'
import { Latency, Rate } from './statistics.ts'
import { channels, type Tracing } from './tracing.ts'
import type { GroupMetadata } from './transaction-manager.ts'
import type {
  AnyTopic,
  AssignorName,
  ConsumerStats,
  Guarantee,
  PartitionStats,
  RecordOf,
  TypedConsumerOptions,
} from './typed-consumer-options.ts'
import { WorkQueue, type WorkQueueOptions } from './work-queue.ts'

type Work = WorkQueueOptions['work']

const ASSIGNORS: Record<AssignorName, Assignor> = {
  range: rangeAssignor,
  'round-robin': roundRobinAssignor,
  'cooperative-sticky': cooperativeStickyAssignor,
}
/** How soon an idle loop looks around, should nothing wake it. */
const POLL_MS = 500
/** Of a partition: more than this in hand, and it is not read on until half of it is finished. */
const MAX_IN_HAND = { records: 2_000, bytes: 8 * 1024 * 1024 }

export class TypedConsumer<T extends AnyTopic> implements AsyncDisposable {
  private readonly cluster: ClusterClient
  private readonly group: GroupConsumer
  private readonly options: TypedConsumerOptions<T>
  private readonly topics: readonly T[]
  private readonly tracing: Tracing
  private readonly guarantee: Guarantee
  private readonly ending = new AbortController()
  private queue: WorkQueue | undefined
  /** What runs until `stop`. */
  private running: Promise<void> | undefined
  private failure: unknown
  private readonly paused = new Set<string>()
  private readonly full = new Set<string>()
  private readonly committed = new Map<string, bigint>()
  /** Behind what has been put into the queue, which may be less than the group has given out. */
  private handedOut: readonly (OffsetToCommit & { readonly leaderEpoch: number })[] = []
  private committing: Promise<void> | undefined
  private lastCommitMs = 0
  private rebalances = 0
  /** Since the rates were last told. */
  private readonly handled = { records: 0, bytes: 0 }
  private calls = 0
  private isAsynchronous = false
  private readonly rates: { readonly records: Rate; readonly bytes: Rate; readonly latency: Latency }

  constructor(cluster: ClusterClient, options: TypedConsumerOptions<T>, tracing: Tracing) {
    const { topics, guarantee = 'at-least-once', assignors = ['range', 'cooperative-sticky'], rebalanceTimeoutMs } = options
    this.cluster = cluster
    this.options = options
    this.topics = Array.isArray(topics) ? topics : [topics as T]
    this.tracing = tracing
    this.guarantee = guarantee
    if (guarantee === 'exactly-once' && options.transactionalId === undefined) {
      throw new TypeError('exactly-once needs a transactionalId: a name of this instance, the same when it is started again')
    }
    if (guarantee !== 'at-least-once' && options.commit === 'manual') {
      throw new TypeError(`${guarantee} says when positions are committed: leave commit: 'manual' out`)
    }
    const { clock } = cluster
    this.rates = { records: new Rate(clock), bytes: new Rate(clock), latency: new Latency() }
    this.group = new GroupConsumer(cluster, {
      ...options,
      enableAutoCommit: false,
      assignors: assignors.map((assignor) => (typeof assignor === 'string' ? ASSIGNORS[assignor] : assignor)),
      ...(rebalanceTimeoutMs === undefined ? {} : { maxPollIntervalMs: rebalanceTimeoutMs }),
      ...(guarantee === 'exactly-once' ? { isolationLevel: 'read_committed' } : {}),
    })
    this.group.subscribe(this.subscription(), {
      onPartitionsAssigned: (partitions) => this.assigned(partitions),
      onPartitionsRevoked: (partitions) => this.revoked(partitions, 'revoked'),
      onPartitionsLost: (partitions) => this.revoked(partitions, 'lost'),
    })
  }

  /**
   * Calls `handler` for each record until `stop`. Resolves when it is stopped, and rejects with what a handler threw (unless
   * `retries` and `deadLetters` take care of it), a record that cannot be read, or what the brokers refuse for good. The consumer
   * has left its group then, and stands before the record that failed.
   */
  run(handler: Handler<RecordOf<T>>, options: RunOptions = {}): Promise<void> {
    return this.runWith(
      new HandlerRunner(this.cluster, this.topicOf, this.tracing, this.options.groupId, handler, options),
      options,
      1,
    )
  }

  /** The same for some records at a time, of one partition (or of one key, with `order: 'key'`). */
  runBatches(handler: BatchHandler<RecordOf<T>>, options: RunOptions & { readonly batchSize?: number } = {}): Promise<void> {
    const runner = HandlerRunner.ofBatches(this.cluster, this.topicOf, this.tracing, this.options.groupId, handler, options)
    return this.runWith(runner, options, options.batchSize ?? 500)
  }

  /**
   * One record after the other. A record is processed when the next is asked for; that in whose midst the loop is left, by `break`
   * or by an error, is not, and comes again. Leaving the loop stops the consumer.
   */
  async *[Symbol.asyncIterator](): AsyncGenerator<RecordOf<T>, void, undefined> {
    for await (const batch of this.iterate(1)) yield batch[0]
  }

  /** As the iterator, some records at a time. */
  batches(options: { readonly batchSize?: number } = {}): AsyncGenerator<RecordOf<T>[], void, undefined> {
    return this.iterate(options.batchSize ?? 500)
  }

  /** Finishes what is in hand, commits it, and leaves the group. Harmless when repeated. */
  async stop(): Promise<void> {
    this.ending.abort()
    this.group.wake()
    if (this.running === undefined) await this.group.close()
    // Its error is for whoever called `run`.
    else await this.running.catch(() => {})
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  /**
   * Stores positions now. Of a record: the one behind it. Rejects with KafkaError ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID or
   * REBALANCE_IN_PROGRESS if the partition may have gone to another member: its records come again, there or here.
   */
  async commit(
    of?: Pick<ConsumerRecord, 'topic' | 'partition' | 'offset' | 'leaderEpoch'> | readonly OffsetToCommit[],
  ): Promise<void> {
    if (of === undefined) return this.store(this.finished())
    const offsets = Array.isArray(of) ? (of as readonly OffsetToCommit[]) : [behind(of as ConsumerRecord)]
    await this.store(offsets)
  }

  assignment(): TopicPartition[] {
    return this.group.assignment()
  }

  /** For `sendOffsets` of a transaction of one's own. */
  get groupMetadata(): GroupMetadata {
    return this.group.groupMetadata
  }

  /** Hands out no more of these, beyond what is in hand; holds them in the group. All that are assigned now if none is named. */
  pause(partitions: readonly TopicPartition[] = this.assignment()): void {
    for (const { topic, partition } of partitions) this.paused.add(partitionKey(topic, partition))
    this.group.pause(this.owned(partitions))
  }

  resume(partitions: readonly TopicPartition[] = this.assignment()): void {
    for (const { topic, partition } of partitions) this.paused.delete(partitionKey(topic, partition))
    this.group.resume(this.owned(partitions).filter(({ topic, partition }) => !this.full.has(partitionKey(topic, partition))))
  }

  /** The next record will be the first at or behind `offset`. What waits is dropped, what is being handled ends. RangeError: not assigned. */
  seek(partition: TopicPartition, offset: bigint): void {
    this.group.seek(partition, offset)
    this.restart([partition])
  }

  /** To either end, of all assigned partitions if none is named. */
  seekTo(end: 'earliest' | 'latest', partitions: readonly TopicPartition[] = this.assignment()): void {
    this.group.seekTo(end, partitions)
    this.restart(partitions)
  }

  /** To the first record as new as `time`; to the end where there is none. */
  async seekToTime(time: Date | number | bigint, partitions: readonly TopicPartition[] = this.assignment()): Promise<void> {
    const timestamp = BigInt(time instanceof Date ? time.getTime() : time)
    const found = await listOffsets(
      this.cluster,
      partitions.map(({ topic, partition }) => ({ topic, partition, timestamp })),
    )
    for (const partition of this.owned(partitions)) {
      const listed = found.get(partitionKey(partition.topic, partition.partition))
      if (listed instanceof Error) throw listed
      if (listed === undefined || listed.offset < 0n) this.seekTo('latest', [partition])
      else this.seek(partition, listed.offset)
    }
  }

  stats(): ConsumerStats {
    this.countHandled()
    const positions = new Map(this.group.positions().map((at) => [partitionKey(at.topic, at.partition), at.offset]))
    const partitions = this.assignment().map(({ topic, partition }): PartitionStats => {
      const name = partitionKey(topic, partition)
      const position = positions.get(name)
      const end = this.group.highWatermark({ topic, partition })
      const inHand = this.queue?.load({ topic, partition }).records ?? 0
      const lag = position === undefined || end < 0n ? undefined : end > position ? end - position : 0n
      return { topic, partition, position, committed: this.committed.get(name), lag, inHand }
    })
    const { records, bytes, latency } = this.rates
    const lag = partitions.reduce((sum, of) => sum + (of.lag ?? 0n), 0n)
    const { rebalances } = this
    return { records: records.snapshot(), bytes: bytes.snapshot(), processingMs: latency.snapshot(), rebalances, partitions, lag }
  }

  // ── running ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private readonly topicOf = (name: string): T => {
    const found = this.topics.find((topic) =>
      topic.name instanceof RegExp ? matchesWhole(topic.name, name) : topic.name === name,
    )
    if (found === undefined) throw new Error(`nobody said how to read topic ${name}`)
    return found
  }

  private subscription(): readonly string[] | RegExp {
    const patterns = this.topics.filter((topic): topic is T & { name: RegExp } => topic.name instanceof RegExp)
    if (patterns.length === 0) return this.topics.map((topic) => topic.name as string)
    if (this.topics.length === 1) return patterns[0].name
    throw new TypeError('a topic pattern stands alone: write one that matches all topics, or name them all')
  }

  private begin(work: () => Promise<void>): Promise<void> {
    if (this.running !== undefined) throw new TypeError('the consumer is running: one handler or iterator at a time')
    if (this.ending.signal.aborted) throw new ClientClosedError('the consumer')
    this.running = work()
    return this.running
  }

  private runWith(
    runner: HandlerRunner<RecordOf<T>>,
    { concurrency = 1, order = 'partition', signal }: RunOptions,
    batchSize: number,
  ): Promise<void> {
    if (!(concurrency >= 1)) throw new RangeError(`concurrency is ${concurrency}: at least 1 is meant`)
    const onAbort = () => void this.stop()
    signal?.addEventListener('abort', onAbort)
    if (signal?.aborted) onAbort()
    const queueFor = (work: Work, onFinished: () => void): WorkQueue => {
      const onError = (error: unknown) => {
        if (!(error instanceof StoppedError)) this.failure ??= error
        onFinished()
        this.group.wake()
      }
      return new WorkQueue({
        concurrency,
        order,
        batchSize,
        work: (records) => this.measured(records, work),
        onError,
        onFinished,
      })
    }
    this.ending.signal.addEventListener('abort', () => runner.stop())
    return this.begin(async () => {
      try {
        if (this.guarantee === 'exactly-once') await this.transact(runner, queueFor)
        else
          await this.pump(
            queueFor(
              (records) => runner.run(records),
              () => this.balance(),
            ),
          )
      } finally {
        signal?.removeEventListener('abort', onAbort)
        await runner.close()
      }
    })
  }

  private async *iterate(batchSize: number): AsyncGenerator<RecordOf<T>[], void, undefined> {
    if (this.guarantee === 'exactly-once') throw new TypeError('exactly-once needs run(handler): an iterator cannot be undone')
    const offering = new Offering<RecordOf<T>[]>()
    const runner = HandlerRunner.ofBatches<RecordOf<T>>(
      this.cluster,
      this.topicOf,
      this.tracing,
      this.options.groupId,
      (records) => offering.offer(records),
      {},
    )
    const queue = new WorkQueue({
      concurrency: 1,
      order: 'partition',
      batchSize,
      work: (records) => this.measured(records, (records) => runner.run(records)),
      onError: (error) => {
        if (!offering.isAbandoned) this.failure ??= error
        this.group.wake()
      },
      onFinished: () => this.makeRoom(),
    })
    const running = this.begin(() => this.pump(queue)).finally(() => offering.end())
    running.catch(() => {})
    try {
      for (let batch = await offering.next(); batch !== undefined; batch = await offering.next()) yield batch
    } finally {
      offering.abandon()
      this.ending.abort()
      this.group.wake()
    }
    await running
  }

  private measured(records: readonly ConsumerRecord[], work: Work): void | Promise<void> {
    this.handled.records += records.length
    for (const { key, value } of records) this.handled.bytes += (key?.length ?? 0) + (value?.length ?? 0)
    // Of handlers that are over at once some are as good as all.
    const isTimed = this.isAsynchronous || (this.calls++ & 63) === 0
    if (!isTimed) return work(records)
    const { clock } = this.cluster
    const startMs = clock.monotonicMs()
    const working = work(records)
    this.isAsynchronous = working !== undefined
    if (working === undefined) this.rates.latency.add(clock.monotonicMs() - startMs)
    else return working.then(() => this.rates.latency.add(clock.monotonicMs() - startMs))
  }

  private countHandled(): void {
    this.rates.records.add(this.handled.records)
    this.rates.bytes.add(this.handled.bytes)
    this.handled.records = 0
    this.handled.bytes = 0
  }

  /** Polls until the end, whatever handlers do meanwhile, so that the group never waits for them but in a rebalance. */
  private async pump(queue: WorkQueue): Promise<void> {
    this.queue = queue
    try {
      while (!this.ending.signal.aborted && !queue.isStopped) {
        this.balance()
        const records = await this.group.poll(POLL_MS)
        if (this.guarantee === 'at-most-once' && records.length > 0 && !(await this.commitAhead(records))) continue
        queue.add(records)
        this.handedOut = this.group.positions()
        this.commitInBackground()
        this.countHandled()
      }
    } catch (error) {
      this.failure ??= error
    }
    await queue.stop()
    await this.committing
    // Commits what is finished, in the end of `revoked`.
    await this.group.close().catch((error) => {
      this.failure ??= error
    })
    if (this.failure !== undefined) throw this.failure
  }

  private async transact(
    runner: HandlerRunner<RecordOf<T>>,
    queueFor: (work: Work, onFinished: () => void) => WorkQueue,
  ): Promise<void> {
    const { transactionalId, producer: options } = this.options
    const producer = new Producer(this.cluster, { ...options, transactionalId })
    const transform = async (records: readonly ConsumerRecord[]) => {
      const sent = runner.collect()
      let left = records.length
      let stopped = false
      await new Promise<void>((resolve) => {
        const work = async (some: readonly ConsumerRecord[]) => {
          await Promise.resolve(runner.run(some)).catch((error: unknown) => {
            stopped = true
            throw error
          })
          left -= some.length
        }
        const onFinished = () => {
          if (left === 0 || stopped) resolve()
        }
        queueFor(work, onFinished).add(records)
      })
      if (this.failure !== undefined) throw this.failure
      if (stopped) throw new StoppedError('the consumer was stopped before the transaction was complete')
      return sent
    }
    await processWith(this.cluster, producer, this.group, { signal: this.ending.signal, transform }).catch((error) => {
      if (!(error instanceof StoppedError)) throw error
    })
  }

  // ── what is too much ──────────────────────────────────────────────────────────────────────────────────────────────

  private makeRoom(): void {
    if (this.full.size > 0) this.balance()
  }

  /** Reads no more of partitions that have much in hand, and goes on with those that have not any more. */
  private balance(): void {
    const { queue } = this
    if (queue === undefined) return
    for (const partition of this.group.assignment()) {
      const name = partitionKey(partition.topic, partition.partition)
      const { records, bytes } = queue.load(partition)
      const isFull = this.full.has(name)
      if (!isFull && (records > MAX_IN_HAND.records || bytes > MAX_IN_HAND.bytes)) {
        this.full.add(name)
        this.group.pause([partition])
      } else if (isFull && records <= MAX_IN_HAND.records / 2 && bytes <= MAX_IN_HAND.bytes / 2) {
        this.full.delete(name)
        if (!this.paused.has(name)) this.group.resume([partition])
      }
    }
  }

  // ── positions ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Positions that are further than those committed, and pass nothing unfinished. */
  private finished(): OffsetToCommit[] {
    const { queue } = this
    if (queue === undefined) return []
    return this.handedOut.flatMap((position): OffsetToCommit[] => {
      // Nothing in hand: the position is behind markers of transactions, too.
      const done = queue.load(position).records === 0 ? position : queue.passed(position)
      if (done === undefined || this.committed.get(partitionKey(position.topic, position.partition)) === done.offset) return []
      const { topic, partition } = position
      return [{ topic, partition, offset: done.offset, leaderEpoch: done.leaderEpoch }]
    })
  }

  private async store(offsets: readonly OffsetToCommit[], timeoutMs?: number): Promise<void> {
    if (offsets.length === 0) return
    await this.group.commit(offsets, timeoutMs)
    for (const { topic, partition, offset } of offsets) this.committed.set(partitionKey(topic, partition), offset)
    if (channels.commit.hasSubscribers) channels.commit.publish({ groupId: this.options.groupId, offsets })
  }

  private get commitsByItself(): boolean {
    return this.guarantee === 'at-least-once' && this.options.commit !== 'manual'
  }

  private commitInBackground(): void {
    const now = this.cluster.clock.monotonicMs()
    const { commitIntervalMs = 1000 } = this.options
    if (!this.commitsByItself || this.committing !== undefined || now - this.lastCommitMs < commitIntervalMs) return
    this.lastCommitMs = now
    const offsets = this.finished()
    if (offsets.length === 0) return
    this.committing = this.store(offsets)
      .catch((error) => this.tell(error, 'committing positions'))
      .finally(() => {
        this.committing = undefined
      })
  }

  /** False where it could not be done: the records come again. */
  private async commitAhead(records: readonly ConsumerRecord[]): Promise<boolean> {
    const first = new Map<string, ConsumerRecord>()
    for (const record of records) {
      const name = partitionKey(record.topic, record.partition)
      if (!first.has(name)) first.set(name, record)
    }
    try {
      await this.store(this.group.positions().filter(({ topic, partition }) => first.has(partitionKey(topic, partition))))
      return true
    } catch (error) {
      this.tell(error, 'committing positions')
      for (const partition of this.owned([...first.values()])) {
        this.group.seek(partition, first.get(partitionKey(partition.topic, partition.partition))!.offset)
      }
      await delay(this.cluster.clock, this.cluster.backoff.initialMs)
      return false
    }
  }

  /** A change of place: nothing of before counts. */
  private restart(partitions: readonly TopicPartition[]): void {
    this.queue?.forget(partitions)
    const names = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)))
    this.handedOut = this.handedOut.filter(({ topic, partition }) => !names.has(partitionKey(topic, partition)))
    for (const { topic, partition } of partitions) this.committed.delete(partitionKey(topic, partition))
  }

  private owned(partitions: readonly TopicPartition[]): TopicPartition[] {
    const names = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)))
    return this.assignment().filter(({ topic, partition }) => names.has(partitionKey(topic, partition)))
  }

  // ── rebalances ────────────────────────────────────────────────────────────────────────────────────────────────────

  private async assigned(partitions: readonly TopicPartition[]): Promise<void> {
    this.rebalances++
    this.group.pause(partitions.filter(({ topic, partition }) => this.paused.has(partitionKey(topic, partition))))
    this.tellOfRebalance('assigned', partitions)
    await this.options.onRebalance?.onPartitionsAssigned?.(partitions)
  }

  /** Others get these next: what is in hand is finished first, and committed while they are still ours. */
  private async revoked(partitions: readonly TopicPartition[], kind: 'revoked' | 'lost'): Promise<void> {
    await this.queue?.settle(partitions)
    const { onRebalance } = this.options
    if (kind === 'revoked') {
      await this.committing
      const names = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)))
      const offsets = this.finishedOf(names)
      if (this.commitsByItself) await this.store(offsets).catch((error) => this.tell(error, 'committing positions'))
      await onRebalance?.onPartitionsRevoked?.(partitions)
    } else await (onRebalance?.onPartitionsLost ?? onRebalance?.onPartitionsRevoked)?.(partitions)
    this.restart(partitions)
    for (const { topic, partition } of partitions) this.full.delete(partitionKey(topic, partition))
    this.tellOfRebalance(kind, partitions)
  }

  private finishedOf(names: ReadonlySet<string>): OffsetToCommit[] {
    return this.finished().filter(({ topic, partition }) => names.has(partitionKey(topic, partition)))
  }

  private tellOfRebalance(kind: 'assigned' | 'revoked' | 'lost', partitions: readonly TopicPartition[]): void {
    if (channels.rebalance.hasSubscribers) channels.rebalance.publish({ groupId: this.options.groupId, kind, partitions })
  }

  private tell(error: unknown, during: string): void {
    this.cluster.learnFrom(error)
    if (channels.error.hasSubscribers) channels.error.publish({ groupId: this.options.groupId, error, during })
  }
}

function behind({ topic, partition, offset, leaderEpoch }: ConsumerRecord): OffsetToCommit {
  return { topic, partition, offset: offset + 1n, leaderEpoch }
}

function matchesWhole(pattern: RegExp, name: string): boolean {
  return new RegExp(`^(?:${pattern.source})$`, pattern.flags.replace(/[gy]/g, '')).test(name)
}

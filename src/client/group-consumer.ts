// A consumer that shares the partitions of its topics with the other members of its group, by the classic protocol: JoinGroup,
// SyncGroup, Heartbeat. `poll` drives it: it joins, rejoins when the group changes, and commits what the application has had.

import { type Clock, delay, type Timer } from '../host/clock.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { Assignor } from './assignors/assignor.ts'
import { cooperativeStickyAssignor } from './assignors/cooperative-sticky.ts'
import { rangeAssignor } from './assignors/range.ts'
import type { ClusterClient } from './cluster-client.ts'
import { Consumer, type ConsumerOptions } from './consumer.ts'
import { ClientClosedError, isRetriable } from './errors.ts'
import type { ConsumerRecord } from './fetched-records.ts'
import { GroupMembership } from './group-membership.ts'
import { commitGroupOffsets, fetchGroupOffsets, type GroupMember, type OffsetToCommit } from './group-offsets.ts'
import { type ClusterView, partitionKey, type TopicPartition } from './metadata.ts'
import type { GroupMetadata } from './transaction-manager.ts'

export interface GroupConsumerOptions extends ConsumerOptions {
  readonly groupId: string
  /** Makes a static member: a restart within the session time-out moves no partitions (KIP-345). */
  readonly groupInstanceId?: string
  readonly sessionTimeoutMs?: number
  readonly heartbeatIntervalMs?: number
  /** The longest the application may take between polls, and a rebalance may wait for it. */
  readonly maxPollIntervalMs?: number
  /** In order of preference. The group uses the first that all its members know. */
  readonly assignors?: readonly Assignor[]
  readonly enableAutoCommit?: boolean
  readonly autoCommitIntervalMs?: number
  readonly allowAutoTopicCreation?: boolean
}

/** Called in the course of `poll` and `close`, which wait for what it returns. */
export interface RebalanceListener {
  onPartitionsAssigned?(partitions: readonly TopicPartition[]): void | Promise<void>
  /** The member still owns them: the place to commit. */
  onPartitionsRevoked?(partitions: readonly TopicPartition[]): void | Promise<void>
  /** Others may own them already. Without it `onPartitionsRevoked` is called. */
  onPartitionsLost?(partitions: readonly TopicPartition[]): void | Promise<void>
}

/** How soon topics that do not exist yet are looked for again. */
const MISSING_TOPICS_MS = 1000
const TOPICS_MAX_AGE_MS = 300_000

export class GroupConsumer {
  private readonly cluster: ClusterClient
  private readonly clock: Clock
  private readonly consumer: Consumer
  private readonly membership: GroupMembership
  private readonly options: Required<Omit<GroupConsumerOptions, 'groupInstanceId' | keyof ConsumerOptions>>
  private topics: readonly string[] | RegExp = []
  /** As it was given, without its anchors. */
  private expression = ''
  private listener: RebalanceListener = {}

  private subscribed: readonly string[] = []
  private topicsReadAtMs = Number.NEGATIVE_INFINITY
  private missingTopics: readonly string[] = []
  private needsJoin = true
  private reading: Promise<void> | undefined
  private joining: Promise<void> | undefined
  private failure: Error | undefined
  private heartbeat: Timer | undefined
  private lastPollMs: number
  private lastCommitMs: number
  private committing: Promise<void> | undefined
  private closed = false

  constructor(cluster: ClusterClient, options: GroupConsumerOptions) {
    if (options.groupId === '') throw new TypeError('the group id is empty')
    this.cluster = cluster
    this.clock = cluster.clock
    this.consumer = new Consumer(cluster, options)
    this.options = {
      groupId: options.groupId,
      sessionTimeoutMs: options.sessionTimeoutMs ?? 45_000,
      heartbeatIntervalMs: options.heartbeatIntervalMs ?? 3000,
      maxPollIntervalMs: options.maxPollIntervalMs ?? 300_000,
      assignors: options.assignors ?? [rangeAssignor, cooperativeStickyAssignor],
      enableAutoCommit: options.enableAutoCommit ?? true,
      autoCommitIntervalMs: options.autoCommitIntervalMs ?? 5000,
      allowAutoTopicCreation: options.allowAutoTopicCreation ?? true,
    }
    const { groupId, sessionTimeoutMs, maxPollIntervalMs: rebalanceTimeoutMs, assignors } = this.options
    const groupInstanceId = options.groupInstanceId ?? null
    this.membership = new GroupMembership(cluster, { groupId, groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs, assignors })
    this.lastPollMs = this.clock.monotonicMs()
    this.lastCommitMs = this.lastPollMs
  }

  /** Topics by name, or all whose whole name matches; internal ones are left out then. Takes effect with the next poll. */
  subscribe(topics: readonly string[] | RegExp, listener: RebalanceListener = {}): void {
    this.topics = topics instanceof RegExp ? new RegExp(`^(?:${topics.source})$`, topics.flags.replace(/[gy]/g, '')) : topics
    this.expression = topics instanceof RegExp ? topics.source : ''
    this.listener = listener
    this.needsJoin = true
    this.topicsReadAtMs = Number.NEGATIVE_INFINITY
  }

  /** Empty while the member has not joined. */
  assignment(): TopicPartition[] {
    return this.consumer.assignment()
  }

  /** As the coordinator knows it; empty before the first join. */
  get member(): GroupMember {
    return this.membership.member
  }

  /** For `Producer.sendOffsets`: the coordinator takes the positions from this generation of the group only. */
  get groupMetadata(): GroupMetadata {
    return { groupId: this.options.groupId, ...this.member }
  }

  /** Topics that were not there when last looked for; they are looked for again soon. Of an expression: itself, if nothing matches. */
  get missing(): readonly string[] {
    return this.missingTopics
  }

  seek(partition: TopicPartition, offset: bigint): void {
    this.consumer.seek(partition, offset)
  }

  position(partition: TopicPartition): bigint | undefined {
    return this.consumer.position(partition)
  }

  /** With the leader epoch of the last record. Partitions without a position are left out. */
  positions(): (TopicPartition & { offset: bigint; leaderEpoch: number })[] {
    return this.consumer.positions()
  }

  /** As of the last fetch; -1 before the first. */
  highWatermark(partition: TopicPartition): bigint {
    return this.consumer.highWatermark(partition)
  }

  seekTo(end: 'earliest' | 'latest', partitions?: readonly TopicPartition[]): void {
    this.consumer.seekTo(end, partitions)
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.consumer.pause(partitions)
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.consumer.resume(partitions)
  }

  /** Makes a poll that waits return. */
  wake(): void {
    this.consumer.wake()
  }

  /**
   * As `Consumer.poll`; besides, joins the group and takes part in its rebalances. Records returned before count as processed:
   * with auto-commit their positions are committed every `autoCommitIntervalMs`. Rejects with FENCED_INSTANCE_ID, authorisation
   * errors and the like; after such an error the member has left its partitions.
   */
  async poll(timeoutMs: number): Promise<ConsumerRecord[]> {
    if (this.closed) throw new ClientClosedError('the consumer')
    this.lastPollMs = this.clock.monotonicMs()
    const deadline = this.lastPollMs + timeoutMs
    this.throwIfFailed()
    this.commitInBackground()
    if (this.mustReadTopics()) {
      this.reading ??= this.readTopics().finally(() => {
        this.reading = undefined
      })
      await this.within(this.reading, Math.max(0, deadline - this.clock.monotonicMs()))
      this.throwIfFailed()
      if (this.topicsReadAtMs === Number.NEGATIVE_INFINITY) return []
    }
    if (this.needsJoin || this.joining !== undefined) {
      this.joining ??= this.join().finally(() => {
        this.joining = undefined
        this.consumer.wake()
      })
      const joined = await this.within(this.joining, Math.max(0, deadline - this.clock.monotonicMs()))
      if (!joined) return []
      if (this.needsJoin) return []
    }
    const records = await this.consumer.poll(Math.max(0, deadline - this.clock.monotonicMs()))
    this.throwIfFailed()
    return records
  }

  /** The given positions, or those behind all records that polls have returned. Rejects with what the coordinator says. */
  async commit(
    offsets: readonly OffsetToCommit[] = this.consumer.positions(),
    timeoutMs: number = this.cluster.apiTimeoutMs,
  ): Promise<void> {
    await commitGroupOffsets(this.cluster, this.options.groupId, offsets, { member: this.member, timeoutMs })
  }

  /** Commits if auto-commit is on, leaves the group (a static member stays) and takes no more calls. */
  async close(timeoutMs: number = 30_000): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.heartbeat?.cancel()
    this.heartbeat = undefined
    try {
      // Behind a join that waits nothing else would get through.
      if (this.joining !== undefined) this.membership.hangUp()
      await this.within(this.committing ?? Promise.resolve(), timeoutMs)
      const owned = this.assignment()
      if (owned.length > 0) {
        await this.autoCommit(timeoutMs)
        await this.listener.onPartitionsRevoked?.(owned)
      }
      await this.membership.leave('the consumer is being closed', timeoutMs)
    } finally {
      this.membership.hangUp()
      await this.consumer.close()
    }
  }

  // ── topics ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private mustReadTopics(): boolean {
    const maxAgeMs = this.missingTopics.length > 0 ? MISSING_TOPICS_MS : TOPICS_MAX_AGE_MS
    return this.clock.monotonicMs() - this.topicsReadAtMs >= maxAgeMs
  }

  /** Looks, now and then, whether topics have appeared or grown. While no broker can say, what was known holds. */
  private async readTopics(): Promise<void> {
    const { topics } = this
    let view: ClusterView
    try {
      view = await (topics instanceof RegExp
        ? this.cluster.metadata(null)
        : this.cluster.metadata(topics, { allowAutoTopicCreation: this.options.allowAutoTopicCreation }))
    } catch (error) {
      if (!isRetriable(error)) {
        this.failure = error as Error
        return
      }
      this.cluster.learnFrom(error)
      await delay(this.clock, this.cluster.backoff.initialMs)
      return
    }
    this.topicsReadAtMs = this.clock.monotonicMs()
    const counts = new Map(view.topics.map((topic) => [topic.name, topic.partitions.length]))
    let subscribed: readonly string[]
    if (topics instanceof RegExp) {
      const matches = view.topics.filter((topic) => !topic.isInternal && topics.test(topic.name))
      subscribed = matches.map((topic) => topic.name).sort()
      this.missingTopics = subscribed.length === 0 ? [this.expression] : []
    } else {
      for (const [topic, code] of view.topicErrors) {
        const error = new KafkaError(code, `topic ${topic}: ${code}`)
        if (!error.retriable) this.failure = error
      }
      subscribed = topics
      this.missingTopics = [...view.topicErrors.keys()]
    }
    const isNew = subscribed.join() !== this.subscribed.join()
    const hasGrown =
      this.membership.isLeader && subscribed.some((topic) => counts.get(topic) !== this.membership.countsAtAssignment.get(topic))
    if (isNew || hasGrown) this.needsJoin = true
    this.subscribed = subscribed
  }

  // ── joining ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private get isMember(): boolean {
    return this.membership.member.generationId >= 0
  }

  private get isCooperative(): boolean {
    return this.options.assignors.every((assignor) => assignor.cooperative)
  }

  /** One rebalance, from giving up partitions to having new ones. What goes wrong ends in `failure`, or in another try. */
  private async join(): Promise<void> {
    try {
      this.needsJoin = false
      // The heart beats on: what is to be finished first may take longer than a session.
      if (!this.isCooperative || !this.isMember) await this.giveUp(this.assignment(), !this.isMember)
      this.stopHeartbeat()
      this.needsJoin = false
      await this.take(await this.membership.join(this.subscribed, this.assignment()))
      this.startHeartbeat()
    } catch (error) {
      this.joinFailed(error as Error)
      if (!this.closed && this.needsJoin) await delay(this.clock, this.cluster.backoff.initialMs)
    }
  }

  private joinFailed(error: Error): void {
    if (this.closed || error instanceof ClientClosedError) return
    const code = error instanceof KafkaError ? error.code : undefined
    if (code === 'UNKNOWN_MEMBER_ID' || code === 'ILLEGAL_GENERATION') this.membership.forget(code === 'UNKNOWN_MEMBER_ID')
    if (code === 'UNKNOWN_MEMBER_ID' || code === 'ILLEGAL_GENERATION' || code === 'REBALANCE_IN_PROGRESS' || isRetriable(error)) {
      this.cluster.learnFrom(error)
      this.needsJoin = true
      return
    }
    this.membership.forget(true)
    this.failure = error
  }

  /** Makes the assignment ours: what is gone is given up, what is new is read from where the group stands. */
  private async take(assigned: readonly TopicPartition[]): Promise<void> {
    const key = ({ topic, partition }: TopicPartition) => partitionKey(topic, partition)
    const now = new Set(assigned.map(key))
    const before = new Set(this.assignment().map(key))
    const gone = this.assignment().filter((partition) => !now.has(key(partition)))
    const added = assigned.filter((partition) => !before.has(key(partition)))
    if (gone.length > 0) {
      await this.giveUp(gone, false)
      // Only after that may others have them: the group rebalances once more.
      this.needsJoin = true
    }
    const { groupId } = this.options
    const committed =
      added.length === 0 ? new Map() : await fetchGroupOffsets(this.cluster, groupId, added, { requireStable: true })
    this.consumer.assign(assigned)
    for (const partition of added) {
      const position = committed.get(key(partition))
      if (position !== undefined) this.consumer.seek(partition, position.offset)
    }
    await this.listener.onPartitionsAssigned?.(added)
  }

  private async giveUp(partitions: readonly TopicPartition[], areLost: boolean): Promise<void> {
    if (partitions.length === 0) return
    const lost = this.listener.onPartitionsLost?.bind(this.listener)
    if (areLost && lost !== undefined) await lost(partitions)
    else {
      if (!areLost) await this.autoCommit()
      await this.listener.onPartitionsRevoked?.(partitions)
    }
    const names = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)))
    this.consumer.assign(this.assignment().filter(({ topic, partition }) => !names.has(partitionKey(topic, partition))))
  }

  // ── being a member ────────────────────────────────────────────────────────────────────────────────────────────────

  private startHeartbeat(): void {
    this.stopHeartbeat()
    if (this.closed) return
    this.heartbeat = this.clock.timer(this.options.heartbeatIntervalMs, () => {
      void this.beat().then(() => {
        if (this.heartbeat !== undefined) this.startHeartbeat()
      })
    })
  }

  private stopHeartbeat(): void {
    this.heartbeat?.cancel()
    this.heartbeat = undefined
  }

  private async beat(): Promise<void> {
    if (this.clock.monotonicMs() - this.lastPollMs > this.options.maxPollIntervalMs) {
      this.stopHeartbeat()
      this.needsJoin = true
      await this.membership.leave('the time between polls exceeded max.poll.interval.ms')
      return
    }
    try {
      await this.membership.heartbeat()
    } catch (error) {
      if (this.closed) return
      const code = error instanceof KafkaError ? error.code : undefined
      if (code === 'REBALANCE_IN_PROGRESS') {
        // Of the one that we take part in already it tells nothing new.
        if (this.joining === undefined) this.needsJoin = true
      } else if (isRetriable(error)) this.cluster.learnFrom(error)
      else this.joinFailed(error as Error)
      if (!this.isMember || this.failure !== undefined) this.stopHeartbeat()
      this.consumer.wake()
    }
  }

  private commitInBackground(): void {
    const now = this.clock.monotonicMs()
    if (now - this.lastCommitMs < this.options.autoCommitIntervalMs || this.committing !== undefined) return
    this.lastCommitMs = now
    this.committing = this.autoCommit().finally(() => {
      this.committing = undefined
    })
  }

  /** What fails now is committed next time: positions only move on. */
  private async autoCommit(timeoutMs?: number): Promise<void> {
    if (!this.options.enableAutoCommit || !this.isMember) return
    try {
      await this.commit(undefined, timeoutMs)
    } catch (error) {
      if (error instanceof KafkaError) this.cluster.learnFrom(error)
    }
  }

  private throwIfFailed(): void {
    const { failure } = this
    if (failure === undefined) return
    this.failure = undefined
    this.needsJoin = true
    throw failure
  }

  /** Whether the work was done in time. It goes on either way. */
  private async within(work: Promise<void>, timeoutMs: number): Promise<boolean> {
    let timer: Timer | undefined
    const late = new Promise<boolean>((resolve) => {
      timer = this.clock.timer(timeoutMs, () => resolve(false))
    })
    try {
      return await Promise.race([work.then(() => true), late])
    } finally {
      timer?.cancel()
    }
  }
}

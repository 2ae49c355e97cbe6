// A consumer that shares the partitions of its topics with the other members of its group, by the classic protocol: JoinGroup,
// SyncGroup, Heartbeat. `poll` drives it: it joins, rejoins when the group changes, and commits what the application has had.

import { type Clock, delay, type Timer } from '../host/clock.ts'
import { decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription } from '../protocol/consumer-protocol.ts'
import { errorName, KafkaError } from '../protocol/error-codes.ts'
import { JoinGroup, type JoinGroupResponse } from '../protocol/messages/11-join-group.ts'
import { Heartbeat } from '../protocol/messages/12-heartbeat.ts'
import { LeaveGroup } from '../protocol/messages/13-leave-group.ts'
import { SyncGroup } from '../protocol/messages/14-sync-group.ts'
import type { Assignor, MemberSubscription } from './assignors/assignor.ts'
import { cooperativeStickyAssignor } from './assignors/cooperative-sticky.ts'
import { rangeAssignor } from './assignors/range.ts'
import { type ClusterClient, CoordinatorType, type Lane } from './cluster-client.ts'
import { Consumer, type ConsumerOptions } from './consumer.ts'
import { ClientClosedError, isRetriable } from './errors.ts'
import type { ConsumerRecord } from './fetched-records.ts'
import { check, commitGroupOffsets, fetchGroupOffsets, type OffsetToCommit } from './group-offsets.ts'
import { partitionKey, type TopicPartition } from './metadata.ts'

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

const PROTOCOL_TYPE = 'consumer'
/** The first version in which an answer can say that a member id is needed, and in which static members are known. */
const STATIC_MEMBERS = 5
/** How soon topics that do not exist yet are looked for again. */
const MISSING_TOPICS_MS = 1000
const TOPICS_MAX_AGE_MS = 300_000

export class GroupConsumer {
  private readonly cluster: ClusterClient
  private readonly clock: Clock
  private readonly consumer: Consumer
  private readonly lane: Lane
  private readonly options: Required<Omit<GroupConsumerOptions, 'groupInstanceId' | keyof ConsumerOptions>>
  private readonly groupInstanceId: string | null
  private topics: readonly string[] | RegExp = []
  private listener: RebalanceListener = {}

  private memberId = ''
  private generationId = -1
  private protocolName: string | null = null
  private isLeader = false
  /** Partition counts as of the last assignment: the leader rejoins when they change. */
  private countsAtAssignment: ReadonlyMap<string, number> = new Map()
  private subscribed: readonly string[] = []
  private topicsReadAtMs = Number.NEGATIVE_INFINITY
  private missingTopics = false
  private needsJoin = true
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
    this.lane = cluster.newLane()
    this.consumer = new Consumer(cluster, options)
    this.groupInstanceId = options.groupInstanceId ?? null
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
    this.lastPollMs = this.clock.monotonicMs()
    this.lastCommitMs = this.lastPollMs
  }

  /** Topics by name, or all whose whole name matches; internal ones are left out then. Takes effect with the next poll. */
  subscribe(topics: readonly string[] | RegExp, listener: RebalanceListener = {}): void {
    this.topics = topics instanceof RegExp ? new RegExp(`^(?:${topics.source})$`, topics.flags.replace(/[gy]/g, '')) : topics
    this.listener = listener
    this.needsJoin = true
    this.topicsReadAtMs = Number.NEGATIVE_INFINITY
  }

  /** Empty while the member has not joined. */
  assignment(): TopicPartition[] {
    return this.consumer.assignment()
  }

  /** As the coordinator knows it; empty before the first join. */
  get member(): { readonly memberId: string; readonly generationId: number } {
    return { memberId: this.memberId, generationId: this.generationId }
  }

  seek(partition: TopicPartition, offset: bigint): void {
    this.consumer.seek(partition, offset)
  }

  position(partition: TopicPartition): bigint | undefined {
    return this.consumer.position(partition)
  }

  pause(partitions: readonly TopicPartition[]): void {
    this.consumer.pause(partitions)
  }

  resume(partitions: readonly TopicPartition[]): void {
    this.consumer.resume(partitions)
  }

  /** Makes a poll that waits look again, and return when its time is over. */
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
    await this.readTopics()
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
    const member = { memberId: this.memberId, generationId: this.generationId, groupInstanceId: this.groupInstanceId }
    await commitGroupOffsets(this.cluster, this.options.groupId, offsets, { member, timeoutMs })
  }

  /** Commits if auto-commit is on, leaves the group (a static member stays) and takes no more calls. */
  async close(timeoutMs: number = 30_000): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.heartbeat?.cancel()
    this.heartbeat = undefined
    try {
      await this.within(this.committing ?? Promise.resolve(), timeoutMs)
      const owned = this.assignment()
      if (owned.length > 0) {
        await this.autoCommit(timeoutMs)
        await this.listener.onPartitionsRevoked?.(owned)
      }
      await this.leave('the consumer is being closed', timeoutMs)
    } finally {
      this.cluster.closeLane(this.lane)
      await this.consumer.close()
    }
  }

  // ── topics ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Looks, now and then, whether topics have appeared or grown. */
  private async readTopics(): Promise<void> {
    const now = this.clock.monotonicMs()
    const maxAgeMs = this.missingTopics ? MISSING_TOPICS_MS : TOPICS_MAX_AGE_MS
    if (now - this.topicsReadAtMs < maxAgeMs) return
    const { topics } = this
    const view = await this.cluster.retrying('metadata', this.cluster.apiTimeoutMs, () =>
      topics instanceof RegExp
        ? this.cluster.metadata(null)
        : this.cluster.metadata(topics, { allowAutoTopicCreation: this.options.allowAutoTopicCreation }),
    )
    this.topicsReadAtMs = this.clock.monotonicMs()
    const counts = new Map(view.topics.map((topic) => [topic.name, topic.partitions.length]))
    let subscribed: readonly string[]
    if (topics instanceof RegExp) {
      const matches = view.topics.filter((topic) => !topic.isInternal && topics.test(topic.name))
      subscribed = matches.map((topic) => topic.name).sort()
      this.missingTopics = subscribed.length === 0
    } else {
      for (const [topic, code] of view.topicErrors) {
        const error = new KafkaError(code, `topic ${topic}: ${code}`)
        if (!error.retriable) throw error
      }
      subscribed = topics
      this.missingTopics = view.topicErrors.size > 0
    }
    const isNew = subscribed.join() !== this.subscribed.join()
    const hasGrown = this.isLeader && subscribed.some((topic) => counts.get(topic) !== this.countsAtAssignment.get(topic))
    if (isNew || hasGrown) this.needsJoin = true
    this.subscribed = subscribed
  }

  // ── joining ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private get isCooperative(): boolean {
    return this.options.assignors.every((assignor) => assignor.cooperative)
  }

  /** One rebalance, from giving up partitions to having new ones. What goes wrong ends in `failure`, or in another try. */
  private async join(): Promise<void> {
    try {
      this.needsJoin = false
      this.stopHeartbeat()
      if (!this.isCooperative || this.generationId < 0) await this.giveUp(this.assignment(), this.generationId < 0)
      const joined = await this.joinGroup()
      const assigned = await this.syncGroup(joined)
      await this.take(assigned)
      this.startHeartbeat()
    } catch (error) {
      this.joinFailed(error as Error)
      if (!this.closed && this.needsJoin) await delay(this.clock, this.cluster.backoff.initialMs)
    }
  }

  private joinFailed(error: Error): void {
    if (this.closed || error instanceof ClientClosedError) return
    const code = error instanceof KafkaError ? error.code : undefined
    if (code === 'UNKNOWN_MEMBER_ID' || code === 'ILLEGAL_GENERATION') this.forgetMembership(code === 'UNKNOWN_MEMBER_ID')
    if (code === 'UNKNOWN_MEMBER_ID' || code === 'ILLEGAL_GENERATION' || code === 'REBALANCE_IN_PROGRESS' || isRetriable(error)) {
      this.cluster.learnFrom(error)
      this.needsJoin = true
      return
    }
    this.forgetMembership(true)
    this.failure = error
  }

  private forgetMembership(memberIdToo: boolean): void {
    this.generationId = -1
    this.isLeader = false
    if (memberIdToo) this.memberId = ''
  }

  private coordinator() {
    return this.cluster.coordinator(CoordinatorType.GROUP, this.options.groupId, this.lane)
  }

  private async joinGroup(): Promise<JoinGroupResponse> {
    const { groupId, sessionTimeoutMs, maxPollIntervalMs, assignors } = this.options
    const ownedPartitions = [...Map.groupBy(this.assignment(), ({ topic }) => topic)].map(([topic, of]) => ({
      topic,
      partitions: of.map(({ partition }) => partition),
    }))
    const ask = () =>
      this.cluster.retrying(`joining group ${groupId}`, this.cluster.apiTimeoutMs, async () => {
        const connection = await this.coordinator()
        const response = await connection.request(
          JoinGroup,
          {
            groupId,
            sessionTimeoutMs,
            rebalanceTimeoutMs: maxPollIntervalMs,
            memberId: this.memberId,
            groupInstanceId: this.groupInstanceId,
            protocolType: PROTOCOL_TYPE,
            protocols: assignors.map((assignor) => ({
              name: assignor.name,
              metadata: encodeSubscription({
                topics: this.subscribed,
                userData: assignor.userData?.(this.generationId) ?? null,
                ownedPartitions: assignor.cooperative ? ownedPartitions : [],
                generationId: this.generationId,
              }),
            })),
          },
          // The answer comes when the rebalance is over: that is bounded by the slowest member.
          {
            timeoutMs: maxPollIntervalMs + this.cluster.requestTimeoutMs,
            ...(this.groupInstanceId === null ? {} : { minVersion: STATIC_MEMBERS }),
          },
        )
        const code = errorName(response.errorCode)
        if (code !== 'MEMBER_ID_REQUIRED') check(response.errorCode, `joining group ${groupId}: ${code}`)
        return response
      })
    let response = await ask()
    this.memberId = response.memberId
    if (errorName(response.errorCode) === 'MEMBER_ID_REQUIRED') response = await ask()
    check(response.errorCode)
    this.memberId = response.memberId
    this.generationId = response.generationId
    this.protocolName = response.protocolName
    this.isLeader = response.leader === response.memberId
    return response
  }

  private async syncGroup(joined: JoinGroupResponse): Promise<TopicPartition[]> {
    const { groupId } = this.options
    const assignments = this.isLeader && !joined.skipAssignment ? await this.divide(joined) : []
    const connection = await this.coordinator()
    const response = await connection.request(
      SyncGroup,
      {
        groupId,
        generationId: this.generationId,
        memberId: this.memberId,
        groupInstanceId: this.groupInstanceId,
        protocolType: PROTOCOL_TYPE,
        protocolName: this.protocolName,
        assignments,
      },
      { timeoutMs: this.options.maxPollIntervalMs + this.cluster.requestTimeoutMs },
    )
    check(response.errorCode, `joining group ${groupId}: ${errorName(response.errorCode)}`)
    // A member that the leader forgot gets no bytes at all.
    if (response.assignment.length === 0) return []
    return decodeAssignment(response.assignment).assignedPartitions.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => ({ topic, partition })),
    )
  }

  /** The leader's part. */
  private async divide(joined: JoinGroupResponse): Promise<{ memberId: string; assignment: Buffer }[]> {
    const assignor = this.options.assignors.find((candidate) => candidate.name === joined.protocolName)
    if (assignor === undefined) {
      throw new KafkaError('INCONSISTENT_GROUP_PROTOCOL', `the group uses the unknown assignor ${joined.protocolName}`)
    }
    const members = joined.members.map((member): MemberSubscription => {
      const { topics, ownedPartitions, generationId, userData } = decodeSubscription(member.metadata)
      const owned = ownedPartitions.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
      const { memberId, groupInstanceId } = member
      return { memberId, groupInstanceId, topics, ownedPartitions: owned, generationId, userData }
    })
    const topics = [...new Set(members.flatMap((member) => member.topics))]
    const view = await this.cluster.metadata(topics)
    this.countsAtAssignment = new Map(view.topics.map((topic) => [topic.name, topic.partitions.length]))
    const assignments = assignor.assign(members, this.countsAtAssignment)
    return [...assignments].map(([memberId, partitions]) => ({
      memberId,
      assignment: encodeAssignment({
        assignedPartitions: [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, of]) => ({
          topic,
          partitions: of.map(({ partition }) => partition),
        })),
      }),
    }))
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
      await this.leave('the time between polls exceeded max.poll.interval.ms')
      return
    }
    const { groupId } = this.options
    try {
      const connection = await this.coordinator()
      const { generationId, memberId, groupInstanceId } = this
      const response = await connection.request(Heartbeat, { groupId, generationId, memberId, groupInstanceId })
      // A heartbeat of a generation that has passed meanwhile says nothing about this one.
      if (generationId === this.generationId) check(response.errorCode)
    } catch (error) {
      if (this.closed) return
      const code = error instanceof KafkaError ? error.code : undefined
      if (code === 'REBALANCE_IN_PROGRESS') this.needsJoin = true
      else if (isRetriable(error)) this.cluster.learnFrom(error)
      else this.joinFailed(error as Error)
      if (this.needsJoin || this.failure !== undefined) this.stopHeartbeat()
      this.consumer.wake()
    }
  }

  /** Leaves if there is something to leave. A failure is of no consequence: the session runs out. */
  private async leave(reason: string, timeoutMs?: number): Promise<void> {
    const { memberId, groupInstanceId } = this
    this.forgetMembership(true)
    if (memberId === '' || groupInstanceId !== null) return
    try {
      const connection = await this.coordinator()
      const { groupId } = this.options
      await connection.request(LeaveGroup, { groupId, memberId, members: [{ memberId, reason }] }, { timeoutMs })
    } catch {}
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
    if (!this.options.enableAutoCommit || this.generationId < 0) return
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

// The replica of a partition on this broker: its log, its role, its high watermark, and those who wait for it to move. A leader takes
// appends and counts who has them; a follower takes over what its leader has. Roles change by the metadata's word alone.

import { backoffMs } from '../../client/retry.ts'
import { type Clock, delay } from '../../host/clock.ts'
import type { Random } from '../../host/random.ts'
import type { AppendOptions, AppendResult, LogObserver, PartitionLog } from '../../log/partition-log.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import { BATCH_HEADER_SIZE, batchSize, leaderEpoch as leaderEpochOf } from '../../protocol/records/batch-header.ts'
import type { PartitionRecord } from '../metadata-records.ts'
import { AckWaiters } from './ack-waiters.ts'
import type { AppendBudget } from './append-budget.ts'
import type { IsrChanges } from './isr-changes.ts'
import { type FollowerFetch, type IsrProposal, type IsrRules, LeaderState } from './leader-state.ts'
import type { ReplicationReport } from './replication-event.ts'

/** -1: every in-sync replica has it, and under flush.policy=group has it on disk. 1: the leader's write has returned. 0: nobody waits. */
export type Acks = -1 | 0 | 1

/** What the partitions of a broker share. */
export interface ReplicaContext {
  readonly nodeId: number
  readonly clock: Clock
  readonly budget: AppendBudget
  /** Where `expireWaiters` has something to do: a partition puts itself in, and whoever calls that takes it out. */
  readonly waitedFor: Set<Partition>
  readonly rules: IsrRules
  /** Where this broker is the only one, nobody needs to be asked. */
  readonly proposals: { readonly changes: IsrChanges; readonly random: Random } | undefined
  readonly report: ReplicationReport
  /** Told once of each replica that is not served any more because of its disk. */
  readonly onFailure: (partition: Partition) => void
}

export interface ReplicaIdentity {
  readonly topic: string
  readonly topicId: TopicId
  readonly index: number
}

/** What a leader tells along with records. */
export interface LeaderProgress {
  readonly highWatermark: bigint
  readonly logStartOffset: bigint
}

/** Proven not to have been done: the leader goes back to the ISR as committed. After anything else nobody knows. */
const NOT_DONE = new Set(['INELIGIBLE_REPLICA', 'OPERATION_NOT_ATTEMPTED'])
const ISR_BACKOFF = { initialMs: 50, maxMs: 5000 }

export class Partition implements LogObserver {
  readonly topic: string
  readonly topicId: TopicId
  readonly index: number
  readonly log: PartitionLog
  /** Of the leadership that was last heard of. */
  leaderEpoch = -1
  /** Consumers see what is below. Goes back only where a log is cut that was thought to be committed. */
  highWatermark: bigint
  /** Called on each move of the high watermark, by fetches that are parked here. */
  readonly fetchers = new Set<() => void>()
  /** The same for fetches of followers, which go up to the end of the log. */
  readonly followers = { fetchers: new Set<() => void>() }
  /** Undefined unless this broker leads. */
  leader: LeaderState | undefined
  /** min.insync.replicas */
  minInsyncReplicas = 1
  /** Why nothing is served here any more. */
  failure: KafkaError | undefined
  private readonly context: ReplicaContext
  private readonly awaitingWrite = new AckWaiters()
  private readonly awaitingCommit = new AckWaiters()
  private readonly awaitingDeletion = new AckWaiters()
  /** Bytes that the budget counts for this partition. */
  private counted = 0
  private wakePlanned = false
  /** Of the log's end, under way: no role begins before it is over. */
  private cutting: Promise<void> | undefined
  /** The leader was elected without having all that was committed. */
  private recovering = false
  private noProposalBeforeMs = Number.NEGATIVE_INFINITY

  /** @param highWatermark as last written down; nothing above is known to be committed */
  constructor({ topic, topicId, index }: ReplicaIdentity, log: PartitionLog, context: ReplicaContext, highWatermark = 0n) {
    this.topic = topic
    this.topicId = topicId
    this.index = index
    this.log = log
    this.context = context
    this.highWatermark = within(log.logStartOffset, highWatermark, log.endOffset)
    this.failure = log.failed
    log.observer = this
  }

  // ── roles ─────────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Leads as `record` says, at once unless the log is just being cut; an ISR or assignment that changed in the same epoch is taken over.
   * False where it refuses: its log has seen that epoch already, under another leadership.
   */
  becomeLeader(record: PartitionRecord): boolean | Promise<boolean> {
    if (this.failure !== undefined) return false
    if (this.leader?.leaderEpoch === record.leaderEpoch) {
      if (this.leader.update(record, this.context.clock.monotonicMs())) this.maybeAdvance()
      return true
    }
    this.leave()
    return this.cutting === undefined ? this.lead(record) : this.cutting.then(() => this.lead(record))
  }

  private lead(record: PartitionRecord): boolean {
    const { clock, nodeId, report, rules } = this.context
    if (this.failure !== undefined) return false
    const { latestLeaderEpoch: latestEpoch } = this.log
    const { leaderEpoch } = record
    // A single replica that was shut down in order goes on in its epoch: there is nobody with whom it could disagree.
    if (leaderEpoch <= latestEpoch && record.replicas.length > 1) {
      report({ event: 'leadership-refused', topic: this.topic, partition: this.index, leaderEpoch, latestEpoch })
      return false
    }
    this.leaderEpoch = leaderEpoch
    this.log.assignLeaderEpoch(leaderEpoch)
    this.leader = new LeaderState(nodeId, record, this.log.endOffset, rules, clock.monotonicMs())
    this.maybeAdvance()
    return true
  }

  /** Follows whoever leads in the record's epoch; nobody, if nobody does. False where it does so already. */
  becomeFollower(record: PartitionRecord): boolean {
    this.recovering = record.recovering
    if (this.leader === undefined && this.leaderEpoch === record.leaderEpoch) return false
    this.leave()
    this.leaderEpoch = record.leaderEpoch
    return true
  }

  /** Whoever waits for what was written as the leader learns that another one decides about it now. */
  private leave(): void {
    this.leader = undefined
    this.noProposalBeforeMs = Number.NEGATIVE_INFINITY
    const error = new KafkaError('NOT_LEADER_OR_FOLLOWER', 'the leadership changed before all in-sync replicas had the records')
    this.awaitingCommit.refuseAll(error)
    this.awaitingWrite.refuseAll(error)
    this.awaitingDeletion.refuseAll(new KafkaError('NOT_LEADER_OR_FOLLOWER'))
    // A transaction that was asked about in this leadership may have ended under another one.
    this.log.verifications.clear()
    this.wakeFetchers()
  }

  /** Throws KafkaError: NOT_LEADER_OR_FOLLOWER, or why the replica is not served. */
  requireLeader(): LeaderState {
    if (this.leader === undefined) throw this.failure ?? new KafkaError('NOT_LEADER_OR_FOLLOWER')
    return this.leader
  }

  /** Throws KafkaError: FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH. -1 asks for no check (KIP-320). */
  checkLeaderEpoch(claimed: number): void {
    if (claimed === -1 || claimed === this.leaderEpoch) return
    throw new KafkaError(claimed < this.leaderEpoch ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH')
  }

  // ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Consumers of committed records see what is below. Moves only with the high watermark, or the start of the log. */
  get lastStableOffset(): bigint {
    return this.log.lastStableOffset(this.highWatermark)
  }

  get logStartOffset(): bigint {
    return this.log.logStartOffset
  }

  /** A new leader may not know yet how far its predecessor had committed: then the end that it would tell could lie in front of it. */
  get endIsKnown(): boolean {
    return this.leader === undefined || this.highWatermark >= this.leader.epochStart
  }

  // ── writing, as leader ────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Assigns offsets and queues the write, at once. Throws KafkaError where the records are refused, NOT_ENOUGH_REPLICAS where all
   * in-sync replicas are asked for and they are too few.
   */
  append(records: Buffer, options: Omit<AppendOptions, 'leaderEpoch'>, acks: Acks = -1): AppendResult {
    const leader = this.requireLeader()
    if (acks === -1 && leader.isr.length < leader.effectiveMinIsr(this.minInsyncReplicas)) {
      const message = `${leader.isr.length} in-sync replicas, ${this.minInsyncReplicas} are asked for (min.insync.replicas)`
      throw new KafkaError('NOT_ENOUGH_REPLICAS', message)
    }
    const result = this.log.append(records, { ...options, leaderEpoch: this.leaderEpoch })
    this.count()
    if (this.followers.fetchers.size > 0) this.planWake()
    return result
  }

  /**
   * Undefined where everything below `offset` is there already; rejects with KafkaError if it will never be, is not by `deadlineMs`
   * of monotonic time, or another leadership begins first.
   */
  awaitAcks(acks: Acks, offset: bigint, deadlineMs: number): Promise<void> | undefined {
    if (acks === 0) return undefined
    if (this.leader === undefined) return Promise.reject(this.failure ?? new KafkaError('NOT_LEADER_OR_FOLLOWER'))
    if ((acks === 1 ? this.log.writtenOffset : this.highWatermark) >= offset) return undefined
    this.context.waitedFor.add(this)
    return (acks === 1 ? this.awaitingWrite : this.awaitingCommit).until(offset, deadlineMs)
  }

  /**
   * Moves the start of the log up to `offset`, as the leader. Resolves with the low watermark when all replicas of brokers that live have
   * done so too; rejects with KafkaError where they have not by `deadlineMs` of monotonic time, or another leadership begins first.
   */
  async deleteRecords(offset: bigint, deadlineMs: number): Promise<bigint> {
    const leader = this.requireLeader()
    if (offset < 0n || offset > this.highWatermark) throw new KafkaError('OFFSET_OUT_OF_RANGE')
    await this.log.advanceLogStartOffset(offset)
    if (this.leader !== leader) throw this.failure ?? new KafkaError('NOT_LEADER_OR_FOLLOWER')
    const reached = leader.lowWatermark(this.logStartOffset)
    if (reached >= offset) return reached
    this.wakeFollowers()
    this.context.waitedFor.add(this)
    await this.awaitingDeletion.until(offset, deadlineMs)
    return this.requireLeader().lowWatermark(this.logStartOffset)
  }

  /** Lets go of those who have waited long enough. Returns whether anybody still waits. */
  expireWaiters(nowMs: number): boolean {
    const { awaitingWrite, awaitingCommit, awaitingDeletion } = this
    awaitingWrite.expire(nowMs)
    awaitingCommit.expire(nowMs)
    if (awaitingDeletion.size > 0) {
      // Nobody waits any longer for brokers that have gone.
      if (this.leader !== undefined) awaitingDeletion.wake(this.leader.lowWatermark(this.logStartOffset))
      awaitingDeletion.expire(nowMs)
    }
    return awaitingWrite.size + awaitingCommit.size + awaitingDeletion.size > 0
  }

  /** A follower says by its fetch how far it is. Throws KafkaError: NOT_LEADER_OR_FOLLOWER, UNKNOWN_LEADER_EPOCH. */
  noteFetch(fetch: FollowerFetch): void {
    const leader = this.requireLeader()
    const nowMs = this.context.clock.monotonicMs()
    leader.onFetch(fetch, this.log.endOffset, nowMs)
    if (this.awaitingDeletion.size > 0) this.awaitingDeletion.wake(leader.lowWatermark(this.logStartOffset))
    if (nowMs >= this.noProposalBeforeMs) {
      const isr = leader.expansion(fetch.replicaId, this.highWatermark)
      if (isr !== undefined) {
        const { topic, index: partition } = this
        this.context.report({ event: 'isr-grows', topic, partition, isr, by: fetch.replicaId })
        this.propose(leader, isr)
      }
    }
    this.maybeAdvance()
  }

  /** Called from time to time: takes out of the ISR who lags behind, and lets the high watermark go on without them. */
  checkLag(): void {
    const { leader } = this
    if (leader === undefined || leader.alone) return
    const isr = leader.shrunk(this.log.endOffset, this.context.clock.monotonicMs())
    if (isr !== undefined) {
      const { topic, index: partition } = this
      const without = leader.isr.filter((id) => !isr.includes(id))
      this.context.report({ event: 'isr-shrinks', topic, partition, isr, without })
      this.propose(leader, isr)
    }
    this.maybeAdvance()
  }

  private propose(leader: LeaderState, isr: readonly number[]): void {
    void this.settle(leader, leader.propose(isr))
  }

  /** Asks until the answer is known, from the controller or by the metadata, or another leadership begins. */
  private async settle(leader: LeaderState, proposal: IsrProposal): Promise<void> {
    const { clock, proposals, report } = this.context
    if (proposals === undefined) return leader.withdraw(proposal)
    const { topic, topicId, index } = this
    const { isr, partitionEpoch } = proposal
    const isOpen = () => this.leader === leader && leader.pending === proposal
    for (let attempt = 1; isOpen(); attempt++) {
      const pauseMs = backoffMs(ISR_BACKOFF, attempt, proposals.random)
      try {
        // No recovery of ours waits for anything: a leader that was elected uncleanly has recovered when it leads (KIP-704).
        const change = { topicId, index, leaderEpoch: leader.leaderEpoch, partitionEpoch, isr, recovering: false }
        const record = await proposals.changes.propose(change)
        if (this.leader !== leader) return
        // The metadata may have been faster, or the ISR was that already.
        if (!leader.update(record, clock.monotonicMs()) && record.leaderEpoch === leader.leaderEpoch) leader.withdraw(proposal)
        return this.maybeAdvance()
      } catch (error) {
        if (!isOpen()) return
        report({ event: 'isr-change-failed', topic, partition: index, error: error as Error })
        if (error instanceof KafkaError && NOT_DONE.has(error.code)) {
          leader.withdraw(proposal)
          this.noProposalBeforeMs = clock.monotonicMs() + pauseMs
          return this.maybeAdvance()
        }
      }
      await delay(clock, pauseMs)
    }
  }

  /** Called also where `minInsyncReplicas`, or what is known of brokers, has changed. */
  maybeAdvance(): void {
    const { leader, log } = this
    if (leader === undefined) return
    // Under `group` a consumer must not see what a power cut may take back: the high watermark waits for the disk.
    const ackable = log.config.flushPolicy === 'group' ? log.flushedOffset : log.writtenOffset
    if (leader.alone) return this.advanceHighWatermark(ackable)
    const nowMs = this.context.clock.monotonicMs()
    const reached = leader.highWatermark(ackable, log.endOffset, this.minInsyncReplicas, nowMs)
    const enough = leader.maximalIsrSize >= leader.effectiveMinIsr(this.minInsyncReplicas)
    this.advanceHighWatermark(reached, enough ? undefined : new KafkaError('NOT_ENOUGH_REPLICAS_AFTER_APPEND'))
  }

  private advanceHighWatermark(offset: bigint, tooFew?: KafkaError): void {
    if (offset <= this.highWatermark) return
    this.highWatermark = offset
    this.awaitingCommit.wake(offset, tooFew)
    this.wakeFetchers()
  }

  // ── writing, as follower ──────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Takes over whole batches that the leader sent in `leaderEpoch`, which must be the one that is followed, and how far it is itself.
   * Throws KafkaError: OFFSET_OUT_OF_RANGE, CORRUPT_MESSAGE, KAFKA_STORAGE_ERROR.
   */
  appendAsFollower(records: Buffer, { highWatermark, logStartOffset }: LeaderProgress): void {
    const { log } = this
    const known = upToEpoch(records, this.leaderEpoch)
    if (known.length > 0) {
      log.append(known, { origin: 'replica', leaderEpoch: this.leaderEpoch })
      this.count()
    }
    const committed = highWatermark < log.endOffset ? highWatermark : log.endOffset
    if (committed > this.highWatermark) {
      this.highWatermark = committed
      this.wakeFetchers()
    }
    if (logStartOffset > log.logStartOffset && logStartOffset <= this.highWatermark) {
      log.advanceLogStartOffset(logStartOffset).catch((error) => this.reportFailure(error))
    }
  }

  /** Resolves when all of the log is where the next fetch may say it is: in the files, under `group` on the disk. Undefined: it is. */
  untilAckable(): Promise<void> | undefined {
    const { log } = this
    if (log.config.flushPolicy === 'group') return log.flushedOffset >= log.endOffset ? undefined : log.flush()
    return log.writtenOffset >= log.endOffset ? undefined : this.awaitingWrite.until(log.endOffset, Number.POSITIVE_INFINITY)
  }

  /** The epoch of the last record; -1 where there is none. */
  get lastFetchedEpoch(): number {
    return this.log.epochOfOffset(this.log.endOffset - 1n)
  }

  /** Cuts off what the leader does not have, for all that is known. */
  truncateTo(offset: bigint): Promise<void> {
    const { topic, index: partition, log } = this
    const from = log.endOffset
    if (offset >= from) return Promise.resolve()
    this.context.report({ event: 'log-truncated', topic, partition, from, to: offset })
    return this.cut(offset, () => log.truncateTo(offset))
  }

  /** Begins anew where the leader's log begins. */
  restartAt(offset: bigint): Promise<void> {
    const { topic, index: partition, log } = this
    this.context.report({ event: 'log-restarted', topic, partition, at: offset })
    return this.cut(offset, () => log.resetTo(offset))
  }

  private async cut(offset: bigint, work: () => Promise<void>): Promise<void> {
    const { topic, index: partition } = this
    if (offset < this.highWatermark) {
      const from = this.highWatermark
      if (!this.recovering) this.context.report({ event: 'committed-records-lost', topic, partition, from, to: offset })
      this.highWatermark = offset
    }
    const cutting = work()
    this.cutting = cutting.catch(() => {})
    try {
      await cutting
    } finally {
      this.cutting = undefined
      this.count()
      // A cut goes in front of the batch that holds the offset. What is restarted begins where it ends.
      this.highWatermark = within(this.log.logStartOffset, this.highWatermark, this.log.endOffset)
    }
  }

  // ── what the log tells ────────────────────────────────────────────────────────────────────────────────────────────

  onWritten(): void {
    this.count()
    this.awaitingWrite.wake(this.log.writtenOffset)
    if (this.log.config.flushPolicy !== 'group') this.maybeAdvance()
  }

  onFlushed(): void {
    this.maybeAdvance()
  }

  /** What had been appended behind the end of the log is gone: whoever waits for it is told, and nobody was told it was there. */
  onDiscarded(log: PartitionLog, error: KafkaError): void {
    this.count()
    this.awaitingWrite.refuseBehind(log.endOffset, error)
    this.awaitingCommit.refuseBehind(log.endOffset, error)
    // A follower had counted on it.
    if (this.highWatermark > log.endOffset) this.highWatermark = log.endOffset
  }

  onFailure(_log: PartitionLog, error: KafkaError): void {
    if (this.failure !== undefined) return
    this.close(error)
    this.reportFailure(error)
    this.context.onFailure(this)
  }

  /** Whoever waits, and whoever comes, gets `error`: the partition is deleted, has left this broker, or its disk has failed. */
  close(error: KafkaError): void {
    this.failure = error
    this.leader = undefined
    this.context.budget.add(-this.counted)
    this.counted = 0
    this.awaitingWrite.refuseAll(error)
    this.awaitingCommit.refuseAll(error)
    this.awaitingDeletion.refuseAll(error)
    this.wakeFetchers()
  }

  private reportFailure(error: Error): void {
    this.context.report({ event: 'replica-failed', topic: this.topic, partition: this.index, error })
  }

  private count(): void {
    const pending = this.failure === undefined ? this.log.pendingBytes : 0
    this.context.budget.add(pending - this.counted)
    this.counted = pending
  }

  /** Not at once: what the same turn of the event loop appends, to other partitions too, goes into the same answer. */
  private planWake(): void {
    if (this.wakePlanned) return
    this.wakePlanned = true
    this.context.clock.soon(() => {
      this.wakePlanned = false
      this.wakeFollowers()
    })
  }

  private wakeFetchers(): void {
    for (const wakeFetcher of this.fetchers) wakeFetcher()
    this.wakeFollowers()
  }

  private wakeFollowers(): void {
    for (const wakeFetcher of this.followers.fetchers) wakeFetcher()
  }
}

/**
 * The batches before the first of a later epoch. The leader answers in the epoch that it was asked in, but if another is elected while it
 * reads, what follows is that one's, and taking it over would hide the change from us.
 */
function upToEpoch(records: Buffer, epoch: number): Buffer {
  for (let at = 0; at + BATCH_HEADER_SIZE <= records.length; at += Math.max(1, batchSize(records, at))) {
    if (leaderEpochOf(records, at) > epoch) return records.subarray(0, at)
  }
  return records
}

function within(least: bigint, offset: bigint, most: bigint): bigint {
  if (offset < least) return least
  return offset > most ? most : offset
}

// A partition that this broker leads: its log, its high watermark, and those who wait for it to move.

import type { AppendOptions, AppendResult, LogObserver, PartitionLog } from '../../log/partition-log.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import { AckWaiters } from './ack-waiters.ts'
import type { AppendBudget } from './append-budget.ts'

/** -1: every in-sync replica has it, and under flush.policy=group has it on disk. 1: the leader's write has returned. 0: nobody waits. */
export type Acks = -1 | 0 | 1

export class Partition implements LogObserver {
  readonly topic: string
  readonly topicId: TopicId
  readonly index: number
  readonly log: PartitionLog
  readonly leaderEpoch: number
  /** Consumers see what is below. Never goes back. */
  highWatermark: bigint
  /** Called on each move of the high watermark, by fetches that are parked here. */
  readonly fetchers = new Set<() => void>()
  private readonly awaitingWrite = new AckWaiters()
  private readonly awaitingCommit = new AckWaiters()
  private readonly budget: AppendBudget
  /** Bytes that the budget counts for this partition. */
  private counted = 0
  /** Why nothing is served here any more. */
  failure: KafkaError | undefined

  constructor(topic: string, topicId: TopicId, index: number, leaderEpoch: number, log: PartitionLog, budget: AppendBudget) {
    this.topic = topic
    this.topicId = topicId
    this.index = index
    this.leaderEpoch = leaderEpoch
    this.log = log
    this.budget = budget
    // The only replica: whatever its log holds after recovery is committed.
    this.highWatermark = log.endOffset
    this.failure = log.failed
    log.observer = this
  }

  /** Consumers of committed records see what is below. Moves only with the high watermark, or the start of the log. */
  get lastStableOffset(): bigint {
    return this.log.lastStableOffset(this.highWatermark)
  }

  get logStartOffset(): bigint {
    return this.log.logStartOffset
  }

  /** Throws KafkaError: FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH. -1 asks for no check (KIP-320). */
  checkLeaderEpoch(claimed: number): void {
    if (claimed === -1 || claimed === this.leaderEpoch) return
    throw new KafkaError(claimed < this.leaderEpoch ? 'FENCED_LEADER_EPOCH' : 'UNKNOWN_LEADER_EPOCH')
  }

  /** Assigns offsets and queues the write, at once. Throws KafkaError where the records are refused. */
  append(records: Buffer, options: Omit<AppendOptions, 'leaderEpoch'>): AppendResult {
    if (this.failure !== undefined) throw this.failure
    const result = this.log.append(records, { ...options, leaderEpoch: this.leaderEpoch })
    this.count()
    return result
  }

  /**
   * Undefined where everything below `offset` is there already; rejects with KafkaError if it will never be, or is not by
   * `deadlineMs` of monotonic time.
   */
  awaitAcks(acks: Acks, offset: bigint, deadlineMs: number): Promise<void> | undefined {
    if (acks === 0) return undefined
    if (this.failure !== undefined) return Promise.reject(this.failure)
    if (acks === 1) return this.log.writtenOffset >= offset ? undefined : this.awaitingWrite.until(offset, deadlineMs)
    return this.highWatermark >= offset ? undefined : this.awaitingCommit.until(offset, deadlineMs)
  }

  /** Lets go of those who have waited long enough. */
  expireWaiters(nowMs: number): void {
    this.awaitingWrite.expire(nowMs)
    this.awaitingCommit.expire(nowMs)
  }

  onWritten(): void {
    this.count()
    this.awaitingWrite.wake(this.log.writtenOffset)
    // Under `group` a consumer must not see what a power cut may take back: the high watermark waits for the disk.
    if (this.log.config.flushPolicy !== 'group') this.advanceHighWatermark(this.log.writtenOffset)
  }

  onFlushed(): void {
    this.advanceHighWatermark(this.log.flushedOffset)
  }

  /** What had been appended behind the end of the log is gone: whoever waits for it is told, and nobody was told it was there. */
  onDiscarded(log: PartitionLog, error: KafkaError): void {
    this.count()
    this.awaitingWrite.refuseBehind(log.endOffset, error)
    this.awaitingCommit.refuseBehind(log.endOffset, error)
  }

  onFailure(_log: PartitionLog, error: KafkaError): void {
    this.close(error)
  }

  private count(): void {
    const pending = this.failure === undefined ? this.log.pendingBytes : 0
    this.budget.add(pending - this.counted)
    this.counted = pending
  }

  private advanceHighWatermark(offset: bigint): void {
    if (offset <= this.highWatermark) return
    this.highWatermark = offset
    this.awaitingCommit.wake(offset)
    this.wakeFetchers()
  }

  private wakeFetchers(): void {
    for (const wakeFetcher of this.fetchers) wakeFetcher()
  }

  /** Whoever waits, and whoever comes, gets `error`: the partition is deleted, led elsewhere, or its disk has failed. */
  close(error: KafkaError): void {
    this.failure = error
    this.budget.add(-this.counted)
    this.counted = 0
    this.awaitingWrite.refuseBehind(-1n, error)
    this.awaitingCommit.refuseBehind(-1n, error)
    this.wakeFetchers()
  }
}

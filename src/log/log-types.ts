// What goes into a log and comes out of it, and who is told: the words that the log and its users share.

import type { BufferPool, Lease } from '../bytes/buffer-pool.ts'
import type { Clock } from '../host/clock.ts'
import type { Disk } from '../host/disk.ts'
import type { Random } from '../host/random.ts'
import type { KafkaError } from '../protocol/error-codes.ts'
import type { TopicId } from '../protocol/ids.ts'
import type { DecompressionAllowance } from './append-checks.ts'
import type { DelayedRemoval } from './delayed-removal.ts'
import type { FilePool } from './file-pool.ts'
import type { FlushTimer } from './flush-timer.ts'
import type { Report } from './log-event.ts'
import type { PartitionLog } from './partition-log.ts'
import type { TailCache } from './tail-cache.ts'
import type { Verification } from './verifications.ts'

/** What a log shares with the other logs of its broker. */
export interface LogEnvironment {
  readonly disk: Disk
  readonly pool: FilePool
  readonly clock: Clock
  readonly random: Random
  readonly cache: TailCache
  readonly buffers: BufferPool
  readonly flushTimer: FlushTimer
  readonly removal: DelayedRemoval
  readonly report: Report
}

/** Whose log it is. */
export interface LogIdentity {
  readonly topic: string
  readonly topicId: TopicId
  readonly partition: number
}

export interface AppendOptions {
  /**
   * `client`: one batch, checked in every respect. `coordinator`: batches made by this broker. `replica`: batches copied from
   * the leader, with the offsets and epochs that it gave them.
   */
  readonly origin: 'client' | 'coordinator' | 'replica'
  /** Stamped into the batches; of no meaning for `replica`. */
  readonly leaderEpoch: number
  /**
   * By whose rules a transaction is written or ended, 0 if it is not known. From 2 on a marker has a higher epoch than what it
   * ends, and a transactional producer that is not known begins at sequence number 0 (KIP-890).
   */
  readonly transactionVersion?: number
  /**
   * Of a transactional batch from a client: what `Verifications.begin` has handed out. It is refused unless that still holds,
   * or its transaction is open. Left out where that need not be known.
   */
  readonly verification?: Verification | null
  /** Shared by the batches of one request from a client. Default: one for each batch. */
  readonly allowance?: DecompressionAllowance
}

export interface AppendResult {
  readonly firstOffset: bigint
  readonly lastOffset: bigint
  /** -1 unless the topic stamps its own time. */
  readonly logAppendTimeMs: bigint
  /** The batch was in the log already, at these offsets, or for a marker below them: nothing was appended. */
  readonly duplicate: boolean
}

export interface ReadOptions {
  /** More only if the first batch is larger and `atLeastOneBatch` asks for it. */
  readonly maxBytes: number
  /** Only batches that end below. */
  readonly limitOffset: bigint
  readonly atLeastOneBatch: boolean
}

export interface ReadResult {
  /** Whole batches, in order; a chunk may hold several. They must not be changed. */
  readonly chunks: readonly Buffer[]
  /** Bytes in all chunks. */
  readonly size: number
  /** Behind the last of the batches; -1 if there are none. */
  readonly nextOffset: bigint
  /** Of the memory that the chunks lie in. Released when they have been sent, it is used again; if not, the collector takes it. */
  readonly leases: readonly Lease[]
}

export const NOTHING_READ: ReadResult = { chunks: [], size: 0, nextOffset: -1n, leases: [] }

export interface FoundRecord {
  readonly offset: bigint
  readonly timestamp: bigint
  readonly leaderEpoch: number
}

/** Told once per group of appends, never per append. */
export interface LogObserver {
  /** What lies below may be deleted by retention, and compacted. */
  readonly highWatermark: bigint
  /** `writtenOffset` has moved. */
  onWritten(log: PartitionLog): void
  /** `flushedOffset` has moved. */
  onFlushed(log: PartitionLog): void
  /** The disk was full: what was appended at or behind `endOffset` is gone. Appends are refused until there is room. */
  onDiscarded(log: PartitionLog, error: KafkaError): void
  /** The log is no longer served. */
  onFailure(log: PartitionLog, error: KafkaError): void
}

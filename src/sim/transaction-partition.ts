// A partition of a topic as transactions see it, for transaction-histories.ts: the log's own rules (producer-state.ts, append.ts,
// verifications.ts) over batches in memory, which are committed some time after they were written; a leader that dies, and is followed
// by one that knows what is committed and perhaps more; and a consumer of committed records that reads along.

import assert from 'node:assert/strict'
import { decodeFetched } from '../client/fetched-records.ts'
import type { MarkerResult, TxnMarker } from '../coordinators/transaction/marker-sender.ts'
import type { AbortedTransaction } from '../log/aborted-index.ts'
import { type AppendTarget, appendOwn, appendProduced } from '../log/append.ts'
import { defaultLogConfig } from '../log/log-config.ts'
import type { AppendResult } from '../log/log-types.ts'
import { decodeProducerSnapshot, encodeProducerSnapshot } from '../log/producer-snapshot.ts'
import { ProducerState } from '../log/producer-state.ts'
import { type Verification, Verifications } from '../log/verifications.ts'
import { ErrorCode, KafkaError } from '../protocol/error-codes.ts'
import { lastOffsetDelta, stampOffsetAndEpoch } from '../protocol/records/batch-header.ts'
import { endTransactionMarker } from '../protocol/records/control-record.ts'
import type { Dice, SimClock } from './simulation.ts'

interface PlacedBatch {
  readonly bytes: Buffer
  readonly baseOffset: bigint
  readonly lastOffset: bigint
}

interface Snapshot {
  readonly offset: bigint
  readonly bytes: Buffer
}

interface Waiter {
  readonly offset: bigint
  resolve(): void
  reject(error: KafkaError): void
}

const COMMITTED_WITHIN_MS = 6
const SLOWLY_COMMITTED_WITHIN_MS = 2_000

export class SimulatedPartition implements AppendTarget {
  readonly index: number
  readonly config = defaultLogConfig
  producers = new ProducerState()
  verifications: Verifications
  endOffset = 0n
  highWatermark = 0n
  leaderEpoch = 0
  /** Values of committed records, in the order in which a consumer has got them that reads now and then. */
  readonly seen: string[] = []
  private readOffset = 0n
  /** The last stable offset that somebody was told. */
  private stable = 0n
  private readonly clock: SimClock
  private readonly dice: Dice
  private readonly happens: (outOf: number) => boolean
  private batches: PlacedBatch[] = []
  private aborted: AbortedTransaction[] = []
  private snapshot: Snapshot | undefined
  private waiters: Waiter[] = []

  /** @param happens one time out of so many, while there is trouble */
  constructor(index: number, clock: SimClock, dice: Dice, happens: (outOf: number) => boolean) {
    this.index = index
    this.clock = clock
    this.dice = dice
    this.happens = happens
    this.verifications = new Verifications(clock, () => this.producers)
  }

  get openTransactions(): number {
    return this.producers.active().filter(({ currentTxnStartOffset }) => currentTxnStartOffset >= 0n).length
  }

  /** Resolves when it is committed. Rejects with KafkaError. */
  async write(batch: Buffer, verification: Verification | null, transactionVersion: number): Promise<void> {
    const { leaderEpoch } = this
    const options = { origin: 'client', leaderEpoch, transactionVersion, verification } as const
    await this.committed(appendProduced(this, batch, options, this.clock.wallMs()))
  }

  /** Resolves with the answer to the coordinator. */
  async end(marker: TxnMarker): Promise<MarkerResult['errorCode']> {
    const { producerId, producerEpoch, coordinatorEpoch, transactionVersion } = marker
    const timestamp = BigInt(this.clock.wallMs())
    const result = marker.committed ? 'commit' : 'abort'
    const batch = endTransactionMarker({ result, producerId, producerEpoch, coordinatorEpoch, timestamp })
    const options = { origin: 'coordinator', leaderEpoch: this.leaderEpoch, transactionVersion } as const
    try {
      await this.committed(appendOwn(this, batch, options, this.clock.wallMs()))
      return ErrorCode.NONE
    } catch (error) {
      if (error instanceof KafkaError) return error.errorCode
      throw error
    }
  }

  place(arrived: Buffer, offset: bigint, leaderEpoch: number, nowMs: number): void {
    // Whoever sends it may send it again.
    const bytes = Buffer.from(arrived)
    stampOffsetAndEpoch(bytes, 0, offset, leaderEpoch)
    const lastOffset = offset + BigInt(lastOffsetDelta(bytes))
    this.batches.push({ bytes, baseOffset: offset, lastOffset })
    this.learn(bytes, nowMs)
    this.verifications.update(bytes)
    this.endOffset = lastOffset + 1n
    const slow = this.happens(30)
    const { leaderEpoch: epoch, endOffset } = this
    this.clock.timer(this.dice.below(slow ? SLOWLY_COMMITTED_WITHIN_MS : COMMITTED_WITHIN_MS), () => {
      if (this.leaderEpoch === epoch) this.commit(endOffset)
    })
  }

  private learn(bytes: Buffer, nowMs: number): void {
    const aborted = this.producers.update(bytes, 0, nowMs)
    if (aborted !== undefined) this.aborted.push(aborted)
  }

  private committed({ lastOffset }: AppendResult): Promise<void> {
    if (lastOffset < this.highWatermark) return Promise.resolve()
    return new Promise((resolve, reject) => this.waiters.push({ offset: lastOffset, resolve, reject }))
  }

  private commit(offset: bigint): void {
    if (offset <= this.highWatermark) return
    this.highWatermark = offset
    if (offset === this.endOffset && this.dice.below(12) === 0) {
      this.snapshot = { offset, bytes: encodeProducerSnapshot(this.producers) }
    }
    const waiters = this.waiters
    this.waiters = waiters.filter((waiter) => waiter.offset >= offset)
    for (const waiter of waiters) if (waiter.offset < offset) waiter.resolve()
  }

  /** The leader dies. The next one has what is committed, and perhaps some of what was not: what it knows of producers it has from that. */
  changeLeader(): void {
    this.leaderEpoch++
    const kept = this.batches.filter(({ lastOffset }) => lastOffset < this.highWatermark)
    const more = this.dice.below(this.batches.length - kept.length + 1)
    this.batches = this.batches.slice(0, kept.length + more)
    this.endOffset = (this.batches.at(-1)?.lastOffset ?? -1n) + 1n
    const from = this.snapshot?.offset ?? 0n
    this.aborted = this.aborted.filter(({ lastOffset }) => lastOffset < from)
    const nowMs = this.clock.wallMs()
    this.producers = this.snapshot === undefined ? new ProducerState() : decodeProducerSnapshot(this.snapshot.bytes, nowMs)
    this.verifications = new Verifications(this.clock, () => this.producers)
    for (const { bytes, baseOffset } of this.batches) if (baseOffset >= from) this.learn(bytes, nowMs)
    const waiters = this.waiters
    this.waiters = []
    for (const waiter of waiters) waiter.reject(new KafkaError('NOT_LEADER_OR_FOLLOWER'))
    const { leaderEpoch: epoch, endOffset } = this
    this.clock.timer(this.dice.below(COMMITTED_WITHIN_MS), () => {
      if (this.leaderEpoch === epoch) this.commit(endOffset)
    })
  }

  /** A consumer of committed records reads on. Returns what it gets. */
  readOn(): readonly string[] {
    const { values, nextOffset } = this.read(this.readOffset)
    this.readOffset = nextOffset
    this.seen.push(...values)
    return values
  }

  /** All committed records, for a consumer that begins now. */
  readAll(): readonly string[] {
    return this.read(0n).values
  }

  private read(from: bigint): { readonly values: readonly string[]; readonly nextOffset: bigint } {
    const stable = this.producers.transactions.lastStableOffset(this.highWatermark)
    assert(stable >= this.stable, `${this} is stable up to ${stable}, it was up to ${this.stable}`)
    this.stable = stable
    const batches = this.batches.filter(({ baseOffset, lastOffset }) => baseOffset >= from && lastOffset < stable)
    if (batches.length === 0) return { values: [], nextOffset: from }
    const { records, nextOffset } = decodeFetched(Buffer.concat(batches.map(({ bytes }) => bytes)), {
      topic: 't',
      partition: this.index,
      fetchOffset: from,
      readCommitted: true,
      abortedTransactions: this.aborted.filter(({ firstOffset, lastOffset }) => firstOffset < stable && lastOffset >= from),
      checkCrcs: false,
    })
    return { values: records.map(({ value }) => `${value}`), nextOffset }
  }

  toString(): string {
    const producers = this.producers.active().map((producer) => `${producer.producerId}/${producer.producerEpoch}`)
    return `partition ${this.index} to ${this.endOffset}, committed to ${this.highWatermark}, producers ${producers.join(' ')}`
  }
}

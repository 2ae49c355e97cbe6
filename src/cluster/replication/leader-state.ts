// What a leader knows of its replicas, and the rules that follow from it: how far the high watermark may go, who falls out of the
// ISR and who may join it. Nothing here waits, reads or writes, so that the rules can be tested by themselves.
//
// A change of the ISR is asked of the controller, and between question and answer nobody knows which of the two holds. The
// *maximal ISR* is everybody who may be in it: what it has not got is not committed (KIP-497).

import { KafkaError } from '../../protocol/error-codes.ts'
import type { PartitionRecord } from '../metadata-records.ts'
import type { IsrMember } from './isr-changes.ts'

/** Of a follower that has not fetched in this epoch: whatever it had before may be gone, or may never have been ours. */
const UNKNOWN_OFFSET = -1n
const NEVER = Number.NEGATIVE_INFINITY
const ANY_EPOCH = -1

/** What a fetch tells of the follower that sent it. */
export interface FollowerFetch {
  readonly replicaId: number
  /** Of the broker that holds the replica (KIP-903); -1 where it does not say. */
  readonly brokerEpoch: number
  /** All below is at the follower, as durably as its flush policy asks. */
  readonly fetchOffset: bigint
  readonly logStartOffset: bigint
}

export interface Follower {
  readonly replicaId: number
  brokerEpoch: number
  /** `UNKNOWN_OFFSET` before its first fetch in this epoch. */
  endOffset: bigint
  logStartOffset: bigint
  /** When it last had all that the leader had at some moment not long before. */
  lastCaughtUpMs: number
  lastFetchMs: number
  /** Where the leader's log ended at that fetch. */
  leaderEndOffset: bigint
}

export interface IsrProposal {
  readonly isr: readonly IsrMember[]
  readonly partitionEpoch: number
}

/** What the rules ask of the world around. */
export interface IsrRules {
  /** replica.lag.time.max.ms */
  readonly lagTimeMaxMs: number
  /** Whether that broker, in that epoch, is alive and staying by the newest metadata (KIP-841, KIP-903). */
  mayJoinIsr(brokerId: number, brokerEpoch: number): boolean
}

/** Of one leadership: a new leader epoch begins with a new one, whoever led before. */
export class LeaderState {
  readonly leaderEpoch: number
  /** The end of the log when the epoch began: who has less has not got all that was committed before. */
  readonly epochStart: bigint
  private readonly localId: number
  private readonly rules: IsrRules
  private record: PartitionRecord
  private readonly followers = new Map<number, Follower>()
  private proposal: IsrProposal | undefined

  constructor(localId: number, record: PartitionRecord, epochStart: bigint, rules: IsrRules, nowMs: number) {
    this.localId = localId
    this.leaderEpoch = record.leaderEpoch
    this.epochStart = epochStart
    this.rules = rules
    this.record = record
    this.followReplicas(nowMs)
  }

  // ── the ISR ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** As committed. */
  get isr(): readonly number[] {
    return this.record.isr
  }

  get partitionEpoch(): number {
    return this.record.partitionEpoch
  }

  get replicas(): readonly number[] {
    return this.record.replicas
  }

  /** The only replica: nobody else is asked about anything. */
  get alone(): boolean {
    return this.followers.size === 0
  }

  /** Of which nobody knows yet whether it holds. One at a time. */
  get pending(): IsrProposal | undefined {
    return this.proposal
  }

  isInMaximalIsr(replicaId: number): boolean {
    return this.record.isr.includes(replicaId) || (this.proposal?.isr.some(({ brokerId }) => brokerId === replicaId) ?? false)
  }

  get maximalIsrSize(): number {
    const added = this.proposal?.isr.filter(({ brokerId }) => !this.record.isr.includes(brokerId)).length ?? 0
    return this.record.isr.length + added
  }

  /** A partition with fewer replicas than `min.insync.replicas` asks for needs all of them. */
  effectiveMinIsr(minInsyncReplicas: number): number {
    return Math.min(minInsyncReplicas, this.record.replicas.length)
  }

  /** Takes over what the controller has decided in this leader epoch. False where that is known already, or older. */
  update(record: PartitionRecord, nowMs: number): boolean {
    if (record.leaderEpoch !== this.leaderEpoch || record.partitionEpoch <= this.record.partitionEpoch) return false
    this.record = record
    // A proposal on top of the last partition epoch is decided, or refused: it cannot take effect any more.
    this.proposal = undefined
    this.followReplicas(nowMs)
    return true
  }

  /** The ISR is asked to be `isr`. Until `update` or `withdraw` both it and the committed one count. */
  propose(isr: readonly number[]): IsrProposal {
    const members = isr.map((brokerId) => ({ brokerId, brokerEpoch: this.followers.get(brokerId)?.brokerEpoch ?? -1 }))
    this.proposal = { isr: members, partitionEpoch: this.record.partitionEpoch }
    return this.proposal
  }

  /** It is certain that the proposal was not, and will not be, put into effect. */
  withdraw(proposal: IsrProposal): void {
    if (this.proposal === proposal) this.proposal = undefined
  }

  // ── followers ─────────────────────────────────────────────────────────────────────────────────────────────────────

  follower(replicaId: number): Follower | undefined {
    return this.followers.get(replicaId)
  }

  allFollowers(): Iterable<Follower> {
    return this.followers.values()
  }

  /**
   * Notes what a fetch tells. `leaderEndOffset` is where the log ends before it is read for the fetch. Throws KafkaError:
   * UNKNOWN_LEADER_EPOCH where the replica is none of this partition (the follower may know of a reassignment before us),
   * NOT_LEADER_OR_FOLLOWER where the fetch is of a broker that has been started again since.
   */
  onFetch(fetch: FollowerFetch, leaderEndOffset: bigint, nowMs: number): void {
    const follower = this.followers.get(fetch.replicaId)
    if (follower === undefined) {
      throw new KafkaError('UNKNOWN_LEADER_EPOCH', `broker ${fetch.replicaId} has no replica of this partition`)
    }
    if (fetch.brokerEpoch !== -1 && fetch.brokerEpoch < follower.brokerEpoch) {
      throw new KafkaError('NOT_LEADER_OR_FOLLOWER', `broker ${fetch.replicaId} has been started again since`)
    }
    if (fetch.fetchOffset >= leaderEndOffset) follower.lastCaughtUpMs = nowMs
    else if (fetch.fetchOffset >= follower.leaderEndOffset && follower.lastFetchMs > follower.lastCaughtUpMs) {
      // It now has all that there was when it last asked.
      follower.lastCaughtUpMs = follower.lastFetchMs
    }
    follower.brokerEpoch = fetch.brokerEpoch
    follower.endOffset = fetch.fetchOffset
    follower.logStartOffset = fetch.logStartOffset
    follower.lastFetchMs = nowMs
    follower.leaderEndOffset = leaderEndOffset
  }

  // ── the rules ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * How far the high watermark may go; never an order to take it back. Not at all where it may not move: then it is `UNKNOWN_OFFSET`.
   * `ackable` is the offset below which the leader itself has everything as durably as the flush policy asks.
   */
  highWatermark(ackable: bigint, endOffset: bigint, minInsyncReplicas: number, nowMs: number): bigint {
    // Records that fewer replicas have than were asked for must not become visible (KIP-966).
    if (this.record.isr.length < this.effectiveMinIsr(minInsyncReplicas)) return UNKNOWN_OFFSET
    let highWatermark = ackable
    for (const follower of this.followers.values()) {
      if (follower.endOffset >= highWatermark) continue
      if (this.isInMaximalIsr(follower.replicaId) || this.isAboutToJoin(follower, endOffset, nowMs)) {
        highWatermark = follower.endOffset
      }
    }
    return highWatermark
  }

  /** Below it no replica has records that anybody could read, but for those whose brokers are gone. `ours`: where our own log starts. */
  lowWatermark(ours: bigint): bigint {
    let lowWatermark = ours
    for (const { replicaId, logStartOffset } of this.followers.values()) {
      if (logStartOffset < lowWatermark && this.rules.mayJoinIsr(replicaId, ANY_EPOCH)) lowWatermark = logStartOffset
    }
    return lowWatermark
  }

  /** The ISR with the follower in it, if it may join: it has all that is committed, and is known to be who it says. */
  expansion(replicaId: number, highWatermark: bigint): readonly number[] | undefined {
    const follower = this.followers.get(replicaId)
    if (follower === undefined || this.proposal !== undefined || this.record.isr.includes(replicaId)) return undefined
    // A new leader's high watermark lags behind the truth: what was committed before is known to lie below the start of its epoch.
    if (follower.endOffset < highWatermark || follower.endOffset < this.epochStart) return undefined
    if (!this.rules.mayJoinIsr(replicaId, follower.brokerEpoch)) return undefined
    return [...this.record.isr, replicaId]
  }

  /** The ISR without those who lag behind, if there are any. */
  shrunk(endOffset: bigint, nowMs: number): readonly number[] | undefined {
    if (this.proposal !== undefined) return undefined
    const isr = this.record.isr.filter((id) => {
      const follower = this.followers.get(id)
      return follower === undefined || this.isCaughtUp(follower, endOffset, nowMs)
    })
    return isr.length === this.record.isr.length ? undefined : isr
  }

  private isCaughtUp(follower: Follower, endOffset: bigint, nowMs: number): boolean {
    return follower.endOffset === endOffset || nowMs - follower.lastCaughtUpMs <= this.rules.lagTimeMaxMs
  }

  /** If the high watermark ran away from it, it could never join. */
  private isAboutToJoin(follower: Follower, endOffset: bigint, nowMs: number): boolean {
    return this.isCaughtUp(follower, endOffset, nowMs) && this.rules.mayJoinIsr(follower.replicaId, follower.brokerEpoch)
  }

  /** A replica that is new, or comes back after it was taken away, has nothing until it has fetched. */
  private followReplicas(nowMs: number): void {
    for (const id of this.followers.keys()) if (!this.record.replicas.includes(id)) this.followers.delete(id)
    for (const replicaId of this.record.replicas) {
      if (replicaId === this.localId || this.followers.has(replicaId)) continue
      this.followers.set(replicaId, {
        replicaId,
        brokerEpoch: -1,
        endOffset: UNKNOWN_OFFSET,
        logStartOffset: UNKNOWN_OFFSET,
        // Members of the ISR are given the time to show themselves.
        lastCaughtUpMs: this.record.isr.includes(replicaId) ? nowMs : NEVER,
        lastFetchMs: NEVER,
        leaderEndOffset: UNKNOWN_OFFSET,
      })
    }
  }
}

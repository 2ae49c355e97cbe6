// A classic group: members, the generation they agree on, and the phase of the rebalance they are in. What `restore` takes is
// stored (the last completed generation); the rest is memory, and gone when the coordinator moves: members notice and rejoin.

import assert from 'node:assert/strict'
import { DecodeError } from '../../bytes/reader.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import type { GroupMetadataValue } from '../../protocol/internal-records/group-records.ts'
import type { JoinGroupResponseInput } from '../../protocol/messages/11-join-group.ts'
import type { Ticket } from '../runtime/outcome.ts'
import { Member, type MemberIdentity, NO_ASSIGNMENT, type Protocol, type SessionTimer } from './member.ts'
import { subscribedTopics } from './subscription.ts'

/** The words that DescribeGroups and ListGroups answer. A group that is not there reads `Dead`. */
export type ClassicGroupState = 'Empty' | 'PreparingRebalance' | 'CompletingRebalance' | 'Stable'

export interface RebalanceTimer {
  readonly kind: 'join' | 'sync'
  readonly group: ClassicGroup
}

/** The protocol type of consumers, whose metadata we can read. */
const CONSUMER = 'consumer'

export class ClassicGroup {
  readonly type = 'classic'
  readonly groupId: string
  state: ClassicGroupState = 'Empty'
  /** Wall time at which it became Empty or Stable; null in groups stored by old versions of Kafka. */
  stateTimestampMs: number | null = null
  /** Null for a group that only commits offsets ("simple consumer"). */
  protocolType: string | null = null
  protocolName: string | null = null
  generationId = 0
  leaderId: string | null = null
  readonly members = new Map<string, Member>()
  /** Whether the log knows of it. A group that nobody ever finished joining is forgotten without a trace. */
  isStored = false

  /** Member ids by instance id. */
  private readonly staticMembers = new Map<string, string>()
  /** Sent away with a fresh member id (KIP-394) and expected back before their session ends. */
  readonly pendingMembers = new Map<string, SessionTimer>()
  private awaitingJoin = 0
  /** How many members know each assignor. */
  private readonly supporters = new Map<string, number>()
  /** Members that got this generation and have not yet asked for their assignment. */
  readonly pendingSync = new Set<string>()
  /** Topics that its consumers read; null if unknown. */
  private topics: ReadonlySet<string> | null = null

  readonly joinTimer: RebalanceTimer = { kind: 'join', group: this }
  readonly syncTimer: RebalanceTimer = { kind: 'sync', group: this }
  /** Set during the first rebalance of an empty group, which waits for members to arrive. */
  initialDelay: { waitedMs: number; remainingMs: number; memberAdded: boolean } | null = null

  constructor(groupId: string) {
    this.groupId = groupId
  }

  get awaitingJoinCount(): number {
    return this.awaitingJoin
  }

  get hasAllMembersJoined(): boolean {
    return this.awaitingJoin === this.members.size && this.pendingMembers.size === 0
  }

  /** How long members may take to rejoin: the most patient one decides. */
  get rebalanceTimeoutMs(): number {
    let longest = 0
    for (const member of this.members.values()) longest = Math.max(longest, member.rebalanceTimeoutMs)
    return longest
  }

  get isConsumerGroup(): boolean {
    return this.protocolType === CONSUMER
  }

  /** Knows its topics, so that offsets of other topics may expire while it lives. */
  get knowsItsTopics(): boolean {
    return this.isConsumerGroup && this.topics !== null
  }

  isLeader(memberId: string): boolean {
    return this.leaderId === memberId
  }

  staticMemberId(groupInstanceId: string): string | undefined {
    return this.staticMembers.get(groupInstanceId)
  }

  /** A group of consumers whose topics are unknown is taken to read them all. */
  isSubscribedTo(topic: string): boolean {
    return this.topics?.has(topic) ?? this.isConsumerGroup
  }

  // ── members ───────────────────────────────────────────────────────────────────────────────────────────────────────

  add(identity: MemberIdentity): Member {
    const member = new Member(this, identity)
    assert(!this.members.has(member.memberId), 'a member joins a group once')
    if (member.groupInstanceId !== null) {
      assert(!this.staticMembers.has(member.groupInstanceId), 'an instance id has one member')
      this.staticMembers.set(member.groupInstanceId, member.memberId)
    }
    this.members.set(member.memberId, member)
    this.leaderId ??= member.memberId
    this.pendingMembers.delete(member.memberId)
    return member
  }

  /** Gives out an id: the timer ends the wait for whoever got it. */
  expect(memberId: string): SessionTimer {
    const timer: SessionTimer = { kind: 'session', group: this, memberId }
    this.pendingMembers.set(memberId, timer)
    return timer
  }

  /** The caller answers what the member still waits for. */
  remove(memberId: string): void {
    const member = this.members.get(memberId)
    this.pendingMembers.delete(memberId)
    this.pendingSync.delete(memberId)
    if (member === undefined) return
    this.count(member, -1)
    this.park(member, null)
    this.members.delete(memberId)
    if (member.groupInstanceId !== null) this.staticMembers.delete(member.groupInstanceId)
    if (this.isLeader(memberId)) this.leaderId = this.members.keys().next().value ?? null
  }

  /** What a member says of itself when it joins. Bytes are copied: they come as views on a request. */
  update(member: Member, sessionTimeoutMs: number, rebalanceTimeoutMs: number, protocols: readonly Protocol[]): void {
    this.count(member, -1)
    member.protocols = protocols.map(({ name, metadata }) => ({ name, metadata: Buffer.from(metadata) }))
    this.count(member, 1)
    member.sessionTimeoutMs = sessionTimeoutMs
    member.rebalanceTimeoutMs = rebalanceTimeoutMs
  }

  /** A static member came back under a new id: the new one takes over everything but what the old one waited for. */
  replaceStatic(old: Member, memberId: string): Member {
    const leads = this.isLeader(old.memberId)
    const { sessionTimeoutMs, rebalanceTimeoutMs, protocols, assignment } = old
    this.remove(old.memberId)
    const member = this.add({ ...identityOf(old), memberId })
    this.update(member, sessionTimeoutMs, rebalanceTimeoutMs, protocols)
    member.assignment = assignment
    if (leads) this.leaderId = memberId
    return member
  }

  /** The member waits for the rebalance to complete, or no longer does. */
  park(member: Member, ticket: Ticket<JoinGroupResponseInput> | null): void {
    this.awaitingJoin += Number(ticket !== null) - Number(member.joinTicket !== null)
    member.joinTicket = ticket
  }

  /** The leader stays, if it is back. Otherwise the first that is takes its place; false if nobody is. */
  electLeader(): boolean {
    if (this.leaderId !== null && this.members.get(this.leaderId)?.joinTicket) return true
    for (const member of this.members.values()) {
      if (member.joinTicket === null) continue
      this.leaderId = member.memberId
      return true
    }
    return false
  }

  /** The member that a request speaks for, or the error code of why it may not: unknown, or replaced under its instance id. */
  identify(memberId: string, groupInstanceId: string | null): Member | number {
    if (groupInstanceId !== null) {
      const holder = this.staticMembers.get(groupInstanceId)
      if (holder === undefined) return ErrorCode.UNKNOWN_MEMBER_ID
      if (holder !== memberId) return ErrorCode.FENCED_INSTANCE_ID
    }
    return this.members.get(memberId) ?? ErrorCode.UNKNOWN_MEMBER_ID
  }

  // ── protocols ─────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Whether somebody who knows these assignors could join: one of them must be known to all members. */
  supports(protocolType: string, protocols: readonly Protocol[]): boolean {
    if (this.state === 'Empty') return protocolType !== '' && protocols.length > 0
    return (
      protocolType === this.protocolType && protocols.some(({ name }) => (this.supporters.get(name) ?? 0) === this.members.size)
    )
  }

  /** The assignor with the most votes among those that all members know. */
  selectProtocol(): string {
    const candidates = new Set<string>()
    for (const [name, count] of this.supporters) if (count === this.members.size) candidates.add(name)
    const votes = new Map<string, number>()
    for (const member of this.members.values()) {
      const name = member.vote(candidates)
      if (name !== undefined) votes.set(name, (votes.get(name) ?? 0) + 1)
    }
    let winner: string | null = null
    for (const [name, count] of votes) if (winner === null || count > votes.get(winner)!) winner = name
    assert(winner !== null, 'members that joined have an assignor in common')
    return winner
  }

  private count(member: Member, by: 1 | -1): void {
    for (const name of new Set(member.protocols.map((protocol) => protocol.name))) {
      const count = (this.supporters.get(name) ?? 0) + by
      if (count === 0) this.supporters.delete(name)
      else this.supporters.set(name, count)
    }
  }

  // ── generations ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** All are back: the members of now agree on an assignor, and wait for the leader's assignment. */
  beginGeneration(): void {
    this.generationId++
    this.protocolName = this.selectProtocol()
    this.state = 'CompletingRebalance'
    this.initialDelay = null
    this.pendingSync.clear()
    this.learnTopics()
  }

  /** What to store when this generation has its assignment. */
  completed(assignments: ReadonlyMap<string, Buffer>, now: number): GroupMetadataValue {
    return {
      protocolType: this.protocolType ?? '',
      generation: this.generationId,
      protocol: this.protocolName,
      leader: this.leaderId,
      currentStateTimestamp: BigInt(now),
      members: Array.from(this.members.values(), (member) =>
        member.stored(this.protocolName, assignments.get(member.memberId) ?? NO_ASSIGNMENT),
      ),
    }
  }

  /** What to store when nobody is left. The next generation begins, and has no members. */
  emptied(now: number): GroupMetadataValue {
    return {
      protocolType: this.protocolType ?? '',
      generation: this.generationId + 1,
      protocol: null,
      leader: null,
      currentStateTimestamp: BigInt(now),
      members: [],
    }
  }

  /** The only way in which stored state changes: a generation was written, just now or before we took over. */
  restore(value: GroupMetadataValue): void {
    const present = new Set(value.members.map((member) => member.memberId))
    for (const memberId of [...this.members.keys()]) if (!present.has(memberId)) this.remove(memberId)
    for (const stored of value.members) {
      const known = this.members.get(stored.memberId)
      // A live member knows more assignors than the one that was chosen; it is kept as it is.
      if (known?.metadataFor(value.protocol)?.equals(stored.subscription)) {
        known.assignment = Buffer.from(stored.assignment)
        continue
      }
      if (known !== undefined) this.remove(known.memberId)
      const member = this.add(identityOf(stored))
      const rebalanceTimeoutMs = stored.rebalanceTimeout < 0 ? stored.sessionTimeout : stored.rebalanceTimeout
      const protocols = [{ name: value.protocol ?? '', metadata: stored.subscription }]
      this.update(member, stored.sessionTimeout, rebalanceTimeoutMs, protocols)
      member.assignment = Buffer.from(stored.assignment)
    }
    this.state = this.members.size === 0 ? 'Empty' : 'Stable'
    this.stateTimestampMs = value.currentStateTimestamp < 0n ? null : Number(value.currentStateTimestamp)
    this.protocolType = value.protocolType === '' ? null : value.protocolType
    this.protocolName = value.protocol
    this.generationId = value.generation
    this.leaderId = value.leader
    this.initialDelay = null
    this.isStored = true
    this.learnTopics()
  }

  private learnTopics(): void {
    this.topics = null
    if (!this.isConsumerGroup) return
    const topics = new Set<string>()
    try {
      for (const member of this.members.values()) {
        for (const topic of subscribedTopics(member.metadataFor(this.protocolName) ?? NO_ASSIGNMENT)) topics.add(topic)
      }
    } catch (error) {
      // Clients put there what they like. Their offsets then never expire while they live.
      if (error instanceof DecodeError) return
      throw error
    }
    this.topics = topics
  }
}

function identityOf({ memberId, groupInstanceId, clientId, clientHost }: MemberIdentity): MemberIdentity {
  return { memberId, groupInstanceId, clientId, clientHost }
}

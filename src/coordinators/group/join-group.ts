// JoinGroup: a member asks to be part of the next generation. Unless nothing changes for it, its answer is parked until everybody is
// back (rebalance.ts). Dynamic members come twice: the first time they are only given an id (KIP-394). Static members (KIP-345) are
// known by their instance id and may return under a new member id without disturbing the others.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { JoinGroupResponseInput } from '../../protocol/messages/11-join-group.ts'
import type { Ticket } from '../runtime/outcome.ts'
import type { ClassicGroup } from './classic-group.ts'
import { GroupOutcome, groupRecord } from './group-records.ts'
import type { Groups } from './groups.ts'
import type { Member, Protocol } from './member.ts'
import { dismiss, joined, maybeCompleteJoin, maybeRebalance, rebalance, refusedJoin, renewSession } from './rebalance.ts'

export interface JoinRequest {
  readonly groupId: string
  readonly sessionTimeoutMs: number
  /** Negative in version 0, which has only the session's. */
  readonly rebalanceTimeoutMs: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly protocolType: string
  readonly protocols: readonly Protocol[]
  readonly reason: string | null
  // Not of the message, but of whoever sent it:
  readonly clientId: string
  readonly clientHost: string
  /** From version 4 on: the client can take an id and come again. */
  readonly requiresKnownMemberId: boolean
  /** From version 9 on (KIP-814). */
  readonly supportsSkippingAssignment: boolean
}

/**
 * A new member has no heartbeat before its first rebalance is through, and a client that has gone away while parked is not noticed:
 * after this long it is given up, so that a rebalance that never ends does not gather members without end.
 */
export const NEW_MEMBER_JOIN_TIMEOUT_MS = 300_000

type Join = GroupOutcome<JoinGroupResponseInput>

/** `uuid` makes ids of new members; it is called at most once. */
export function joinGroup(
  groups: Groups,
  request: JoinRequest,
  ticket: Ticket<JoinGroupResponseInput>,
  now: number,
  uuid: () => string,
): Join {
  const out: Join = new GroupOutcome()
  const { memberId, groupInstanceId } = request
  const refuse = (errorCode: number, id = memberId) => out.reply(refusedJoin(errorCode, id))

  const existing = groups.get(request.groupId)
  if (existing === undefined && memberId !== '') return refuse(ErrorCode.UNKNOWN_MEMBER_ID)
  const group = existing ?? groups.getOrCreate(request.groupId)
  if (!hasRoom(group, memberId, groups.config.maxSize)) {
    // Somebody who was in it has lost its place to those who were back sooner.
    const timer = group.members.get(memberId)?.sessionTimer ?? group.pendingMembers.get(memberId)
    if (timer !== undefined) out.cancel(timer)
    group.remove(memberId)
    maybeCompleteJoin(group, now, out)
    return refuse(ErrorCode.GROUP_MAX_SIZE_REACHED, '')
  }
  if (!group.supports(request.protocolType, request.protocols)) {
    groups.forgetIfUnused(group)
    return refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  }

  if (memberId === '') {
    if (groupInstanceId !== null) {
      const newId = `${groupInstanceId}-${uuid()}`
      const old = group.members.get(group.staticMemberId(groupInstanceId) ?? '')
      if (old !== undefined) return replaceStaticMember(groups, group, old, newId, request, ticket, now, out)
      return addMember(groups, group, newId, request, ticket, now, out)
    }
    const newId = `${request.clientId}-${uuid()}`
    if (!request.requiresKnownMemberId) return addMember(groups, group, newId, request, ticket, now, out)
    const timer = { kind: 'session', group, memberId: newId } as const
    group.pendingMembers.set(newId, timer)
    out.wakeAfter(request.sessionTimeoutMs, timer)
    return refuse(ErrorCode.MEMBER_ID_REQUIRED, newId)
  }

  const pending = group.pendingMembers.get(memberId)
  if (pending !== undefined && groupInstanceId === null) {
    out.cancel(pending)
    return addMember(groups, group, memberId, request, ticket, now, out)
  }
  const known = group.identify(memberId, groupInstanceId)
  if (typeof known === 'number') return refuse(known)
  return rejoin(groups, group, known, request, ticket, now, out)
}

/** While members are rejoining those who are back count: a group above its size loses the ones that come last. */
function hasRoom(group: ClassicGroup, memberId: string, maxSize: number): boolean {
  switch (group.state) {
    case 'Empty':
      return true
    case 'PreparingRebalance':
      return group.members.get(memberId)?.joinTicket != null || group.awaitingJoinCount < maxSize
    default:
      return group.members.has(memberId) || group.members.size < maxSize
  }
}

function addMember(
  groups: Groups,
  group: ClassicGroup,
  memberId: string,
  request: JoinRequest,
  ticket: Ticket<JoinGroupResponseInput>,
  now: number,
  out: Join,
): Join {
  if (group.members.size === 0) group.protocolType = request.protocolType
  if (group.initialDelay !== null) group.initialDelay.memberAdded = true
  const { groupInstanceId, clientId, clientHost } = request
  const member = group.add({ memberId, groupInstanceId, clientId, clientHost })
  member.isNew = true
  takeIn(group, member, request, ticket, out)
  out.wakeAfter(NEW_MEMBER_JOIN_TIMEOUT_MS, member.sessionTimer)
  maybeRebalance(group, groups.config, `member ${memberId} joins${because(request)}`, now, out)
  return out
}

function rejoin(
  groups: Groups,
  group: ClassicGroup,
  member: Member,
  request: JoinRequest,
  ticket: Ticket<JoinGroupResponseInput>,
  now: number,
  out: Join,
): Join {
  // Nothing new: its answer was lost, or it only wants to know. A leader that asks in Stable has seen its topics change.
  const unchanged = group.state !== 'PreparingRebalance' && member.matches(request.protocols)
  if (unchanged && !(group.state === 'Stable' && group.isLeader(member.memberId))) {
    renewSession(out, member)
    return out.reply(joined(group, member))
  }
  takeIn(group, member, request, ticket, out)
  maybeRebalance(group, groups.config, `member ${member.memberId} rejoins${because(request)}`, now, out)
  return out
}

/** Stores what the member says of itself, and parks it. */
function takeIn(
  group: ClassicGroup,
  member: Member,
  request: JoinRequest,
  ticket: Ticket<JoinGroupResponseInput>,
  out: Join,
): void {
  // The client has given up its former request and asks again; nobody should wait for that one for ever.
  dismiss(group, member, ErrorCode.REBALANCE_IN_PROGRESS, out)
  const { sessionTimeoutMs, rebalanceTimeoutMs, protocols } = request
  group.update(member, sessionTimeoutMs, rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs, protocols)
  group.park(member, ticket)
  if (!member.isNew) renewSession(out, member)
}

/** The process behind an instance id was restarted. The old member id is fenced; the place in the group is kept. */
function replaceStaticMember(
  groups: Groups,
  group: ClassicGroup,
  old: Member,
  memberId: string,
  request: JoinRequest,
  ticket: Ticket<JoinGroupResponseInput>,
  now: number,
  out: Join,
): Join {
  const formerLeaderId = group.leaderId
  dismiss(group, old, ErrorCode.FENCED_INSTANCE_ID, out)
  out.cancel(old.sessionTimer)
  const member = group.replaceStatic(old, memberId)
  takeIn(group, member, request, ticket, out)
  out.note(`group ${group.groupId}: static member ${request.groupInstanceId} returns as ${memberId}, was ${old.memberId}`)
  const reason = `static member ${memberId} returns${because(request)}`

  if (group.state === 'CompletingRebalance') {
    // The leader may be assigning to the old id right now, so the new one would get nothing.
    rebalance(group, groups.config, reason, now, out)
    return out
  }
  if (group.state !== 'Stable' || group.selectProtocol() !== group.protocolName) {
    maybeRebalance(group, groups.config, reason, now, out)
    return out
  }
  group.park(member, null)
  const assignments = new Map(Array.from(group.members.values(), (each) => [each.memberId, each.assignment]))
  out.write(groupRecord(group.groupId, group.completed(assignments, now)))
  if (request.supportsSkippingAssignment) {
    return out.reply({ ...joined(group, member), skipAssignment: group.isLeader(memberId) })
  }
  // An older client that learns that it leads would assign anew, for a generation that is long complete: it is told the old id.
  return out.reply({ ...joined(group, member), leader: formerLeaderId ?? '', members: [] })
}

function because({ reason }: JoinRequest): string {
  return reason ? `: ${reason}` : ''
}

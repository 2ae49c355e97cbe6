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
import { dismiss, joined, maybeCompleteJoin, maybeRebalance, refusedJoin, renewSession } from './rebalance.ts'

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

/** A join under way. */
interface Join {
  readonly groups: Groups
  readonly request: JoinRequest
  readonly ticket: Ticket<JoinGroupResponseInput>
  readonly now: number
  readonly out: GroupOutcome<JoinGroupResponseInput>
}

/** `uuid` makes ids of new members; it is called at most once. */
export function joinGroup(
  groups: Groups,
  request: JoinRequest,
  ticket: Ticket<JoinGroupResponseInput>,
  now: number,
  uuid: () => string,
): GroupOutcome<JoinGroupResponseInput> {
  const out = new GroupOutcome<JoinGroupResponseInput>()
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

  const join: Join = { groups, request, ticket, now, out }
  if (memberId === '') {
    const newId = `${groupInstanceId ?? request.clientId}-${uuid()}`
    if (groupInstanceId !== null) {
      const old = group.members.get(group.staticMemberId(groupInstanceId) ?? '')
      return old === undefined ? addMember(join, group, newId) : replaceStaticMember(join, group, old, newId)
    }
    if (!request.requiresKnownMemberId) return addMember(join, group, newId)
    out.wakeAfter(request.sessionTimeoutMs, group.expect(newId))
    return refuse(ErrorCode.MEMBER_ID_REQUIRED, newId)
  }

  const pending = group.pendingMembers.get(memberId)
  if (pending !== undefined && groupInstanceId === null) {
    out.cancel(pending)
    return addMember(join, group, memberId)
  }
  const member = group.identify(memberId, groupInstanceId)
  return typeof member === 'number' ? refuse(member) : rejoin(join, group, member)
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

function addMember(join: Join, group: ClassicGroup, memberId: string): Join['out'] {
  const { groupInstanceId, clientId, clientHost, protocolType } = join.request
  if (group.members.size === 0) group.protocolType = protocolType
  if (group.initialDelay !== null) group.initialDelay.memberAdded = true
  const member = group.add({ memberId, groupInstanceId, clientId, clientHost })
  member.isNew = true
  takeIn(join, group, member)
  join.out.wakeAfter(NEW_MEMBER_JOIN_TIMEOUT_MS, member.sessionTimer)
  maybeRebalance(group, join.groups.config, because(join, `member ${memberId} joins`), join.now, join.out)
  return join.out
}

function rejoin(join: Join, group: ClassicGroup, member: Member): Join['out'] {
  // Nothing new: its answer was lost, or it only wants to know. A leader that asks in Stable has seen its topics change.
  const unchanged = group.state !== 'PreparingRebalance' && member.matches(join.request.protocols)
  if (unchanged && !(group.state === 'Stable' && group.isLeader(member.memberId))) {
    renewSession(join.out, member)
    return join.out.reply(joined(group, member))
  }
  takeIn(join, group, member)
  maybeRebalance(group, join.groups.config, because(join, `member ${member.memberId} rejoins`), join.now, join.out)
  return join.out
}

/** The process behind an instance id was restarted. The old member id is fenced; the place in the group is kept. */
function replaceStaticMember(join: Join, group: ClassicGroup, old: Member, memberId: string): Join['out'] {
  const { groups, request, now, out } = join
  const formerLeaderId = group.leaderId
  dismiss(group, old, ErrorCode.FENCED_INSTANCE_ID, out)
  out.cancel(old.sessionTimer)
  const member = group.replaceStatic(old, memberId)
  takeIn(join, group, member)

  // While the leader assigns, it may be doing so to the old id, and the new one would get nothing.
  if (group.state !== 'Stable' || group.selectProtocol() !== group.protocolName) {
    maybeRebalance(group, groups.config, because(join, `static member ${memberId} takes over from ${old.memberId}`), now, out)
    return out
  }
  group.park(member, null)
  const assignments = new Map(Array.from(group.members.values(), (each) => [each.memberId, each.assignment]))
  out.write(groupRecord(group.groupId, group.completed(assignments, now)))
  out.note(`group ${group.groupId}: static member ${memberId} takes over from ${old.memberId}`)
  if (request.supportsSkippingAssignment) {
    return out.reply({ ...joined(group, member), skipAssignment: group.isLeader(memberId) })
  }
  // An older client that learns that it leads would assign anew, for a generation that is long complete: it is told the old id.
  return out.reply({ ...joined(group, member), leader: formerLeaderId ?? '', members: [] })
}

/** Notes what the member says of itself, and parks it. */
function takeIn({ request, ticket, out }: Join, group: ClassicGroup, member: Member): void {
  // The client has given up its former request and asks again; nobody should wait for that one for ever.
  dismiss(group, member, ErrorCode.REBALANCE_IN_PROGRESS, out)
  const { sessionTimeoutMs, rebalanceTimeoutMs, protocols } = request
  group.update(member, sessionTimeoutMs, rebalanceTimeoutMs < 0 ? sessionTimeoutMs : rebalanceTimeoutMs, protocols)
  group.park(member, ticket)
  if (!member.isNew) renewSession(out, member)
}

function because({ request: { reason } }: Join, what: string): string {
  return reason ? `${what} (${reason})` : what
}

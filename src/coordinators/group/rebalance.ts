// The rebalance of a classic group: from the first reason for it (`maybeRebalance`) through the barrier of JoinGroup
// (`completeJoin`) to the barrier of SyncGroup. All who join are answered together, when the last is back or time is up.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { JoinGroupResponseInput } from '../../protocol/messages/11-join-group.ts'
import type { ClassicGroup } from './classic-group.ts'
import type { GroupConfig } from './group-config.ts'
import { type GroupOutcome, groupRecord } from './group-records.ts'
import { type Member, NO_ASSIGNMENT } from './member.ts'

type Out = GroupOutcome<unknown>

/** What a JoinGroup is refused with. */
export function refusedJoin(errorCode: number, memberId: string): JoinGroupResponseInput {
  return { errorCode, memberId, generationId: -1, protocolType: null, protocolName: null, leader: '', members: [] }
}

/** The current generation as a member is told it. Only the leader hears of the others. */
export function joined(group: ClassicGroup, member: Member): JoinGroupResponseInput {
  return {
    errorCode: ErrorCode.NONE,
    generationId: group.generationId,
    protocolType: group.protocolType,
    protocolName: group.protocolName,
    leader: group.leaderId ?? '',
    skipAssignment: false,
    memberId: member.memberId,
    members: group.isLeader(member.memberId) ? membersForLeader(group) : [],
  }
}

function membersForLeader(group: ClassicGroup): JoinGroupResponseInput['members'] {
  return Array.from(group.members.values(), (member) => ({
    memberId: member.memberId,
    groupInstanceId: member.groupInstanceId,
    metadata: member.metadataFor(group.protocolName) ?? NO_ASSIGNMENT,
  }))
}

export function renewSession(out: Out, member: Member): void {
  out.wakeAfter(member.sessionTimeoutMs, member.sessionTimer)
}

/** The member is gone: whatever it waits for tells it to start over, should it still be there. */
export function removeMember(group: ClassicGroup, member: Member, out: Out): void {
  dismiss(group, member, ErrorCode.UNKNOWN_MEMBER_ID, out)
  out.cancel(member.sessionTimer)
  group.remove(member.memberId)
}

/** Answers what a member waits for with an error. */
export function dismiss(group: ClassicGroup, member: Member, errorCode: number, out: Out): void {
  const { joinTicket, memberId } = member
  if (joinTicket !== null) {
    group.park(member, null)
    out.answer(joinTicket, refusedJoin(errorCode, errorCode === ErrorCode.UNKNOWN_MEMBER_ID ? '' : memberId))
  }
  answerSync(member, errorCode, out)
}

function answerSync(member: Member, errorCode: number, out: Out): void {
  if (member.syncTicket === null) return
  out.answer(member.syncTicket, { errorCode, protocolType: null, protocolName: null, assignment: NO_ASSIGNMENT })
  member.syncTicket = null
}

/** Begins a rebalance, or, if one is under way, completes it if nobody is missing any more. */
export function maybeRebalance(group: ClassicGroup, config: GroupConfig, reason: string, now: number, out: Out): void {
  if (group.state === 'PreparingRebalance') maybeCompleteJoin(group, now, out)
  else rebalance(group, config, reason, now, out)
}

export function rebalance(group: ClassicGroup, config: GroupConfig, reason: string, now: number, out: Out): void {
  if (group.state === 'CompletingRebalance') {
    // Assignments of a generation that is over before it began. Whoever waits for one has to rejoin.
    for (const member of group.members.values()) {
      member.assignment = NO_ASSIGNMENT
      if (member.syncTicket === null) continue
      answerSync(member, ErrorCode.REBALANCE_IN_PROGRESS, out)
      renewSession(out, member)
    }
  }
  group.pendingSync.clear()
  out.cancel(group.syncTimer)
  out.note(`group ${group.groupId}: ${reason}; preparing to rebalance, generation ${group.generationId} ends`)
  const isInitial = group.state === 'Empty'
  group.state = 'PreparingRebalance'
  if (isInitial) {
    const delayMs = config.initialRebalanceDelayMs
    group.initialDelay = { waitedMs: delayMs, remainingMs: Math.max(group.rebalanceTimeoutMs - delayMs, 0), memberAdded: false }
    out.wakeAfter(delayMs, group.joinTimer)
  } else if (group.hasAllMembersJoined) {
    completeJoin(group, now, out)
  } else {
    out.wakeAfter(group.rebalanceTimeoutMs, group.joinTimer)
  }
}

/** The first rebalance of an empty group is left to its timer: more members may be on their way. */
export function maybeCompleteJoin(group: ClassicGroup, now: number, out: Out): void {
  if (group.state !== 'PreparingRebalance' || group.initialDelay !== null) return
  if (group.hasAllMembersJoined) completeJoin(group, now, out)
}

/** Time is up for joining. Where members kept arriving at an empty group it gets longer, up to the rebalance time-out. */
export function joinTimeUp(group: ClassicGroup, config: GroupConfig, now: number, out: Out): void {
  const delay = group.initialDelay
  if (delay === null || !delay.memberAdded || delay.remainingMs === 0) return completeJoin(group, now, out)
  const nextMs = Math.min(config.initialRebalanceDelayMs, delay.remainingMs)
  group.initialDelay = { waitedMs: nextMs, remainingMs: Math.max(delay.remainingMs - delay.waitedMs, 0), memberAdded: false }
  out.wakeAfter(nextMs, group.joinTimer)
}

/** Who is back makes the next generation. Static members may be late: they keep their place until their session ends. */
function completeJoin(group: ClassicGroup, now: number, out: Out): void {
  out.cancel(group.joinTimer)
  group.initialDelay = null
  for (const member of [...group.members.values()]) {
    if (member.joinTicket === null && !member.isStatic) removeMember(group, member, out)
  }
  if (group.members.size === 0) {
    out.note(`group ${group.groupId}: generation ${group.generationId + 1} is empty`)
    out.write(groupRecord(group.groupId, group.emptied(now)))
    return
  }
  if (!group.electLeader()) {
    // Static members alone, none of them back. Either one returns or their sessions end.
    out.wakeAfter(group.rebalanceTimeoutMs, group.joinTimer)
    return
  }
  group.beginGeneration()
  for (const member of group.members.values()) {
    if (member.joinTicket !== null) out.answer(member.joinTicket, joined(group, member))
    group.park(member, null)
    member.isNew = false
    renewSession(out, member)
    group.pendingSync.add(member.memberId)
  }
  out.wakeAfter(group.rebalanceTimeoutMs, group.syncTimer)
}

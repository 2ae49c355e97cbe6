// LeaveGroup: members go, or an administrator removes static ones by their instance id. The rest rebalances at once, once for all.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { ClassicGroup } from './classic-group.ts'
import { GroupOutcome } from './group-records.ts'
import type { Groups } from './groups.ts'
import { maybeCompleteJoin, maybeRebalance, removeMember } from './rebalance.ts'

export interface LeaveRequest {
  readonly groupId: string
  readonly members: readonly LeavingMember[]
}

interface LeavingMember {
  /** Empty to remove whoever holds the instance id. */
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly reason: string | null
}

export interface LeaveResponse {
  readonly errorCode: number
  readonly members: readonly { readonly memberId: string; readonly groupInstanceId: string | null; readonly errorCode: number }[]
}

/** Each member gets its own answer. */
export function leaveGroup(groups: Groups, request: LeaveRequest, now: number): GroupOutcome<LeaveResponse> {
  const out = new GroupOutcome<LeaveResponse>()
  const group = groups.get(request.groupId)
  const before = group?.members.size
  const members = request.members.map((leaving) => ({
    memberId: leaving.memberId,
    groupInstanceId: leaving.groupInstanceId,
    errorCode: group === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : leave(group, leaving, out),
  }))
  if (group !== undefined) {
    if (group.members.size !== before) maybeRebalance(group, groups.config, 'members have left', now, out)
    // Somebody who was only expected may have been the last one missing.
    else maybeCompleteJoin(group, now, out)
    groups.forgetIfUnused(group)
  }
  return out.reply({ errorCode: ErrorCode.NONE, members })
}

function leave(
  group: ClassicGroup,
  { memberId, groupInstanceId, reason }: LeavingMember,
  out: GroupOutcome<LeaveResponse>,
): number {
  const id = memberId === '' && groupInstanceId !== null ? (group.staticMemberId(groupInstanceId) ?? '') : memberId
  const pending = group.pendingMembers.get(id)
  if (pending !== undefined) {
    out.cancel(pending)
    group.remove(id)
    return ErrorCode.NONE
  }
  const member = group.identify(id, groupInstanceId)
  if (typeof member === 'number') return member
  out.note(`group ${group.groupId}: member ${id} leaves${reason ? `: ${reason}` : ''}`)
  removeMember(group, member, out)
  return ErrorCode.NONE
}

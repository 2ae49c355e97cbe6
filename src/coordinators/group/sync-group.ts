// SyncGroup: the second barrier. The leader brings the assignment for everybody; the others wait for it. It is stored before anybody
// hears of it, and with it the generation.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { SyncGroupResponseInput } from '../../protocol/messages/14-sync-group.ts'
import type { Ticket } from '../runtime/outcome.ts'
import type { ClassicGroup } from './classic-group.ts'
import { GroupOutcome, groupRecord } from './group-records.ts'
import type { Groups } from './groups.ts'
import { type Member, NO_ASSIGNMENT } from './member.ts'
import { renewSession } from './rebalance.ts'

export interface SyncRequest {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** From version 5 on; null is not checked. */
  readonly protocolType: string | null
  readonly protocolName: string | null
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Buffer }[]
}

export function syncGroup(
  groups: Groups,
  request: SyncRequest,
  ticket: Ticket<SyncGroupResponseInput>,
  now: number,
): GroupOutcome<SyncGroupResponseInput> {
  const out = new GroupOutcome<SyncGroupResponseInput>()
  const { generationId, memberId, groupInstanceId, protocolType, protocolName } = request
  const refuse = (errorCode: number) => out.reply(refusedSync(errorCode))

  const group = groups.get(request.groupId)
  if (group === undefined || group.state === 'Empty') return refuse(ErrorCode.UNKNOWN_MEMBER_ID)
  const member = group.identify(memberId, groupInstanceId)
  if (typeof member === 'number') return refuse(member)
  if (generationId !== group.generationId) return refuse(ErrorCode.ILLEGAL_GENERATION)
  if (
    (protocolType ?? group.protocolType) !== group.protocolType ||
    (protocolName ?? group.protocolName) !== group.protocolName
  ) {
    return refuse(ErrorCode.INCONSISTENT_GROUP_PROTOCOL)
  }
  if (group.state === 'PreparingRebalance') return refuse(ErrorCode.REBALANCE_IN_PROGRESS)

  group.pendingSync.delete(memberId)
  if (group.pendingSync.size === 0) out.cancel(group.syncTimer)
  if (group.state === 'Stable') {
    renewSession(out, member)
    return out.reply(assigned(group, member.assignment))
  }
  // The same client asking again: its former request is given up.
  if (member.syncTicket !== null) out.answer(member.syncTicket, refusedSync(ErrorCode.REBALANCE_IN_PROGRESS))
  member.syncTicket = ticket
  if (group.isLeader(memberId)) complete(group, request, now, out)
  return out
}

/** Members that the leader has left out get nothing, as bytes of length 0. */
function complete(group: ClassicGroup, request: SyncRequest, now: number, out: GroupOutcome<SyncGroupResponseInput>): void {
  const assignments = new Map(request.assignments.map(({ memberId, assignment }) => [memberId, assignment]))
  out.write(groupRecord(group.groupId, group.completed(assignments, now)))
  for (const member of group.members.values()) {
    if (member.syncTicket === null) continue
    out.answer(member.syncTicket, assigned(group, assignments.get(member.memberId) ?? NO_ASSIGNMENT))
    member.syncTicket = null
    renewSession(out, member)
  }
  const { groupId, generationId, members, leaderId, protocolName } = group
  out.note(
    `group ${groupId}: generation ${generationId} is stable, ${members.size} members, assigned by ${leaderId} as ${protocolName}`,
  )
}

function assigned({ protocolType, protocolName }: ClassicGroup, assignment: Member['assignment']): SyncGroupResponseInput {
  return { errorCode: ErrorCode.NONE, protocolType, protocolName, assignment }
}

export function refusedSync(errorCode: number): SyncGroupResponseInput {
  return { errorCode, protocolType: null, protocolName: null, assignment: NO_ASSIGNMENT }
}

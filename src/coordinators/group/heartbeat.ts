// Heartbeat: a member is alive, and asks whether it has to rejoin.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { HeartbeatRequest, HeartbeatResponseInput } from '../../protocol/messages/12-heartbeat.ts'
import { GroupOutcome } from './group-records.ts'
import type { Groups } from './groups.ts'
import { renewSession } from './rebalance.ts'

/** REBALANCE_IN_PROGRESS is the call to rejoin. Until the leader has assigned, members are left in peace. */
export function heartbeat(groups: Groups, request: HeartbeatRequest): GroupOutcome<HeartbeatResponseInput> {
  const out = new GroupOutcome<HeartbeatResponseInput>()
  const group = groups.get(request.groupId)
  if (group === undefined) return out.reply({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID })
  const member = group.identify(request.memberId, request.groupInstanceId)
  if (typeof member === 'number') return out.reply({ errorCode: member })
  if (request.generationId !== group.generationId) return out.reply({ errorCode: ErrorCode.ILLEGAL_GENERATION })
  renewSession(out, member)
  const errorCode = group.state === 'PreparingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
  return out.reply({ errorCode })
}

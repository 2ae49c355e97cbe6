// DescribeGroups: one group as tools show it.

import { ErrorCode } from '../../protocol/error-codes.ts'
import { GroupOutcome } from './group-records.ts'
import type { Groups } from './groups.ts'
import { NO_ASSIGNMENT } from './member.ts'

export interface GroupDescription {
  readonly groupId: string
  readonly errorCode: number
  readonly errorMessage: string | null
  /** `Dead` for a group that is not there. */
  readonly groupState: string
  readonly protocolType: string
  readonly protocolData: string
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly clientId: string
    readonly clientHost: string
    readonly memberMetadata: Buffer
    readonly memberAssignment: Buffer
  }[]
}

/** `version` decides how an unknown group is told: as dead, or from version 6 on as an error (KIP-1043). */
export function describeGroup(groups: Groups, groupId: string, version: number): GroupOutcome<GroupDescription> {
  const out = new GroupOutcome<GroupDescription>()
  const group = groups.get(groupId)
  if (group === undefined) return out.reply(undescribed(groupId, version >= 6 ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.NONE))
  // Until a rebalance is through nobody knows by which protocol: the members have what they last had.
  const isStable = group.state === 'Stable'
  return out.reply({
    groupId,
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    groupState: group.state,
    protocolType: group.protocolType ?? '',
    protocolData: (isStable ? group.protocolName : null) ?? '',
    members: Array.from(group.members.values(), (member) => ({
      memberId: member.memberId,
      groupInstanceId: member.groupInstanceId,
      clientId: member.clientId,
      clientHost: member.clientHost,
      memberMetadata: (isStable ? member.metadataFor(group.protocolName) : undefined) ?? NO_ASSIGNMENT,
      memberAssignment: member.assignment,
    })),
  })
}

/** A group that is not there, or that cannot be looked at. */
export function undescribed(groupId: string, errorCode: number): GroupDescription {
  const errorMessage = errorCode === ErrorCode.GROUP_ID_NOT_FOUND ? `Group ${groupId} not found.` : null
  const groupState = errorCode === ErrorCode.NONE || errorMessage !== null ? 'Dead' : ''
  return { groupId, errorCode, errorMessage, groupState, protocolType: '', protocolData: '', members: [] }
}

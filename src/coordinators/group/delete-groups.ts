// DeleteGroups: an administrator removes groups that nobody is in, with all they have committed.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { ClassicGroup } from './classic-group.ts'
import { GroupOutcome, groupRecord, offsetRecord } from './group-records.ts'
import type { Groups } from './groups.ts'

/** One group; answers its error code. */
export function deleteGroup(groups: Groups, groupId: string): GroupOutcome<number> {
  const out = new GroupOutcome<number>()
  const group = groups.get(groupId)
  if (group === undefined) return out.reply(ErrorCode.GROUP_ID_NOT_FOUND)
  if (group.state !== 'Empty') return out.reply(ErrorCode.NON_EMPTY_GROUP)
  for (const [topic, partition] of groups.partitionsWithOffsets(groupId)) out.write(offsetRecord(groupId, topic, partition, null))
  bury(group, out)
  out.note(`group ${groupId}: deleted`)
  return out.reply(ErrorCode.NONE)
}

/** The group itself, whose offsets are gone already. Members that were only expected are no longer. */
export function bury(group: ClassicGroup, out: GroupOutcome<unknown>): void {
  for (const timer of group.pendingMembers.values()) out.cancel(timer)
  out.write(groupRecord(group.groupId, null))
}

// What happens to a group by itself: sessions end, and rebalances do not wait for ever.

import type { ClassicGroup } from './classic-group.ts'
import { GroupOutcome, type GroupTimer } from './group-records.ts'
import type { Groups } from './groups.ts'
import { joinTimeUp, maybeCompleteJoin, maybeRebalance, rebalance, removeMember } from './rebalance.ts'

export function wake(groups: Groups, timer: GroupTimer, now: number): GroupOutcome<void> {
  const out = new GroupOutcome<void>()
  const { group } = timer
  // A group that was deleted meanwhile, and perhaps made again under its name.
  if (groups.get(group.groupId) !== group) return out
  switch (timer.kind) {
    case 'session':
      endSession(groups, group, timer.memberId, now, out)
      break
    case 'join':
      if (group.state === 'PreparingRebalance') joinTimeUp(group, groups.config, now, out)
      break
    case 'sync':
      dropUnsynced(groups, group, now, out)
  }
  return out
}

/** Takes up the sessions of members that were stored: each has its whole time-out to show up here. */
export function resumeSessions(groups: Groups, now: number): GroupOutcome<void> {
  const out = new GroupOutcome<void>()
  for (const group of groups.all()) {
    for (const member of group.members.values()) out.wakeAfter(member.sessionTimeoutMs, member.sessionTimer)
    if (group.members.size > groups.config.maxSize) rebalance(group, groups.config, 'more members than allowed', now, out)
  }
  return out
}

function endSession(groups: Groups, group: ClassicGroup, memberId: string, now: number, out: GroupOutcome<void>): void {
  if (group.pendingMembers.has(memberId)) {
    group.remove(memberId)
    maybeCompleteJoin(group, now, out)
    groups.forgetIfUnused(group)
    return
  }
  const member = group.members.get(memberId)
  if (member === undefined || member.hasSatisfiedHeartbeat) return
  out.note(`group ${group.groupId}: member ${memberId} has not been heard of in time, and is removed`)
  removeMember(group, member, out)
  maybeRebalance(group, groups.config, `session of member ${memberId} has ended`, now, out)
}

/** Members that got the generation and never asked for their assignment would hold partitions that nobody reads. */
function dropUnsynced(groups: Groups, group: ClassicGroup, now: number, out: GroupOutcome<void>): void {
  if (group.state !== 'CompletingRebalance' && group.state !== 'Stable') return
  const missing = [...group.pendingSync]
  if (missing.length === 0) return
  for (const memberId of missing) removeMember(group, group.members.get(memberId)!, out)
  rebalance(group, groups.config, `no SyncGroup came from ${missing.join(', ')}`, now, out)
}

// Offsets that nobody has used for `offsets.retention.minutes` are forgotten, and groups that have neither members nor offsets with them.

import type { ClassicGroup } from './classic-group.ts'
import { bury } from './delete-groups.ts'
import { GroupOutcome, offsetRecord } from './group-records.ts'
import type { Groups } from './groups.ts'
import type { CommittedOffset } from './offsets.ts'

/** One group, so that a check of many is many small steps. Answers how many offsets have expired. */
export function expireOffsets(groups: Groups, groupId: string, now: number): GroupOutcome<number> {
  const out = new GroupOutcome<number>()
  const group = groups.get(groupId)
  if (group === undefined) return out.reply(0)
  const idleSince = idleTime(group)
  let kept = 0
  for (const [topic, partitions] of groups.offsets.of(groupId)) {
    const inUse = idleSince === null || group.isSubscribedTo(topic)
    for (const [partition, committed] of partitions) {
      const expiry = committed.expireTimestampMs ?? (idleSince?.(committed) ?? 0) + groups.config.offsetsRetentionMs
      if (inUse || now < expiry || groups.pending.has(groupId, topic, partition)) kept++
      else out.write(offsetRecord(groupId, topic, partition, null))
    }
  }
  const expired = out.records.length
  if (expired > 0) out.note(`group ${groupId}: ${expired} committed offsets have expired`)
  if (kept === 0 && !groups.pending.hasAny(groupId) && group.state === 'Empty' && group.pendingMembers.size === 0) {
    if (group.isStored || expired > 0) bury(group, out)
    else groups.forgetIfUnused(group)
  }
  return out.reply(expired)
}

/** Since when an offset is unused; null while all of them are in use, or it cannot be told. */
function idleTime(group: ClassicGroup): ((committed: CommittedOffset) => number) | null {
  const sinceCommit = (committed: CommittedOffset) => committed.commitTimestampMs
  if (group.protocolType === null) return sinceCommit
  if (group.state === 'Empty') return (committed) => group.stateTimestampMs ?? committed.commitTimestampMs
  return group.state === 'Stable' && group.knowsItsTopics ? sinceCommit : null
}

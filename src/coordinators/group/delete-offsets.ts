// OffsetDelete: an administrator forgets offsets of a group. Those of topics that the group reads right now stay.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { OffsetDeleteRequest, OffsetDeleteResponseInput } from '../../protocol/messages/47-offset-delete.ts'
import { GroupOutcome, offsetRecord } from './group-records.ts'
import type { Groups } from './groups.ts'

export function deleteOffsets(groups: Groups, request: OffsetDeleteRequest): GroupOutcome<OffsetDeleteResponseInput> {
  const out = new GroupOutcome<OffsetDeleteResponseInput>()
  const { groupId } = request
  const group = groups.get(groupId)
  if (group === undefined) return out.reply({ errorCode: ErrorCode.GROUP_ID_NOT_FOUND, topics: [] })
  // Whose metadata we cannot read may be using anything.
  if (group.state !== 'Empty' && !group.isConsumerGroup) return out.reply({ errorCode: ErrorCode.NON_EMPTY_GROUP, topics: [] })
  const topics = request.topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex }) => {
      if (group.isSubscribedTo(name)) return { partitionIndex, errorCode: ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC }
      const isCommitted = groups.offsets.get(groupId, name, partitionIndex) !== undefined
      if (isCommitted || groups.pending.has(groupId, name, partitionIndex)) {
        out.write(offsetRecord(groupId, name, partitionIndex, null))
      }
      return { partitionIndex, errorCode: ErrorCode.NONE }
    }),
  }))
  return out.reply({ errorCode: ErrorCode.NONE, topics })
}

/**
 * Topics are gone, and with them what a group has committed for them: a topic made later under the same name starts from nothing.
 * Answers how many offsets that were.
 */
export function dropTopicOffsets(groups: Groups, groupId: string, topics: ReadonlySet<string>): GroupOutcome<number> {
  const out = new GroupOutcome<number>()
  for (const [topic, partition] of groups.partitionsWithOffsets(groupId)) {
    if (topics.has(topic)) out.write(offsetRecord(groupId, topic, partition, null))
  }
  return out.reply(out.records.length)
}

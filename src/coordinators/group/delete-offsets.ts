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
      if (groups.offsets.get(groupId, name, partitionIndex) !== undefined) {
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
export function dropTopicOffsets(groups: Groups, groupId: string, topics: Iterable<string>): GroupOutcome<number> {
  const out = new GroupOutcome<number>()
  const committed = groups.offsets.of(groupId)
  for (const topic of topics) {
    for (const partition of committed.get(topic)?.keys() ?? []) out.write(offsetRecord(groupId, topic, partition, null))
  }
  return out.reply(out.records.length)
}

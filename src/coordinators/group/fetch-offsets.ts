// OffsetFetch: how far a group has read. Nothing committed is not an error: offset -1, and the client decides where to begin.

import { ErrorCode } from '../../protocol/error-codes.ts'
import { ZERO_UUID } from '../../protocol/ids.ts'
import { GroupOutcome } from './group-records.ts'
import type { Groups } from './groups.ts'
import type { CommittedOffset } from './offsets.ts'

export interface FetchOffsetsRequest {
  readonly groupId: string
  /** Null for everything the group has committed. */
  readonly topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null
  /** Refuses, with UNSTABLE_OFFSET_COMMIT, partitions that an open transaction has an offset for (KIP-447). */
  readonly requireStable?: boolean
}

export interface FetchOffsetsResponse {
  readonly groupId: string
  readonly errorCode: number
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly partitionIndex: number
      readonly committedOffset: bigint
      readonly committedLeaderEpoch: number
      readonly metadata: string
      readonly errorCode: number
    }[]
  }[]
}

export function fetchOffsets(groups: Groups, request: FetchOffsetsRequest): GroupOutcome<FetchOffsetsResponse> {
  const { groupId, requireStable = false } = request
  const isUnstable = (topic: string, partition: number) => requireStable && groups.pending.has(groupId, topic, partition)
  const topics =
    request.topics === null ? everything(groups, groupId, isUnstable) : named(groups, groupId, request.topics, isUnstable)
  return new GroupOutcome<FetchOffsetsResponse>().reply({ groupId, errorCode: ErrorCode.NONE, topics })
}

type IsUnstable = (topic: string, partition: number) => boolean

function named(
  groups: Groups,
  groupId: string,
  topics: NonNullable<FetchOffsetsRequest['topics']>,
  isUnstable: IsUnstable,
): FetchOffsetsResponse['topics'] {
  return topics.map(({ name, partitionIndexes }) => {
    const current = groups.topicIdOf(name)
    const partitions = groups.offsets.of(groupId).get(name)
    return {
      name,
      partitions: partitionIndexes.map((partitionIndex) => {
        if (isUnstable(name, partitionIndex)) return noOffset(partitionIndex, ErrorCode.UNSTABLE_OFFSET_COMMIT)
        const committed = partitions?.get(partitionIndex)
        return committed === undefined || isOfFormerTopic(committed, current)
          ? noOffset(partitionIndex, ErrorCode.NONE)
          : answer(partitionIndex, committed)
      }),
    }
  })
}

/** As in Kafka, what only an open transaction has an offset for is not mentioned. */
function everything(groups: Groups, groupId: string, isUnstable: IsUnstable): FetchOffsetsResponse['topics'] {
  const topics = []
  for (const [name, committed] of groups.offsets.of(groupId)) {
    const current = groups.topicIdOf(name)
    const partitions = []
    for (const [partitionIndex, offset] of committed) {
      if (isUnstable(name, partitionIndex)) partitions.push(noOffset(partitionIndex, ErrorCode.UNSTABLE_OFFSET_COMMIT))
      else if (!isOfFormerTopic(offset, current)) partitions.push(answer(partitionIndex, offset))
    }
    if (partitions.length > 0) topics.push({ name, partitions })
  }
  return topics
}

/** The topic was deleted and made anew while nobody here could drop its offsets: they mean nothing in the new one. */
function isOfFormerTopic({ topicId }: CommittedOffset, current: string | undefined): boolean {
  return topicId !== ZERO_UUID && current !== undefined && topicId !== current
}

function noOffset(partitionIndex: number, errorCode: number) {
  return { partitionIndex, committedOffset: -1n, committedLeaderEpoch: -1, metadata: '', errorCode }
}

function answer(partitionIndex: number, { offset, leaderEpoch, metadata }: CommittedOffset) {
  return { partitionIndex, committedOffset: offset, committedLeaderEpoch: leaderEpoch, metadata, errorCode: ErrorCode.NONE }
}

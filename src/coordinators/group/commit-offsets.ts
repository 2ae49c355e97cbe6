// OffsetCommit: a group stores how far it has read. Members must belong to the current generation; a client that manages its
// partitions by itself ("simple consumer") sends generation -1 and may commit as long as the group has no members.

import { ErrorCode } from '../../protocol/error-codes.ts'
import { ZERO_UUID } from '../../protocol/ids.ts'
import type { ClassicGroup } from './classic-group.ts'
import { GroupOutcome, offsetRecord } from './group-records.ts'
import type { Groups } from './groups.ts'
import { renewSession } from './rebalance.ts'

/** A decoded OffsetCommit of a version that names topics by name is one of these. */
export interface CommitRequest {
  readonly groupId: string
  readonly generationIdOrMemberEpoch: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  /** Up to version 4: these offsets expire so long after now, whatever becomes of the group. -1n for the broker's rules. */
  readonly retentionTimeMs: bigint
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly {
      readonly partitionIndex: number
      readonly committedOffset: bigint
      readonly committedLeaderEpoch: number
      readonly committedMetadata: string | null
    }[]
  }[]
}

/** In the order of the request. */
export interface CommitResponse {
  readonly topics: readonly {
    readonly name: string
    readonly partitions: readonly { readonly partitionIndex: number; readonly errorCode: number }[]
  }[]
}

/** `version` decides how an unknown group is told: only clients from version 9 on know GROUP_ID_NOT_FOUND. */
export function commitOffsets(
  groups: Groups,
  request: CommitRequest,
  version: number,
  now: number,
): GroupOutcome<CommitResponse> {
  const out = new GroupOutcome<CommitResponse>()
  const group = groups.get(request.groupId)
  const refusal = refuse(group, request, version)
  if (refusal !== ErrorCode.NONE) return out.reply(refusedCommit(request, refusal))
  const member = group?.members.get(request.memberId)
  if (member !== undefined) renewSession(out, member)

  const { retentionTimeMs } = request
  const expireTimestampMs = retentionTimeMs < 0n ? null : Math.min(now + Number(retentionTimeMs), Number.MAX_SAFE_INTEGER)
  return out.reply(writeOffsets(out, groups, request.groupId, request.topics, expireTimestampMs, now))
}

/** What was found to be allowed. Each partition is told whether its metadata can be stored. */
export function writeOffsets(
  out: GroupOutcome<unknown>,
  groups: Groups,
  groupId: string,
  offsets: CommitRequest['topics'],
  expireTimestampMs: number | null,
  now: number,
): CommitResponse {
  const topics = offsets.map(({ name, partitions }) => {
    // A value that carries its own expiry has no place for a topic id.
    const topicId = expireTimestampMs === null ? (groups.topicIdOf(name) ?? ZERO_UUID) : ZERO_UUID
    return {
      name,
      partitions: partitions.map(({ partitionIndex, committedOffset, committedLeaderEpoch, committedMetadata }) => {
        const metadata = committedMetadata ?? ''
        if (metadata.length > groups.config.offsetMetadataMaxBytes) {
          return { partitionIndex, errorCode: ErrorCode.OFFSET_METADATA_TOO_LARGE }
        }
        out.write(
          offsetRecord(groupId, name, partitionIndex, {
            offset: committedOffset,
            leaderEpoch: committedLeaderEpoch,
            metadata,
            commitTimestampMs: now,
            expireTimestampMs,
            topicId,
          }),
        )
        return { partitionIndex, errorCode: ErrorCode.NONE }
      }),
    }
  })
  return { topics }
}

/** The whole request fails alike: each partition is told. */
export function refusedCommit(request: Pick<CommitRequest, 'topics'>, errorCode: number): CommitResponse {
  return {
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
    })),
  }
}

function refuse(group: ClassicGroup | undefined, request: CommitRequest, version: number): number {
  const { generationIdOrMemberEpoch: generationId, memberId, groupInstanceId } = request
  if (generationId < 0 && (group === undefined || group.state === 'Empty')) return ErrorCode.NONE
  if (group === undefined) return version >= 9 ? ErrorCode.GROUP_ID_NOT_FOUND : ErrorCode.ILLEGAL_GENERATION
  // Without member or generation nobody can tell whose offsets these are, and there are members that own them.
  const member = group.identify(memberId, groupInstanceId)
  if (typeof member === 'number') return member
  if (generationId !== group.generationId) return ErrorCode.ILLEGAL_GENERATION
  return group.state === 'CompletingRebalance' ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE
}

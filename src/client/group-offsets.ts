// The positions of a group, as its coordinator keeps them: read and written by consumers, and by the tools that reset them.

import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import { OffsetCommit } from '../protocol/messages/08-offset-commit.ts'
import { OffsetFetch } from '../protocol/messages/09-offset-fetch.ts'
import { type ClusterClient, CoordinatorType } from './cluster-client.ts'
import { partitionKey, type TopicPartition } from './metadata.ts'

export interface CommittedOffset {
  readonly offset: bigint
  /** -1 where it is not known. */
  readonly leaderEpoch: number
  readonly metadata: string
}

export interface OffsetToCommit extends TopicPartition {
  /** Of the next record to read. */
  readonly offset: bigint
  readonly leaderEpoch?: number
  readonly metadata?: string
}

/** Who commits. Without one it is an administrator, or a consumer that assigns partitions to itself. */
export interface GroupMember {
  readonly memberId: string
  readonly generationId: number
  readonly groupInstanceId: string | null
}

/** The newest versions that name topics instead of giving their ids: a position may outlive its topic. */
const NAMES_ONLY = 9

/** Runs a request at the coordinator of a group, and finds it anew when it moves. */
export function atCoordinator<T>(
  cluster: ClusterClient,
  groupId: string,
  what: string,
  work: (connection: Awaited<ReturnType<ClusterClient['coordinator']>>) => Promise<T>,
  timeoutMs: number = cluster.apiTimeoutMs,
): Promise<T> {
  return cluster.retrying(what, timeoutMs, async () => {
    const connection = await cluster.coordinator(CoordinatorType.GROUP, groupId)
    return work(connection)
  })
}

/** Throws unless the code is NONE. */
export function check(errorCode: number, message?: string | null): void {
  if (errorCode === ErrorCode.NONE) return
  const code = errorName(errorCode)
  throw new KafkaError(code, message ?? code)
}

/** By `partitionKey`; partitions without a commit are not in it. Null asks for all that the group has. */
export async function fetchGroupOffsets(
  cluster: ClusterClient,
  groupId: string,
  partitions: readonly TopicPartition[] | null,
  options: { readonly requireStable?: boolean; readonly timeoutMs?: number } = {},
): Promise<Map<string, CommittedOffset & TopicPartition>> {
  const topics =
    partitions === null
      ? null
      : [...Map.groupBy(partitions, (partition) => partition.topic)].map(([name, of]) => ({
          name,
          partitionIndexes: of.map((partition) => partition.partition),
        }))
  return atCoordinator(
    cluster,
    groupId,
    `offsets of group ${groupId}`,
    async (connection) => {
      const response = await connection.request(
        OffsetFetch,
        { groupId, topics, groups: [{ groupId, topics }], requireStable: options.requireStable ?? false },
        { maxVersion: NAMES_ONLY, minVersion: topics === null ? 2 : 1 },
      )
      const group = response.groups[0] ?? response
      check(group.errorCode)
      const committed = new Map<string, CommittedOffset & TopicPartition>()
      for (const topic of group.topics) {
        for (const partition of topic.partitions) {
          check(partition.errorCode)
          if (partition.committedOffset < 0n) continue
          committed.set(partitionKey(topic.name, partition.partitionIndex), {
            topic: topic.name,
            partition: partition.partitionIndex,
            offset: partition.committedOffset,
            leaderEpoch: partition.committedLeaderEpoch,
            metadata: partition.metadata ?? '',
          })
        }
      }
      return committed
    },
    options.timeoutMs,
  )
}

/** As requests carry them. */
export function offsetsByTopic(offsets: readonly OffsetToCommit[]) {
  return [...Map.groupBy(offsets, (offset) => offset.topic)].map(([name, of]) => ({
    name,
    partitions: of.map((offset) => ({
      partitionIndex: offset.partition,
      committedOffset: offset.offset,
      committedLeaderEpoch: offset.leaderEpoch ?? -1,
      committedMetadata: offset.metadata ?? '',
    })),
  }))
}

/** Rejects with the first partition's error that is not NONE: what was accepted before stays committed. */
export async function commitGroupOffsets(
  cluster: ClusterClient,
  groupId: string,
  offsets: readonly OffsetToCommit[],
  options: { readonly member?: GroupMember; readonly timeoutMs?: number } = {},
): Promise<void> {
  if (offsets.length === 0) return
  const { member } = options
  const topics = offsetsByTopic(offsets)
  await atCoordinator(
    cluster,
    groupId,
    `committing offsets of group ${groupId}`,
    async (connection) => {
      const response = await connection.request(
        OffsetCommit,
        {
          groupId,
          generationIdOrMemberEpoch: member?.generationId ?? -1,
          memberId: member?.memberId ?? '',
          groupInstanceId: member?.groupInstanceId ?? null,
          topics,
        },
        { maxVersion: NAMES_ONLY },
      )
      for (const topic of response.topics) {
        for (const partition of topic.partitions) {
          const code = errorName(partition.errorCode)
          check(partition.errorCode, `offset of ${topic.name}-${partition.partitionIndex} for group ${groupId}: ${code}`)
        }
      }
    },
    options.timeoutMs,
  )
}

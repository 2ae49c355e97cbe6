// Consumer groups as an administrator sees them: which there are, who is in them, where they stand; and their positions, set by hand.

import { DecodeError } from '../../bytes/reader.ts'
import { decodeAssignment } from '../../protocol/consumer-protocol.ts'
import { errorName, KafkaError } from '../../protocol/error-codes.ts'
import { LeaveGroup } from '../../protocol/messages/13-leave-group.ts'
import { DescribeGroups } from '../../protocol/messages/15-describe-groups.ts'
import { ListGroups } from '../../protocol/messages/16-list-groups.ts'
import { DeleteGroups } from '../../protocol/messages/42-delete-groups.ts'
import { OffsetDelete } from '../../protocol/messages/47-offset-delete.ts'
import { type ClusterClient, CoordinatorType } from '../cluster-client.ts'
import {
  atCoordinator,
  type CommittedOffset,
  check,
  commitGroupOffsets,
  fetchGroupOffsets,
  type OffsetToCommit,
} from '../group-offsets.ts'
import { type BrokerMetadata, partitionKey, type TopicPartition } from '../metadata.ts'
import { errorOf, type Results } from './results.ts'

export interface GroupListing {
  readonly groupId: string
  /** `consumer`; empty for groups that only hold offsets. */
  readonly protocolType: string
  /** `Stable`, `Empty`, …; empty where the broker does not tell. */
  readonly state: string
  /** `classic`, `consumer`, `share`; `classic` where the broker does not tell. */
  readonly type: string
}

export interface GroupMemberDescription {
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly clientId: string
  /** As the broker writes it, with a slash in front. */
  readonly host: string
  readonly assignment: readonly TopicPartition[]
}

export interface GroupDescription {
  readonly groupId: string
  readonly state: string
  readonly protocolType: string
  /** The assignor that the group agreed on. */
  readonly assignor: string
  readonly coordinator: BrokerMetadata
  readonly members: readonly GroupMemberDescription[]
}

export class GroupAdmin {
  private readonly cluster: ClusterClient

  constructor(cluster: ClusterClient) {
    this.cluster = cluster
  }

  /** Asks every broker: each knows only the groups that it coordinates. Sorted by id. */
  async list(filter: { readonly states?: readonly string[]; readonly types?: readonly string[] } = {}): Promise<GroupListing[]> {
    const states = filter.states ?? []
    const types = filter.types ?? []
    const { brokers } = await this.cluster.retrying('reading metadata', this.cluster.apiTimeoutMs, () =>
      this.cluster.metadata([]),
    )
    const minVersion = types.length > 0 ? 5 : states.length > 0 ? 4 : 0
    const answers = await Promise.all(
      brokers.map(({ nodeId }) =>
        this.cluster.retrying('listing groups', this.cluster.apiTimeoutMs, async () => {
          const connection = await this.cluster.broker(nodeId)
          const response = await connection.request(ListGroups, { statesFilter: states, typesFilter: types }, { minVersion })
          check(response.errorCode)
          return response.groups
        }),
      ),
    )
    return answers
      .flat()
      .map((group) => ({
        groupId: group.groupId,
        protocolType: group.protocolType,
        state: group.groupState,
        type: group.groupType === '' ? 'classic' : group.groupType.toLowerCase(),
      }))
      .sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
  }

  /** By group id. One that does not exist has the state `Dead`, or GROUP_ID_NOT_FOUND as its error, as the broker puts it. */
  describe(groupIds: readonly string[]): Promise<Results<GroupDescription>> {
    return this.each(groupIds, (groupId) =>
      atCoordinator(this.cluster, groupId, `describing group ${groupId}`, async (connection) => {
        const response = await connection.request(DescribeGroups, { groups: [groupId] })
        const group = response.groups[0]
        if (group === undefined) throw new KafkaError('UNKNOWN_SERVER_ERROR', `no answer for group ${groupId}`)
        check(group.errorCode, group.errorMessage)
        return {
          groupId,
          state: group.groupState,
          protocolType: group.protocolType,
          assignor: group.protocolData,
          coordinator: await this.cluster.findCoordinator(CoordinatorType.GROUP, groupId),
          members: group.members.map((member) => ({
            memberId: member.memberId,
            groupInstanceId: member.groupInstanceId,
            clientId: member.clientId,
            host: member.clientHost,
            assignment: readAssignment(group.protocolType, member.memberAssignment),
          })),
        }
      }),
    )
  }

  /** By group id. Groups with members are refused: NON_EMPTY_GROUP. */
  delete(groupIds: readonly string[]): Promise<Results<null>> {
    return this.each(groupIds, (groupId) =>
      atCoordinator(this.cluster, groupId, `deleting group ${groupId}`, async (connection) => {
        const response = await connection.request(DeleteGroups, { groupsNames: [groupId] })
        for (const result of response.results) check(result.errorCode)
        return null
      }),
    )
  }

  /** By `topic/partition`. Null asks for all that the group has. */
  offsets(
    groupId: string,
    partitions: readonly TopicPartition[] | null = null,
  ): Promise<Map<string, CommittedOffset & TopicPartition>> {
    return fetchGroupOffsets(this.cluster, groupId, partitions)
  }

  /** Only while the group has no members, or the broker refuses: UNKNOWN_MEMBER_ID. */
  alterOffsets(groupId: string, offsets: readonly OffsetToCommit[]): Promise<void> {
    return commitGroupOffsets(this.cluster, groupId, offsets)
  }

  /** By `topic/partition`. Topics that members subscribe to are refused: GROUP_SUBSCRIBED_TO_TOPIC. */
  deleteOffsets(groupId: string, partitions: readonly TopicPartition[]): Promise<Results<null>> {
    const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([name, of]) => ({
      name,
      partitions: of.map(({ partition }) => ({ partitionIndex: partition })),
    }))
    return atCoordinator(this.cluster, groupId, `deleting offsets of group ${groupId}`, async (connection) => {
      const response = await connection.request(OffsetDelete, { groupId, topics })
      check(response.errorCode)
      return new Map(
        response.topics.flatMap((topic) =>
          topic.partitions.map(({ partitionIndex, errorCode }) => [
            partitionKey(topic.name, partitionIndex),
            errorOf(errorCode) ?? null,
          ]),
        ),
      )
    })
  }

  /** Throws members out: those named by instance id, or all. */
  async removeMembers(groupId: string, groupInstanceIds: readonly string[] | 'all', reason = ''): Promise<void> {
    let members =
      typeof groupInstanceIds === 'string' ? [] : groupInstanceIds.map((id) => ({ memberId: '', groupInstanceId: id, reason }))
    if (groupInstanceIds === 'all') {
      const described = (await this.describe([groupId])).get(groupId)
      if (described instanceof KafkaError) throw described
      members = (described?.members ?? []).map(({ memberId, groupInstanceId }) => ({
        memberId: groupInstanceId === null ? memberId : '',
        groupInstanceId: groupInstanceId as string,
        reason,
      }))
    }
    if (members.length === 0) return
    await atCoordinator(this.cluster, groupId, `removing members of group ${groupId}`, async (connection) => {
      const response = await connection.request(LeaveGroup, { groupId, members }, { minVersion: 3 })
      check(response.errorCode)
      for (const member of response.members) {
        check(member.errorCode, `${member.groupInstanceId ?? member.memberId}: ${errorName(member.errorCode)}`)
      }
    })
  }

  private async each<T>(groupIds: readonly string[], work: (groupId: string) => Promise<T>): Promise<Results<T>> {
    const results: Results<T> = new Map()
    await Promise.all(
      groupIds.map(async (groupId) => {
        try {
          results.set(groupId, await work(groupId))
        } catch (error) {
          if (!(error instanceof KafkaError)) throw error
          results.set(groupId, error)
        }
      }),
    )
    return results
  }
}

/** Members that are no consumers, or not well, have bytes of their own: they own nothing that we could name. */
function readAssignment(protocolType: string, assignment: Buffer): TopicPartition[] {
  if (protocolType !== 'consumer' || assignment.length === 0) return []
  try {
    return decodeAssignment(assignment).assignedPartitions.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => ({ topic, partition })),
    )
  } catch (error) {
    if (error instanceof DecodeError) return []
    throw error
  }
}

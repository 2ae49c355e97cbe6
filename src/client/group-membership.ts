// A member's conversation with the coordinator of a classic group: JoinGroup, SyncGroup, Heartbeat, LeaveGroup. What the partitions
// mean is for group-consumer.ts; when to talk, too.

import { decodeAssignment, decodeSubscription, encodeAssignment, encodeSubscription } from '../protocol/consumer-protocol.ts'
import { errorName, KafkaError } from '../protocol/error-codes.ts'
import { JoinGroup, type JoinGroupResponse } from '../protocol/messages/11-join-group.ts'
import { Heartbeat } from '../protocol/messages/12-heartbeat.ts'
import { LeaveGroup } from '../protocol/messages/13-leave-group.ts'
import { SyncGroup } from '../protocol/messages/14-sync-group.ts'
import type { Assignor, MemberSubscription } from './assignors/assignor.ts'
import { type ClusterClient, CoordinatorType, type Lane } from './cluster-client.ts'
import { check, type GroupMember } from './group-offsets.ts'
import type { TopicPartition } from './metadata.ts'

export interface MembershipOptions {
  readonly groupId: string
  readonly groupInstanceId: string | null
  readonly sessionTimeoutMs: number
  /** How long a rebalance waits for this member. */
  readonly rebalanceTimeoutMs: number
  readonly assignors: readonly Assignor[]
}

const PROTOCOL_TYPE = 'consumer'
/** The first version in which static members are known. */
const STATIC_MEMBERS = 5

export class GroupMembership {
  private readonly cluster: ClusterClient
  private readonly options: MembershipOptions
  /** Its own: a join that waits would hold up whoever shares a connection with it. */
  private readonly lane: Lane
  private memberId = ''
  private generationId = -1
  private protocolName: string | null = null
  isLeader = false
  /** Of the topics of all members, as of the last assignment that this member made. */
  countsAtAssignment: ReadonlyMap<string, number> = new Map()

  constructor(cluster: ClusterClient, options: MembershipOptions) {
    this.cluster = cluster
    this.options = options
    this.lane = cluster.newLane()
  }

  /** As the coordinator knows it: no id before the first join, generation -1 while it is none. */
  get member(): GroupMember {
    return { memberId: this.memberId, generationId: this.generationId, groupInstanceId: this.options.groupInstanceId }
  }

  /** The coordinator does not know this generation (any more), or not even the member. */
  forget(memberIdToo: boolean): void {
    this.generationId = -1
    this.isLeader = false
    if (memberIdToo) this.memberId = ''
  }

  /**
   * Takes part in one rebalance, to its end: as its leader, divides the partitions. Resolves with what the member gets. Rejects with
   * KafkaError as the coordinator says it.
   */
  async join(topics: readonly string[], owned: readonly TopicPartition[]): Promise<TopicPartition[]> {
    return this.syncGroup(await this.joinGroup(topics, owned))
  }

  /** Rejects with what the coordinator says: REBALANCE_IN_PROGRESS above all. */
  async heartbeat(): Promise<void> {
    const connection = await this.coordinator()
    const { groupId } = this.options
    const { memberId, generationId, groupInstanceId } = this.member
    const response = await connection.request(Heartbeat, { groupId, generationId, memberId, groupInstanceId })
    // A heartbeat of a generation that has passed meanwhile says nothing about this one.
    if (generationId === this.generationId) check(response.errorCode)
  }

  /** Leaves if there is something to leave; a static member stays. A failure is of no consequence: the session runs out. */
  async leave(reason: string, timeoutMs?: number): Promise<void> {
    const { memberId, groupInstanceId } = this.member
    this.forget(true)
    if (memberId === '' || groupInstanceId !== null) return
    try {
      const connection = await this.coordinator()
      const { groupId } = this.options
      await connection.request(LeaveGroup, { groupId, memberId, members: [{ memberId, reason }] }, { timeoutMs })
    } catch {}
  }

  /** Whatever waits for the coordinator is rejected. */
  hangUp(): void {
    this.cluster.closeLane(this.lane)
  }

  private coordinator() {
    return this.cluster.coordinator(CoordinatorType.GROUP, this.options.groupId, this.lane)
  }

  private async joinGroup(topics: readonly string[], owned: readonly TopicPartition[]): Promise<JoinGroupResponse> {
    const { groupId, groupInstanceId, sessionTimeoutMs, rebalanceTimeoutMs, assignors } = this.options
    const ownedPartitions = [...Map.groupBy(owned, ({ topic }) => topic)].map(([topic, of]) => ({
      topic,
      partitions: of.map(({ partition }) => partition),
    }))
    const ask = () =>
      this.cluster.retrying(`joining group ${groupId}`, this.cluster.apiTimeoutMs, async () => {
        const connection = await this.coordinator()
        const response = await connection.request(
          JoinGroup,
          {
            groupId,
            sessionTimeoutMs,
            rebalanceTimeoutMs,
            memberId: this.memberId,
            groupInstanceId,
            protocolType: PROTOCOL_TYPE,
            protocols: assignors.map((assignor) => ({
              name: assignor.name,
              metadata: encodeSubscription({
                topics,
                userData: assignor.userData?.(this.generationId) ?? null,
                ownedPartitions: assignor.cooperative ? ownedPartitions : [],
                generationId: this.generationId,
              }),
            })),
          },
          // The answer comes when the rebalance is over: that is bounded by the slowest member.
          {
            timeoutMs: rebalanceTimeoutMs + this.cluster.requestTimeoutMs,
            ...(groupInstanceId === null ? {} : { minVersion: STATIC_MEMBERS }),
          },
        )
        const code = errorName(response.errorCode)
        if (code !== 'MEMBER_ID_REQUIRED') check(response.errorCode, `joining group ${groupId}: ${code}`)
        return response
      })
    let response = await ask()
    this.memberId = response.memberId
    if (errorName(response.errorCode) === 'MEMBER_ID_REQUIRED') response = await ask()
    check(response.errorCode)
    this.memberId = response.memberId
    this.generationId = response.generationId
    this.protocolName = response.protocolName
    this.isLeader = response.leader === response.memberId
    return response
  }

  private async syncGroup(joined: JoinGroupResponse): Promise<TopicPartition[]> {
    const { groupId, groupInstanceId, rebalanceTimeoutMs } = this.options
    const assignments = this.isLeader && !joined.skipAssignment ? await this.divide(joined) : []
    const connection = await this.coordinator()
    const response = await connection.request(
      SyncGroup,
      {
        groupId,
        generationId: this.generationId,
        memberId: this.memberId,
        groupInstanceId,
        protocolType: PROTOCOL_TYPE,
        protocolName: this.protocolName,
        assignments,
      },
      { timeoutMs: rebalanceTimeoutMs + this.cluster.requestTimeoutMs },
    )
    check(response.errorCode, `joining group ${groupId}: ${errorName(response.errorCode)}`)
    // A member that the leader forgot gets no bytes at all.
    if (response.assignment.length === 0) return []
    return decodeAssignment(response.assignment).assignedPartitions.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => ({ topic, partition })),
    )
  }

  /** The leader's part. */
  private async divide(joined: JoinGroupResponse): Promise<{ memberId: string; assignment: Buffer }[]> {
    const assignor = this.options.assignors.find((candidate) => candidate.name === joined.protocolName)
    if (assignor === undefined) {
      throw new KafkaError('INCONSISTENT_GROUP_PROTOCOL', `the group uses the unknown assignor ${joined.protocolName}`)
    }
    const members = joined.members.map((member): MemberSubscription => {
      const { topics, ownedPartitions, generationId, userData } = decodeSubscription(member.metadata)
      const owned = ownedPartitions.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })))
      const { memberId, groupInstanceId } = member
      return { memberId, groupInstanceId, topics, ownedPartitions: owned, generationId, userData }
    })
    const topics = [...new Set(members.flatMap((member) => member.topics))]
    const view = await this.cluster.metadata(topics)
    this.countsAtAssignment = new Map(view.topics.map((topic) => [topic.name, topic.partitions.length]))
    const assignments = assignor.assign(members, this.countsAtAssignment)
    return [...assignments].map(([memberId, partitions]) => ({
      memberId,
      assignment: encodeAssignment({
        assignedPartitions: [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, of]) => ({
          topic,
          partitions: of.map(({ partition }) => partition),
        })),
      }),
    }))
  }
}

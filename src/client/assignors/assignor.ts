// How the leader of a classic group divides partitions among its members. Pure: subscriptions and partition counts in, shares out.
// The names are part of the protocol: members of different clients agree on one that all of them know.

import type { TopicPartition } from '../metadata.ts'

export interface MemberSubscription {
  readonly memberId: string
  /** Of a static member: its place in the order survives a restart. */
  readonly groupInstanceId: string | null
  readonly topics: readonly string[]
  /** What it had when it joined, for assignors that care. */
  readonly ownedPartitions: readonly TopicPartition[]
  /** Since which generation it owns them; -1 where it does not say. */
  readonly generationId: number
  readonly userData: Buffer | null
}

/** Partition counts of the topics that exist. */
export type PartitionCounts = ReadonlyMap<string, number>

/** By member id; every member has an entry. */
export type Assignments = Map<string, TopicPartition[]>

export interface Assignor {
  readonly name: string
  /** Members keep what they own while they rejoin, and give up only what another gets (KIP-429). */
  readonly cooperative: boolean
  assign(members: readonly MemberSubscription[], counts: PartitionCounts): Assignments
  /** What a member tells the leader besides its topics, for old leaders that do not read `ownedPartitions`. */
  userData?(generationId: number): Buffer
}

/** Static members by instance id, before dynamic ones by member id: the same members give the same order on every leader. */
export function inOrder(members: readonly MemberSubscription[]): MemberSubscription[] {
  return [...members].sort((a, b) => {
    if (a.groupInstanceId !== null && b.groupInstanceId !== null) return compare(a.groupInstanceId, b.groupInstanceId)
    if (a.groupInstanceId !== null) return -1
    if (b.groupInstanceId !== null) return 1
    return compare(a.memberId, b.memberId)
  })
}

export function emptyAssignments(members: readonly MemberSubscription[]): Assignments {
  return new Map(members.map((member) => [member.memberId, []]))
}

/** By code units, as Java compares strings. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

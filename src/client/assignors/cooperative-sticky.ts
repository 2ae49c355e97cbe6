// As balanced as can be, and with as few moves as that allows; and a partition that moves is first taken from its old owner in one
// rebalance and given to the new one in the next, so that the others never stop (KIP-429).

import { partitionKey, type TopicPartition } from '../metadata.ts'
import {
  type Assignments,
  type Assignor,
  compare,
  emptyAssignments,
  type MemberSubscription,
  type PartitionCounts,
} from './assignor.ts'

export const cooperativeStickyAssignor: Assignor = {
  name: 'cooperative-sticky',
  cooperative: true,
  assign(members, counts) {
    const owners = ownersOf(members, counts)
    const assignments = assignSticky(members, counts, owners)
    // What another member still holds is left out this time: giving it up makes that member rejoin, and then it is free.
    for (const [memberId, partitions] of assignments) {
      assignments.set(
        memberId,
        partitions.filter(({ topic, partition }) => {
          const holders = owners.held.get(partitionKey(topic, partition))
          return holders === undefined || holders.every((holder) => holder === memberId)
        }),
      )
    }
    return assignments
  },
  userData(generationId) {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(generationId)
    return bytes
  },
}

interface Owners {
  /** Whose claim counts, by partition: the one of the latest generation. */
  readonly owner: ReadonlyMap<string, string>
  /** Everyone who says that it holds the partition. */
  readonly held: ReadonlyMap<string, readonly string[]>
}

function generationOf(member: MemberSubscription): number {
  if (member.generationId >= 0) return member.generationId
  return member.userData !== null && member.userData.length >= 4 ? member.userData.readInt32BE(0) : -1
}

function ownersOf(members: readonly MemberSubscription[], counts: PartitionCounts): Owners {
  const owner = new Map<string, string>()
  const held = new Map<string, string[]>()
  const generations = new Map<string, number>()
  const contested = new Set<string>()
  for (const member of members) {
    const generation = generationOf(member)
    for (const { topic, partition } of member.ownedPartitions) {
      if (!member.topics.includes(topic) || partition >= (counts.get(topic) ?? 0)) continue
      const name = partitionKey(topic, partition)
      const known = generations.get(name)
      if (known === undefined || generation > known) {
        // A claim of an older generation is void: its member has missed a rebalance.
        generations.set(name, generation)
        owner.set(name, member.memberId)
        held.set(name, [member.memberId])
        contested.delete(name)
      } else if (generation === known) {
        contested.add(name)
        held.get(name)!.push(member.memberId)
      }
    }
  }
  // Two of the same generation cannot both be right: neither keeps it.
  for (const name of contested) owner.delete(name)
  return { owner, held }
}

function assignSticky(members: readonly MemberSubscription[], counts: PartitionCounts, owners: Owners): Assignments {
  const assignments = emptyAssignments(members)
  const byId = new Map(members.map((member) => [member.memberId, new Set(member.topics)]))
  const load = (memberId: string) => assignments.get(memberId)!.length
  const free: TopicPartition[] = []
  const topics = [...counts.keys()].filter((topic) => members.some((member) => member.topics.includes(topic))).sort(compare)
  for (const topic of topics) {
    for (let partition = 0; partition < counts.get(topic)!; partition++) {
      const owner = owners.owner.get(partitionKey(topic, partition))
      if (owner !== undefined) assignments.get(owner)!.push({ topic, partition })
      else free.push({ topic, partition })
    }
  }
  const ids = [...byId.keys()].sort(compare)
  for (const partition of free) {
    const candidates = ids.filter((id) => byId.get(id)!.has(partition.topic))
    const least = candidates.reduce((best, id) => (load(id) < load(best) ? id : best))
    assignments.get(least)!.push(partition)
  }
  // From the fullest to the emptiest, one at a time, as long as that makes them more alike.
  for (;;) {
    const move = findMove(ids, byId, assignments)
    if (move === undefined) return assignments
    const from = assignments.get(move.from)!
    const [partition] = from.splice(move.index, 1)
    assignments.get(move.to)!.push(partition)
  }
}

function findMove(
  ids: readonly string[],
  topicsOf: ReadonlyMap<string, ReadonlySet<string>>,
  assignments: Assignments,
): { from: string; to: string; index: number } | undefined {
  const byLoad = [...ids].sort((a, b) => assignments.get(b)!.length - assignments.get(a)!.length)
  for (const from of byLoad) {
    const partitions = assignments.get(from)!
    for (let at = byLoad.length - 1; at >= 0; at--) {
      const to = byLoad[at]
      if (partitions.length - assignments.get(to)!.length < 2) break
      const index = partitions.findLastIndex(({ topic }) => topicsOf.get(to)!.has(topic))
      if (index >= 0) return { from, to, index }
    }
  }
  return undefined
}

// Committed offsets: per group, topic and partition the last position that was stored. All of it is persisted; `replay` in groups.ts
// is the only one who changes it.

export interface CommittedOffset {
  readonly offset: bigint
  /** -1 if the client did not say. */
  readonly leaderEpoch: number
  readonly metadata: string
  /** Wall time of the commit. */
  readonly commitTimestampMs: number
  /** An expiry of its own, asked for by OffsetCommit up to version 4; null as a rule. */
  readonly expireTimestampMs: number | null
  /** Of the topic that was meant, ZERO_UUID if it was not recorded. */
  readonly topicId: string
}

type Partitions = Map<number, CommittedOffset>

export class Offsets {
  private readonly groups = new Map<string, Map<string, Partitions>>()

  get(groupId: string, topic: string, partition: number): CommittedOffset | undefined {
    return this.groups.get(groupId)?.get(topic)?.get(partition)
  }

  /** Partitions by topic; empty if there are none. */
  of(groupId: string): ReadonlyMap<string, ReadonlyMap<number, CommittedOffset>> {
    return this.groups.get(groupId) ?? NONE
  }

  hasAny(groupId: string): boolean {
    return this.groups.has(groupId)
  }

  groupIds(): IterableIterator<string> {
    return this.groups.keys()
  }

  set(groupId: string, topic: string, partition: number, committed: CommittedOffset): void {
    const topics = this.groups.get(groupId) ?? new Map<string, Partitions>()
    const partitions = topics.get(topic) ?? new Map<number, CommittedOffset>()
    if (topics.size === 0) this.groups.set(groupId, topics)
    if (partitions.size === 0) topics.set(topic, partitions)
    partitions.set(partition, committed)
  }

  delete(groupId: string, topic: string, partition: number): void {
    const topics = this.groups.get(groupId)
    const partitions = topics?.get(topic)
    if (topics === undefined || partitions === undefined) return
    partitions.delete(partition)
    if (partitions.size === 0) topics.delete(topic)
    if (topics.size === 0) this.groups.delete(groupId)
  }
}

const NONE: ReadonlyMap<string, ReadonlyMap<number, CommittedOffset>> = new Map()

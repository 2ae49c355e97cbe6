// Something for each partition that a group has to do with: group, topic, partition. Levels that are empty are not there.

type Partitions<T> = Map<number, T>

export class GroupPartitions<T> {
  private readonly groups = new Map<string, Map<string, Partitions<T>>>()

  get(groupId: string, topic: string, partition: number): T | undefined {
    return this.groups.get(groupId)?.get(topic)?.get(partition)
  }

  /** Partitions by topic; empty if there are none. */
  of(groupId: string): ReadonlyMap<string, ReadonlyMap<number, T>> {
    return this.groups.get(groupId) ?? NONE
  }

  hasAny(groupId: string): boolean {
    return this.groups.has(groupId)
  }

  get isEmpty(): boolean {
    return this.groups.size === 0
  }

  groupIds(): IterableIterator<string> {
    return this.groups.keys()
  }

  set(groupId: string, topic: string, partition: number, value: T): void {
    const topics = this.groups.get(groupId) ?? new Map<string, Partitions<T>>()
    const partitions = topics.get(topic) ?? new Map<number, T>()
    if (topics.size === 0) this.groups.set(groupId, topics)
    if (partitions.size === 0) topics.set(topic, partitions)
    partitions.set(partition, value)
  }

  delete(groupId: string, topic: string, partition: number): void {
    const topics = this.groups.get(groupId)
    const partitions = topics?.get(topic)
    if (topics === undefined || partitions === undefined) return
    partitions.delete(partition)
    if (partitions.size === 0) topics.delete(topic)
    if (topics.size === 0) this.groups.delete(groupId)
  }

  *[Symbol.iterator](): Generator<readonly [groupId: string, topic: string, partition: number, value: T]> {
    for (const [groupId, topics] of this.groups) {
      for (const [topic, partitions] of topics) {
        for (const [partition, value] of partitions) yield [groupId, topic, partition, value]
      }
    }
  }
}

const NONE: ReadonlyMap<string, ReadonlyMap<number, never>> = new Map()

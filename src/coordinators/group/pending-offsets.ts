// Offsets that were committed in transactions which have not ended: nobody sees them, but they hold up who insists on stable offsets,
// and keep what they will replace from expiring.

import { GroupPartitions } from './group-partitions.ts'
import type { StoredOffset } from './offsets.ts'

export class PendingOffsets {
  /** By producer id: it has one transaction at a time. None is empty. */
  private readonly transactions = new Map<bigint, GroupPartitions<StoredOffset>>()
  /** The same seen from the partitions: in whose transactions they are. None is empty. */
  private readonly producers = new GroupPartitions<Set<bigint>>()

  has(groupId: string, topic: string, partition: number): boolean {
    return this.producers.get(groupId, topic, partition) !== undefined
  }

  hasAny(groupId: string): boolean {
    return this.producers.hasAny(groupId)
  }

  /** Partitions by topic; empty if there are none. */
  of(groupId: string): ReadonlyMap<string, ReadonlyMap<number, unknown>> {
    return this.producers.of(groupId)
  }

  groupIds(): IterableIterator<string> {
    return this.producers.groupIds()
  }

  add(producerId: bigint, groupId: string, topic: string, partition: number, offset: StoredOffset): void {
    const offsets = this.transactions.get(producerId) ?? new GroupPartitions<StoredOffset>()
    if (offsets.isEmpty) this.transactions.set(producerId, offsets)
    offsets.set(groupId, topic, partition, offset)
    const producers = this.producers.get(groupId, topic, partition) ?? new Set<bigint>()
    if (producers.size === 0) this.producers.set(groupId, topic, partition, producers)
    producers.add(producerId)
  }

  /** Takes the partition out of all transactions. */
  delete(groupId: string, topic: string, partition: number): void {
    for (const producerId of this.producers.get(groupId, topic, partition) ?? []) {
      const offsets = this.transactions.get(producerId)!
      offsets.delete(groupId, topic, partition)
      if (offsets.isEmpty) this.transactions.delete(producerId)
    }
    this.producers.delete(groupId, topic, partition)
  }

  /** The transaction of this producer ends: what was in it is not pending any more. */
  take(producerId: bigint): Iterable<readonly [groupId: string, topic: string, partition: number, offset: StoredOffset]> {
    const offsets = this.transactions.get(producerId)
    if (offsets === undefined) return []
    this.transactions.delete(producerId)
    for (const [groupId, topic, partition] of offsets) {
      const producers = this.producers.get(groupId, topic, partition)!
      producers.delete(producerId)
      if (producers.size === 0) this.producers.delete(groupId, topic, partition)
    }
    return offsets
  }
}

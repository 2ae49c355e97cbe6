// All that the coordinator of one partition of `__consumer_offsets` knows: groups, and what they committed. Operations, one per file
// beside this one, read it and say what to write; persisted state changes in `replay` and `replayMarker` alone.

import type { GroupRecord } from '../../protocol/internal-records/group-records.ts'
import type { Producer, TransactionMarker } from '../runtime/ports.ts'
import { ClassicGroup } from './classic-group.ts'
import type { GroupConfig } from './group-config.ts'
import { GroupPartitions } from './group-partitions.ts'
import type { StoredOffset } from './offsets.ts'
import { PendingOffsets } from './pending-offsets.ts'
import { Producers } from './producers.ts'

/** The id of a topic that exists now. Where it is not known, offsets are kept by the topic's name alone. */
export type TopicIdOf = (topic: string) => string | undefined

export class Groups {
  readonly config: GroupConfig
  readonly topicIdOf: TopicIdOf
  readonly offsets = new GroupPartitions<StoredOffset>()
  readonly pending = new PendingOffsets()
  readonly producers = new Producers()
  /** Of the next offset to be replayed. */
  private order = 0
  private readonly groups = new Map<string, ClassicGroup>()

  constructor(config: GroupConfig, topicIdOf: TopicIdOf = () => undefined) {
    this.config = config
    this.topicIdOf = topicIdOf
  }

  get(groupId: string): ClassicGroup | undefined {
    return this.groups.get(groupId)
  }

  all(): IterableIterator<ClassicGroup> {
    return this.groups.values()
  }

  /** For somebody who joins: nothing is stored before the first rebalance is through. */
  getOrCreate(groupId: string): ClassicGroup {
    const known = this.groups.get(groupId)
    if (known !== undefined) return known
    const group = new ClassicGroup(groupId)
    this.groups.set(groupId, group)
    return group
  }

  /** Forgets a group that nobody came back to, and that has left nothing in the log. */
  forgetIfUnused(group: ClassicGroup): void {
    const used = group.isStored || group.state !== 'Empty' || group.pendingMembers.size > 0
    if (!used && !this.hasOffsets(group.groupId)) this.groups.delete(group.groupId)
  }

  /** Committed ones, or such as may yet be. */
  hasOffsets(groupId: string): boolean {
    return this.offsets.hasAny(groupId) || this.pending.hasAny(groupId)
  }

  /** Groups that have offsets, each once. */
  groupIdsWithOffsets(): Set<string> {
    return new Set([...this.offsets.groupIds(), ...this.pending.groupIds()])
  }

  /** Partitions of which the group has an offset, committed or pending, each once. */
  *partitionsWithOffsets(groupId: string): Generator<readonly [topic: string, partition: number]> {
    for (const [topic, partitions] of this.offsets.of(groupId)) {
      for (const partition of partitions.keys()) yield [topic, partition]
    }
    for (const [topic, partitions] of this.pending.of(groupId)) {
      for (const partition of partitions.keys()) {
        if (this.offsets.get(groupId, topic, partition) === undefined) yield [topic, partition]
      }
    }
  }

  replay(record: GroupRecord, producer?: Producer): void {
    if (producer !== undefined) this.producers.wrote(producer)
    switch (record.type) {
      case 'OffsetCommit': {
        const { group, topic, partition } = record.key
        const { value } = record
        if (value === null) {
          // Whoever wanted it gone meant what is on its way, too.
          this.pending.delete(group, topic, partition)
          return this.offsets.delete(group, topic, partition)
        }
        // A client that only commits is a group, too: always empty, without a protocol.
        this.getOrCreate(group)
        const stored = {
          offset: value.offset,
          leaderEpoch: value.leaderEpoch,
          metadata: value.metadata,
          commitTimestampMs: Number(value.commitTimestamp),
          expireTimestampMs: value.expireTimestamp < 0n ? null : Number(value.expireTimestamp),
          topicId: value.topicId,
          order: this.order++,
        }
        if (producer === undefined) return this.offsets.set(group, topic, partition, stored)
        return this.pending.add(producer.producerId, group, topic, partition, stored)
      }
      case 'GroupMetadata': {
        const { group } = record.key
        if (record.value !== null) return this.getOrCreate(group).restore(record.value)
        this.groups.delete(group)
        // Its offsets are deleted before it. Should some be left all the same, they must belong to a group to ever expire.
        if (this.hasOffsets(group)) this.getOrCreate(group)
      }
    }
  }

  replayMarker(marker: TransactionMarker): void {
    this.producers.ended(marker)
    for (const [groupId, topic, partition, offset] of this.pending.take(marker.producerId)) {
      if (marker.result === 'abort') continue
      // An offset that was committed later, but outside of the transaction, stays.
      const current = this.offsets.get(groupId, topic, partition)
      if (current === undefined || current.order < offset.order) this.offsets.set(groupId, topic, partition, offset)
    }
  }
}

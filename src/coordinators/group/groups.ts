// All that the coordinator of one partition of `__consumer_offsets` knows: groups, and what they committed. Operations, one per file
// beside this one, read it and say what to write; persisted state changes in `replay` alone.

import type { GroupRecord } from '../../protocol/internal-records/group-records.ts'
import { ClassicGroup } from './classic-group.ts'
import type { GroupConfig } from './group-config.ts'
import { Offsets } from './offsets.ts'

/** The id of a topic that exists now. Where it is not known, offsets are kept by the topic's name alone. */
export type TopicIdOf = (topic: string) => string | undefined

export class Groups {
  readonly config: GroupConfig
  readonly topicIdOf: TopicIdOf
  readonly offsets = new Offsets()
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
    if (!used && !this.offsets.hasAny(group.groupId)) this.groups.delete(group.groupId)
  }

  replay(record: GroupRecord): void {
    switch (record.type) {
      case 'OffsetCommit': {
        const { group, topic, partition } = record.key
        const { value } = record
        if (value === null) return this.offsets.delete(group, topic, partition)
        // A client that only commits is a group, too: always empty, without a protocol.
        this.getOrCreate(group)
        return this.offsets.set(group, topic, partition, {
          offset: value.offset,
          leaderEpoch: value.leaderEpoch,
          metadata: value.metadata,
          commitTimestampMs: Number(value.commitTimestamp),
          expireTimestampMs: value.expireTimestamp < 0n ? null : Number(value.expireTimestamp),
          topicId: value.topicId,
        })
      }
      case 'GroupMetadata': {
        const { group } = record.key
        if (record.value !== null) return this.getOrCreate(group).restore(record.value)
        this.groups.delete(group)
        // Its offsets are deleted before it. Should some be left all the same, they must belong to a group to ever expire.
        if (this.offsets.hasAny(group)) this.getOrCreate(group)
      }
    }
  }
}

// Which partitions a broker leads, is in sync in, or could be elected in: what a controller must know at once when that broker is
// gone. Only the controller keeps it; it follows the published image.

import type { TopicId } from '../../protocol/ids.ts'
import type { MetadataDelta, MetadataImage, TopicMetadata } from '../metadata-image.ts'
import { NO_LEADER, type PartitionRecord } from '../metadata-records.ts'
import type { Revision } from '../store/metadata-store.ts'

export interface PartitionPlace {
  readonly topic: TopicMetadata
  readonly index: number
  readonly partition: PartitionRecord
}

type Places = Map<TopicId, Set<number>>

export class BrokerIndex {
  /** Of the last change that is in here. */
  revision: Revision
  private readonly led = new Map<number, Places>()
  private readonly inSync = new Map<number, Places>()
  private readonly eligible = new Map<number, Places>()

  constructor(image: MetadataImage) {
    this.revision = image.revision
    for (const topic of image.topics()) this.addTopic(topic)
  }

  apply({ revision, createdTopics, deletedTopics, changedPartitions }: MetadataDelta): void {
    this.revision = revision
    for (const topic of deletedTopics)
      for (const [index, partition] of topic.partitions.entries()) this.update(topic.id, index, partition, undefined)
    for (const topic of createdTopics) this.addTopic(topic)
    for (const { topic, index, before, after } of changedPartitions) this.update(topic.id, index, before, after)
  }

  /** Leaderless partitions are those that `NO_LEADER` leads. */
  leadsAny(brokerId: number): boolean {
    return (this.led.get(brokerId)?.size ?? 0) > 0
  }

  isInAnyIsr(brokerId: number): boolean {
    return (this.inSync.get(brokerId)?.size ?? 0) > 0
  }

  /** Partitions led first, internal topics before others: they hold up most. As `image` has them, which may be newer than the index. */
  *placesOf(brokerId: number, image: MetadataImage, withEligible = false): Generator<PartitionPlace> {
    const maps = [this.led, this.inSync, ...(withEligible ? [this.eligible] : [])]
    for (const map of maps) {
      for (const place of placesIn(map.get(brokerId), image)) {
        const { leader, isr } = place.partition
        if (map === this.inSync && leader === brokerId) continue
        if (map === this.eligible && (leader === brokerId || isr.includes(brokerId))) continue
        yield place
      }
    }
  }

  leaderless(image: MetadataImage): Generator<PartitionPlace> {
    return placesIn(this.led.get(NO_LEADER), image)
  }

  private addTopic(topic: TopicMetadata): void {
    for (const [index, partition] of topic.partitions.entries()) this.update(topic.id, index, undefined, partition)
  }

  private update(id: TopicId, index: number, before: PartitionRecord | undefined, after: PartitionRecord | undefined): void {
    const move = (map: Map<number, Places>, from: readonly number[], to: readonly number[]) => {
      for (const broker of from) if (!to.includes(broker)) remove(map, broker, id, index)
      for (const broker of to) if (!from.includes(broker)) add(map, broker, id, index)
    }
    move(this.led, before === undefined ? [] : [before.leader], after === undefined ? [] : [after.leader])
    move(this.inSync, before?.isr ?? [], after?.isr ?? [])
    move(this.eligible, before?.elr ?? [], after?.elr ?? [])
  }
}

function add(map: Map<number, Places>, broker: number, id: TopicId, index: number): void {
  const places: Places = map.get(broker) ?? new Map()
  map.set(broker, places)
  const indexes = places.get(id) ?? new Set<number>()
  places.set(id, indexes)
  indexes.add(index)
}

function remove(map: Map<number, Places>, broker: number, id: TopicId, index: number): void {
  const places = map.get(broker)
  const indexes = places?.get(id)
  indexes?.delete(index)
  if (indexes?.size === 0) places!.delete(id)
}

function* placesIn(places: Places | undefined, image: MetadataImage): Generator<PartitionPlace> {
  if (places === undefined) return
  for (const internal of [true, false]) {
    for (const [id, indexes] of places) {
      const topic = image.topicById(id)
      if (topic === undefined || topic.internal !== internal) continue
      for (const index of indexes) {
        const partition = topic.partitions[index]
        if (partition !== undefined) yield { topic, index, partition }
      }
    }
  }
}

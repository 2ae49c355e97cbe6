// Which partition a record goes to when its sender does not say. Keys go by murmur2, as in every Kafka client; records without
// one stick to a partition until a batch is full there and then move on (KIP-480), so that batches fill.

import type { Random } from '../host/random.ts'
import type { TopicMetadata } from './metadata.ts'
import { murmur2 } from './murmur2.ts'

export interface Partitioner {
  /** The index of the partition. */
  partition(topic: TopicMetadata, key: Buffer | null): number
  /** The batch that key-less records of this topic went to is full. */
  batchFilled(topic: TopicMetadata, partition: number): void
}

/** The partition of a key, among all partitions of the topic, with a leader or without. */
export function partitionOfKey(key: Buffer, partitionCount: number): number {
  return (murmur2(key) & 0x7fff_ffff) % partitionCount
}

export class DefaultPartitioner implements Partitioner {
  private readonly random: Random
  /** Where key-less records of each topic go now. */
  private readonly sticky = new Map<string, number>()

  constructor(random: Random) {
    this.random = random
  }

  partition(topic: TopicMetadata, key: Buffer | null): number {
    if (key !== null) return partitionOfKey(key, topic.partitions.length)
    const current = this.sticky.get(topic.name)
    if (current !== undefined && (topic.partitions[current]?.leaderId ?? -1) >= 0) return current
    return this.move(topic, current)
  }

  batchFilled(topic: TopicMetadata, partition: number): void {
    if (this.sticky.get(topic.name) === partition) this.move(topic, partition)
  }

  /** To another partition than the last, among those that have a leader if there are any. */
  private move(topic: TopicMetadata, last: number | undefined): number {
    const led = topic.partitions.filter((partition) => partition.leaderId >= 0)
    const all = led.length > 0 ? led : topic.partitions
    const others = all.length > 1 ? all.filter((partition) => partition.index !== last) : all
    const next = others[this.random.u32() % others.length].index
    this.sticky.set(topic.name, next)
    return next
  }
}

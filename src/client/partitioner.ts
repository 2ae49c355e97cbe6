// Which partition a record goes to when its sender does not say. Keys go by murmur2, as in every Kafka client; records without
// one stick to a partition until a batch is full there and then move on (KIP-480), so that batches fill.

import type { Random } from '../host/random.ts'
import type { RecordHeader } from '../protocol/records/record.ts'
import type { TopicMetadata } from './metadata.ts'
import { murmur2 } from './murmur2.ts'

/** What a partitioner may look at besides the key. */
export interface RecordToPlace {
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

export interface Partitioner {
  /** The index of the partition. */
  partition(topic: TopicMetadata, key: Buffer | null, record: RecordToPlace): number
  /** The batch of this partition is full, and the last record began another. */
  batchFilled(topic: TopicMetadata, partition: number): void
}

/** Chosen by name: see `partitionerNamed`. */
export type PartitionerName = 'murmur2' | 'sticky' | 'round-robin' | 'explicit'

/**
 * `murmur2`: by key as all Kafka clients do, sticky without. `sticky`: keys do not count. `round-robin`: each record to the next
 * partition. `explicit`: a record that does not name its partition is refused.
 */
export function partitionerNamed(name: PartitionerName, random: Random): Partitioner {
  switch (name) {
    case 'murmur2':
      return new DefaultPartitioner(random)
    case 'sticky':
      return new DefaultPartitioner(random, true)
    case 'round-robin':
      return roundRobin()
    case 'explicit':
      return {
        partition(topic) {
          throw new TypeError(`a record for ${topic.name} names no partition, and the partitioner is 'explicit'`)
        },
        batchFilled() {},
      }
    default:
      throw new TypeError(`no partitioner is called ${name}: 'murmur2', 'sticky', 'round-robin', 'explicit', or one of your own`)
  }
}

function roundRobin(): Partitioner {
  const next = new Map<string, number>()
  return {
    partition(topic) {
      const turn = next.get(topic.name) ?? 0
      next.set(topic.name, (turn + 1) % 2 ** 31)
      return turn % topic.partitions.length
    },
    batchFilled() {},
  }
}

/** The partition of a key, among all partitions of the topic, with a leader or without. */
export function partitionOfKey(key: Buffer, partitionCount: number): number {
  return (murmur2(key) & 0x7fff_ffff) % partitionCount
}

export class DefaultPartitioner implements Partitioner {
  private readonly random: Random
  /** Where key-less records of each topic go now. */
  private readonly sticky = new Map<string, number>()

  private readonly ignoresKeys: boolean

  constructor(random: Random, ignoresKeys = false) {
    this.random = random
    this.ignoresKeys = ignoresKeys
  }

  partition(topic: TopicMetadata, key: Buffer | null): number {
    if (key !== null && !this.ignoresKeys) return partitionOfKey(key, topic.partitions.length)
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

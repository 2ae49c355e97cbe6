// The partitions of this broker: made, changed and taken away as the metadata image says.

import { type Clock, every, type Timer } from '../../host/clock.ts'
import type { LogConfig } from '../../log/log-config.ts'
import type { LogManager } from '../../log/log-manager.ts'
import type { PartitionLog } from '../../log/partition-log.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import type { MetadataDelta, MetadataImage, TopicMetadata } from '../metadata-image.ts'
import { AppendBudget } from './append-budget.ts'
import { Partition } from './partition.ts'

/** How much longer than asked for an answer may take where it times out: one timer for all requests, not one for each. */
const EXPIRY_CHECK_MS = 1000

export interface ReplicaManagerOptions {
  readonly nodeId: number
  readonly logs: LogManager
  readonly clock: Clock
  /** How the logs of a topic are kept, by the latest metadata. */
  readonly logConfig: (topic: string) => LogConfig
}

export class ReplicaManager {
  private readonly options: ReplicaManagerOptions
  /** By topic, then by index. */
  private readonly byTopic = new Map<string, (Partition | undefined)[]>()
  private image: MetadataImage | undefined
  private readonly expiry: Timer
  readonly budget = new AppendBudget()

  constructor(options: ReplicaManagerOptions) {
    this.options = options
    const { clock } = options
    this.expiry = every(clock, EXPIRY_CHECK_MS, () => {
      for (const partition of this.partitions()) partition.expireWaiters(clock.monotonicMs())
    })
  }

  /** Throws KafkaError: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. */
  leader(topic: string, index: number): Partition {
    const partition = this.byTopic.get(topic)?.[index]
    if (partition === undefined) {
      throw new KafkaError(
        this.image?.partition(topic, index) === undefined ? 'UNKNOWN_TOPIC_OR_PARTITION' : 'NOT_LEADER_OR_FOLLOWER',
      )
    }
    if (partition.failure !== undefined) throw partition.failure
    return partition
  }

  find(topic: string, index: number): Partition | undefined {
    return this.byTopic.get(topic)?.[index]
  }

  *partitions(): Generator<Partition> {
    for (const partitions of this.byTopic.values())
      for (const partition of partitions) if (partition !== undefined) yield partition
  }

  get partitionCount(): number {
    let count = 0
    for (const partitions of this.byTopic.values()) count += partitions.length
    return count
  }

  /**
   * Takes over what the logs on disk and the image have in common, and makes what is missing. Logs that belong to nothing in the
   * image are set aside, never deleted: somebody may have put them there.
   */
  async load(image: MetadataImage): Promise<void> {
    this.image = image
    const { logs } = this.options
    for (const log of [...logs.logs()]) if (!this.owns(image, log)) await logs.setAside(log.topic, log.partition)
    await Promise.all(image.topics().map((topic) => this.create(topic)))
  }

  /** Resolves when logs are made and taken away: then the image may be shown to clients. */
  async apply(image: MetadataImage, delta: MetadataDelta): Promise<void> {
    this.image = image
    for (const topic of delta.deletedTopics) await this.delete(topic)
    const grown = new Set(delta.changedPartitions.map((change) => change.topic))
    await Promise.all([...delta.createdTopics, ...grown].map((topic) => this.create(topic)))
    // A change for all brokers reaches every topic that has no value of its own.
    if (delta.changedConfigs.some(({ type }) => type === 'broker')) for (const topic of this.byTopic.keys()) this.configure(topic)
    for (const { type, name } of delta.changedConfigs) if (type === 'topic') this.configure(name)
  }

  /** By name, id and place. */
  private owns(image: MetadataImage, { topic, topicId, partition }: PartitionLog): boolean {
    const replicas = image.topic(topic)?.id === topicId ? image.partition(topic, partition)?.replicas : undefined
    return replicas?.includes(this.options.nodeId) === true
  }

  private async create(topic: TopicMetadata): Promise<void> {
    const { logs, nodeId } = this.options
    const partitions = this.byTopic.get(topic.name) ?? []
    this.byTopic.set(topic.name, partitions)
    const config = this.options.logConfig(topic.name)
    const made = topic.partitions.map(async (record, index) => {
      if (record.leader !== nodeId || partitions[index] !== undefined) return
      let log: PartitionLog | undefined = logs.get(topic.name, index)
      // Of another topic of the same name.
      if (log !== undefined && log.topicId !== topic.id) {
        await logs.setAside(topic.name, index)
        log = undefined
      }
      log ??= await logs.create(topic.name, topic.id, index, config)
      log.config = config
      log.assignLeaderEpoch(record.leaderEpoch)
      partitions[index] = new Partition(topic.name, topic.id, index, record.leaderEpoch, log, this.budget)
    })
    await Promise.all(made)
  }

  private async delete(topic: TopicMetadata): Promise<void> {
    const partitions = this.byTopic.get(topic.name) ?? []
    this.byTopic.delete(topic.name)
    for (const partition of partitions) {
      if (partition === undefined) continue
      partition.close(new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${topic.name} was deleted`))
      await this.options.logs.delete(topic.name, partition.index)
    }
  }

  private configure(topic: string): void {
    const config = this.options.logConfig(topic)
    for (const partition of this.byTopic.get(topic) ?? []) if (partition !== undefined) partition.log.config = config
  }

  /** Whoever waits is told to look elsewhere. */
  close(): void {
    this.expiry.cancel()
    for (const partition of this.partitions())
      partition.close(new KafkaError('NOT_LEADER_OR_FOLLOWER', 'the broker is shutting down'))
  }
}

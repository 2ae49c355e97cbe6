// The replicas of this broker: made, given their roles and taken away as the metadata image says.

import { type Clock, every, type Timer } from '../../host/clock.ts'
import type { Endpoint, Network } from '../../host/network.ts'
import type { Random } from '../../host/random.ts'
import type { LogConfig } from '../../log/log-config.ts'
import type { LogManager } from '../../log/log-manager.ts'
import type { PartitionLog } from '../../log/partition-log.ts'
import { Turns } from '../../log/turns.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import type { BrokerRegistration, MetadataDelta, MetadataImage, TopicMetadata } from '../metadata-image.ts'
import { isLost, LOST_DIRECTORY, NO_LEADER, type PartitionRecord } from '../metadata-records.ts'
import { AppendBudget } from './append-budget.ts'
import type { IsrChanges } from './isr-changes.ts'
import { LostReplicas, type ReplicaPlace } from './lost-replicas.ts'
import { Partition, type ReplicaContext } from './partition.ts'
import type { FetcherSettings } from './replica-fetcher.ts'
import { ReplicaFetchers } from './replica-fetchers.ts'
import type { ReplicationReport } from './replication-event.ts'
import { ReplicationQuota } from './replication-quota.ts'

/** How much longer than asked for an answer may take where it times out: one timer for all requests, not one for each. */
const EXPIRY_CHECK_MS = 1000
/** How often a log is tried to be made again that the disk has refused. */
const UNMADE_CHECK_MS = 1000

export interface ReplicationSettings extends FetcherSettings {
  /** replica.lag.time.max.ms */
  readonly lagTimeMaxMs: number
  /** replica.high.watermark.checkpoint.interval.ms */
  readonly checkpointMs: number
  /** num.replica.fetchers */
  readonly fetchersPerLeader: number
}

/** As configured now. */
export interface ReplicationThrottles {
  /** leader.replication.throttled.rate, follower.replication.throttled.rate: bytes a second. */
  readonly rate: (side: ThrottledSide) => number
  /** Whether this broker's replica is among leader.replication.throttled.replicas, or those of the follower. */
  readonly covers: (side: ThrottledSide, topic: string, index: number) => boolean
}

export type ThrottledSide = 'leader' | 'follower'

/** What a broker needs that has others beside it. */
export interface ReplicationOptions {
  readonly network: Network
  readonly random: Random
  /** Of this broker, as the cluster knows it now. */
  readonly brokerEpoch: () => number
  readonly isrChanges: IsrChanges
  /** Read anew each time, but for `lagTimeMaxMs` and `checkpointMs`. */
  readonly settings: () => ReplicationSettings
  /** Which of a broker's endpoints others use (inter.broker.listener.name); undefined: its first. */
  readonly listener?: string | undefined
  /** Of reassignments; absent: nothing is throttled. */
  readonly throttles?: ReplicationThrottles
  /** Tells the controller which replicas cannot be served here any more, or can be again. Rejects where it has not heard. */
  readonly tellPlaces: (places: readonly ReplicaPlace[]) => Promise<void>
  /** No log directory is left: there is nothing that this broker could do. */
  readonly onAllOffline?: () => void
}

export interface ReplicaManagerOptions {
  readonly nodeId: number
  readonly logs: LogManager
  readonly clock: Clock
  /** How the logs of a topic are kept, by the latest metadata. */
  readonly logConfig: (topic: string) => LogConfig
  /** min.insync.replicas of a topic, by the latest metadata. Default: 1. */
  readonly minInsyncReplicas?: (topic: string) => number
  /** Absent on a single node: it leads all there is. */
  readonly replication?: ReplicationOptions
  readonly report?: ReplicationReport
}

export class ReplicaManager {
  readonly budget = new AppendBudget()
  /** Of what followers outside of ISRs are served. Undefined: without limit. */
  readonly leaderQuota: ReplicationQuota | undefined
  private readonly options: ReplicaManagerOptions
  private readonly context: ReplicaContext
  private readonly fetchers: ReplicaFetchers | undefined
  /** By topic, then by index. */
  private readonly byTopic = new Map<string, (Partition | undefined)[]>()
  /** Partitions where somebody may be waiting: few of many, so that looking after them costs a broker with many partitions nothing. */
  private readonly waitedFor = new Set<Partition>()
  private image: MetadataImage | undefined
  private readonly timers: Timer[]
  private lost: LostReplicas | undefined
  private allOffline = false
  /** Replicas whose logs could not be made, by topic id and index, with the reason. Tried again from time to time. */
  private readonly unmade = new Map<string, { readonly error: KafkaError; readonly isNew: boolean }>()
  /** One image after the other. */
  private readonly turns = new Turns()

  constructor(options: ReplicaManagerOptions) {
    this.options = options
    const { clock, nodeId, replication, report = () => {} } = options
    this.context = {
      nodeId,
      clock,
      budget: this.budget,
      waitedFor: this.waitedFor,
      rules: {
        lagTimeMaxMs: replication?.settings().lagTimeMaxMs ?? 0,
        mayJoinIsr: (brokerId, brokerEpoch) => this.mayJoinIsr(brokerId, brokerEpoch),
      },
      proposals: replication && { changes: replication.isrChanges, random: replication.random },
      report,
      onFailure: (partition) => this.onFailure(partition),
    }
    this.timers = [
      every(clock, EXPIRY_CHECK_MS, () => this.expireWaiters()),
      every(clock, UNMADE_CHECK_MS, () => this.makeUnmade()),
    ]
    if (replication === undefined) return
    const { throttles } = replication
    const quotaOf = (side: ThrottledSide) =>
      throttles &&
      new ReplicationQuota({
        clock,
        rate: () => throttles.rate(side),
        covers: (topic, index) => throttles.covers(side, topic, index),
      })
    this.leaderQuota = quotaOf('leader')
    const { lagTimeMaxMs, checkpointMs } = replication.settings()
    this.lost = new LostReplicas({ clock, random: replication.random, send: replication.tellPlaces })
    const endpointOf = (brokerId: number) => this.endpointOf(brokerId)
    this.fetchers = new ReplicaFetchers(
      {
        ...replication,
        nodeId,
        clock,
        endpointOf,
        report,
        quota: quotaOf('follower'),
        isInSync: ({ topic, index }) => this.image?.partition(topic, index)?.isr.includes(nodeId) ?? false,
      },
      () => replication.settings().fetchersPerLeader,
    )
    this.timers.push(
      every(clock, Math.max(1, lagTimeMaxMs / 2), () => this.checkLag()),
      every(clock, checkpointMs, () => this.checkpointHighWatermarks()),
    )
  }

  // ── asking ────────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Throws KafkaError: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. */
  leader(topic: string, index: number): Partition {
    const partition = this.replica(topic, index)
    if (partition.leader === undefined) throw new KafkaError('NOT_LEADER_OR_FOLLOWER')
    return partition
  }

  /** Leads or follows. Throws KafkaError: UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER_OR_FOLLOWER, KAFKA_STORAGE_ERROR. */
  replica(topic: string, index: number): Partition {
    const partition = this.byTopic.get(topic)?.[index]
    if (partition === undefined) {
      const metadata = this.image?.topic(topic)
      if (metadata?.partitions[index] === undefined) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION')
      throw this.unmade.get(keyOf(metadata, index))?.error ?? new KafkaError('NOT_LEADER_OR_FOLLOWER')
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
    for (const _partition of this.partitions()) count++
    return count
  }

  // ── following the metadata ────────────────────────────────────────────────────────────────────────────────────────

  /** Takes over what the logs on disk and the image have in common, and makes what is missing. */
  async load(image: MetadataImage): Promise<void> {
    this.image = image
    await this.turns.take(async () => {
      await this.setStraysAside(image)
      await all(image.topics().map((topic) => this.assume(topic, () => false)))
    })
  }

  /** Logs that no topic owns, by name and id: kept under another name, never deleted, for somebody may have put them there. */
  private async setStraysAside(image: MetadataImage): Promise<void> {
    const { logs } = this.options
    for (const { topic, topicId, partition } of [...logs.logs()]) {
      if (image.topic(topic)?.id === topicId && image.partition(topic, partition) !== undefined) continue
      try {
        await logs.setAside(topic, partition)
      } catch (error) {
        // Where the disk does not let it, the log stays where it is, served to nobody.
        if (!(error instanceof KafkaError)) throw error
      }
    }
  }

  /** Resolves when logs are made and taken away: then the image may be shown to clients. */
  async apply(image: MetadataImage, delta: MetadataDelta): Promise<void> {
    this.image = image
    // Whoever is replaced stops at once, whatever the disk has to do for the others.
    for (const { topic, index, after } of delta.changedPartitions) {
      const partition = this.find(topic.name, index)
      if (partition?.topicId === topic.id && after.leader !== this.options.nodeId) partition.becomeFollower(after)
    }
    await this.turns.take(async () => {
      for (const topic of delta.deletedTopics) await this.delete(topic)
      const wasHere = delta.changedPartitions.filter(({ before }) => before?.replicas.includes(this.options.nodeId))
      const known = new Set(wasHere.map(({ topic, index }) => keyOf(topic, index)))
      const isNew = (key: string) => !known.has(key)
      // Only what has changed: of a topic with ten thousand partitions a hundred commits may each change a hundred.
      const changed = Map.groupBy(delta.changedPartitions, ({ topic }) => topic)
      await all([
        ...delta.createdTopics.map((topic) => this.assume(topic, isNew)),
        ...Array.from(changed, ([topic, changes]) =>
          this.assume(
            topic,
            isNew,
            changes.map(({ index }) => index),
          ),
        ),
      ])
    })
    // A change for all brokers reaches every topic that has no value of its own.
    if (delta.changedConfigs.some(({ type }) => type === 'broker')) {
      for (const topic of this.byTopic.keys()) this.configure(topic)
      this.fetchers?.spread()
    }
    for (const { type, name } of delta.changedConfigs) if (type === 'topic') this.configure(name)
  }

  /** Gives each partition of a topic that has a replica here the role that it has now. `isNew`: it cannot have had a log here before. */
  private async assume(
    topic: TopicMetadata,
    isNew: (key: string) => boolean,
    indexes: readonly number[] = [...topic.partitions.keys()],
  ): Promise<void> {
    await all(
      indexes.map(async (index) => {
        const record = topic.partitions[index]
        const present = this.find(topic.name, index)
        if (!record.replicas.includes(this.options.nodeId)) {
          if (present !== undefined) await this.remove(topic.name, present)
          else await this.removeLeftover(topic, index)
          return
        }
        let partition = present ?? (await this.createOrNote(topic, index, isNew(keyOf(topic, index))))
        if (partition !== undefined && this.mayFetchAnew(partition, record)) {
          this.context.report({ event: 'replica-fetched-anew', topic: topic.name, partition: index, error: partition.failure! })
          await this.drop(partition, partition.failure!)
          partition = await this.createOrNote(topic, index, true)
        }
        this.tellPlace(topic, index, record, partition)
        if (partition !== undefined) await this.assumeRole(partition, record)
      }),
    )
  }

  /** Only where the controller thinks otherwise. */
  private tellPlace(topic: TopicMetadata, index: number, record: PartitionRecord, partition: Partition | undefined): void {
    const isOurs = partition !== undefined && partition.failure === undefined
    if (isOurs !== isLost(record, this.options.nodeId)) return
    const directory = isOurs ? partition.log.logDirectory.id : LOST_DIRECTORY
    this.lost?.tell({ topicId: topic.id, index, directory })
  }

  private async assumeRole(partition: Partition, record: PartitionRecord): Promise<void> {
    if (record.leader === this.options.nodeId) {
      this.fetchers?.unfollow(partition)
      await partition.becomeLeader(record)
    } else {
      partition.becomeFollower(record)
      if (record.leader === NO_LEADER || partition.failure !== undefined) this.fetchers?.unfollow(partition)
      else this.fetchers?.follow(partition, record.leader)
    }
  }

  /** Its bytes are damaged, though its disk is well, and nobody counts on it any more: another replica has them all. */
  private mayFetchAnew({ failure, log }: Partition, { leader, isr, elr }: PartitionRecord): boolean {
    const { nodeId } = this.options
    if (failure === undefined || log.failed === undefined || log.logDirectory.state !== 'online') return false
    return leader !== NO_LEADER && !isr.includes(nodeId) && !elr.includes(nodeId)
  }

  /** Undefined where the disk does not let it: the others go on, and whoever asks for this one is told. */
  private async createOrNote(topic: TopicMetadata, index: number, isNew: boolean): Promise<Partition | undefined> {
    const key = keyOf(topic, index)
    try {
      const partition = await this.create(topic, index, isNew)
      this.unmade.delete(key)
      return partition
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      this.unmade.set(key, { error, isNew })
      this.checkDirectories()
      return undefined
    }
  }

  /** The disk may have room again, or another directory be usable. */
  private async makeUnmade(): Promise<void> {
    if (this.unmade.size === 0) return
    await this.turns.take(async () => {
      const unmade = new Map(this.unmade)
      this.unmade.clear()
      const topics = this.image?.topics().filter((topic) => topic.partitions.some((_, index) => unmade.has(keyOf(topic, index))))
      const wasUnmade = (topic: TopicMetadata) => [...topic.partitions.keys()].filter((index) => unmade.has(keyOf(topic, index)))
      const isNew = (key: string) => unmade.get(key)?.isNew ?? false
      await all(topics?.map((topic) => this.assume(topic, isNew, wasUnmade(topic))) ?? [])
    })
  }

  private async create(topic: TopicMetadata, index: number, isNew: boolean): Promise<Partition> {
    const { logConfig, logs, minInsyncReplicas } = this.options
    const config = logConfig(topic.name)
    let log: PartitionLog | undefined = logs.get(topic.name, index)
    // Of another topic of the same name.
    if (log !== undefined && log.topicId !== topic.id) {
      await logs.setAside(topic.name, index)
      log = undefined
    }
    if (log === undefined && !isNew && logs.isPartial) {
      // An empty log in another directory would stand for all that is in that one.
      throw new KafkaError('KAFKA_STORAGE_ERROR', `the log of ${topic.name}-${index} may be in a directory that is offline`)
    }
    const highWatermark = log?.logDirectory.highWatermarks.get(log.name)
    // A single node commits all that it has when it leads, which it does at once.
    if (log !== undefined && this.options.replication !== undefined) await logs.recallEndedTransactions(log, highWatermark ?? 0n)
    log ??= await logs.create(topic.name, topic.id, index, config)
    log.config = config
    const partition = new Partition({ topic: topic.name, topicId: topic.id, index }, log, this.context, highWatermark)
    partition.minInsyncReplicas = minInsyncReplicas?.(topic.name) ?? 1
    const partitions = this.byTopic.get(topic.name) ?? []
    this.byTopic.set(topic.name, partitions)
    partitions[index] = partition
    return partition
  }

  private async delete(topic: TopicMetadata): Promise<void> {
    const partitions = this.byTopic.get(topic.name) ?? []
    this.byTopic.delete(topic.name)
    const gone = new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${topic.name} was deleted`)
    for (const partition of partitions) if (partition !== undefined) await this.drop(partition, gone)
  }

  /** The partition goes on elsewhere. */
  private async remove(topic: string, partition: Partition): Promise<void> {
    delete this.byTopic.get(topic)?.[partition.index]
    await this.drop(partition, new KafkaError('NOT_LEADER_OR_FOLLOWER', 'the replica was moved to another broker'))
  }

  /** Of a replica that was moved while the broker was down. */
  private async removeLeftover(topic: TopicMetadata, index: number): Promise<void> {
    const { logs, replication } = this.options
    if (replication !== undefined && logs.get(topic.name, index)?.topicId === topic.id) await logs.delete(topic.name, index)
  }

  private async drop(partition: Partition, why: KafkaError): Promise<void> {
    this.fetchers?.unfollow(partition)
    partition.close(why)
    await this.options.logs.delete(partition.topic, partition.index)
  }

  private configure(topic: string): void {
    const config = this.options.logConfig(topic)
    const minInsyncReplicas = this.options.minInsyncReplicas?.(topic) ?? 1
    for (const partition of this.byTopic.get(topic) ?? []) {
      if (partition === undefined) continue
      partition.log.config = config
      partition.minInsyncReplicas = minInsyncReplicas
      partition.maybeAdvance()
    }
  }

  // ── from time to time ─────────────────────────────────────────────────────────────────────────────────────────────

  private expireWaiters(): void {
    const nowMs = this.options.clock.monotonicMs()
    for (const partition of this.waitedFor) if (!partition.expireWaiters(nowMs)) this.waitedFor.delete(partition)
  }

  /** Of all partitions that are led: who lags behind leaves the ISR. */
  checkLag(): void {
    for (const partition of this.partitions()) partition.checkLag()
  }

  /** Makes the high watermarks durable: a replica that comes back serves from there on, before it has heard of its leader. */
  async checkpointHighWatermarks(): Promise<void> {
    for (const directory of this.options.logs.directories) {
      if (directory.state !== 'online') continue
      // A disk that fails here fails elsewhere too, where it is told.
      await directory.saveHighWatermarks().catch(() => {})
    }
  }

  // ── the others ────────────────────────────────────────────────────────────────────────────────────────────────────

  private mayJoinIsr(brokerId: number, brokerEpoch: number): boolean {
    const broker = this.image?.broker(brokerId)
    if (broker === undefined || broker.fenced || broker.inControlledShutdown) return false
    return brokerEpoch === -1 || brokerEpoch === broker.epoch
  }

  private endpointOf(brokerId: number): Endpoint | undefined {
    const broker: BrokerRegistration | undefined = this.image?.broker(brokerId)
    const listener = this.options.replication?.listener
    return listener === undefined ? broker?.endpoints[0] : broker?.endpoints.find(({ name }) => name === listener)
  }

  private onFailure(partition: Partition): void {
    this.fetchers?.unfollow(partition)
    this.lost?.tell({ topicId: partition.topicId, index: partition.index, directory: LOST_DIRECTORY })
    this.checkDirectories()
  }

  private checkDirectories(): void {
    if (this.allOffline || this.options.logs.directories.some(({ state }) => state !== 'offline')) return
    this.allOffline = true
    this.options.replication?.onAllOffline?.()
  }

  /** Whoever waits is told to look elsewhere. */
  close(): void {
    for (const timer of this.timers) timer.cancel()
    this.fetchers?.close()
    this.lost?.close()
    for (const partition of this.partitions())
      partition.close(new KafkaError('NOT_LEADER_OR_FOLLOWER', 'the broker is shutting down'))
  }
}

const keyOf = (topic: TopicMetadata, index: number) => `${topic.id}/${index}`

/** Resolves when all have come to their end, and rejects with the first failure among them: one replica must not stop the others. */
async function all(work: readonly Promise<void>[]): Promise<void> {
  const results = await Promise.allSettled(work)
  const failure = results.find((result) => result.status === 'rejected')
  if (failure !== undefined) throw failure.reason
}

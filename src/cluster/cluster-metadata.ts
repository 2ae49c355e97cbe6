// What a broker has of its cluster, in one piece: the store, the image that follows it, and the controller that writes it. On a
// single node all three are in this process.

import { type BrokerConfig, GroupConfig, TopicConfig } from '../config/effective.ts'
import type { Clock } from '../host/clock.ts'
import type { Disk } from '../host/disk.ts'
import { type Random, uuid } from '../host/random.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import {
  type AlteredResource,
  type AlteredResourceResult,
  alterConfigs,
  incrementalAlterConfigs,
  type ReplacedResource,
} from './controller/alter-configs.ts'
import { Controller, decodeEpoch, encodeSequence } from './controller/controller.ts'
import { createPartitions, type GrownTopic, type GrownTopicResult } from './controller/create-partitions.ts'
import { createTopics, type NewTopic, type NewTopicResult } from './controller/create-topics.ts'
import type { Decide } from './controller/decision.ts'
import { type DeletedTopicResult, deleteTopics, deleteUnfinishedTopics, type TopicReference } from './controller/delete-topics.ts'
import { registerSingleNode } from './controller/register-broker.ts'
import { type ImageListener, ImagePublisher } from './image-publisher.ts'
import { newInternalTopic } from './internal-topics.ts'
import type { MetadataImage } from './metadata-image.ts'
import {
  type BrokerEndpoint,
  type ClusterRecord,
  clusterPrefix,
  decodeRecord,
  encodeRecord,
  keys,
  ROOT,
} from './metadata-records.ts'
import { ProducerIds } from './producer-ids.ts'
import { EmbeddedStore } from './store/embedded-store.ts'
import type { Entry, Guard, MetadataStore, Op } from './store/metadata-store.ts'

export interface ClusterNode {
  readonly id: number
  readonly endpoints?: readonly BrokerEndpoint[]
  readonly rack?: string | null
  readonly logDirs?: readonly string[]
  /** The data directory holds the marker of a clean stop. If not, partitions get new leader epochs. Default: false. */
  readonly cleanShutdown?: boolean
}

export interface ClusterMetadataOptions {
  readonly disk: Disk
  /** Made if absent; nothing else may write in it. */
  readonly directory: string
  readonly clock: Clock
  readonly random: Random
  readonly node: ClusterNode
  /** What the node was started with. */
  readonly config: BrokerConfig
  /** Of a data directory that Kafka formatted (meta.properties); made up for a new one where absent. */
  readonly clusterId?: string
  /** Of the store; tests give etcd's. */
  readonly limits?: MetadataStore['limits']
}

export interface ChangeOptions {
  /** Only say what would happen. */
  readonly validateOnly?: boolean
}

/** The data belongs to another cluster than was asked for. */
export class ClusterIdError extends Error {
  override readonly name = 'ClusterIdError'
}

export class ClusterMetadata {
  /** 22 characters of base64url. */
  readonly clusterId: string
  /** Grows with each start of this node. */
  readonly brokerEpoch: number
  private readonly options: ClusterMetadataOptions
  private readonly store: EmbeddedStore
  private readonly publisher: ImagePublisher
  private readonly controller: Controller
  private readonly producerIds: ProducerIds
  private config: BrokerConfig
  /** Made when first asked for, dropped when anything below them changes. */
  private readonly topicConfigs = new Map<string, TopicConfig>()
  private readonly groupConfigs = new Map<string, GroupConfig>()

  private constructor(options: ClusterMetadataOptions, store: EmbeddedStore, elected: Elected, publisher: ImagePublisher) {
    this.options = options
    this.store = store
    this.publisher = publisher
    this.clusterId = elected.clusterId
    this.brokerEpoch = elected.brokerEpoch
    const prefix = clusterPrefix(elected.clusterId)
    this.controller = new Controller({
      store,
      publisher,
      prefix,
      term: { epoch: elected.epoch, controllerCreated: elected.revision },
    })
    this.producerIds = new ProducerIds(store, prefix)
    this.config = options.config
    this.config = this.configOf(publisher.image)
    // First of all listeners, so that the others find the new configuration.
    publisher.onChange((image, delta) => {
      for (const { type, name } of delta.changedConfigs) {
        if (type === 'topic') this.topicConfigs.delete(name)
        if (type === 'group') this.groupConfigs.delete(name)
        if (type !== 'broker') continue
        this.config = this.configOf(image)
        this.topicConfigs.clear()
        this.groupConfigs.clear()
      }
      for (const topic of delta.deletedTopics) this.topicConfigs.delete(topic.name)
    })
  }

  /**
   * Founds the cluster or comes back to it, and registers the node.
   * @throws {ClusterIdError} @throws {StoreError} locked, corrupt @throws {DiskError} @throws {MetadataFormatError}
   */
  static async open(options: ClusterMetadataOptions): Promise<ClusterMetadata> {
    const { disk, directory, random, node, limits } = options
    const store = await EmbeddedStore.open({ disk, directory, random, limits })
    let publisher: ImagePublisher | undefined
    try {
      const elected = await elect(store, options)
      publisher = await ImagePublisher.start(store, clusterPrefix(elected.clusterId))
      const metadata = new ClusterMetadata(options, store, elected, publisher)
      await Promise.all([
        metadata.controller.submit((image) => deleteUnfinishedTopics(image)),
        metadata.register(node.endpoints ?? [], node.cleanShutdown ?? false),
      ])
      return metadata
    } catch (error) {
      await publisher?.close()
      await store.close()
      throw error
    }
  }

  /** The newest. Does not change while held; the next change makes another. */
  image(): MetadataImage {
    return this.publisher.image
  }

  /** Called with each new image; returns how to stop. Whoever asked for the change is answered after all listeners. */
  onChange(listener: ImageListener): () => void {
    return this.publisher.onChange(listener)
  }

  /** This broker's configuration with all that was changed while it ran. A new object after each change. */
  brokerConfig(): BrokerConfig {
    return this.config
  }

  /** The configuration of a topic that exists, that of its broker included. A new object after each change of either. */
  topicConfig(name: string): TopicConfig {
    return cached(this.topicConfigs, name, () => new TopicConfig(this.config, this.image().config('topic', name)))
  }

  /** A group's configuration, that of its broker included. A new object after each change of either. */
  groupConfig(name: string): GroupConfig {
    const overrides = this.image().config('group', name)
    // Nearly all groups have none: one object does for them, and no client fills our memory with names.
    return cached(this.groupConfigs, overrides.size === 0 ? '' : name, () => new GroupConfig(this.config, overrides))
  }

  /** Results in the order of the request, one for each name. `validateOnly` changes nothing. */
  createTopics(topics: readonly NewTopic[], { validateOnly = false }: ChangeOptions = {}): Promise<NewTopicResult[]> {
    return this.submit(createTopics, { topics, validateOnly })
  }

  /** Creates an internal topic as the broker's configuration wants it. */
  async createInternalTopic(name: Parameters<typeof newInternalTopic>[0]): Promise<NewTopicResult> {
    const [result] = await this.createTopics([newInternalTopic(name, this.config, this.image().activeBrokers().length)])
    return result
  }

  deleteTopics(topics: readonly TopicReference[]): Promise<DeletedTopicResult[]> {
    return this.submit(deleteTopics, topics)
  }

  createPartitions(topics: readonly GrownTopic[], { validateOnly = false }: ChangeOptions = {}): Promise<GrownTopicResult[]> {
    return this.submit(createPartitions, { topics, validateOnly })
  }

  incrementalAlterConfigs(
    resources: readonly AlteredResource[],
    { validateOnly = false }: ChangeOptions = {},
  ): Promise<AlteredResourceResult[]> {
    return this.submit(incrementalAlterConfigs, { resources, validateOnly })
  }

  alterConfigs(
    resources: readonly ReplacedResource[],
    { validateOnly = false }: ChangeOptions = {},
  ): Promise<AlteredResourceResult[]> {
    return this.submit(alterConfigs, { resources, validateOnly })
  }

  /** An id that no producer of this cluster has ever had. */
  nextProducerId(): Promise<bigint> {
    return this.producerIds.next()
  }

  /** Tells where this node listens, once it does. */
  setEndpoints(endpoints: readonly BrokerEndpoint[]): Promise<void> {
    return this.register(endpoints, true)
  }

  /** All metadata now: the file `snapshot` of a metadata directory. */
  encodeSnapshot(): Buffer {
    return this.store.encodeSnapshot()
  }

  async close(): Promise<void> {
    await this.controller.close()
    await this.publisher.close()
    await this.store.close()
  }

  private register(endpoints: readonly BrokerEndpoint[], cleanShutdown: boolean): Promise<void> {
    const { id, rack = null, logDirs = [] } = this.options.node
    const incarnation = String(this.brokerEpoch)
    return this.controller.submit((image) =>
      registerSingleNode(image, { id, epoch: this.brokerEpoch, incarnation, endpoints, rack, logDirs, cleanShutdown }),
    )
  }

  private submit<C, R>(decide: Decide<C, R>, command: C): Promise<R> {
    const { clock, random, node } = this.options
    return this.controller.submit((image) =>
      decide(image, command, { nowMs: clock.wallMs(), random, brokerId: node.id, config: this.configOf(image) }),
    )
  }

  /** The same object while it is the same configuration. */
  private configOf(image: MetadataImage): BrokerConfig {
    const forAll = image.config('broker', '')
    const own = image.config('broker', String(this.options.node.id))
    if (this.config.dynamicDefault === forAll && this.config.dynamicBroker === own) return this.config
    return this.options.config.withDynamic(forAll, own)
  }
}

interface Elected {
  readonly clusterId: string
  readonly epoch: number
  readonly brokerEpoch: number
  readonly revision: number
}

/** Founds the cluster if there is none, and makes this node its controller and a living member, in one commit. */
async function elect(store: MetadataStore, { random, clock, node, clusterId: wanted }: ClusterMetadataOptions): Promise<Elected> {
  const { entries } = await store.load(ROOT)
  const found = entries.find((entry) => entry.key.endsWith(`/${keys.cluster}`) && entry.key.split('/').length === 4)
  const cluster = found === undefined ? undefined : (decodeRecord(found.key, found.value) as unknown as ClusterRecord)
  if (cluster !== undefined && wanted !== undefined && cluster.id !== wanted) {
    throw new ClusterIdError(`the metadata belongs to cluster ${cluster.id}, not to ${wanted}`)
  }
  const clusterId = cluster?.id ?? wanted ?? uuid(random)
  const prefix = clusterPrefix(clusterId)
  const sequence: Entry | undefined = entries.find((entry) => entry.key === prefix + keys.controllerSequence)
  const epoch = sequence === undefined ? 1 : decodeEpoch(sequence.value) + 1
  const lease = await store.grantLease(LEASE_MS)

  const guards: Guard[] = [
    { key: prefix + keys.controller, created: 0 },
    { key: prefix + keys.alive(node.id), created: 0 },
    { key: prefix + keys.controllerSequence, modified: sequence?.modified ?? 0 },
  ]
  const ops: Op[] = [
    { put: prefix + keys.controller, value: encodeRecord({ brokerId: node.id }), lease: lease.id },
    { put: prefix + keys.alive(node.id), value: encodeRecord({}), lease: lease.id },
    { put: prefix + keys.controllerSequence, value: encodeSequence(epoch, 0) },
  ]
  const record: ClusterRecord = cluster ?? { id: clusterId, epochBase: 0, createdMs: clock.wallMs() }
  if (cluster === undefined) {
    guards.push({ key: prefix + keys.cluster, created: 0 })
    ops.push({ put: prefix + keys.cluster, value: encodeRecord(record) })
  }
  const result = await store.commit(guards, ops, [])
  if (!result.ok) throw new KafkaError('DUPLICATE_BROKER_REGISTRATION', `node ${node.id} is running already`)
  return { clusterId, epoch, brokerEpoch: record.epochBase + result.revision, revision: result.revision }
}

/** Silence after which a node counts as gone. The embedded store has nobody to miss it. */
const LEASE_MS = 9000

function cached<V>(values: Map<string, V>, key: string, make: () => V): V {
  let value = values.get(key)
  if (value === undefined) {
    value = make()
    values.set(key, value)
  }
  return value
}

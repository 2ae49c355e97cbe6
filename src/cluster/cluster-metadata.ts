// What a broker has of its cluster, in one piece: the store, the image that follows it, and the way to the controller that writes it.
// On a single node all of it is in this process.

import { type BrokerConfig, GroupConfig, TopicConfig } from '../config/effective.ts'
import { interBrokerListener } from '../config/listeners.ts'
import type { Clock } from '../host/clock.ts'
import type { Disk } from '../host/disk.ts'
import type { Random } from '../host/random.ts'
import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import { CreateTopics } from '../protocol/messages/19-create-topics.ts'
import { DeleteTopics } from '../protocol/messages/20-delete-topics.ts'
import { AlterConfigs } from '../protocol/messages/33-alter-configs.ts'
import { CreatePartitions } from '../protocol/messages/37-create-partitions.ts'
import { ElectLeaders, type ElectLeadersResponseInput } from '../protocol/messages/43-elect-leaders.ts'
import { IncrementalAlterConfigs } from '../protocol/messages/44-incremental-alter-configs.ts'
import {
  AlterPartitionReassignments,
  type AlterPartitionReassignmentsResponseInput,
} from '../protocol/messages/45-alter-partition-reassignments.ts'
import type { AlterPartitionRequest, AlterPartitionResponseInput } from '../protocol/messages/56-alter-partition.ts'
import type { BrokerHeartbeatRequest, BrokerHeartbeatResponseInput } from '../protocol/messages/63-broker-heartbeat.ts'
import { UnregisterBroker } from '../protocol/messages/64-unregister-broker.ts'
import type {
  AssignReplicasToDirsRequest,
  AssignReplicasToDirsResponseInput,
} from '../protocol/messages/73-assign-replicas-to-dirs.ts'
import { ClusterMember, type Errand } from './cluster-member.ts'
import {
  type AlteredResource,
  type AlteredResourceResult,
  alterConfigs,
  incrementalAlterConfigs,
  type ReplacedResource,
} from './controller/alter-configs.ts'
import { alterPartition } from './controller/alter-partition.ts'
import { unregisterBroker } from './controller/broker-state.ts'
import { Controller } from './controller/controller.ts'
import { createPartitions, type GrownTopic, type GrownTopicResult } from './controller/create-partitions.ts'
import { createTopics, type NewTopic, type NewTopicResult } from './controller/create-topics.ts'
import type { Decide, DecisionContext } from './controller/decision.ts'
import { type DeletedTopicResult, deleteTopics, deleteUnfinishedTopics, type TopicReference } from './controller/delete-topics.ts'
import { type ElectLeadersCommand, electLeaders } from './controller/elect-leaders.ts'
import { type ReassignPartitionsCommand, reassignPartitions } from './controller/reassign-partitions.ts'
import { registerSingleNode } from './controller/register-broker.ts'
import { countMachines } from './controller/replica-placement.ts'
import type { ControllerLink } from './controller-link.ts'
import { ClusterIdError, joinCluster, takeWholeCluster } from './found-cluster.ts'
import { type ImageListener, ImagePublisher } from './image-publisher.ts'
import { newInternalTopic } from './internal-topics.ts'
import { MemberState } from './member-state.ts'
import type { MetadataImage } from './metadata-image.ts'
import { type BrokerEndpoint, clusterPrefix } from './metadata-records.ts'
import { ProducerIds } from './producer-ids.ts'
import type { IsrChanges } from './replication/isr-changes.ts'
import type { ReplicaPlace } from './replication/lost-replicas.ts'
import { EmbeddedStore } from './store/embedded-store.ts'
import type { MetadataStore, Revision } from './store/metadata-store.ts'
import { isStoreDirectory } from './store/store-directory.ts'

export interface ClusterNode {
  readonly id: number
  readonly endpoints?: readonly BrokerEndpoint[]
  readonly rack?: string | null
  readonly logDirs?: readonly string[]
  /** Brokers of one machine fail together: no two replicas of a partition are put there. */
  readonly machine?: string | null
  /** On a single node: the data directory holds the marker of a clean stop. If not, partitions get new leader epochs. Default: false. */
  readonly cleanShutdown?: boolean
  /** In a cluster: the broker epoch that those markers carry; null or absent where they do not all carry the same. */
  readonly previousEpoch?: number | null
}

/** What a broker needs to be one of several. */
export interface ClusterAccess {
  /** That all of them share. Not closed here. */
  readonly store: MetadataStore
  /** To the broker that is the controller. */
  readonly link: (endpoint: BrokerEndpoint, brokerId: number) => ControllerLink
  /** Go on even where the store is another one than before, or an older state of it. Default: false. */
  readonly acceptRollback?: boolean
  /** Lines for whoever runs the cluster. */
  readonly report?: (line: string) => void
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
  /** Of a data directory that was used before (meta.properties); made up for a new one where absent. */
  readonly clusterId?: string
  /** Absent: a single node, with a store of its own in `directory`. */
  readonly cluster?: ClusterAccess
  /** Of the store; tests give etcd's. */
  readonly limits?: MetadataStore['limits']
}

export interface ChangeOptions {
  /** Only say what would happen. */
  readonly validateOnly?: boolean
  /** How long to look for a controller. */
  readonly timeoutMs?: number
}

/** Where a request does not say how long its sender waits. */
const COMMAND_TIMEOUT_MS = 30_000

/** Who decides: this node alone, or whichever member of the cluster is the controller. */
type Seat =
  | { readonly alone: Controller; readonly store: EmbeddedStore; readonly brokerEpoch: number }
  | { readonly member: ClusterMember }

export class ClusterMetadata {
  /** 22 characters of base64url. */
  readonly clusterId: string
  private readonly options: ClusterMetadataOptions
  private readonly publisher: ImagePublisher
  private readonly seat: Seat
  private readonly producerIds: ProducerIds
  private config: BrokerConfig
  /** Made when first asked for, dropped when anything below them changes. */
  private readonly topicConfigs = new Map<string, TopicConfig>()
  private readonly groupConfigs = new Map<string, GroupConfig>()

  private constructor(
    options: ClusterMetadataOptions,
    clusterId: string,
    store: MetadataStore,
    publisher: ImagePublisher,
    seat: (context: (image: MetadataImage) => DecisionContext) => Seat,
  ) {
    this.options = options
    this.publisher = publisher
    this.clusterId = clusterId
    this.producerIds = new ProducerIds(store, clusterPrefix(clusterId))
    this.config = options.config
    this.config = this.configOf(publisher.image)
    this.seat = seat((image) => this.context(image))
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
   * Founds the cluster or comes back to it. A single node is registered, too; a member of a cluster is by `setEndpoints`.
   * @throws {ClusterIdError} @throws {MetadataRollbackError} @throws {StoreError} locked, corrupt, unavailable @throws {DiskError}
   * @throws {MetadataFormatError}
   */
  static open(options: ClusterMetadataOptions): Promise<ClusterMetadata> {
    return options.cluster === undefined
      ? ClusterMetadata.openAlone(options)
      : ClusterMetadata.openMember(options, options.cluster)
  }

  private static async openAlone(options: ClusterMetadataOptions): Promise<ClusterMetadata> {
    const { disk, directory, random, node, limits } = options
    const store = await EmbeddedStore.open({ disk, directory, random, limits })
    let publisher: ImagePublisher | undefined
    try {
      const { clusterId, brokerEpoch, controllerEpoch, controllerCreated } = await takeWholeCluster(store, node.id, options)
      const prefix = clusterPrefix(clusterId)
      publisher = await ImagePublisher.start(store, prefix)
      const alone = new Controller({ store, publisher, prefix, term: { epoch: controllerEpoch, controllerCreated } })
      const metadata = new ClusterMetadata(options, clusterId, store, publisher, () => ({ alone, store, brokerEpoch }))
      await Promise.all([
        alone.submit((image) => deleteUnfinishedTopics(image)),
        metadata.register(node.endpoints ?? [], node.cleanShutdown ?? false),
      ])
      return metadata
    } catch (error) {
      await publisher?.close()
      await store.close()
      throw error
    }
  }

  private static async openMember(options: ClusterMetadataOptions, access: ClusterAccess): Promise<ClusterMetadata> {
    const { disk, directory, clock, random, node, config } = options
    const { store, link, acceptRollback = false, report = () => {} } = access
    if (await isStoreDirectory(disk, directory)) {
      throw new ClusterIdError(
        `${directory} holds the metadata of a single node, of which the cluster knows nothing: start this broker with another data directory, or take the node into the cluster first (docs/cluster.md)`,
      )
    }
    const memory = await MemberState.open(disk, directory, store, acceptRollback)
    const clusterId = await joinCluster(store, options)
    const prefix = clusterPrefix(clusterId)
    const publisher = await ImagePublisher.start(store, prefix)
    const { id, rack = null, machine = null, logDirs = [], previousEpoch = null } = node
    const times = {
      sessionMs: config.get('broker.session.timeout.ms'),
      heartbeatMs: config.get('broker.heartbeat.interval.ms'),
      registrationMs: config.get('initial.broker.registration.timeout.ms'),
    }
    const listener = interBrokerListener(config) ?? undefined
    return new ClusterMetadata(options, clusterId, store, publisher, (context) => ({
      member: new ClusterMember({
        store,
        publisher,
        prefix,
        memory,
        clock,
        random,
        node: { id, rack, machine, logDirs, previousEpoch },
        times,
        listener,
        link,
        context,
        report,
      }),
    }))
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

  /** Grows with each start of this node, and with each lease that it takes. -1 before the first. */
  get brokerEpoch(): number {
    return 'member' in this.seat ? this.seat.member.brokerEpoch : this.seat.brokerEpoch
  }

  /** This process decides. */
  get isController(): boolean {
    return 'alone' in this.seat || this.seat.member.isController
  }

  /** There may be other brokers. */
  get isCluster(): boolean {
    return 'member' in this.seat
  }

  /** The store has not been heard of for so long that others may take this broker for dead. It serves on: see docs/cluster.md. */
  get leaseInDoubt(): boolean {
    return 'member' in this.seat && this.seat.member.leaseInDoubt
  }

  /** Elections that may have lost records, since this process was started, while it was the controller. */
  get uncleanElections(): number {
    return 'member' in this.seat ? this.seat.member.uncleanElections : 0
  }

  /** How leaders ask for other ISRs. */
  get isrChanges(): IsrChanges {
    if ('member' in this.seat) return this.seat.member.isrChanges
    // A single node's partitions have one replica, which is all of their ISR.
    return { propose: () => Promise.reject(new KafkaError('INVALID_REQUEST', 'a single node has no ISR to change')) }
  }

  /** Results in the order of the request, one for each name. `validateOnly` changes nothing. */
  createTopics(topics: readonly NewTopic[], options: ChangeOptions = {}): Promise<NewTopicResult[]> {
    const { validateOnly = false } = options
    return this.run(createTopics, { topics, validateOnly }, options, async (link, timeoutMs) => {
      return (await link.forward(CreateTopics, { topics, validateOnly, timeoutMs }, timeoutMs)).topics
    })
  }

  /** Creates an internal topic as the broker's configuration wants it. */
  async createInternalTopic(name: Parameters<typeof newInternalTopic>[0]): Promise<NewTopicResult> {
    const [result] = await this.createTopics([newInternalTopic(name, this.config, countMachines(this.image().activeBrokers()))])
    return result
  }

  deleteTopics(topics: readonly TopicReference[], options: ChangeOptions = {}): Promise<DeletedTopicResult[]> {
    return this.run(deleteTopics, topics, options, async (link, timeoutMs) => {
      return (await link.forward(DeleteTopics, { topics, topicNames: [], timeoutMs }, timeoutMs)).responses
    })
  }

  createPartitions(topics: readonly GrownTopic[], options: ChangeOptions = {}): Promise<GrownTopicResult[]> {
    const { validateOnly = false } = options
    return this.run(createPartitions, { topics, validateOnly }, options, async (link, timeoutMs) => {
      return (await link.forward(CreatePartitions, { topics, validateOnly, timeoutMs }, timeoutMs)).results
    })
  }

  incrementalAlterConfigs(resources: readonly AlteredResource[], options: ChangeOptions = {}): Promise<AlteredResourceResult[]> {
    const { validateOnly = false } = options
    return this.run(incrementalAlterConfigs, { resources, validateOnly }, options, async (link, timeoutMs) => {
      return (await link.forward(IncrementalAlterConfigs, { resources, validateOnly }, timeoutMs)).responses
    })
  }

  alterConfigs(resources: readonly ReplacedResource[], options: ChangeOptions = {}): Promise<AlteredResourceResult[]> {
    const { validateOnly = false } = options
    return this.run(alterConfigs, { resources, validateOnly }, options, async (link, timeoutMs) => {
      return (await link.forward(AlterConfigs, { resources, validateOnly }, timeoutMs)).responses
    })
  }

  /** @throws {KafkaError} INVALID_REQUEST for a type of election that there is not */
  electLeaders(command: ElectLeadersCommand, options: ChangeOptions = {}): Promise<ElectLeadersResponseInput> {
    return this.run(electLeaders, command, options, async (link, timeoutMs) => {
      const response = await link.forward(ElectLeaders, { ...command, timeoutMs }, timeoutMs)
      if (response.errorCode === ErrorCode.NOT_CONTROLLER) throw new KafkaError('NOT_CONTROLLER')
      return response
    })
  }

  reassignPartitions(
    command: ReassignPartitionsCommand,
    options: ChangeOptions = {},
  ): Promise<AlterPartitionReassignmentsResponseInput> {
    return this.run(reassignPartitions, command, options, (link, timeoutMs) => {
      return link.forward(AlterPartitionReassignments, { ...command, timeoutMs }, timeoutMs)
    })
  }

  /** @throws {KafkaError} BROKER_ID_NOT_REGISTERED, INVALID_REQUEST where it runs */
  unregisterBroker(id: number, options: ChangeOptions = {}): Promise<void> {
    const errand: Errand<void> = {
      here: (controller, index) => controller.submit((image) => unregisterBroker(image, { id, index }, this.context(image))),
      elsewhere: async (link, timeoutMs) => {
        const { errorCode, errorMessage } = await link.forward(UnregisterBroker, { brokerId: id }, timeoutMs)
        if (errorCode !== ErrorCode.NONE) throw new KafkaError(errorName(errorCode), errorMessage ?? undefined)
      },
    }
    if ('member' in this.seat) return this.seat.member.run(errand, options.timeoutMs ?? COMMAND_TIMEOUT_MS)
    return this.seat.alone.submit((image) => unregisterBroker(image, { id, index: undefined }, this.context(image)))
  }

  /** Another broker's leaders ask. NOT_CONTROLLER unless this is the controller. */
  alterPartition(request: AlterPartitionRequest): Promise<AlterPartitionResponseInput> {
    if ('member' in this.seat) return this.seat.member.alterPartition(request)
    return this.seat.alone.submit((image) => alterPartition(image, request, this.context(image)))
  }

  /** Another broker says where its replicas are. NOT_CONTROLLER unless this is the controller. */
  async assignReplicasToDirs(request: AssignReplicasToDirsRequest): Promise<AssignReplicasToDirsResponseInput> {
    if ('member' in this.seat) return this.seat.member.assignReplicasToDirs(request)
    return { errorCode: ErrorCode.BROKER_ID_NOT_REGISTERED, directories: [] }
  }

  /** Tells the controller where replicas of this broker are. Rejects where it has not heard: to be told again. */
  async tellPlaces(places: readonly ReplicaPlace[]): Promise<void> {
    if ('member' in this.seat) await this.seat.member.tellPlaces(places)
  }

  /** Another broker reports. NOT_CONTROLLER unless this is the controller. */
  async heartbeat(request: BrokerHeartbeatRequest): Promise<BrokerHeartbeatResponseInput> {
    if ('member' in this.seat) return this.seat.member.heartbeat(request)
    return { errorCode: ErrorCode.BROKER_ID_NOT_REGISTERED, shouldShutDown: false }
  }

  /** An id that no producer of this cluster has ever had. */
  nextProducerId(): Promise<bigint> {
    return this.producerIds.next()
  }

  /**
   * Tells where this node listens, once it does. A member of a cluster takes its place by it: resolves when the image knows this process.
   * What the image asked of its broker before that was asked of an earlier one, and is not to be done.
   * @throws {KafkaError} DUPLICATE_BROKER_REGISTRATION where the id is in use, REQUEST_TIMED_OUT
   */
  setEndpoints(endpoints: readonly BrokerEndpoint[]): Promise<void> {
    return 'member' in this.seat ? this.seat.member.register(endpoints) : this.register(endpoints, true)
  }

  /** All replicas are as the image wants them: resolves when this broker may lead. @throws {KafkaError} REQUEST_TIMED_OUT */
  async serve(): Promise<void> {
    if ('member' in this.seat) await this.seat.member.serve()
  }

  /** Up to which revision this broker has done what the metadata asks of it: its leaders lead, its followers follow. */
  setApplied(applied: () => Revision): void {
    if ('member' in this.seat) this.seat.member.setApplied(applied)
  }

  /** Hands over what this broker leads, before it stops. False where others did not take it in time. */
  async controlledShutdown(timeoutMs: number): Promise<boolean> {
    return 'member' in this.seat ? this.seat.member.stop(timeoutMs) : true
  }

  /** All metadata of a single node now: the file `snapshot` of a metadata directory. Undefined where the metadata is not kept here. */
  encodeSnapshot(): Buffer | undefined {
    return 'alone' in this.seat ? this.seat.store.encodeSnapshot() : undefined
  }

  async close(): Promise<void> {
    if ('member' in this.seat) await this.seat.member.close()
    else await this.seat.alone.close()
    await this.publisher.close()
    if ('alone' in this.seat) await this.seat.store.close()
  }

  /** A single node is what it says it is. */
  private register(endpoints: readonly BrokerEndpoint[], cleanShutdown: boolean): Promise<void> {
    const { id, rack = null, logDirs = [] } = this.options.node
    const epoch = this.brokerEpoch
    const incarnation = String(epoch)
    return (this.seat as { alone: Controller }).alone.submit((image) =>
      registerSingleNode(image, { id, epoch, incarnation, endpoints, rack, logDirs, cleanShutdown }),
    )
  }

  private run<C, R>(
    decide: Decide<C, R>,
    command: C,
    { timeoutMs = COMMAND_TIMEOUT_MS }: ChangeOptions,
    elsewhere: Errand<R>['elsewhere'],
  ): Promise<R> {
    const here = (controller: Controller) => controller.submit((image) => decide(image, command, this.context(image)))
    return 'alone' in this.seat ? here(this.seat.alone) : this.seat.member.run({ here, elsewhere }, timeoutMs)
  }

  private context(image: MetadataImage): DecisionContext {
    const { clock, random, node } = this.options
    return { nowMs: clock.wallMs(), random, brokerId: node.id, config: this.configOf(image) }
  }

  /** The same object while it is the same configuration. */
  private configOf(image: MetadataImage): BrokerConfig {
    const forAll = image.config('broker', '')
    const own = image.config('broker', String(this.options.node.id))
    if (this.config.dynamicDefault === forAll && this.config.dynamicBroker === own) return this.config
    return this.options.config.withDynamic(forAll, own)
  }
}

function cached<V>(values: Map<string, V>, key: string, make: () => V): V {
  let value = values.get(key)
  if (value === undefined) {
    value = make()
    values.set(key, value)
  }
  return value
}

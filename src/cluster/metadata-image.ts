// Everything that a broker knows of its cluster, at one revision of the metadata store. Images never change; the next one shares
// with the last all that stayed the same, and making it costs as much as the change.

import { type ConfigTexts, NO_CONFIGS } from '../config/effective.ts'
import type { TopicId } from '../protocol/ids.ts'
import {
  type AliveRecord,
  type BrokerRecord,
  type ClusterRecord,
  type ConfigResourceType,
  type ControllerRecord,
  decodePartition,
  decodeRecord,
  type PartitionRecord,
  parseKey,
  type TopicRecord,
} from './metadata-records.ts'
import { PersistentMap } from './persistent-map.ts'
import type { Entry, Event, LeaseId, Revision } from './store/metadata-store.ts'

export interface BrokerRegistration extends BrokerRecord {
  readonly id: number
}

/** A broker that holds its lease. */
export interface AliveBroker extends AliveRecord {
  readonly id: number
  /** When the key was made: what the broker's epoch comes from, and what commits are guarded by. */
  readonly created: Revision
  readonly lease: LeaseId | null
}

/** The broker that writes the metadata. */
export interface ElectedController extends ControllerRecord {
  readonly created: Revision
}

export interface TopicMetadata {
  readonly id: TopicId
  readonly name: string
  readonly internal: boolean
  /** By index, all of them. */
  readonly partitions: readonly PartitionRecord[]
}

export interface PartitionChange {
  /** As it is now. */
  readonly topic: TopicMetadata
  readonly index: number
  /** Undefined: the topic has grown. */
  readonly before: PartitionRecord | undefined
  readonly after: PartitionRecord
}

/** What one image has other than the one before. */
export interface MetadataDelta {
  readonly revision: Revision
  readonly createdTopics: readonly TopicMetadata[]
  /** As they were. A topic that was deleted and made anew is in both lists, with two ids. */
  readonly deletedTopics: readonly TopicMetadata[]
  /** Of topics that were there before and still are. */
  readonly changedPartitions: readonly PartitionChange[]
  /** Ids of brokers that came, went or changed. */
  readonly changedBrokers: readonly number[]
  readonly changedConfigs: readonly { readonly type: ConfigResourceType; readonly name: string }[]
}

/** What the next image is to hold instead, undefined for what is gone. */
interface Changes {
  cluster: ClusterRecord | null
  readonly brokers: Map<number, BrokerRegistration | undefined>
  readonly alive: Map<number, AliveBroker | undefined>
  controller: ElectedController | null
  controllerSequence: string
  readonly records: Map<TopicId, TopicRecord | undefined>
  readonly partitions: Map<TopicId, Map<number, StoredPartition | undefined>>
  readonly configs: Map<string, ConfigTexts | undefined>
  nextProducerId: bigint
}

interface StoredPartition {
  readonly record: PartitionRecord
  readonly modified: Revision
}

interface Parts {
  readonly revision: Revision
  readonly cluster: ClusterRecord | null
  readonly brokers: PersistentMap<number, BrokerRegistration>
  readonly alive: PersistentMap<number, AliveBroker>
  readonly controller: ElectedController | null
  readonly controllerSequence: string
  readonly topics: PersistentMap<TopicId, TopicMetadata>
  readonly names: PersistentMap<string, TopicId>
  /** What topics are made of. The record may count fewer partitions than there are: the rest are being made. */
  readonly records: PersistentMap<TopicId, TopicRecord>
  readonly partitions: PersistentMap<TopicId, readonly PartitionRecord[]>
  /** When each of `partitions` was last written. */
  readonly revisions: PersistentMap<TopicId, readonly Revision[]>
  readonly configs: PersistentMap<string, ConfigTexts>
  readonly nextProducerId: bigint
}

export class MetadataImage {
  /** A new one each time: a version of a map that all later ones came from would hold on to every change ever made. */
  static empty(): MetadataImage {
    return new MetadataImage({
      revision: 0,
      cluster: null,
      brokers: PersistentMap.empty(),
      alive: PersistentMap.empty(),
      controller: null,
      controllerSequence: '',
      topics: PersistentMap.empty(),
      names: PersistentMap.empty(),
      records: PersistentMap.empty(),
      partitions: PersistentMap.empty(),
      revisions: PersistentMap.empty(),
      configs: PersistentMap.empty(),
      nextProducerId: 0n,
    })
  }

  private readonly parts: Parts

  private constructor(parts: Parts) {
    this.parts = parts
  }

  get revision(): Revision {
    return this.parts.revision
  }

  /** Null before the cluster was founded. */
  get cluster(): ClusterRecord | null {
    return this.parts.cluster
  }

  get topicCount(): number {
    return this.parts.topics.size
  }

  /** Above all producer ids handed out to brokers. */
  get nextProducerId(): bigint {
    return this.parts.nextProducerId
  }

  broker(id: number): BrokerRegistration | undefined {
    return this.parts.brokers.get(id)
  }

  /** In the order of their ids. */
  brokers(): BrokerRegistration[] {
    return this.parts.brokers.values().sort((a, b) => a.id - b.id)
  }

  /** May hold replicas and lead: registered, not fenced, not shutting down. In the order of their ids. */
  activeBrokers(): BrokerRegistration[] {
    return this.brokers().filter((broker) => !broker.fenced && !broker.inControlledShutdown)
  }

  /** Undefined where nobody holds the lease of a broker with this id. */
  alive(id: number): AliveBroker | undefined {
    return this.parts.alive.get(id)
  }

  /** In the order of their ids. */
  aliveBrokers(): AliveBroker[] {
    return this.parts.alive.values().sort((a, b) => a.id - b.id)
  }

  /** Undefined where the broker does not hold a lease. Grows with each that it gets. */
  aliveEpoch(id: number): number | undefined {
    const alive = this.parts.alive.get(id)
    return alive === undefined ? undefined : alive.created + (this.cluster?.epochBase ?? 0)
  }

  /** Registered, holding the lease that it registered with, not fenced and not shutting down: may lead, and join an ISR. */
  mayLead(id: number): boolean {
    const broker = this.parts.brokers.get(id)
    return broker !== undefined && !broker.fenced && !broker.inControlledShutdown && this.aliveEpoch(id) === broker.epoch
  }

  /** Null while none is elected. */
  get controller(): ElectedController | null {
    return this.parts.controller
  }

  /** Brokers come and go by leases. On a single node there are none to speak of. */
  get isCluster(): boolean {
    return this.parts.controller !== null && this.parts.controller.brokerEpoch >= 0
  }

  /** `epoch:commits` of the controllers so far; '' before the first. */
  get controllerSequence(): string {
    return this.parts.controllerSequence
  }

  /** When a partition was last written; 0 where it is not there. Partitions of topics that are still being made have one, too. */
  partitionModified(id: TopicId, index: number): Revision {
    return this.parts.revisions.get(id)?.[index] ?? 0
  }

  topic(name: string): TopicMetadata | undefined {
    const id = this.parts.names.get(name)
    return id === undefined ? undefined : this.parts.topics.get(id)
  }

  topicById(id: TopicId): TopicMetadata | undefined {
    return this.parts.topics.get(id)
  }

  /** Unordered. */
  topics(): TopicMetadata[] {
    return this.parts.topics.values()
  }

  partition(name: string, index: number): PartitionRecord | undefined {
    return this.topic(name)?.partitions[index]
  }

  /** What is set for a resource itself. Brokers by id, '' for all of them. */
  config(type: ConfigResourceType, name: string): ConfigTexts {
    return this.parts.configs.get(`${type}/${name}`) ?? NO_CONFIGS
  }

  /** Names of the resources of a type that have anything set. */
  configuredResources(type: ConfigResourceType): string[] {
    const prefix = `${type}/`
    return this.parts.configs.entries().flatMap(([key]) => (key.startsWith(prefix) ? [key.slice(prefix.length)] : []))
  }

  /** Ids that have partitions but no topic: left over from a creation that was not finished. */
  unfinishedTopics(): TopicId[] {
    return this.parts.partitions.entries().flatMap(([id]) => (this.parts.records.has(id) ? [] : [id]))
  }

  /**
   * The image after the events of one revision, keys without the cluster's prefix.
   * @throws {MetadataFormatError}
   */
  apply(revision: Revision, events: readonly Event[]): { image: MetadataImage; delta: MetadataDelta } {
    const changes: Changes = {
      cluster: this.parts.cluster,
      brokers: new Map(),
      alive: new Map(),
      controller: this.parts.controller,
      controllerSequence: this.parts.controllerSequence,
      records: new Map(),
      partitions: new Map(),
      configs: new Map(),
      nextProducerId: this.parts.nextProducerId,
    }
    for (const event of events) {
      if ('put' in event) collect(changes, event.put.key, event.put)
      else collect(changes, event.delete, undefined)
    }
    return this.with(revision, changes)
  }

  /** The same image: nothing has changed up to this revision. */
  at(revision: Revision): MetadataImage {
    return new MetadataImage({ ...this.parts, revision })
  }

  private with(revision: Revision, changes: Changes): { image: MetadataImage; delta: MetadataDelta } {
    const lists = this.changedPartitionLists(changes)
    const partitions = this.parts.partitions.with(lists.records)
    const records = this.parts.records.with(changes.records)

    const topics = new Map<TopicId, TopicMetadata | undefined>()
    const names = new Map<string, TopicId | undefined>()
    const createdTopics: TopicMetadata[] = []
    const deletedTopics: TopicMetadata[] = []
    const changedPartitions: PartitionChange[] = []
    const touched = new Set([...changes.records.keys(), ...changes.partitions.keys()])
    for (const id of touched) {
      const before = this.parts.topics.get(id)
      const after = topicOf(id, records.get(id), partitions.get(id))
      if (before === undefined && after === undefined) continue
      topics.set(id, after)
      if (after === undefined) {
        deletedTopics.push(before!)
        // Unless another topic has taken the name in the same revision.
        if (names.get(before!.name) === undefined) names.set(before!.name, undefined)
        continue
      }
      names.set(after.name, id)
      if (before === undefined) createdTopics.push(after)
      else changedPartitions.push(...partitionChanges(before, after))
    }

    const image = new MetadataImage({
      revision,
      cluster: changes.cluster,
      brokers: this.parts.brokers.with(changes.brokers),
      alive: this.parts.alive.with(changes.alive),
      controller: changes.controller,
      controllerSequence: changes.controllerSequence,
      topics: this.parts.topics.with(topics),
      names: this.parts.names.with(names),
      records,
      partitions,
      revisions: this.parts.revisions.with(lists.revisions),
      configs: this.parts.configs.with(changes.configs),
      nextProducerId: changes.nextProducerId,
    })
    const changedConfigs = [...changes.configs.keys()].map((key) => {
      const slash = key.indexOf('/')
      return { type: key.slice(0, slash) as ConfigResourceType, name: key.slice(slash + 1) }
    })
    const changedBrokers = [...changes.brokers.keys()]
    return { image, delta: { revision, createdTopics, deletedTopics, changedPartitions, changedBrokers, changedConfigs } }
  }

  private changedPartitionLists(changes: Changes) {
    const records = new Map<TopicId, readonly PartitionRecord[] | undefined>()
    const revisions = new Map<TopicId, readonly Revision[] | undefined>()
    for (const [id, changed] of changes.partitions) {
      const list = [...(this.parts.partitions.get(id) ?? [])]
      const modified = [...(this.parts.revisions.get(id) ?? [])]
      for (const [index, partition] of changed) {
        if (partition === undefined) {
          delete list[index]
          delete modified[index]
        } else {
          list[index] = partition.record
          modified[index] = partition.modified
        }
      }
      const any = list.some((partition) => partition !== undefined)
      records.set(id, any ? list : undefined)
      revisions.set(id, any ? modified : undefined)
    }
    return { records, revisions }
  }

  /** What is other than in an image that was not made from this one, by comparing everything: for what comes after a gap. */
  since(before: MetadataImage): MetadataDelta {
    const createdTopics = this.topics().filter((topic) => before.topicById(topic.id) === undefined)
    const deletedTopics = before.topics().filter((topic) => this.topicById(topic.id) === undefined)
    const changedPartitions = this.topics().flatMap((topic) => {
      const old = before.topicById(topic.id)
      return old === undefined ? [] : partitionChanges(old, topic)
    })
    const brokerIds = new Set([...before.parts.brokers.entries(), ...this.parts.brokers.entries()].map(([id]) => id))
    const changedBrokers = [...brokerIds].filter((id) => !same(before.broker(id), this.broker(id)))
    const configKeys = new Set([...before.parts.configs.entries(), ...this.parts.configs.entries()].map(([key]) => key))
    const changedConfigs = [...configKeys].flatMap((key) => {
      const slash = key.indexOf('/')
      const resource = { type: key.slice(0, slash) as ConfigResourceType, name: key.slice(slash + 1) }
      const [old, now] = [before.config(resource.type, resource.name), this.config(resource.type, resource.name)]
      return same([...old].sort(), [...now].sort()) ? [] : [resource]
    })
    return { revision: this.revision, createdTopics, deletedTopics, changedPartitions, changedBrokers, changedConfigs }
  }
}

function collect(changes: Changes, key: string, entry: Entry | undefined): void {
  const parsed = parseKey(key)
  const value = entry?.value
  switch (parsed.kind) {
    case 'cluster':
      changes.cluster = value === undefined ? null : (decodeRecord(key, value) as unknown as ClusterRecord)
      break
    case 'broker':
      changes.brokers.set(parsed.id, value === undefined ? undefined : brokerRegistration(parsed.id, key, value))
      break
    case 'alive':
      changes.alive.set(parsed.id, entry === undefined ? undefined : aliveBroker(parsed.id, entry))
      break
    case 'controller':
      changes.controller = entry === undefined ? null : electedController(entry)
      break
    case 'controllerSequence':
      changes.controllerSequence = value === undefined ? '' : Buffer.from(value).toString()
      break
    case 'topic':
      changes.records.set(parsed.id, value === undefined ? undefined : (decodeRecord(key, value) as unknown as TopicRecord))
      break
    case 'partition': {
      const changed = changes.partitions.get(parsed.topicId) ?? new Map<number, StoredPartition | undefined>()
      changes.partitions.set(parsed.topicId, changed)
      changed.set(
        parsed.index,
        entry === undefined ? undefined : { record: decodePartition(key, entry.value), modified: entry.modified },
      )
      break
    }
    case 'config':
      changes.configs.set(
        `${parsed.type}/${parsed.name}`,
        value === undefined ? undefined : new Map(Object.entries(decodeRecord(key, value)['configs'] as Record<string, string>)),
      )
      break
    case 'producerIds':
      if (value !== undefined) changes.nextProducerId = BigInt(decodeRecord(key, value)['next'] as string)
      break
  }
}

/** Records of earlier versions name no machine. */
function brokerRegistration(id: number, key: string, value: Uint8Array): BrokerRegistration {
  const record = decodeRecord(key, value) as unknown as Omit<BrokerRecord, 'machine'> & Partial<BrokerRecord>
  return { ...record, id, machine: record.machine ?? null }
}

/** That of a single node names no epoch. */
function electedController({ key, value, created }: Entry): ElectedController {
  const { brokerId, brokerEpoch = -1 } = decodeRecord(key, value) as unknown as Partial<ControllerRecord> & { brokerId: number }
  return { brokerId, brokerEpoch, created }
}

/** A single node's says no more than that it is there. */
function aliveBroker(id: number, { key, value, created, lease }: Entry): AliveBroker {
  const nothing: AliveRecord = { incarnation: '', previousEpoch: null, endpoints: [], rack: null, machine: null, logDirs: [] }
  return { ...nothing, ...(decodeRecord(key, value) as unknown as Partial<AliveRecord>), id, created, lease }
}

/** Undefined until its partitions are there. One that lacks is a mistake of the store's writer; nobody is shown a hole. */
function topicOf(
  id: TopicId,
  record: TopicRecord | undefined,
  partitions: readonly PartitionRecord[] | undefined,
): TopicMetadata | undefined {
  if (record === undefined || partitions === undefined) return undefined
  const { name, internal, partitionCount } = record
  let end = 0
  while (end < partitionCount && partitions[end] !== undefined) end++
  return end === 0 ? undefined : { id, name, internal, partitions: partitions.slice(0, end) }
}

function partitionChanges(before: TopicMetadata, after: TopicMetadata): PartitionChange[] {
  return after.partitions.flatMap((partition, index) => {
    const old = before.partitions[index]
    const unchanged =
      old === partition || (old?.partitionEpoch === partition.partitionEpoch && old.leaderEpoch === partition.leaderEpoch)
    return unchanged ? [] : [{ topic: after, index, before: old, after: partition }]
  })
}

function same(a: unknown, b: unknown): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

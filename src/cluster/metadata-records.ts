// What the metadata store's keys hold, and how it is written: compact JSON with a version `v`. Keys here are relative: in the
// store they all stand below /moldau/<clusterId>/.

import { type TopicId, ZERO_UUID } from '../protocol/ids.ts'

export const ROOT = '/moldau/'
export const clusterPrefix = (clusterId: string) => `${ROOT}${clusterId}/`

/** `cluster`: written once. Broker epochs are `epochBase` + a revision, so that a move to another store never lets them fall. */
export interface ClusterRecord {
  readonly id: string
  readonly epochBase: number
  readonly createdMs: number
}

export interface BrokerEndpoint {
  /** The listener's name. */
  readonly name: string
  readonly host: string
  readonly port: number
  readonly securityProtocol: string
}

/** `brokers/<id>` */
export interface BrokerRecord {
  /** Grows with each start of the broker. */
  readonly epoch: number
  readonly incarnation: string
  readonly endpoints: readonly BrokerEndpoint[]
  readonly rack: string | null
  /** Brokers on one machine fail together. Null: alone on its own. */
  readonly machine: string | null
  readonly fenced: boolean
  readonly inControlledShutdown: boolean
  /** Ids of its log directories. */
  readonly logDirs: readonly string[]
}

/** `alive/<id>`: there while its broker holds the lease, written by that broker. */
export interface AliveRecord {
  /** Of the process: a broker that lost its lease and lives on has the same. */
  readonly incarnation: string
  /** The epoch in which its last process stopped without losing anything; null where nobody can say so. */
  readonly previousEpoch: number | null
  readonly endpoints: readonly BrokerEndpoint[]
  readonly rack: string | null
  readonly machine: string | null
  readonly logDirs: readonly string[]
}

/** `ctl`: there while the controller's broker holds its lease. */
export interface ControllerRecord {
  readonly brokerId: number
  readonly brokerEpoch: number
}

/** `topics/<topicId>`. Partitions from `partitionCount` on are not there yet. */
export interface TopicRecord {
  readonly name: string
  readonly partitionCount: number
  readonly internal: boolean
}

export const NO_LEADER = -1

/** `p/<topicId>/<index>` */
export interface PartitionRecord {
  /** `NO_LEADER`, or one of the ISR. */
  readonly leader: number
  /** Grows with each change of leader. */
  readonly leaderEpoch: number
  /** Grows with each change. */
  readonly partitionEpoch: number
  /** Preferred leader first. */
  readonly replicas: readonly number[]
  /** Replicas that have everything acknowledged. */
  readonly isr: readonly number[]
  /** Replicas outside the ISR that still have everything acknowledged (KIP-966). Empty while the ISR reaches min.insync.replicas. */
  readonly elr: readonly number[]
  /** While nobody leads: the last that did. It is elected, and may lack records, where the ISR and ELR are empty. */
  readonly lastKnownLeader: number
  /** Elected uncleanly, and not alone in its ISR for long enough to be trusted. */
  readonly recovering: boolean
  readonly adding: readonly number[]
  readonly removing: readonly number[]
  /** Directory of each replica, by its id; empty: unassigned. */
  readonly directories: readonly string[]
}

/** Of a replica of which nobody has said where it is: where its broker has put it. */
export const UNASSIGNED_DIRECTORY: string = ZERO_UUID
/** Of a replica that its broker cannot serve: its disk has failed, or its log is damaged. Kafka's DirectoryId.LOST. */
export const LOST_DIRECTORY = 'AAAAAAAAAAAAAAAAAAAAAQ'

export function isLost({ replicas, directories }: Pick<PartitionRecord, 'replicas' | 'directories'>, brokerId: number): boolean {
  return directories.length > 0 && directories[replicas.indexOf(brokerId)] === LOST_DIRECTORY
}

/** Resources that have configuration, by their numbers on the wire. */
export const RESOURCE_TYPES = { topic: 2, broker: 4, clientMetrics: 16, group: 32 } as const
export type ConfigResourceType = keyof typeof RESOURCE_TYPES

/** Keys, and what they are read back as. */
export type RecordKey =
  | { readonly kind: 'cluster' }
  | { readonly kind: 'broker'; readonly id: number }
  | { readonly kind: 'topic'; readonly id: TopicId }
  | { readonly kind: 'partition'; readonly topicId: TopicId; readonly index: number }
  | { readonly kind: 'config'; readonly type: ConfigResourceType; readonly name: string }
  | { readonly kind: 'producerIds' }
  | { readonly kind: 'alive'; readonly id: number }
  | { readonly kind: 'controller' }
  | { readonly kind: 'controllerSequence' }
  /** `names/`, and whatever later versions add. */
  | { readonly kind: 'other' }

export const keys = {
  cluster: 'cluster',
  controller: 'ctl',
  controllerSequence: 'ctl-seq',
  producerIds: 'pid-block',
  alive: (brokerId: number) => `alive/${brokerId}`,
  broker: (brokerId: number) => `brokers/${brokerId}`,
  topic: (id: TopicId) => `topics/${id}`,
  name: (name: string) => `names/${name}`,
  partition: (topicId: TopicId, index: number) => `p/${topicId}/${index}`,
  partitions: (topicId: TopicId) => `p/${topicId}/`,
  config: (type: ConfigResourceType, name: string) => `cfg/${type}/${name}`,
}

export function parseKey(key: string): RecordKey {
  const [kind, second, third] = key.split('/', 3)
  switch (kind) {
    case keys.cluster:
      return { kind: 'cluster' }
    case 'brokers':
      return { kind: 'broker', id: Number(second) }
    case 'topics':
      return { kind: 'topic', id: second as TopicId }
    case 'p':
      return { kind: 'partition', topicId: second as TopicId, index: Number(third) }
    case 'cfg':
      // A group's name may hold slashes.
      return { kind: 'config', type: second as ConfigResourceType, name: key.slice(kind.length + second.length + 2) }
    case keys.producerIds:
      return { kind: 'producerIds' }
    case 'alive':
      return { kind: 'alive', id: Number(second) }
    case keys.controller:
      return { kind: 'controller' }
    case keys.controllerSequence:
      return { kind: 'controllerSequence' }
    default:
      return { kind: 'other' }
  }
}

/** Metadata that cannot be read: damaged, or written by a newer version. */
export class MetadataFormatError extends Error {
  override readonly name = 'MetadataFormatError'
}

const VERSION = 1

export function encodeRecord(record: object): Buffer {
  return Buffer.from(JSON.stringify({ v: VERSION, ...record }))
}

/** @throws {MetadataFormatError} */
export function decodeRecord(key: string, bytes: Uint8Array): Record<string, unknown> {
  let record: unknown
  try {
    record = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString())
  } catch (error) {
    throw new MetadataFormatError(`metadata ${key} is not JSON`, { cause: error })
  }
  if (typeof record !== 'object' || record === null) throw new MetadataFormatError(`metadata ${key} is not an object`)
  if ((record as { v?: unknown }).v !== VERSION) {
    throw new MetadataFormatError(
      `metadata ${key} has version ${(record as { v?: unknown }).v}; this moldau reads version ${VERSION}`,
    )
  }
  return record as Record<string, unknown>
}

const NONE: readonly never[] = []

/** What is at its default is left out: a partition is then about a hundred bytes. */
export function encodePartition(partition: PartitionRecord): Buffer {
  const { leader, leaderEpoch, partitionEpoch, replicas, isr, elr, lastKnownLeader, recovering, adding, removing, directories } =
    partition
  const some = <T>(list: readonly T[]) => (list.length === 0 ? undefined : list)
  return encodeRecord({
    leader,
    leaderEpoch,
    partitionEpoch,
    replicas,
    isr,
    elr: some(elr),
    lastKnownLeader: lastKnownLeader === NO_LEADER ? undefined : lastKnownLeader,
    recovering: recovering || undefined,
    adding: some(adding),
    removing: some(removing),
    directories: some(directories),
  })
}

export function decodePartition(key: string, bytes: Uint8Array): PartitionRecord {
  const record = decodeRecord(key, bytes) as unknown as PartitionRecord & Partial<PartitionRecord>
  return {
    leader: record.leader,
    leaderEpoch: record.leaderEpoch,
    partitionEpoch: record.partitionEpoch,
    replicas: record.replicas,
    isr: record.isr,
    elr: record.elr ?? NONE,
    lastKnownLeader: record.lastKnownLeader ?? NO_LEADER,
    recovering: record.recovering ?? false,
    adding: record.adding ?? NONE,
    removing: record.removing ?? NONE,
    directories: record.directories ?? NONE,
  }
}

/** A partition as it begins: everybody in sync, the preferred replica leading. */
export function newPartition(replicas: readonly number[], isr: readonly number[] = replicas): PartitionRecord {
  return {
    leader: isr[0] ?? NO_LEADER,
    leaderEpoch: 0,
    partitionEpoch: 0,
    replicas,
    isr,
    elr: NONE,
    lastKnownLeader: NO_LEADER,
    recovering: false,
    adding: NONE,
    removing: NONE,
    directories: NONE,
  }
}

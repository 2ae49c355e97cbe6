// The records of `__cluster_metadata`, the log of Kafka's controllers, and of its snapshots: what a node of Apache Kafka knows of
// its cluster. Ours keeps its metadata elsewhere; these are read to show them, and to take them over.

import { DecodeError, Reader } from '../../bytes/reader.ts'
import { Writer } from '../../bytes/writer.ts'
import {
  array,
  bool,
  bytes,
  type Decoded,
  type Encodable,
  type Fields,
  float64,
  int8,
  int16,
  int32,
  int64,
  type Message,
  message,
  string,
  uint16,
  uuid,
  within,
} from '../schema.ts'

/** Before the key: how key, version and message are framed. */
const FRAME_VERSION = 1

interface MetadataRecordType<Name extends string = string, F extends Fields = Fields> {
  /** Says in the frame what the record is. */
  readonly key: number
  readonly name: Name
  readonly message: Message<F>
}

function record<const Name extends string, const F extends Fields>(
  key: number,
  name: Name,
  fields: F,
  versions = '0',
): MetadataRecordType<Name, F> {
  return { key, name, message: message(name, { versions, flexible: '0+', fields }) }
}

const endPoints = () => array({ name: string(), host: string(), port: uint16(), securityProtocol: int16() })
const features = () => array({ name: string(), minSupportedVersion: int16(), maxSupportedVersion: int16() })

/** LogDirs since 3, CordonedLogDirs since 4. */
const RegisterBrokerRecord = record(
  0,
  'RegisterBrokerRecord',
  {
    brokerId: int32(),
    isMigratingZkBroker: bool('2+').default(false),
    incarnationId: uuid(),
    brokerEpoch: int64(),
    endPoints: endPoints(),
    features: features(),
    rack: string().nullable(),
    fenced: bool().default(true),
    inControlledShutdown: bool('1+').default(false),
    logDirs: array(uuid(), '3+').tagged(0, '3+'),
    cordonedLogDirs: array(uuid(), '4+').nullable().default(null).tagged(1, '4+'),
  },
  '0-4',
)
const UnregisterBrokerRecord = record(1, 'UnregisterBrokerRecord', { brokerId: int32(), brokerEpoch: int64() })
const TopicRecord = record(2, 'TopicRecord', { name: string(), topicId: uuid() })
/** Directories since 1 (KIP-858), eligible leader replicas since 2 (KIP-966). */
const PartitionRecord = record(
  3,
  'PartitionRecord',
  {
    partitionId: int32().default(-1),
    topicId: uuid(),
    replicas: array(int32()),
    isr: array(int32()),
    removingReplicas: array(int32()),
    addingReplicas: array(int32()),
    leader: int32().default(-1),
    leaderRecoveryState: int8().default(0).tagged(0, '0+'),
    leaderEpoch: int32().default(-1),
    partitionEpoch: int32().default(-1),
    directories: array(uuid(), '1+'),
    eligibleLeaderReplicas: array(int32(), '2+').nullable().default(null).tagged(1, '2+'),
    lastKnownElr: array(int32(), '2+').nullable().default(null).tagged(2, '2+'),
  },
  '0-2',
)
const ConfigRecord = record(4, 'ConfigRecord', {
  resourceType: int8(),
  resourceName: string(),
  name: string(),
  value: string().nullable(),
})
/** What is at its default stays as it was. */
const PartitionChangeRecord = record(
  5,
  'PartitionChangeRecord',
  {
    partitionId: int32().default(-1),
    topicId: uuid(),
    isr: array(int32()).nullable().default(null).tagged(0, '0+'),
    leader: int32().default(-2).tagged(1, '0+'),
    replicas: array(int32()).nullable().default(null).tagged(2, '0+'),
    removingReplicas: array(int32()).nullable().default(null).tagged(3, '0+'),
    addingReplicas: array(int32()).nullable().default(null).tagged(4, '0+'),
    leaderRecoveryState: int8().default(-1).tagged(5, '0+'),
    directories: array(uuid(), '1+').nullable().default(null).tagged(8, '1+'),
    eligibleLeaderReplicas: array(int32(), '2+').nullable().default(null).tagged(6, '2+'),
    lastKnownElr: array(int32(), '2+').nullable().default(null).tagged(7, '2+'),
  },
  '0-2',
)
const FenceBrokerRecord = record(7, 'FenceBrokerRecord', { id: int32(), epoch: int64() })
const UnfenceBrokerRecord = record(8, 'UnfenceBrokerRecord', { id: int32(), epoch: int64() })
const RemoveTopicRecord = record(9, 'RemoveTopicRecord', { topicId: uuid() })
const DelegationTokenRecord = record(10, 'DelegationTokenRecord', {
  owner: string(),
  requester: string(),
  renewers: array(string()),
  issueTimestamp: int64(),
  maxTimestamp: int64(),
  expirationTimestamp: int64(),
  tokenId: string(),
})
const UserScramCredentialRecord = record(11, 'UserScramCredentialRecord', {
  name: string(),
  mechanism: int8(),
  salt: bytes(),
  storedKey: bytes(),
  serverKey: bytes(),
  iterations: int32(),
})
const FeatureLevelRecord = record(12, 'FeatureLevelRecord', { name: string(), featureLevel: int16() })
const ClientQuotaRecord = record(14, 'ClientQuotaRecord', {
  entity: array({ entityType: string(), entityName: string().nullable() }),
  key: string(),
  value: float64(),
  remove: bool(),
})
const ProducerIdsRecord = record(15, 'ProducerIdsRecord', {
  brokerId: int32(),
  brokerEpoch: int64().default(-1n),
  /** The first that no block holds yet. */
  nextProducerId: int64(),
})
const BrokerRegistrationChangeRecord = record(
  17,
  'BrokerRegistrationChangeRecord',
  {
    brokerId: int32(),
    brokerEpoch: int64(),
    fenced: int8().tagged(0, '0+'),
    inControlledShutdown: int8('1+').tagged(1, '1+'),
    logDirs: array(uuid(), '2+').tagged(2, '2+'),
    cordonedLogDirs: array(uuid(), '3+').nullable().default(null).tagged(3, '3+'),
  },
  '0-3',
)
const AccessControlEntryRecord = record(18, 'AccessControlEntryRecord', {
  id: uuid(),
  resourceType: int8(),
  resourceName: string(),
  patternType: int8(),
  principal: string(),
  host: string(),
  operation: int8(),
  permissionType: int8(),
})
const RemoveAccessControlEntryRecord = record(19, 'RemoveAccessControlEntryRecord', { id: uuid() })
const NoOpRecord = record(20, 'NoOpRecord', {})
const ZkMigrationStateRecord = record(21, 'ZkMigrationStateRecord', { zkMigrationState: int8() })
const RemoveUserScramCredentialRecord = record(22, 'RemoveUserScramCredentialRecord', { name: string(), mechanism: int8() })
/** From here to its end, or to its abort, nothing counts yet (KIP-868). */
const BeginTransactionRecord = record(23, 'BeginTransactionRecord', { name: string().nullable().default(null).tagged(0, '0+') })
const EndTransactionRecord = record(24, 'EndTransactionRecord', {})
const AbortTransactionRecord = record(25, 'AbortTransactionRecord', {
  reason: string().nullable().default(null).tagged(0, '0+'),
})
const RemoveDelegationTokenRecord = record(26, 'RemoveDelegationTokenRecord', { tokenId: string() })
const RegisterControllerRecord = record(27, 'RegisterControllerRecord', {
  controllerId: int32(),
  incarnationId: uuid(),
  zkMigrationReady: bool(),
  endPoints: endPoints(),
  features: features(),
})
const ClearElrRecord = record(28, 'ClearElrRecord', { topicName: string() })

export const metadataRecordTypes = [
  RegisterBrokerRecord,
  UnregisterBrokerRecord,
  TopicRecord,
  PartitionRecord,
  ConfigRecord,
  PartitionChangeRecord,
  FenceBrokerRecord,
  UnfenceBrokerRecord,
  RemoveTopicRecord,
  DelegationTokenRecord,
  UserScramCredentialRecord,
  FeatureLevelRecord,
  ClientQuotaRecord,
  ProducerIdsRecord,
  BrokerRegistrationChangeRecord,
  AccessControlEntryRecord,
  RemoveAccessControlEntryRecord,
  NoOpRecord,
  ZkMigrationStateRecord,
  RemoveUserScramCredentialRecord,
  BeginTransactionRecord,
  EndTransactionRecord,
  AbortTransactionRecord,
  RemoveDelegationTokenRecord,
  RegisterControllerRecord,
  ClearElrRecord,
] as const
type Types = (typeof metadataRecordTypes)[number]
type Named<Name> = Extract<Types, { name: Name }>
export type MetadataRecordName = Types['name']

type Stored<T> =
  T extends MetadataRecordType<infer Name, infer F>
    ? { readonly type: Name; readonly version: number; readonly value: Decoded<F>; readonly message: Message<F> }
    : never
/** Told apart by `type`. */
export type MetadataRecord = Stored<Types>
type Input<T> = T extends MetadataRecordType<string, infer F> ? Encodable<F> : never

const byKey = new Map<number, Types>(metadataRecordTypes.map((type) => [type.key, type]))

/** Of the value of a record. Undefined for a type, or a version of one, that is not known. Throws DecodeError. */
export function decodeMetadataRecord(value: Buffer): MetadataRecord | undefined {
  const reader = new Reader(value)
  const frameVersion = reader.unsignedVarint()
  if (frameVersion !== FRAME_VERSION) throw new DecodeError(`a metadata record's frame has version ${frameVersion}`)
  const type = byKey.get(reader.unsignedVarint())
  const version = reader.unsignedVarint()
  if (type === undefined || !within(type.message.versions, version)) return undefined
  const fields = (type.message as Message).decode(reader, version)
  return { type: type.name, version, value: fields, message: type.message } as MetadataRecord
}

/** In the latest version, as the value of a record. */
export function encodeMetadataRecord<const Name extends MetadataRecordName>(name: Name, value: Input<Named<Name>>): Buffer {
  const type = metadataRecordTypes.find((type) => type.name === name)!
  const version = type.message.versions.max
  const writer = new Writer()
  writer.unsignedVarint(FRAME_VERSION)
  writer.unsignedVarint(type.key)
  writer.unsignedVarint(version)
  ;(type.message as Message).encode(writer, version, value as Encodable<Fields>)
  return writer.toBuffer()
}

// How kafka-dump-log prints keys and values: as text or numbers, or as the records that a coordinator keeps.

import { Reader } from '../bytes/reader.ts'
import { ConsumerProtocolAssignment, ConsumerProtocolSubscription } from '../protocol/consumer-protocol.ts'
import { decodeMetadataRecord } from '../protocol/internal-records/cluster-metadata.ts'
import { consumerGroupRecordTypes, decodeConsumerGroupRecord } from '../protocol/internal-records/consumer-group-records.ts'
import { decodeGroupRecord, GroupMetadataRecord, OffsetCommitRecord } from '../protocol/internal-records/group-records.ts'
import type { RecordType } from '../protocol/internal-records/record-type.ts'
import { decodeTransactionLogRecord, TransactionLogRecord } from '../protocol/internal-records/transaction-log.ts'
import type { Message } from '../protocol/schema.ts'
import { messageJson } from './message-json.ts'
import { UsageError } from './tool.ts'

export interface DecodedRecord {
  /** Not printed where undefined. */
  readonly key: string | undefined
  readonly value: string | undefined
}

/** Never throws: what cannot be read says so in place of the key. */
export type RecordDecoder = (key: Buffer | null, value: Buffer | null, offset: bigint) => DecodedRecord

/** Kafka's decoders by the last part of their names. */
const DECODERS: Readonly<Record<string, (bytes: Buffer) => string>> = {
  StringDecoder: (bytes) => bytes.toString('utf8'),
  LongDecoder: (bytes) => (bytes.length === 8 ? String(bytes.readBigInt64BE(0)) : unreadable(bytes)),
  IntegerDecoder: (bytes) => (bytes.length === 4 ? String(bytes.readInt32BE(0)) : unreadable(bytes)),
  DefaultDecoder: (bytes) => bytes.toString('hex'),
}

function unreadable(bytes: Buffer): string {
  return `(${bytes.length} bytes: ${bytes.toString('hex')})`
}

/** Throws UsageError for classes that are not there. */
export function plainDecoder(keyClass: string, valueClass: string): RecordDecoder {
  const [decodeKey, decodeValue] = [keyClass, valueClass].map((name) => {
    const decoder = DECODERS[name.slice(name.lastIndexOf('.') + 1)]
    if (decoder === undefined) throw new UsageError(`there is no decoder ${name}: known are ${Object.keys(DECODERS).join(', ')}`)
    return decoder
  })
  return (key, value) => ({
    key: key === null ? undefined : decodeKey(key),
    value: value === null ? undefined : decodeValue(value),
  })
}

/** Records of __consumer_offsets. */
export const offsetsDecoder: RecordDecoder = coordinatorDecoder((key, value) => {
  const record = decodeGroupRecord(key, value)
  if (record === undefined) return ofConsumerGroup(key, value)
  const type = record.type === 'OffsetCommit' ? OffsetCommitRecord : GroupMetadataRecord
  const isConsumers = record.type === 'GroupMetadata' && record.value?.protocolType === 'consumer'
  return { type, key: record.key, value: record.value, show: isConsumers ? withConsumerProtocol : asItIs }
})

/** Of the new protocol (KIP-848). */
function ofConsumerGroup(key: Buffer, value: Buffer | null): CoordinatorRecord | undefined {
  const record = decodeConsumerGroupRecord(key, value)
  if (record === undefined) return undefined
  const type = consumerGroupRecordTypes.find(({ name }) => name === record.type)! as RecordType
  return { type, key: record.key, value: record.value, show: asItIs }
}

/** Records of __transaction_state. */
export const transactionLogDecoder: RecordDecoder = coordinatorDecoder((key, value) => {
  const record = decodeTransactionLogRecord(key, value)
  return record && { type: TransactionLogRecord, key: record.key, value: record.value, show: asItIs }
})

/** Records of __cluster_metadata and its snapshots, which have no keys. */
export const clusterMetadataDecoder: RecordDecoder = (_key, value, offset) => {
  try {
    const record = value === null ? undefined : decodeMetadataRecord(value)
    if (record === undefined) return { key: undefined, value: `Unknown record at offset ${offset}, skipping.` }
    const { version } = record
    const type = record.type.replaceAll(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase()
    const data = messageJson(record.message, version, record.value)
    return { key: undefined, value: `{"type":"${type}","version":${version},"data":${data}}` }
  } catch (error) {
    return { key: undefined, value: `Error at ${offset}, skipping. ${(error as Error).message}` }
  }
}

interface CoordinatorRecord {
  readonly type: RecordType
  readonly key: unknown
  readonly value: unknown
  /** What becomes of the value's JSON. */
  readonly show: (json: string) => string
}

const asItIs = (json: string) => json

/** @param decode undefined for types that are not known */
function coordinatorDecoder(decode: (key: Buffer, value: Buffer | null) => CoordinatorRecord | undefined): RecordDecoder {
  return (key, value, offset) => {
    if (key === null) return { key: `Error at offset ${offset}, skipping. The record has no key.`, value: undefined }
    try {
      const record = decode(key, value)
      const id = key.readInt16BE(0)
      if (record === undefined) return { key: `Unknown record type ${id} at offset ${offset}, skipping.`, value: undefined }
      const keyJson = `{"type":"${id}","data":${messageJson(record.type.key, 0, record.key)}}`
      if (value === null) return { key: keyJson, value: '<DELETE>' }
      const version = value.readInt16BE(0)
      const data = record.show(messageJson(record.type.value, version, record.value))
      return { key: keyJson, value: `{"version":"${version}","data":${data}}` }
    } catch (error) {
      return { key: `Error at offset ${offset}, skipping. ${(error as Error).message}`, value: undefined }
    }
  }
}

const EMBEDDED: Readonly<Record<string, Message>> = {
  subscription: ConsumerProtocolSubscription,
  assignment: ConsumerProtocolAssignment,
} as unknown as Readonly<Record<string, Message>>

/** Puts what consumers wrote into their bytes in place of these; bytes that are something else stay as they are. */
function withConsumerProtocol(json: string): string {
  return json.replaceAll(/"(subscription|assignment)":"([A-Za-z0-9+/=]*)"/g, (whole, name: string, base64: string) => {
    try {
      const bytes = Buffer.from(base64, 'base64')
      const version = bytes.readInt16BE(0)
      return `"${name}":${messageJson(EMBEDDED[name], version, EMBEDDED[name].decode(new Reader(bytes, 2), version))}`
    } catch {
      return whole
    }
  })
}

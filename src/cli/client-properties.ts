// Kafka's names for the client's settings, as people have them in --command-config files and give them to --command-property.

import { readFile } from 'node:fs/promises'
import type { CodecName } from '../bytes/compression/codecs.ts'
import type { ClusterClientOptions } from '../client/cluster-client.ts'
import type { ConsumerOptions, OffsetReset } from '../client/consumer.ts'
import type { GroupConsumerOptions } from '../client/group-consumer.ts'
import type { IsolationLevel } from '../client/list-offsets.ts'
import type { ProducerOptions } from '../client/producer.ts'
import type { Acks } from '../client/sender.ts'
import { parseProperties } from '../config/properties.ts'

export type Properties = ReadonlyMap<string, string>

/** A setting that makes no sense. */
export class PropertyError extends Error {
  override readonly name = 'PropertyError'
}

/** Throws PropertyError where there is no such file. */
export async function readProperties(path: string): Promise<Properties> {
  try {
    return new Map(parseProperties(await readFile(path, 'utf8')).map(({ key, value }) => [key, value]))
  } catch (error) {
    throw new PropertyError(`cannot read ${path}: ${(error as Error).message}`, { cause: error })
  }
}

/** Throws PropertyError for values that are none, and for security that the client does not have: going on without would be worse. */
export function clientOptions(properties: Properties): Partial<ClusterClientOptions> {
  const security = properties.get('security.protocol')?.toUpperCase() ?? 'PLAINTEXT'
  if (security !== 'PLAINTEXT') throw new PropertyError(`security.protocol=${security}: this client speaks PLAINTEXT only so far`)
  return {
    clientId: properties.get('client.id'),
    requestTimeoutMs: number(properties, 'request.timeout.ms', 1),
    apiTimeoutMs: number(properties, 'default.api.timeout.ms', 1),
    connectTimeoutMs: number(properties, 'socket.connection.setup.timeout.ms', 1),
    retryBackoffMs: number(properties, 'retry.backoff.ms'),
    retryBackoffMaxMs: number(properties, 'retry.backoff.max.ms'),
    metadataMaxAgeMs: number(properties, 'metadata.max.age.ms'),
  }
}

const ACKS: ReadonlyMap<string, Acks> = new Map<string, Acks>([
  ['0', 0],
  ['1', 1],
  ['-1', 'all'],
  ['all', 'all'],
])

export function producerOptions(properties: Properties): ProducerOptions {
  const acks = oneOf(properties, 'acks', [...ACKS.keys()])
  return {
    acks: acks === undefined ? undefined : ACKS.get(acks),
    idempotence: flag(properties, 'enable.idempotence'),
    compression: oneOf(properties, 'compression.type', ['none', 'gzip', 'snappy', 'lz4', 'zstd']) as CodecName | undefined,
    batchSize: number(properties, 'batch.size'),
    lingerMs: number(properties, 'linger.ms'),
    requestTimeoutMs: number(properties, 'request.timeout.ms', 1),
    deliveryTimeoutMs: number(properties, 'delivery.timeout.ms'),
    maxBlockMs: number(properties, 'max.block.ms'),
    retries: number(properties, 'retries'),
    bufferMemory: number(properties, 'buffer.memory'),
    maxRequestSize: number(properties, 'max.request.size'),
    maxInFlightRequestsPerConnection: number(properties, 'max.in.flight.requests.per.connection', 1),
  }
}

export function consumerOptions(properties: Properties): ConsumerOptions {
  return {
    isolationLevel: oneOf(properties, 'isolation.level', ['read_uncommitted', 'read_committed']) as IsolationLevel | undefined,
    autoOffsetReset: oneOf(properties, 'auto.offset.reset', ['earliest', 'latest', 'none']) as OffsetReset | undefined,
    fetchMinBytes: number(properties, 'fetch.min.bytes'),
    fetchMaxWaitMs: number(properties, 'fetch.max.wait.ms'),
    fetchMaxBytes: number(properties, 'fetch.max.bytes'),
    maxPartitionFetchBytes: number(properties, 'max.partition.fetch.bytes'),
    maxPollRecords: number(properties, 'max.poll.records', 1),
    checkCrcs: flag(properties, 'check.crcs'),
    rackId: properties.get('client.rack'),
  }
}

export function groupOptions(properties: Properties): Omit<GroupConsumerOptions, 'groupId'> {
  return {
    ...consumerOptions(properties),
    groupInstanceId: properties.get('group.instance.id'),
    sessionTimeoutMs: number(properties, 'session.timeout.ms', 1),
    heartbeatIntervalMs: number(properties, 'heartbeat.interval.ms', 1),
    maxPollIntervalMs: number(properties, 'max.poll.interval.ms', 1),
    enableAutoCommit: flag(properties, 'enable.auto.commit'),
    autoCommitIntervalMs: number(properties, 'auto.commit.interval.ms'),
    allowAutoTopicCreation: flag(properties, 'allow.auto.create.topics'),
  }
}

function number(properties: Properties, key: string, min = 0): number | undefined {
  const value = properties.get(key)
  if (value === undefined) return undefined
  if (!/^\d+$/.test(value.trim()) || Number(value) < min)
    throw new PropertyError(`${key}=${value}: an integer from ${min} on is meant`)
  return Number(value)
}

function flag(properties: Properties, key: string): boolean | undefined {
  const value = oneOf(properties, key, ['true', 'false'])
  return value === undefined ? undefined : value === 'true'
}

function oneOf(properties: Properties, key: string, values: readonly string[]): string | undefined {
  const value = properties.get(key)?.trim()
  if (value === undefined || values.includes(value.toLowerCase())) return value?.toLowerCase()
  throw new PropertyError(`${key}=${value}: ${values.slice(0, -1).join(', ')} or ${values.at(-1)} is meant`)
}

// The requests that tests of the wire make all the time, each for one topic and partition, in a version that may be chosen.

import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { errorName } from '../../src/protocol/error-codes.ts'
import { ZERO_UUID } from '../../src/protocol/ids.ts'
import { Produce } from '../../src/protocol/messages/00-produce.ts'
import { Fetch } from '../../src/protocol/messages/01-fetch.ts'
import { ListOffsets } from '../../src/protocol/messages/02-list-offsets.ts'
import { Metadata } from '../../src/protocol/messages/03-metadata.ts'
import { FindCoordinator } from '../../src/protocol/messages/10-find-coordinator.ts'
import { DescribeGroups } from '../../src/protocol/messages/15-describe-groups.ts'
import { CreateTopics } from '../../src/protocol/messages/19-create-topics.ts'
import { DeleteRecords } from '../../src/protocol/messages/21-delete-records.ts'
import { type BatchOptions, RecordBatchBuilder } from '../../src/protocol/records/batch-builder.ts'
import { computedCrc } from '../../src/protocol/records/batch-header.ts'
import type { KafkaRecord, RecordInput } from '../../src/protocol/records/record.ts'
import { eachBatch } from '../../src/protocol/records/record-batch.ts'
import { decodeRecords } from '../../src/protocol/records/record-cursor.ts'
import { eventually } from '../support/eventually.ts'
import type { RawClient } from './raw-client.ts'

export const LATEST = -1n
export const EARLIEST = -2n

export interface Topic {
  readonly name: string
  readonly id: string
}

/** One that no other test uses, on whatever broker. */
export function uniqueName(what: string): string {
  return `${what}-${randomBytes(6).toString('hex')}`
}

/** By its name, so that a failure says which error it was. */
export function assertError(code: number, name: string, message?: string): void {
  assert.equal(errorName(code), name, message)
}

interface TopicOptions {
  readonly name?: string
  readonly partitions?: number
  readonly configs?: Readonly<Record<string, string>>
}

/** Resolves when the topic's partitions have leaders. */
export async function createTopic(client: RawClient, options: TopicOptions = {}): Promise<Topic> {
  const { name = uniqueName('topic'), partitions = 1, configs = {} } = options
  const topic = {
    name,
    numPartitions: partitions,
    replicationFactor: 1,
    assignments: [],
    configs: Object.entries(configs).map(([key, value]) => ({ name: key, value })),
  }
  const [created] = (await client.request(CreateTopics, 7, { topics: [topic], timeoutMs: 10_000 })).topics
  assertError(created!.errorCode, 'NONE', `${name}: ${created!.errorMessage}`)
  await partitionsReady(client, name, partitions)
  return { name, id: created!.topicId }
}

/** Resolves when every partition answers for itself: in Kafka that takes a moment longer than metadata says. */
export async function partitionsReady(client: RawClient, name: string, count: number): Promise<void> {
  const partitions = Array.from({ length: count }, (_, partitionIndex) => ({ partitionIndex, timestamp: LATEST }))
  await eventually(async () => {
    const { topics } = await client.request(ListOffsets, 4, { replicaId: -1, isolationLevel: 0, topics: [{ name, partitions }] })
    const { topics: described } = await metadataOf(client, [name])
    return topics[0]!.partitions.every(({ errorCode }) => errorCode === 0) && described[0]!.partitions.length === count
  })
}

export function metadataOf(client: RawClient, names: readonly string[] | null, version = 12) {
  const topics = names?.map((name) => ({ name, topicId: ZERO_UUID })) ?? null
  return client.request(Metadata, version, { topics, allowAutoTopicCreation: false })
}

/** Values become records with the present as their timestamp. */
export function batchOf(records: readonly (string | RecordInput)[], options?: BatchOptions): Buffer {
  const builder = new RecordBatchBuilder()
  const now = BigInt(Date.now())
  for (const record of records) {
    builder.append(typeof record === 'string' ? { timestamp: now, value: Buffer.from(record) } : record)
  }
  return builder.build(options)
}

/** The batch with some of its bytes changed and its checksum right again. */
export function tampered(batch: Buffer, change: (batch: Buffer) => void): Buffer {
  const copy = Buffer.from(batch)
  change(copy)
  copy.writeUInt32BE(computedCrc(copy), 17)
  return copy
}

interface ProduceOptions {
  readonly version?: number
  readonly acks?: number
  readonly partition?: number
}

export function produceRequest(topic: Topic, records: Buffer | null, { acks = -1, partition = 0 }: ProduceOptions = {}) {
  const partitionData = [{ index: partition, records }]
  return { acks, timeoutMs: 10_000, topicData: [{ name: topic.name, topicId: topic.id, partitionData }] }
}

/** What became of the one partition. */
export async function produce(client: RawClient, topic: Topic, records: Buffer | null, options: ProduceOptions = {}) {
  const { responses } = await client.request(Produce, options.version ?? 12, produceRequest(topic, records, options))
  assert.equal(responses.length, 1)
  assert.equal(responses[0]!.partitionResponses.length, 1)
  return responses[0]!.partitionResponses[0]!
}

/** For tests that are about something else: values that must arrive, as one batch. Resolves with their base offset. */
export async function produced(client: RawClient, topic: Topic, values: readonly string[], partition = 0): Promise<bigint> {
  const { errorCode, baseOffset } = await produce(client, topic, batchOf(values), { partition })
  assertError(errorCode, 'NONE')
  return baseOffset
}

interface FetchOptions {
  readonly partition?: number
  readonly version?: number
  readonly maxWaitMs?: number
  readonly minBytes?: number
  readonly maxBytes?: number
  readonly partitionMaxBytes?: number
  readonly isolationLevel?: number
  readonly currentLeaderEpoch?: number
  readonly lastFetchedEpoch?: number
}

export function fetchRequest(topic: Topic, fetchOffset: bigint, options: FetchOptions = {}) {
  const { partition = 0, partitionMaxBytes = 1 << 20, currentLeaderEpoch = -1, lastFetchedEpoch = -1 } = options
  const partitions = [{ partition, fetchOffset, partitionMaxBytes, currentLeaderEpoch, lastFetchedEpoch }]
  return {
    maxWaitMs: options.maxWaitMs ?? 0,
    minBytes: options.minBytes ?? 1,
    maxBytes: options.maxBytes ?? 50 << 20,
    isolationLevel: options.isolationLevel ?? 0,
    topics: [{ topic: topic.name, topicId: topic.id, partitions }],
    forgottenTopicsData: [],
  }
}

/** What the one partition has. */
export async function fetchFrom(client: RawClient, topic: Topic, fetchOffset: bigint, options: FetchOptions = {}) {
  const response = await client.request(Fetch, options.version ?? 12, fetchRequest(topic, fetchOffset, options))
  assertError(response.errorCode, 'NONE')
  assert.equal(response.responses.length, 1)
  assert.equal(response.responses[0]!.partitions.length, 1)
  return response.responses[0]!.partitions[0]!
}

/** Of whole batches, in order. */
export function recordsIn(records: Buffer | null): KafkaRecord[] {
  assert.ok(records !== null)
  return [...eachBatch(records)].flatMap((at) => [...decodeRecords(records, at)])
}

/** As text, in order. */
export function valuesIn(records: Buffer | null): string[] {
  return recordsIn(records).map(({ value }) => String(value))
}

interface ListOptions {
  readonly version?: number
  readonly partition?: number
  readonly currentLeaderEpoch?: number
  readonly isolationLevel?: number
}

export async function listOffset(client: RawClient, topic: Topic, timestamp: bigint, options: ListOptions = {}) {
  const { version = 9, partition = 0, currentLeaderEpoch = -1, isolationLevel = 0 } = options
  const partitions = [{ partitionIndex: partition, currentLeaderEpoch, timestamp }]
  const request = { replicaId: -1, isolationLevel, topics: [{ name: topic.name, partitions }], timeoutMs: 10_000 }
  return (await client.request(ListOffsets, version, request)).topics[0]!.partitions[0]!
}

export async function endOffset(client: RawClient, topic: Topic, partition = 0): Promise<bigint> {
  const { errorCode, offset } = await listOffset(client, topic, LATEST, { partition })
  assertError(errorCode, 'NONE')
  return offset
}

/** Moves the log start; -1 to the high watermark. */
export async function deleteRecords(client: RawClient, topic: Topic, offset: bigint, partition = 0) {
  const topics = [{ name: topic.name, partitions: [{ partitionIndex: partition, offset }] }]
  return (await client.request(DeleteRecords, 2, { topics, timeoutMs: 10_000 })).topics[0]!.partitions[0]!
}

/** Resolves when the group has a coordinator that answers: the first question makes the topic that groups are kept in. */
export async function coordinatorReady(client: RawClient, groupId: string): Promise<void> {
  await eventually(async () => {
    const found = await client.request(FindCoordinator, 4, { keyType: 0, coordinatorKeys: [groupId] })
    if (found.coordinators[0]!.errorCode !== 0) return false
    const { groups } = await client.request(DescribeGroups, 4, { groups: [groupId] })
    return groups[0]!.errorCode === 0
  })
}

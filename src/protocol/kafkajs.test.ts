// The messages against an implementation that others wrote: KafkaJS, in every API and version that both know. Whole frames that it writes are
// read here, and written again byte for byte; responses that we write are read there as what they were.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { Reader } from '../bytes/reader.ts'
import { seededRandom } from '../host/random.ts'
import { apis } from './apis.ts'
import { encodeRequest, encodeResponse } from './headers.ts'
import { randomMessage } from './messages.fuzz.ts'
import { decodeRequestHeader } from './request-header.ts'
import { type Fields, type Shape, within } from './schema.ts'

// biome-ignore lint/suspicious/noExplicitAny: values of any message, by field names that only run time knows
type Value = Record<string, any>

interface TheirDefinition {
  readonly versions: readonly string[]
  readonly protocol: (options: { version: number }) => (args: unknown) => {
    readonly request: unknown
    readonly response: { readonly decode: (payload: Buffer) => Promise<unknown> }
  }
}

const require = createRequire(import.meta.url)
const { requests }: { requests: Record<string, TheirDefinition> } = require('kafkajs/src/protocol/requests')
const frameOf: (options: Value) => Promise<{ readonly buffer: Buffer }> = require('kafkajs/src/protocol/request')

const assignment = [{ topic: 'topic-a', partitions: [4, 5] }]
const producer = { transactionalId: 'txn', producerId: '4096', producerEpoch: 3 }

/** What their requests are made of: more than the older versions take. */
const samples: Value = {
  Produce: {
    acks: -1,
    timeout: 1500,
    transactionalId: 'txn',
    topicData: [
      {
        topic: 'topic-a',
        partitions: [{ partition: 4, firstSequence: 0, messages: [{ value: Buffer.from('v'), timestamp: 5 }] }],
      },
    ],
  },
  Fetch: {
    replicaId: -1,
    maxWaitTime: 500,
    minBytes: 1,
    maxBytes: 1048576,
    isolationLevel: 1,
    sessionId: 77,
    sessionEpoch: 2,
    rackId: 'rack-a',
    topics: [
      {
        topic: 'topic-a',
        partitions: [{ partition: 4, currentLeaderEpoch: 9, fetchOffset: '99', logStartOffset: 12, maxBytes: 65536 }],
      },
    ],
    forgottenTopics: assignment,
  },
  ListOffsets: {
    replicaId: -1,
    isolationLevel: 1,
    topics: [{ topic: 'topic-a', partitions: [{ partition: 4, timestamp: '-2' }] }],
  },
  Metadata: { topics: ['topic-a', 'topic-b'], allowAutoTopicCreation: false },
  OffsetCommit: {
    groupId: 'group',
    groupGenerationId: 6,
    memberId: 'member',
    retentionTime: '86400000',
    topics: [{ topic: 'topic-a', partitions: [{ partition: 4, offset: '99', metadata: 'note' }] }],
  },
  OffsetFetch: { groupId: 'group', topics: [{ topic: 'topic-a', partitions: [{ partition: 4 }] }] },
  FindCoordinator: { groupId: 'group', coordinatorType: 1 },
  JoinGroup: {
    groupId: 'group',
    sessionTimeout: 30000,
    rebalanceTimeout: 60000,
    memberId: 'member',
    groupInstanceId: 'instance',
    protocolType: 'consumer',
    groupProtocols: [{ name: 'RoundRobinAssigner', metadata: Buffer.from('metadata') }],
  },
  Heartbeat: { groupId: 'group', groupGenerationId: 6, memberId: 'member', groupInstanceId: 'instance' },
  LeaveGroup: { groupId: 'group', memberId: 'member', members: [{ memberId: 'member', groupInstanceId: null }] },
  SyncGroup: {
    groupId: 'group',
    generationId: 6,
    memberId: 'member',
    groupInstanceId: 'instance',
    groupAssignment: [{ memberId: 'member', memberAssignment: Buffer.from('assignment') }],
  },
  DescribeGroups: { groupIds: ['group', 'other'] },
  ListGroups: {},
  SaslHandshake: { mechanism: 'PLAIN' },
  ApiVersions: {},
  CreateTopics: {
    topics: [
      {
        topic: 'topic-a',
        numPartitions: -1,
        replicationFactor: 2,
        replicaAssignment: [{ partition: 4, replicas: [1, 3] }],
        configEntries: [{ name: 'cleanup.policy', value: 'compact' }],
      },
    ],
    validateOnly: true,
    timeout: 1500,
  },
  DeleteTopics: { topics: ['topic-a', 'topic-b'], timeout: 1500 },
  DeleteRecords: { topics: [{ topic: 'topic-a', partitions: [{ partition: 4, offset: '99' }] }], timeout: 1500 },
  InitProducerId: { transactionalId: 'txn', transactionTimeout: 60000 },
  AddPartitionsToTxn: { ...producer, topics: assignment },
  AddOffsetsToTxn: { ...producer, groupId: 'group' },
  EndTxn: { ...producer, transactionResult: true },
  TxnOffsetCommit: {
    ...producer,
    groupId: 'group',
    topics: [{ topic: 'topic-a', partitions: [{ partition: 4, offset: '99', metadata: 'note' }] }],
  },
  DescribeConfigs: { resources: [{ type: 2, name: 'topic-a', configNames: ['cleanup.policy'] }], includeSynonyms: true },
  AlterConfigs: {
    resources: [{ type: 2, name: 'topic-a', configEntries: [{ name: 'cleanup.policy', value: 'compact' }] }],
    validateOnly: true,
  },
  // The length is taken to be part of the token.
  SaslAuthenticate: { authBytes: Buffer.from([0, 0, 0, 3, 1, 2, 3]), withoutLength: Buffer.from([1, 2, 3]) },
  CreatePartitions: {
    topicPartitions: [{ topic: 'topic-a', count: 6, assignments: [[1, 3]] }],
    timeout: 1500,
    validateOnly: true,
  },
  DeleteGroups: ['group', 'other'],
  AlterPartitionReassignments: {
    topics: [{ topic: 'topic-a', partitionAssignment: [{ partition: 4, replicas: [1, 3] }] }],
    timeout: 1500,
  },
  ListPartitionReassignments: { topics: assignment, timeout: 1500 },
}

for (const api of apis) {
  const theirs = requests[api.name === 'FindCoordinator' ? 'GroupCoordinator' : api.name]
  for (const version of theirs?.versions.map(Number) ?? []) {
    if (!within(api.versions, version)) continue
    const definition = theirs.protocol({ version })(samples[api.name])

    test(`${api.name} v${version} goes both ways`, async () => {
      const { buffer: frame } = await frameOf({ correlationId: 7, clientId: 'kafkajs', request: definition.request })
      const reader = new Reader(frame)
      assert.equal(reader.int32(), frame.length - 4)
      const header = decodeRequestHeader(reader)
      assert.deepEqual(header, { api, apiKey: api.key, apiVersion: version, correlationId: 7, clientId: 'kafkajs' })
      const request: Value = api.request.decode(reader, version)
      assert.equal(reader.remaining, 0)
      assert.deepEqual(Buffer.concat(encodeRequest(api, version, 7, 'kafkajs', request)), frame)
      const sent = new Set(theirLeaves(samples[api.name]))
      for (const leaf of ourLeaves(api.request.fields, version, request)) assert.ok(sent.has(leaf), `${leaf} was not sent`)

      const random = seededRandom(api.key * 100 + version)
      for (let i = 0; i < 10; i++) {
        const response: Value = randomMessage(api.response, version, random)
        readable[api.name]?.(response)
        const payload = Buffer.concat(encodeResponse(api, version, 7, response)).subarray(8)
        const read = theirLeaves(await definition.response.decode(payload))
        // They add fields of their own and sort topics, but what we wrote must all be there.
        for (const leaf of ourLeaves(api.response.fields, version, response, unread[api.name])) {
          const at = read.indexOf(leaf)
          assert.ok(at >= 0, `${leaf} was not read: ${read}`)
          read.splice(at, 1)
        }
      }
    })
  }
}

/** Changes a random response to what they can read. */
const readable: Record<string, (response: Value) => void> = {
  // They read record batches, which random bytes are not.
  Fetch(response) {
    for (const topic of response.responses)
      for (const partition of topic.partitions) Object.assign(partition, { records: Buffer.alloc(0), abortedTransactions: [] })
  },
}

/** Fields that they skip, or keep with the length in front. */
const unread: Record<string, string> = {
  SaslAuthenticate: 'authBytes',
  AlterPartitionReassignments: 'errorMessage',
  ListPartitionReassignments: 'errorMessage',
}

/** The scalars that the version carries, in their order, as text. Records and throttle times are not compared. */
function ourLeaves(fields: Fields, version: number, value: Value, unread?: string): string[] {
  return Object.entries(fields)
    .filter(([name, field]) => within(field.versions, version) && name !== 'throttleTimeMs' && name !== unread)
    .flatMap(([name, field]) => ourShapeLeaves(field.shape, version, value[name], unread))
}

function ourShapeLeaves(shape: Shape, version: number, value: unknown, unread?: string): string[] {
  if (shape.kind === 'records') return []
  if (value !== null && shape.kind === 'array') {
    return (value as unknown[]).flatMap((element) => ourShapeLeaves(shape.element, version, element, unread))
  }
  if (value !== null && shape.kind === 'struct') return ourLeaves(shape.fields, version, value as Value, unread)
  return [leaf(value)]
}

function theirLeaves(value: unknown): string[] {
  if (value === null || typeof value !== 'object' || Buffer.isBuffer(value)) return [leaf(value)]
  return Object.values(value).flatMap(theirLeaves)
}

function leaf(value: unknown): string {
  return Buffer.isBuffer(value) ? value.toString('hex') : String(value)
}

// Section C of Kafka's subtleties, as far as it is about transactions: who gets which error, by the rules of every age of producers. Errors
// of the coordinator that only say "ask again" are asked again, as clients do.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { errorName } from '../../src/protocol/error-codes.ts'
import { Produce } from '../../src/protocol/messages/00-produce.ts'
import { OffsetFetch } from '../../src/protocol/messages/09-offset-fetch.ts'
import { FindCoordinator } from '../../src/protocol/messages/10-find-coordinator.ts'
import { InitProducerId } from '../../src/protocol/messages/22-init-producer-id.ts'
import { AddPartitionsToTxn } from '../../src/protocol/messages/24-add-partitions-to-txn.ts'
import { AddOffsetsToTxn } from '../../src/protocol/messages/25-add-offsets-to-txn.ts'
import { EndTxn } from '../../src/protocol/messages/26-end-txn.ts'
import { WriteTxnMarkers } from '../../src/protocol/messages/27-write-txn-markers.ts'
import { TxnOffsetCommit } from '../../src/protocol/messages/28-txn-offset-commit.ts'
import { IncrementalAlterConfigs } from '../../src/protocol/messages/44-incremental-alter-configs.ts'
import { DescribeTransactions } from '../../src/protocol/messages/65-describe-transactions.ts'
import { ListTransactions } from '../../src/protocol/messages/66-list-transactions.ts'
import { type BrokerUnderTest, startBrokerUnderTest } from '../support/broker-under-test.ts'
import { eventually } from '../support/eventually.ts'
import { RawClient } from './raw-client.ts'
import {
  assertError,
  batchOf,
  coordinatorReady,
  createTopic,
  LATEST,
  listOffset,
  produceRequest,
  type Topic,
  uniqueName,
} from './requests.ts'

let broker: BrokerUnderTest
let client: RawClient
before(async () => {
  broker = await startBrokerUnderTest({
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '100',
    'transaction.max.timeout.ms': '60000',
  })
  client = await RawClient.connect(broker.bootstrapServers)
})
after(async () => {
  client?.close()
  await broker?.close()
})

/** Answers that say no more than "later". */
const LATER = new Set([
  'CONCURRENT_TRANSACTIONS',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'COORDINATOR_NOT_AVAILABLE',
  'NOT_COORDINATOR',
  'NOT_ENOUGH_REPLICAS',
])

interface Identity {
  readonly producerId: bigint
  readonly producerEpoch: number
}

const NOBODY: Identity = { producerId: -1n, producerEpoch: -1 }

/** By the name of its error. */
async function patiently<R>(ask: () => Promise<R>, errorOf: (response: R) => number): Promise<{ error: string; response: R }> {
  return eventually(async () => {
    const response = await ask()
    const error = errorName(errorOf(response))
    return LATER.has(error) ? false : { error, response }
  })
}

/** One transactional id, and what may be asked in its name. */
class Transactional {
  readonly id: string

  constructor(id = uniqueName('txn')) {
    this.id = id
  }

  async init(has = NOBODY, { version = 5, timeoutMs = 30_000 } = {}): Promise<Identity | string> {
    await client.request(FindCoordinator, 1, { key: this.id, keyType: 1 })
    const { error, response } = await patiently(
      () => client.request(InitProducerId, version, { transactionalId: this.id, transactionTimeoutMs: timeoutMs, ...has }),
      ({ errorCode }) => errorCode,
    )
    return error === 'NONE' ? { producerId: response.producerId, producerEpoch: response.producerEpoch } : error
  }

  async begin(options?: { timeoutMs?: number }): Promise<Identity> {
    const identity = await this.init(NOBODY, options)
    assert.ok(typeof identity === 'object', String(identity))
    return identity
  }

  /** By the older rules. One error for each partition. */
  async add({ producerId, producerEpoch }: Identity, topics: Readonly<Record<string, readonly number[]>>, version = 3) {
    const request = {
      v3AndBelowTransactionalId: this.id,
      v3AndBelowProducerId: producerId,
      v3AndBelowProducerEpoch: producerEpoch,
      v3AndBelowTopics: Object.entries(topics).map(([name, partitions]) => ({ name, partitions: [...partitions] })),
    }
    const errors = (response: {
      readonly resultsByTopicV3AndBelow: readonly {
        readonly resultsByPartition: readonly { readonly partitionErrorCode: number }[]
      }[]
    }) =>
      response.resultsByTopicV3AndBelow.flatMap(({ resultsByPartition }) =>
        resultsByPartition.map(({ partitionErrorCode }) => partitionErrorCode),
      )
    const { response } = await patiently(
      () => client.request(AddPartitionsToTxn, version, request),
      (response) => errors(response)[0]!,
    )
    return errors(response).map(errorName)
  }

  async addOffsets(identity: Identity, groupId: string, version = 3): Promise<string> {
    const request = { transactionalId: this.id, ...identity, groupId }
    return (
      await patiently(
        () => client.request(AddOffsetsToTxn, version, request),
        ({ errorCode }) => errorCode,
      )
    ).error
  }

  /** Up to version 4 by the older rules; from 5 on answers the next identity. */
  async end(identity: Identity, how: 'commit' | 'abort', version: number): Promise<Identity | string> {
    const request = { transactionalId: this.id, ...identity, committed: how === 'commit' }
    const { error, response } = await patiently(
      () => client.request(EndTxn, version, request),
      ({ errorCode }) => errorCode,
    )
    if (error !== 'NONE' || version < 5) return error
    return { producerId: response.producerId, producerEpoch: response.producerEpoch }
  }

  async write(identity: Identity, topic: Topic, { version = 12, sequence = 0, transactional = true } = {}): Promise<string> {
    const batch = batchOf(['x'], { ...identity, baseSequence: sequence, transactional })
    const request = { transactionalId: this.id, ...produceRequest(topic, batch) }
    const { error } = await patiently(
      () => client.request(Produce, version, request),
      ({ responses }) => responses[0]!.partitionResponses[0]!.errorCode,
    )
    return error
  }

  async commitOffset(
    identity: Identity,
    groupId: string,
    topic: Topic,
    { version = 5, generationId = -1, memberId = '' } = {},
  ): Promise<string> {
    const partitions = [{ partitionIndex: 0, committedOffset: 7n, committedMetadata: '' }]
    const topics = [{ name: topic.name, partitions }]
    const request = { transactionalId: this.id, groupId, ...identity, generationId, memberId, topics }
    const { error } = await patiently(
      () => client.request(TxnOffsetCommit, version, request),
      (response) => response.topics[0]!.partitions[0]!.errorCode,
    )
    return error
  }

  async describe() {
    const { transactionStates } = await client.request(DescribeTransactions, 0, { transactionalIds: [this.id] })
    return transactionStates[0]!
  }

  /** Resolves when what has ended has its markers. */
  async settled(): Promise<void> {
    await eventually(async () => /^(Complete|Empty)/.test((await this.describe()).transactionState))
  }
}

const next = ({ producerId, producerEpoch }: Identity): Identity => ({ producerId, producerEpoch: producerEpoch + 1 })

const stable = async (topic: Topic) => {
  const committed = await listOffset(client, topic, LATEST, { isolationLevel: 1 })
  return committed.offset === (await listOffset(client, topic, LATEST)).offset
}

test('InitProducerId refuses what is incomplete, and time-outs that are too long or none', async () => {
  // 34
  const ask = async (fields: Partial<Identity> & { transactionalId?: string; transactionTimeoutMs?: number }) => {
    const request = { transactionalId: uniqueName('txn'), transactionTimeoutMs: 1000, ...NOBODY, ...fields }
    return errorName((await client.request(InitProducerId, 5, request)).errorCode)
  }
  assert.equal(await ask({ transactionalId: '' }), 'INVALID_REQUEST')
  assert.equal(await ask({ producerId: 7n }), 'INVALID_REQUEST')
  assert.equal(await ask({ producerEpoch: 0 }), 'INVALID_REQUEST')
  await new Transactional().begin()
  for (const transactionTimeoutMs of [60_001, 0, -1])
    assert.equal(await ask({ transactionTimeoutMs }), 'INVALID_TRANSACTION_TIMEOUT')
})

test('InitProducerId fences whoever had the id, aborting what was open, and knows a request that comes again', async () => {
  // 35
  const txn = new Transactional()
  const topic = await createTopic(client)
  const first = await txn.begin()
  assert.equal(await txn.write(first, topic), 'NONE')
  const { errorCode } = await client.request(InitProducerId, 5, {
    transactionalId: txn.id,
    transactionTimeoutMs: 1000,
    ...NOBODY,
  })
  assertError(errorCode, 'CONCURRENT_TRANSACTIONS')
  const second = await txn.begin()
  assert.equal(second.producerId, first.producerId)
  assert.ok(second.producerEpoch > first.producerEpoch)
  assert.equal(await txn.write(first, topic, { sequence: 1 }), 'INVALID_PRODUCER_EPOCH')
  assert.equal(await txn.end(first, 'commit', 4), 'PRODUCER_FENCED')
  assert.equal(await txn.init(first), 'PRODUCER_FENCED')
  const third = await txn.init(second)
  assert.deepEqual(third, next(second))
  assert.deepEqual(await txn.init(second), third)
  assert.equal(await txn.init({ ...second, producerId: second.producerId + 1_000_000n }), 'PRODUCER_FENCED')
  assert.ok(await eventually(() => stable(topic)))
})

test('producers that do not know PRODUCER_FENCED are told INVALID_PRODUCER_EPOCH', async () => {
  // 38
  const txn = new Transactional()
  const topic = await createTopic(client)
  const zombie = await txn.begin()
  await txn.begin()
  for (const version of [3, 4])
    assert.equal(await txn.init(zombie, { version }), version < 4 ? 'INVALID_PRODUCER_EPOCH' : 'PRODUCER_FENCED')
  for (const version of [0, 1, 2, 3]) {
    const fenced = version < 2 ? 'INVALID_PRODUCER_EPOCH' : 'PRODUCER_FENCED'
    assert.deepEqual(await txn.add(zombie, { [topic.name]: [0] }, version), [fenced])
    assert.equal(await txn.addOffsets(zombie, 'g', version), fenced)
    assert.equal(await txn.end(zombie, 'commit', version), fenced)
  }
})

test('partitions are added all or none, by whom the id is known to belong to', async () => {
  // 37
  const txn = new Transactional()
  const topic = await createTopic(client, { partitions: 2 })
  const producer = await txn.begin()
  assert.deepEqual((await txn.add(producer, { [topic.name]: [0, 9] })).toSorted(), [
    'OPERATION_NOT_ATTEMPTED',
    'UNKNOWN_TOPIC_OR_PARTITION',
  ])
  assert.equal((await txn.describe()).transactionState, 'Empty')
  assert.deepEqual(await txn.add(producer, { [topic.name]: [0, 1] }), ['NONE', 'NONE'])
  assert.deepEqual(await txn.add({ ...producer, producerId: producer.producerId + 1_000_000n }, { [topic.name]: [0] }), [
    'INVALID_PRODUCER_ID_MAPPING',
  ])
  const unknown = new Transactional()
  assert.deepEqual(await unknown.add(producer, { [topic.name]: [0] }), ['INVALID_PRODUCER_ID_MAPPING'])
  assert.equal(await unknown.addOffsets(producer, 'g'), 'INVALID_PRODUCER_ID_MAPPING')
  for (const version of [4, 5]) assert.equal(await unknown.end(producer, 'commit', version), 'INVALID_PRODUCER_ID_MAPPING')
  assert.equal(await unknown.write(producer, topic), 'INVALID_PRODUCER_ID_MAPPING')
})

test('by the older rules the same end may be asked for again, the other one not, and nothing ends what was not begun', async () => {
  // 39, 40
  const txn = new Transactional()
  const topic = await createTopic(client)
  const producer = await txn.begin()
  for (const how of ['commit', 'abort'] as const) assert.equal(await txn.end(producer, how, 4), 'INVALID_TXN_STATE')
  let sequence = 0
  for (const [how, other] of [
    ['commit', 'abort'],
    ['abort', 'commit'],
  ] as const) {
    assert.deepEqual(await txn.add(producer, { [topic.name]: [0] }), ['NONE'])
    assert.equal(await txn.write(producer, topic, { version: 10, sequence: sequence++ }), 'NONE')
    assert.equal(await txn.end(producer, how, 4), 'NONE')
    await txn.settled()
    assert.equal(await txn.end(producer, how, 4), 'NONE')
    assert.equal(await txn.end(producer, other, 4), 'INVALID_TXN_STATE')
  }
})

test('by the newer rules each end brings the next epoch, and a retry the same', async () => {
  // 41
  const txn = new Transactional()
  const topic = await createTopic(client)
  const producer = await txn.begin()
  assert.equal(await txn.end(producer, 'commit', 5), 'INVALID_TXN_STATE')
  assert.deepEqual(await txn.end(producer, 'abort', 5), next(producer))
  assert.deepEqual(await txn.end(producer, 'abort', 5), next(producer))
  const second = next(producer)
  assert.equal(await txn.write(second, topic), 'NONE')
  assert.deepEqual(await txn.end(second, 'commit', 5), next(second))
  assert.deepEqual(await txn.end(second, 'commit', 5), next(second))
  assert.equal(await txn.end(second, 'abort', 5), 'INVALID_TXN_STATE')
  assert.equal(await txn.end(producer, 'commit', 5), 'PRODUCER_FENCED')
  // A late write of the transaction that has ended does not join the next.
  assert.equal(await txn.write(second, topic, { sequence: 1 }), 'INVALID_PRODUCER_EPOCH')
  assert.equal(await txn.write(next(second), topic, { sequence: 5 }), 'OUT_OF_ORDER_SEQUENCE_NUMBER')
  assert.equal(await txn.write(next(second), topic), 'NONE')
})

test('a write to a partition that was not added is refused by its age, or adds it', async () => {
  // 42
  const txn = new Transactional()
  const topic = await createTopic(client, { partitions: 1 })
  const producer = await txn.begin()
  assert.equal(await txn.write(producer, topic, { version: 10 }), 'INVALID_TXN_STATE')
  assert.equal(await txn.write(producer, topic, { version: 11 }), 'TRANSACTION_ABORTABLE')
  assert.equal((await txn.describe()).transactionState, 'Empty')
  assert.equal(await txn.write(producer, topic, { version: 12 }), 'NONE')
  assert.deepEqual((await txn.describe()).topics, [{ topic: topic.name, partitions: [0] }])
  assert.deepEqual(await txn.end(producer, 'abort', 5), next(producer))
})

test('a commit of offsets that the transaction does not know is refused by its age, or adds the group', async () => {
  // 42
  const txn = new Transactional()
  const topic = await createTopic(client)
  const groupId = uniqueName('group')
  await coordinatorReady(client, groupId)
  const producer = await txn.begin()
  for (const version of [2, 3]) assert.equal(await txn.commitOffset(producer, groupId, topic, { version }), 'INVALID_TXN_STATE')
  assert.equal(await txn.commitOffset(producer, groupId, topic, { version: 4 }), 'TRANSACTION_ABORTABLE')
  assert.equal(await txn.commitOffset(producer, groupId, topic, { version: 5 }), 'NONE')
  assert.deepEqual(
    (await txn.describe()).topics.map(({ topic }) => topic),
    ['__consumer_offsets'],
  )
})

test('positions that are not decided are not seen, and refused to those who want stable ones', async () => {
  // 47
  const txn = new Transactional()
  const topic = await createTopic(client)
  const groupId = uniqueName('group')
  await coordinatorReady(client, groupId)
  const producer = await txn.begin()
  const fetch = async (requireStable: boolean) => {
    const groups = [{ groupId, topics: [{ name: topic.name, partitionIndexes: [0] }] }]
    const [partition] = (await client.request(OffsetFetch, 8, { groups, requireStable })).groups[0]!.topics[0]!.partitions
    return [errorName(partition!.errorCode), partition!.committedOffset]
  }
  assert.equal(await txn.addOffsets(producer, groupId), 'NONE')
  assert.equal(
    await txn.commitOffset(producer, groupId, topic, { version: 3, generationId: 3, memberId: 'm' }),
    'ILLEGAL_GENERATION',
  )
  assert.equal(await txn.commitOffset(producer, groupId, topic, { version: 3 }), 'NONE')
  assert.deepEqual(await fetch(true), ['UNSTABLE_OFFSET_COMMIT', -1n])
  assert.deepEqual(await fetch(false), ['NONE', -1n])
  assert.equal(await txn.end(producer, 'commit', 4), 'NONE')
  await txn.settled()
  assert.deepEqual(await fetch(true), ['NONE', 7n])
})

test('what is written beside an open transaction, or for several producers at once, is refused', async () => {
  // 42, 43
  const txn = new Transactional()
  const topic = await createTopic(client, { partitions: 2 })
  const producer = await txn.begin()
  assert.equal(await txn.write(producer, topic), 'NONE')
  assert.equal(await txn.write(producer, topic, { sequence: 1, transactional: false }), 'INVALID_TXN_STATE')
  const other = await new Transactional().begin()
  const partitionData = [producer, other].map((identity, index) => ({
    index,
    records: batchOf(['x'], { ...identity, baseSequence: 1, transactional: true }),
  }))
  const topicData = [{ name: topic.name, topicId: topic.id, partitionData }]
  const errors = async (transactionalId: string | null) => {
    const { responses } = await client.request(Produce, 12, { transactionalId, acks: -1, timeoutMs: 1000, topicData })
    return responses[0]!.partitionResponses.map(({ errorCode }) => errorName(errorCode))
  }
  assert.deepEqual(await errors(txn.id), ['INVALID_PRODUCER_ID_MAPPING', 'INVALID_PRODUCER_ID_MAPPING'])
  assert.deepEqual(await errors(null), ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED'])
})

test('a transaction that takes too long is aborted, and its producer told so by its age', async () => {
  // 45
  const topic = await createTopic(client)
  const [newer, older] = [new Transactional(), new Transactional()]
  const late = await newer.begin({ timeoutMs: 200 })
  assert.equal(await newer.write(late, topic), 'NONE')
  const lateToo = await older.begin({ timeoutMs: 200 })
  assert.deepEqual(await older.add(lateToo, { [topic.name]: [0] }), ['NONE'])
  await eventually(async () => (await newer.describe()).transactionState === 'CompleteAbort')
  await eventually(async () => (await older.describe()).transactionState === 'CompleteAbort')
  assert.ok(await stable(topic))
  assert.equal(await newer.write(late, topic, { sequence: 1 }), 'INVALID_PRODUCER_EPOCH')
  assert.equal(await newer.end(late, 'commit', 5), 'INVALID_TXN_STATE')
  assert.deepEqual(await newer.end(late, 'abort', 5), next(late))
  assert.equal(await older.end(lateToo, 'commit', 4), 'PRODUCER_FENCED')
})

test('markers go to partitions that are there, from coordinators that were not replaced, in epochs that are not past', async () => {
  // 48
  const txn = new Transactional()
  const topic = await createTopic(client)
  const producer = await txn.begin()
  const mark = async (fields: {
    partition?: number
    producerEpoch?: number
    coordinatorEpoch?: number
    transactionVersion?: number
  }) => {
    const { partition = 0, producerEpoch = producer.producerEpoch, coordinatorEpoch = 0, transactionVersion = 0 } = fields
    const topics = [{ name: topic.name, partitionIndexes: [partition] }]
    const marker = { ...producer, producerEpoch, coordinatorEpoch, transactionVersion, transactionResult: false, topics }
    const { markers } = await client.request(WriteTxnMarkers, 2, { markers: [marker] })
    return errorName(markers[0]!.topics[0]!.partitions[0]!.errorCode)
  }
  assert.equal(await mark({ partition: 9 }), 'UNKNOWN_TOPIC_OR_PARTITION')
  assert.equal(await txn.write(producer, topic), 'NONE')
  // By the newer rules what ends a transaction has a later epoch than what was written in it.
  assert.equal(await mark({ transactionVersion: 2 }), 'INVALID_PRODUCER_EPOCH')
  assert.equal(await mark({ coordinatorEpoch: 5 }), 'NONE')
  assert.ok(await stable(topic))
  assert.equal(await mark({ coordinatorEpoch: 4 }), 'TRANSACTION_COORDINATOR_FENCED')
  assert.equal(await mark({ coordinatorEpoch: 5, producerEpoch: producer.producerEpoch + 1, transactionVersion: 2 }), 'NONE')
  assert.equal(await mark({ coordinatorEpoch: 5, producerEpoch: producer.producerEpoch + 1, transactionVersion: 2 }), 'NONE')
  assert.equal(await mark({ coordinatorEpoch: 5 }), 'INVALID_PRODUCER_EPOCH')
})

test('administrators find transactions by state and by pattern, and hear of what there is not', async () => {
  const txn = new Transactional()
  await txn.begin()
  const list = (fields: { stateFilters?: string[]; transactionalIdPattern?: string | null }) =>
    client.request(ListTransactions, 2, { stateFilters: [], producerIdFilters: [], ...fields })
  const ids = async (transactionalIdPattern: string | null) =>
    (await list({ transactionalIdPattern })).transactionStates.map(({ transactionalId }) => transactionalId)
  assert.deepEqual(await ids(`(?i)${txn.id.toUpperCase()}`), [txn.id])
  assert.deepEqual(await ids(txn.id.slice(1)), [])
  for (const all of ['', null]) assert.ok((await ids(all)).includes(txn.id))
  for (const pattern of ['(', 'a(?=b)', '(a)\\1']) {
    assertError((await list({ transactionalIdPattern: pattern })).errorCode, 'INVALID_REGULAR_EXPRESSION', pattern)
  }
  const filtered = await list({ stateFilters: ['Sleepy', 'Ongoing'] })
  assert.deepEqual(filtered.unknownStateFilters, ['Sleepy'])
  assert.ok(filtered.transactionStates.every(({ transactionState }) => transactionState === 'Ongoing'))
  assertError((await new Transactional().describe()).errorCode, 'TRANSACTIONAL_ID_NOT_FOUND')
})

test('whether older producers are asked about can be changed while the broker runs', async () => {
  const topic = await createTopic(client)
  const txn = new Transactional()
  const producer = await txn.begin()
  const verify = async (value: string | null) => {
    const configs = [{ name: 'transaction.partition.verification.enable', configOperation: value === null ? 1 : 0, value }]
    const resources = [{ resourceType: 4, resourceName: '', configs }]
    const { responses } = await client.request(IncrementalAlterConfigs, 1, { resources, validateOnly: false })
    assertError(responses[0]!.errorCode, 'NONE', String(responses[0]!.errorMessage))
  }
  assert.equal(await txn.write(producer, topic, { version: 11 }), 'TRANSACTION_ABORTABLE')
  await verify('false')
  try {
    await eventually(async () => (await txn.write(producer, topic, { version: 11 })) === 'NONE')
  } finally {
    await verify(null)
  }
  // Nobody ever ends what the coordinator does not know.
  const marker = {
    ...producer,
    coordinatorEpoch: 0,
    transactionResult: false,
    topics: [{ name: topic.name, partitionIndexes: [0] }],
  }
  await client.request(WriteTxnMarkers, 1, { markers: [marker] })
  await eventually(async () => (await txn.write(producer, topic, { version: 11, sequence: 1 })) === 'TRANSACTION_ABORTABLE')
})

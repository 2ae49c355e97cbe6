import assert from 'node:assert/strict'
import { test } from 'node:test'
import { eventually } from '../../test/support/eventually.ts'
import { ScriptedBroker } from '../../test/support/scripted-broker.ts'
import { apis } from '../protocol/apis.ts'
import { ErrorCode, type ErrorName, KafkaError } from '../protocol/error-codes.ts'
import { Produce } from '../protocol/messages/00-produce.ts'
import { FindCoordinator } from '../protocol/messages/10-find-coordinator.ts'
import { ApiVersions } from '../protocol/messages/18-api-versions.ts'
import { InitProducerId } from '../protocol/messages/22-init-producer-id.ts'
import { AddPartitionsToTxn } from '../protocol/messages/24-add-partitions-to-txn.ts'
import { AddOffsetsToTxn } from '../protocol/messages/25-add-offsets-to-txn.ts'
import { EndTxn } from '../protocol/messages/26-end-txn.ts'
import { TxnOffsetCommit } from '../protocol/messages/28-txn-offset-commit.ts'
import { baseSequence, isTransactional, producerEpoch } from '../protocol/records/batch-header.ts'
import { decodeRecords } from '../protocol/records/record-cursor.ts'
import { type ClusterClient, CoordinatorType } from './cluster-client.ts'
import { FencedError, TimeoutError, TransactionAbortableError, TransactionStateError } from './errors.ts'
import { Producer, type ProducerOptions } from './producer.ts'

type Reply = ErrorName | 'hang up'

/** A coordinator and leader in one, that notes what it is asked, with what version and epoch, and answers as it is told. */
class Scene implements AsyncDisposable {
  readonly broker: ScriptedBroker
  readonly cluster: ClusterClient
  /** `Name version epoch what`, without the lookups. */
  readonly said: string[] = []
  /** What the next requests of an API are answered; NONE after that. */
  readonly replies: Partial<Record<string, Reply[]>> = {}
  transactionVersion: number
  private epoch = -1

  static async start(transactionVersion: number): Promise<Scene> {
    return new Scene(await ScriptedBroker.start(), transactionVersion)
  }

  private constructor(broker: ScriptedBroker, transactionVersion: number) {
    this.broker = broker
    this.transactionVersion = transactionVersion
    this.cluster = broker.client({ requestTimeoutMs: 500 })
    const { nodeId, host } = broker
    broker.onMetadata({ events: 2 })
    broker.on(ApiVersions, () => ({
      errorCode: 0,
      apiKeys: apis.map((api) => ({ apiKey: api.key, minVersion: api.versions.min, maxVersion: api.versions.max })),
      finalizedFeaturesEpoch: 1n,
      finalizedFeatures: [{ name: 'transaction.version', maxVersionLevel: this.transactionVersion, minVersionLevel: 0 }],
    }))
    broker.on(FindCoordinator, ({ coordinatorKeys }) => ({
      errorCode: 0,
      coordinators: coordinatorKeys.map((key) => ({ key, nodeId, host, port: broker.port, errorCode: 0, errorMessage: null })),
    }))
    broker.on(InitProducerId, ({ producerId, producerEpoch }, version) =>
      this.reply('InitProducerId', version, producerEpoch, `id ${producerId}`, (errorCode) => ({
        errorCode,
        producerId: 7n,
        producerEpoch: errorCode === 0 ? ++this.epoch : -1,
      })),
    )
    broker.on(AddPartitionsToTxn, (request, version) => {
      const topics = request.v3AndBelowTopics
      const what = topics.map(({ name, partitions }) => `${name}-${partitions}`).join()
      return this.reply('AddPartitionsToTxn', version, request.v3AndBelowProducerEpoch, what, (partitionErrorCode) => ({
        errorCode: 0,
        resultsByTopicV3AndBelow: topics.map(({ name, partitions }) => ({
          name,
          resultsByPartition: partitions.map((partitionIndex) => ({ partitionIndex, partitionErrorCode })),
        })),
      }))
    })
    broker.on(AddOffsetsToTxn, ({ producerEpoch, groupId }, version) =>
      this.reply('AddOffsetsToTxn', version, producerEpoch, groupId, (errorCode) => ({ errorCode })),
    )
    broker.on(TxnOffsetCommit, ({ producerEpoch, generationId, memberId, topics }, version) =>
      this.reply('TxnOffsetCommit', version, producerEpoch, `${memberId} ${generationId}`, (errorCode) => ({
        topics: topics.map(({ name, partitions }) => ({
          name,
          partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode })),
        })),
      })),
    )
    broker.on(EndTxn, ({ producerEpoch, committed }, version) =>
      this.reply('EndTxn', version, producerEpoch, committed ? 'commit' : 'abort', (errorCode) => {
        if (version >= 5 && errorCode === 0) this.epoch = producerEpoch + 1
        return { errorCode, producerId: 7n, producerEpoch: this.epoch }
      }),
    )
    broker.on(Produce, (request, version) => {
      const [topic] = request.topicData
      const bytes = topic.partitionData[0].records!
      assert.ok(isTransactional(bytes))
      assert.equal(request.transactionalId, 'tx')
      const values = [...decodeRecords(bytes)].map((record) => record.value!.toString()).join()
      return this.reply('Produce', version, producerEpoch(bytes), `${baseSequence(bytes)} ${values}`, (errorCode) => ({
        responses: [
          {
            name: topic.name,
            topicId: topic.topicId,
            partitionResponses: topic.partitionData.map(({ index }) => ({ index, errorCode, baseOffset: 0n })),
          },
        ],
      }))
    })
  }

  producer(options: ProducerOptions = {}): Producer {
    return new Producer(this.cluster, {
      transactionalId: 'tx',
      lingerMs: 0,
      maxBlockMs: 2000,
      deliveryTimeoutMs: 2000,
      ...options,
    })
  }

  /** Since it was last asked for. */
  heard(): string[] {
    return this.said.splice(0)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.cluster.close()
    await this.broker[Symbol.asyncDispose]()
  }

  private reply<T>(name: string, version: number, epoch: number, what: string, answer: (errorCode: number) => T): T | 'hang up' {
    this.said.push(`${name} ${version} ${epoch} ${what}`)
    const reply = this.replies[name]?.shift() ?? 'NONE'
    return reply === 'hang up' ? reply : answer(ErrorCode[reply])
  }
}

const send = (producer: Producer, value: string) => producer.send({ topic: 'events', value, partition: 0 })
const offsets = [{ topic: 'events', partition: 0, offset: 3n }]
const isKafkaError = (code: ErrorName) => (error: unknown) => error instanceof KafkaError && error.code === code

test('in the classic protocol partitions and groups are added first, and sequence numbers go on from one transaction to the next', async () => {
  await using scene = await Scene.start(1)
  const producer = scene.producer()
  await producer.begin()
  await send(producer, 'a')
  await producer.sendOffsets(offsets, { groupId: 'g', memberId: 'm', generationId: 4, groupInstanceId: null })
  await producer.commit()
  await producer.begin()
  await send(producer, 'b')
  await producer.abort()
  assert.deepEqual(scene.heard(), [
    'InitProducerId 5 -1 id -1',
    'AddPartitionsToTxn 3 0 events-0',
    'Produce 11 0 0 a',
    'AddOffsetsToTxn 4 0 g',
    'TxnOffsetCommit 4 0 m 4',
    'EndTxn 4 0 commit',
    'AddPartitionsToTxn 3 0 events-0',
    'Produce 11 0 1 b',
    'EndTxn 4 0 abort',
  ])
})

test('with transactions of version 2 nothing is added, and each transaction has an epoch of its own', async () => {
  await using scene = await Scene.start(2)
  const producer = scene.producer()
  await producer.begin()
  await send(producer, 'a')
  await producer.sendOffsets(offsets, { groupId: 'g', memberId: 'm', generationId: 4, groupInstanceId: null })
  await producer.commit()
  await producer.begin()
  await send(producer, 'b')
  await producer.abort()
  const [, ...said] = scene.heard()
  assert.deepEqual(said, [
    'Produce 12 0 0 a',
    'TxnOffsetCommit 5 0 m 4',
    'EndTxn 5 0 commit',
    'Produce 12 1 0 b',
    'EndTxn 5 1 abort',
  ])
})

test('a partition is added once in a transaction', async () => {
  await using scene = await Scene.start(1)
  const producer = scene.producer()
  await producer.begin()
  await send(producer, 'a')
  await send(producer, 'b')
  await producer.commit()
  assert.equal(scene.heard().filter((line) => line.startsWith('AddPartitionsToTxn')).length, 1)
})

test('while the last transaction is being completed the next waits', async () => {
  await using scene = await Scene.start(1)
  scene.replies.InitProducerId = ['CONCURRENT_TRANSACTIONS', 'COORDINATOR_LOAD_IN_PROGRESS']
  scene.replies.AddPartitionsToTxn = ['CONCURRENT_TRANSACTIONS', 'CONCURRENT_TRANSACTIONS']
  scene.replies.Produce = ['CONCURRENT_TRANSACTIONS']
  scene.replies.EndTxn = ['CONCURRENT_TRANSACTIONS', 'NOT_COORDINATOR']
  const producer = scene.producer()
  await producer.begin()
  await send(producer, 'a')
  await producer.commit()
  const said = scene.heard()
  assert.equal(said.filter((line) => line === 'Produce 11 0 0 a').length, 2)
  assert.equal(said.filter((line) => line === 'EndTxn 4 0 commit').length, 3)
})

test('an end whose answer was lost is asked for again', async () => {
  await using scene = await Scene.start(2)
  scene.replies.EndTxn = ['hang up']
  const producer = scene.producer()
  await producer.begin()
  await send(producer, 'a')
  await producer.commit()
  assert.deepEqual(scene.heard().slice(-2), ['EndTxn 5 0 commit', 'EndTxn 5 0 commit'])
})

test('a commit in doubt can be repeated, and not be aborted', async () => {
  await using scene = await Scene.start(2)
  const producer = scene.producer({ maxBlockMs: 100 })
  await producer.begin()
  await send(producer, 'a')
  scene.replies.EndTxn = Array.from({ length: 100 }, () => 'CONCURRENT_TRANSACTIONS' as const)
  await assert.rejects(producer.commit(), TimeoutError)
  await assert.rejects(producer.abort(), TransactionStateError)
  scene.replies.EndTxn = []
  await producer.commit()
  await producer.begin()
})

test('a batch that is lost leaves only the abort, after which the classic protocol needs another epoch', async () => {
  await using scene = await Scene.start(1)
  scene.replies.Produce = ['NONE', 'INVALID_RECORD']
  const producer = scene.producer()
  await producer.begin()
  await send(producer, 'a')
  await assert.rejects(send(producer, 'bad'), isKafkaError('INVALID_RECORD'))
  await assert.rejects(send(producer, 'c'), TransactionAbortableError)
  await assert.rejects(producer.sendOffsets(offsets, { groupId: 'g' }), TransactionAbortableError)
  await assert.rejects(producer.commit(), TransactionAbortableError)
  await producer.abort()
  await producer.begin()
  await send(producer, 'd')
  await producer.commit()
  assert.deepEqual(scene.heard().slice(-5), [
    'EndTxn 4 0 abort',
    'InitProducerId 5 0 id 7',
    'AddPartitionsToTxn 3 1 events-0',
    'Produce 11 1 0 d',
    'EndTxn 4 1 commit',
  ])
})

test('a commit does not go through when a record failed that nobody waited for', async () => {
  await using scene = await Scene.start(2)
  scene.replies.Produce = ['INVALID_RECORD']
  const producer = scene.producer({ lingerMs: 60_000 })
  await producer.begin()
  const sent = send(producer, 'bad').catch(() => {})
  await assert.rejects(producer.commit(), TransactionAbortableError)
  await producer.abort()
  await sent
  assert.deepEqual(scene.heard().slice(1), ['Produce 12 0 0 bad', 'EndTxn 5 0 abort'])
})

test('an abort sends nothing of what still waits', async () => {
  await using scene = await Scene.start(2)
  const producer = scene.producer({ lingerMs: 60_000 })
  await producer.begin()
  const sent = assert.rejects(send(producer, 'never'), TransactionStateError)
  await producer.abort()
  await sent
  assert.deepEqual(scene.heard(), ['InitProducerId 5 -1 id -1'])
})

test('an abort of what never reached the coordinator is none', async () => {
  await using scene = await Scene.start(1)
  scene.replies.AddPartitionsToTxn = ['TOPIC_AUTHORIZATION_FAILED']
  scene.replies.EndTxn = ['INVALID_TXN_STATE']
  const producer = scene.producer()
  await producer.begin()
  await assert.rejects(send(producer, 'a'), isKafkaError('TOPIC_AUTHORIZATION_FAILED'))
  await producer.abort()
  await producer.begin()
})

test('a fenced producer is of no more use', async () => {
  await using scene = await Scene.start(1)
  scene.replies.Produce = ['INVALID_PRODUCER_EPOCH']
  const producer = scene.producer()
  await producer.begin()
  await assert.rejects(send(producer, 'a'), FencedError)
  await assert.rejects(producer.commit(), FencedError)
  await assert.rejects(producer.abort(), FencedError)
  await assert.rejects(producer.begin(), FencedError)
  assert.ok(!scene.heard().some((line) => line.startsWith('EndTxn')))
})

test('with version 2 a past epoch may be that of a transaction that took too long: the abort tells', async () => {
  await using scene = await Scene.start(2)
  const producer = scene.producer()
  scene.replies.Produce = ['INVALID_PRODUCER_EPOCH', 'NONE', 'INVALID_PRODUCER_EPOCH']
  await producer.begin()
  await assert.rejects(send(producer, 'a'), isKafkaError('INVALID_PRODUCER_EPOCH'))
  await producer.abort()
  await producer.begin()
  await send(producer, 'b')
  scene.replies.EndTxn = ['INVALID_TXN_STATE', 'NONE', 'PRODUCER_FENCED']
  await assert.rejects(producer.commit(), isKafkaError('INVALID_TXN_STATE'))
  await producer.abort()
  await producer.begin()
  await assert.rejects(send(producer, 'c'), isKafkaError('INVALID_PRODUCER_EPOCH'))
  await assert.rejects(producer.abort(), FencedError)
})

test('a coordinator that will not commit may be asked to abort', async () => {
  await using scene = await Scene.start(2)
  scene.replies.EndTxn = ['TRANSACTION_ABORTABLE']
  const producer = scene.producer()
  await producer.begin()
  await send(producer, 'a')
  await assert.rejects(producer.commit(), isKafkaError('TRANSACTION_ABORTABLE'))
  await producer.abort()
  await producer.begin()
})

test('without the right to the transactional id the producer fails for good', async () => {
  await using scene = await Scene.start(2)
  scene.replies.InitProducerId = ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED']
  const producer = scene.producer()
  await assert.rejects(producer.begin(), isKafkaError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED'))
  await assert.rejects(producer.begin(), isKafkaError('TRANSACTIONAL_ID_AUTHORIZATION_FAILED'))
  assert.equal(scene.heard().length, 1)
})

test('when brokers come to speak version 2, the first transaction of the new kind gets another epoch', async () => {
  await using scene = await Scene.start(1)
  const producer = scene.producer()
  await producer.begin()
  await send(producer, 'a')
  await producer.commit()
  scene.transactionVersion = 2
  const old = await scene.cluster.coordinator(CoordinatorType.TRANSACTION, 'tx')
  scene.broker.dropConnections()
  await eventually(() => !old.isOpen)
  await producer.begin()
  await send(producer, 'b')
  await producer.commit()
  assert.deepEqual(scene.heard().slice(-3), ['InitProducerId 5 0 id 7', 'Produce 12 1 0 b', 'EndTxn 5 1 commit'])
})

test('a consumer that is no member of its group any more commits no offsets', async () => {
  await using scene = await Scene.start(2)
  const producer = scene.producer()
  await producer.begin()
  const group = { groupId: 'g', memberId: '', generationId: -1, groupInstanceId: null }
  await assert.rejects(producer.sendOffsets(offsets, group), isKafkaError('UNKNOWN_MEMBER_ID'))
  await assert.rejects(producer.commit(), TransactionAbortableError)
})

test('a transactional producer is idempotent', async () => {
  await using scene = await Scene.start(2)
  assert.throws(() => scene.producer({ acks: 1 }), TypeError)
  assert.throws(() => scene.producer({ transactionalId: '' }), TypeError)
  await assert.rejects(async () => new Producer(scene.cluster).begin(), TypeError)
})

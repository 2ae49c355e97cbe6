// The handlers of transactions against a coordinator without a broker: what they make of requests, in every version.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Reader } from '../../bytes/reader.ts'
import { Writer } from '../../bytes/writer.ts'
import { SimulatedClock, SimulatedLog } from '../../coordinators/runtime/simulated.ts'
import { defaultTransactionConfig } from '../../coordinators/transaction/transaction-config.ts'
import { TransactionCoordinator } from '../../coordinators/transaction/transaction-coordinator.ts'
import { errorName, KafkaError } from '../../protocol/error-codes.ts'
import type { Api, Request, RequestInput, Response } from '../../protocol/schema.ts'
import type { Services } from '../services.ts'
import { findCoordinator } from './10-find-coordinator.ts'
import { initProducerId } from './22-init-producer-id.ts'
import { addPartitionsToTxn } from './24-add-partitions-to-txn.ts'
import { addOffsetsToTxn } from './25-add-offsets-to-txn.ts'
import { endTxn } from './26-end-txn.ts'
import { describeTransactions } from './65-describe-transactions.ts'
import { listTransactions } from './66-list-transactions.ts'
import type { Call, Handler, Outcome } from './handler.ts'

const ID = 'tx'

/** Topic `t` has two partitions. `leaders`: of the partitions of `__transaction_state`. */
async function start(leaders: readonly number[] = [2]): Promise<Services> {
  const log = new SimulatedLog()
  let producerIds = 1_000n
  const transactions = new TransactionCoordinator({
    config: defaultTransactionConfig,
    partitionCount: () => 1,
    logFor: () => log,
    nextProducerId: async () => producerIds++,
    writeMarkers: async () => [],
    clock: new SimulatedClock(),
    report: () => {},
  })
  await transactions.loadPartition(0, 0)
  const services = {
    transactions,
    image: () => ({
      partition: (topic: string, index: number) =>
        topic === '__transaction_state' ? { leader: leaders[index] } : topic === 't' && index < 2 ? {} : undefined,
    }),
    groups: { partitionFor: () => 7 },
    metadata: { nextProducerId: async () => producerIds++ },
    topics: { ensureTransactionState: async () => {} },
    brokers: () => [1, 2].map((nodeId) => ({ nodeId, host: `h${nodeId}`, port: 9092, rack: null })),
  }
  return services as unknown as Services
}

/** Over the wire and back, in one version. */
async function ask<A extends Api>(
  handler: Handler<A>,
  services: Services,
  version: number,
  fields: RequestInput<A>,
): Promise<Response<A>> {
  const request = travel(handler.api.request, version, fields) as Request<A>
  const call = { version, clientId: 'c', connection: {}, sent: undefined } as unknown as Call
  let answer: Outcome<A>
  try {
    answer = await handler.handle(request, services, call)
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error
    answer = handler.fail(request, error)
  }
  return travel(handler.api.response, version, answer) as Response<A>
}

function travel(message: Api['request'], version: number, fields: unknown): unknown {
  const writer = new Writer()
  message.encode(writer, version, fields as never)
  return message.decode(new Reader(writer.toBuffer()), version)
}

const hello = { transactionalId: ID, transactionTimeoutMs: 60_000 }

test('a transaction by the older rules, as clients of old send it', async () => {
  const services = await start()
  const { producerId, producerEpoch } = await ask(initProducerId, services, 1, hello)
  const client = {
    v3AndBelowTransactionalId: ID,
    v3AndBelowProducerId: producerId,
    v3AndBelowProducerEpoch: producerEpoch,
  }
  const add = async (version: number, partitions: number[]) => {
    const topics = [{ name: 't', partitions }]
    const response = await ask(addPartitionsToTxn, services, version, { ...client, v3AndBelowTopics: topics })
    return response.resultsByTopicV3AndBelow[0].resultsByPartition.map(({ partitionErrorCode }) => errorName(partitionErrorCode))
  }
  assert.deepEqual(await add(0, [0]), ['NONE'])
  assert.deepEqual(await add(3, [0, 5]), ['OPERATION_NOT_ATTEMPTED', 'UNKNOWN_TOPIC_OR_PARTITION'])
  const producer = { transactionalId: ID, producerId, producerEpoch }
  assert.equal((await ask(addOffsetsToTxn, services, 0, { ...producer, groupId: 'g' })).errorCode, 0)
  const { transactionStates } = await ask(describeTransactions, services, 0, { transactionalIds: [ID] })
  assert.deepEqual(transactionStates[0].topics, [
    { topic: 't', partitions: [0] },
    { topic: '__consumer_offsets', partitions: [7] },
  ])
  assert.equal(
    errorName((await ask(endTxn, services, 1, { ...producer, producerEpoch: 9, committed: true })).errorCode),
    'INVALID_PRODUCER_EPOCH',
  )
  assert.equal((await ask(endTxn, services, 1, { ...producer, committed: true })).errorCode, 0)
})

test('a transaction by the newer rules: brokers add partitions, and the end brings the next epoch', async () => {
  const services = await start()
  const { producerId, producerEpoch } = await ask(initProducerId, services, 5, hello)
  const producer = { transactionalId: ID, producerId, producerEpoch }
  const ofBroker = async (partitions: number[], verifyOnly: boolean) => {
    const transactions = [{ ...producer, verifyOnly, topics: [{ name: 't', partitions }] }]
    const { errorCode, resultsByTransaction } = await ask(addPartitionsToTxn, services, 5, { transactions })
    assert.equal(errorCode, 0)
    assert.equal(resultsByTransaction[0].transactionalId, ID)
    return resultsByTransaction[0].topicResults[0].resultsByPartition.map(({ partitionErrorCode }) =>
      errorName(partitionErrorCode),
    )
  }
  assert.deepEqual(await ofBroker([0], true), ['TRANSACTION_ABORTABLE'])
  assert.deepEqual(await ofBroker([0], false), ['NONE'])
  assert.deepEqual(await ofBroker([0, 1], true), ['NONE', 'TRANSACTION_ABORTABLE'])
  const ended = await ask(endTxn, services, 5, { ...producer, committed: true })
  assert.deepEqual([ended.errorCode, ended.producerId, ended.producerEpoch], [0, producerId, 1])
})

test('the list tells what state it does not know', async () => {
  const services = await start()
  await ask(initProducerId, services, 5, hello)
  const list = (stateFilters: string[]) => ask(listTransactions, services, 1, { stateFilters, producerIdFilters: [] })
  assert.deepEqual((await list([])).transactionStates, [{ transactionalId: ID, producerId: 1_000n, transactionState: 'Empty' }])
  assert.deepEqual((await list(['Sleepy'])).unknownStateFilters, ['Sleepy'])
})

test('whoever leads its partition coordinates a transactional id', async () => {
  const request = { keyType: 1, coordinatorKeys: [ID] }
  const [found] = (await ask(findCoordinator, await start(), 4, request)).coordinators
  assert.deepEqual([found.nodeId, found.host], [2, 'h2'])
  for (const leader of [-1, 3]) {
    const [sought] = (await ask(findCoordinator, await start([leader]), 4, request)).coordinators
    assert.equal(errorName(sought.errorCode), 'COORDINATOR_NOT_AVAILABLE')
  }
})

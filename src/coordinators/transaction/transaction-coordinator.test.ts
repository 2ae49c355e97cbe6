import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode, type ErrorName, errorName, KafkaError } from '../../protocol/error-codes.ts'
import { SimulatedClock, SimulatedLog, settled } from '../runtime/simulated.ts'
import type { MarkerResult, TxnMarker } from './marker-sender.ts'
import { PartitionVerifier } from './partition-verifier.ts'
import { supportOfProduce, supportOfTxnOffsetCommit } from './producer-support.ts'
import { defaultTransactionConfig, type TransactionConfig } from './transaction-config.ts'
import { TransactionCoordinator } from './transaction-coordinator.ts'

const ID = 'tx'
const NEWEST = { version: 5 }

/** Leaders that do as they are told. */
class SimulatedLeaders {
  /** Markers as they were asked for, oldest first. */
  readonly asked: TxnMarker[] = []
  /** By topic and partition, what the leader answers; NONE if nothing is said. */
  readonly answers = new Map<string, ErrorName>()
  isUnreachable = false
  /** While true, they take their time. */
  isHeld = false
  private waiting: (() => void)[] = []

  release(): void {
    this.isHeld = false
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  readonly writeMarkers = async (marker: TxnMarker): Promise<readonly MarkerResult[]> => {
    this.asked.push(marker)
    if (this.isHeld) await new Promise<void>((resolve) => this.waiting.push(resolve))
    if (this.isUnreachable) throw new KafkaError('NETWORK_EXCEPTION')
    return Array.from(marker.partitions, ([topic, partitions]) =>
      Array.from(partitions, (partition) => ({
        topic,
        partition,
        errorCode: ErrorCode[this.answers.get(`${topic}-${partition}`) ?? 'NONE'],
      })),
    ).flat()
  }
}

function start(log = new SimulatedLog(), config: Partial<TransactionConfig> = {}) {
  const clock = new SimulatedClock()
  const leaders = new SimulatedLeaders()
  const lines: string[] = []
  const ids = { next: 1_000n, failure: null as Error | null }
  const coordinator = new TransactionCoordinator({
    config: { ...defaultTransactionConfig, ...config },
    partitionCount: () => 1,
    logFor: () => log,
    async nextProducerId() {
      if (ids.failure !== null) throw ids.failure
      return ids.next++
    },
    writeMarkers: leaders.writeMarkers,
    clock,
    report: (line) => lines.push(line),
  })
  const verifier = new PartitionVerifier({
    ask: coordinator.askForPartitions,
    clock,
    config: { ...defaultTransactionConfig, ...config },
  })
  return { coordinator, verifier, clock, log, leaders, lines, ids }
}

const hello = { transactionalId: ID, transactionTimeoutMs: 60_000, producerId: -1n, producerEpoch: -1 }

type Started = ReturnType<typeof start>

/** A producer with an open transaction on partitions 0 and 1 of topic `t`. */
async function open({ coordinator }: Started, leaderEpoch = 3) {
  await coordinator.loadPartition(0, leaderEpoch)
  const { producerId, producerEpoch } = await coordinator.initProducerId(hello, NEWEST)
  const producer = { transactionalId: ID, producerId, producerEpoch }
  const topics = [{ name: 't', partitions: [0, 1] }]
  assert.equal(await coordinator.addPartitionsToTxn({ ...producer, topics }, { version: 4 }), 0)
  return producer
}

async function stateOf({ coordinator }: Started): Promise<string> {
  await settled()
  const [{ transactionState }] = await coordinator.describeTransactions([ID])
  return transactionState
}

const partitionsOf = ({ partitions }: TxnMarker) => Array.from(partitions, ([topic, some]) => `${topic}-${[...some].join('-')}`)

test('a decision is answered when it is stored, and its markers are written then and not before', async () => {
  const world = start()
  const { coordinator, leaders, log } = world
  const producer = await open(world)
  log.isHeld = true
  let answered = false
  const end = coordinator.endTxn({ ...producer, committed: true }, NEWEST).then((response) => {
    answered = true
    return response
  })
  await settled()
  assert.equal(answered, false)
  assert.equal(leaders.asked.length, 0)
  log.release()
  assert.deepEqual(await end, { errorCode: 0, producerId: producer.producerId, producerEpoch: 1 })
  await settled()
  assert.deepEqual(leaders.asked, [
    {
      producerId: producer.producerId,
      producerEpoch: 1,
      coordinatorEpoch: 3,
      committed: true,
      transactionVersion: 2,
      partitions: new Map([['t', new Set([0, 1])]]),
    },
  ])
  assert.equal(await stateOf(world), 'CompleteCommit')
})

test('markers are written again until they hold, only where they are missing', async () => {
  const world = start()
  const { coordinator, leaders, clock } = world
  const producer = await open(world)
  leaders.answers.set('t-1', 'NOT_LEADER_OR_FOLLOWER')
  await coordinator.endTxn({ ...producer, committed: false }, { version: 4 })
  await clock.advance(5_000)
  assert.equal(await stateOf(world), 'PrepareAbort')
  assert.deepEqual(partitionsOf(leaders.asked[0]), ['t-0-1'])
  assert.ok(leaders.asked.length > 3)
  for (const marker of leaders.asked.slice(1)) assert.deepEqual(partitionsOf(marker), ['t-1'])
  leaders.isUnreachable = true
  await clock.advance(5_000)
  leaders.isUnreachable = false
  leaders.answers.clear()
  await clock.advance(1_000)
  assert.equal(await stateOf(world), 'CompleteAbort')
})

test('markers that keep failing are complained of, with what their leaders say', async () => {
  const world = start()
  const { coordinator, leaders, clock, lines } = world
  const producer = await open(world)
  leaders.answers.set('t-1', 'INVALID_PRODUCER_EPOCH')
  await coordinator.endTxn({ ...producer, committed: true }, NEWEST)
  await clock.advance(60_000)
  assert.match(lines.join('\n'), /could not be written 30 times: t-1 INVALID_PRODUCER_EPOCH/)
})

test('another coordinator takes up what was decided, under its own epoch, and the former one lets go', async () => {
  const former = start()
  const producer = await open(former)
  former.leaders.answers.set('t-0', 'REQUEST_TIMED_OUT')
  await former.coordinator.endTxn({ ...producer, committed: true }, NEWEST)
  await settled()
  former.coordinator.unloadPartition(0)
  const next = start(former.log)
  await next.coordinator.loadPartition(0, 4)
  await settled()
  assert.deepEqual(next.leaders.asked.map(partitionsOf), [['t-0-1']])
  assert.equal(next.leaders.asked[0].coordinatorEpoch, 4)
  assert.equal(await stateOf(next), 'CompleteCommit')
  former.leaders.answers.clear()
  const records = former.log.records.length
  await former.clock.advance(10_000)
  assert.equal(former.log.records.length, records)
})

test('a coordinator whose markers are refused as those of a former one leaves them to the other', async () => {
  const world = start()
  const { coordinator, leaders, clock } = world
  const producer = await open(world)
  leaders.answers.set('t-0', 'TRANSACTION_COORDINATOR_FENCED')
  await coordinator.endTxn({ ...producer, committed: true }, NEWEST)
  await clock.advance(10_000)
  assert.equal(leaders.asked.length, 1)
})

test('a decision that its producer was told has failed is carried out all the same if it stayed in the log', async () => {
  const world = start()
  const { coordinator, log, leaders } = world
  const producer = await open(world)
  log.failure = { error: new KafkaError('REQUEST_TIMED_OUT'), isKept: true }
  const { errorCode } = await coordinator.endTxn({ ...producer, committed: true }, NEWEST)
  assert.equal(errorName(errorCode), 'COORDINATOR_NOT_AVAILABLE')
  await settled()
  assert.equal(leaders.asked.length, 1)
  assert.equal(await stateOf(world), 'CompleteCommit')
  assert.equal((await coordinator.endTxn({ ...producer, committed: true }, NEWEST)).producerEpoch, 1)
})

test('a decision that was lost with its append never happened', async () => {
  const world = start()
  const { coordinator, log, leaders } = world
  const producer = await open(world)
  log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: false }
  const { errorCode } = await coordinator.endTxn({ ...producer, committed: true }, NEWEST)
  assert.equal(errorName(errorCode), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(await stateOf(world), 'Ongoing')
  assert.equal(leaders.asked.length, 0)
})

test('when the completion could not be stored the markers are written once more, and then it is', async () => {
  const world = start()
  const { coordinator, log, leaders } = world
  const producer = await open(world)
  leaders.isUnreachable = true
  await coordinator.endTxn({ ...producer, committed: true }, NEWEST)
  await settled()
  leaders.isUnreachable = false
  log.failure = { error: new KafkaError('NOT_ENOUGH_REPLICAS'), isKept: false }
  await world.clock.advance(1_000)
  assert.equal(await stateOf(world), 'CompleteCommit')
  assert.equal(leaders.asked.length, 3)
})

test('a marker that is being written is waited for before it is written again', async () => {
  const world = start()
  const { coordinator, log, leaders } = world
  const producer = await open(world)
  leaders.isHeld = true
  await coordinator.endTxn({ ...producer, committed: true }, NEWEST)
  await settled()
  // Another producer's append fails, and the partition is loaded anew.
  log.failure = { error: new KafkaError('REQUEST_TIMED_OUT'), isKept: false }
  await coordinator.initProducerId({ ...hello, transactionalId: 'other' }, NEWEST)
  assert.equal(await stateOf(world), 'PrepareCommit')
  assert.equal(leaders.asked.length, 1)
  leaders.release()
  await settled()
  assert.equal(leaders.asked.length, 2)
  assert.equal(await stateOf(world), 'CompleteCommit')
})

test('a transaction that is not ended in time is aborted when the coordinator next looks', async () => {
  const world = start()
  const { clock, leaders } = world
  await open(world)
  await clock.advance(60_000)
  assert.equal(await stateOf(world), 'Ongoing')
  await clock.advance(defaultTransactionConfig.abortTimedOutIntervalMs)
  assert.equal(await stateOf(world), 'CompleteAbort')
  assert.equal(leaders.asked[0].committed, false)
  assert.equal(leaders.asked[0].producerEpoch, 1)
})

test('an id that is not used expires when the coordinator next looks', async () => {
  const world = start(new SimulatedLog(), { idExpirationMs: 100_000, removeExpiredIntervalMs: 30_000 })
  const { coordinator, clock } = world
  const producer = await open(world)
  await coordinator.endTxn({ ...producer, committed: true }, NEWEST)
  await clock.advance(100_000)
  assert.equal(await stateOf(world), 'CompleteCommit')
  await clock.advance(30_000)
  const [{ errorCode }] = await coordinator.describeTransactions([ID])
  assert.equal(errorName(errorCode), 'TRANSACTIONAL_ID_NOT_FOUND')
})

test('a producer that comes for an id with an open transaction has it aborted, and then gets the id', async () => {
  const world = start()
  const { coordinator, leaders } = world
  await open(world)
  assert.equal(errorName((await coordinator.initProducerId(hello, NEWEST)).errorCode), 'CONCURRENT_TRANSACTIONS')
  await settled()
  assert.equal(leaders.asked.length, 1)
  assert.equal((await coordinator.initProducerId(hello, NEWEST)).producerEpoch, 2)
})

test('what a producer may not ask for is refused before anything is looked up', async () => {
  const { coordinator } = start()
  const refusal = async (more: Partial<typeof hello>) =>
    errorName((await coordinator.initProducerId({ ...hello, ...more }, NEWEST)).errorCode)
  assert.equal(await refusal({ transactionalId: '' }), 'INVALID_REQUEST')
  assert.equal(await refusal({ transactionalId: 'x'.repeat(32_768) }), 'INVALID_REQUEST')
  assert.equal(await refusal({ producerId: 5n }), 'INVALID_REQUEST')
  assert.equal(await refusal({ producerEpoch: 0 }), 'INVALID_REQUEST')
  for (const transactionTimeoutMs of [0, -1, 900_001]) {
    assert.equal(await refusal({ transactionTimeoutMs }), 'INVALID_TRANSACTION_TIMEOUT')
  }
  assert.equal(await refusal({}), 'NOT_COORDINATOR')
})

test('versions that do not know PRODUCER_FENCED are told INVALID_PRODUCER_EPOCH', async () => {
  const world = start()
  const { coordinator } = world
  await open(world)
  const zombie = { transactionalId: ID, producerId: 1_000n, producerEpoch: 7 }
  const request = { ...zombie, topics: [{ name: 't', partitions: [0] }] }
  const told = {
    init: async (version: number) => (await coordinator.initProducerId({ ...hello, ...zombie }, { version })).errorCode,
    add: (version: number) => coordinator.addPartitionsToTxn(request, { version }),
    offsets: (version: number) => coordinator.addOffsetsToTxn(zombie, { topic: '__consumer_offsets', partition: 1 }, { version }),
    end: async (version: number) => (await coordinator.endTxn({ ...zombie, committed: true }, { version })).errorCode,
  }
  for (const [what, firstThatKnows] of [
    ['init', 4],
    ['add', 2],
    ['offsets', 2],
    ['end', 2],
  ] as const) {
    assert.equal(errorName(await told[what](firstThatKnows - 1)), 'INVALID_PRODUCER_EPOCH', what)
    assert.equal(errorName(await told[what](firstThatKnows)), 'PRODUCER_FENCED', what)
  }
})

test('the leader of a partition adds it for the newer producers, and looks for it for the older', async () => {
  const world = start(undefined, { addPartitionsRetryBackoffMaxMs: 0 })
  const { coordinator, verifier } = world
  const producer = await open(world)
  const ask = async (epoch: number, partition: number, support: ReturnType<typeof supportOfProduce>) => {
    const request = { ...producer, producerEpoch: epoch, topics: [{ name: 't', partitions: [0, partition] }] }
    const results = await verifier.verifyOrAddPartitions(request, support)
    return results[0].resultsByPartition.map(({ partitionErrorCode }) => errorName(partitionErrorCode))
  }
  assert.deepEqual(await ask(0, 1, supportOfProduce(9)), ['NONE', 'NONE'])
  assert.deepEqual(await ask(0, 5, supportOfProduce(10)), ['NONE', 'INVALID_TXN_STATE'])
  assert.deepEqual(await ask(0, 5, supportOfProduce(11)), ['NONE', 'TRANSACTION_ABORTABLE'])
  assert.deepEqual(await ask(0, 5, supportOfTxnOffsetCommit(3)), ['NONE', 'INVALID_TXN_STATE'])
  assert.deepEqual(await ask(0, 5, supportOfTxnOffsetCommit(4)), ['NONE', 'TRANSACTION_ABORTABLE'])
  assert.deepEqual(await ask(0, 5, supportOfProduce(12)), ['NONE', 'NONE'])
  assert.deepEqual(await ask(0, 5, supportOfProduce(9)), ['NONE', 'NONE'])
  assert.deepEqual(await ask(0, 6, supportOfTxnOffsetCommit(5)), ['NONE', 'NONE'])
  assert.deepEqual(await ask(3, 0, supportOfProduce(12)), ['INVALID_PRODUCER_EPOCH', 'INVALID_PRODUCER_EPOCH'])
  world.leaders.isUnreachable = true
  await coordinator.endTxn({ ...producer, committed: true }, { version: 4 })
  assert.deepEqual(await ask(0, 1, supportOfProduce(11)), ['NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS'])
  assert.deepEqual(await ask(0, 1, supportOfProduce(12)), ['CONCURRENT_TRANSACTIONS', 'CONCURRENT_TRANSACTIONS'])
  coordinator.unloadPartition(0)
  assert.deepEqual(await ask(0, 1, supportOfProduce(12)), ['NOT_ENOUGH_REPLICAS', 'NOT_ENOUGH_REPLICAS'])
})

test('a first write that comes while the last transaction is being ended waits for that, for a while', async () => {
  const world = start()
  const { coordinator, verifier, clock, leaders } = world
  const producer = await open(world)
  leaders.isUnreachable = true
  const ended = await coordinator.endTxn({ ...producer, committed: true }, { version: 5 })
  const next = { ...producer, producerEpoch: ended.producerEpoch, topics: [{ name: 't', partitions: [0] }] }
  const write = async () => {
    const results = await verifier.verifyOrAddPartitions(next, 'implicit')
    return errorName(results[0].resultsByPartition[0].partitionErrorCode)
  }
  const late = write()
  await clock.advance(200)
  assert.equal(await late, 'CONCURRENT_TRANSACTIONS')
  leaders.isUnreachable = false
  const early = write()
  await clock.advance(1_000)
  assert.equal(await early, 'NONE')
})

test('a group’s offsets join as the partition that holds the group, by the older rules', async () => {
  const world = start()
  const { coordinator, leaders } = world
  const producer = await open(world)
  assert.equal(await coordinator.addOffsetsToTxn(producer, { topic: '__consumer_offsets', partition: 9 }, { version: 4 }), 0)
  await coordinator.endTxn({ ...producer, committed: true }, { version: 4 })
  await settled()
  assert.deepEqual(partitionsOf(leaders.asked[0]), ['t-0-1', '__consumer_offsets-9'])
})

test('while a partition loads requests are told so, and so is who asks for the list', async () => {
  const world = start()
  const { coordinator, log } = world
  log.isHeld = true
  const loaded = coordinator.loadPartition(0, 1)
  assert.equal(errorName((await coordinator.initProducerId(hello, NEWEST)).errorCode), 'COORDINATOR_LOAD_IN_PROGRESS')
  const everything = { stateFilters: ['Ongoing', 'Nonsense'], producerIdFilters: [], durationFilter: -1n, matches: null }
  assert.equal(errorName((await coordinator.listTransactions(everything)).errorCode), 'COORDINATOR_LOAD_IN_PROGRESS')
  log.release()
  await loaded
  assert.deepEqual(await coordinator.listTransactions(everything), {
    errorCode: 0,
    unknownStateFilters: ['Nonsense'],
    transactionStates: [],
  })
  coordinator.unloadPartition(0)
  assert.equal((await coordinator.listTransactions(everything)).errorCode, 0)
})

test('without a producer id there is nothing to give, and nothing is written', async () => {
  const { coordinator, ids, log } = start()
  await coordinator.loadPartition(0, 1)
  ids.failure = new Error('no store')
  assert.equal(errorName((await coordinator.initProducerId(hello, NEWEST)).errorCode), 'COORDINATOR_NOT_AVAILABLE')
  assert.equal(log.records.length, 0)
})

test('two producers that come for a new id at once get it one after the other', async () => {
  const { coordinator } = start()
  await coordinator.loadPartition(0, 1)
  const both = await Promise.all([coordinator.initProducerId(hello, NEWEST), coordinator.initProducerId(hello, NEWEST)])
  assert.deepEqual(
    both.map(({ producerEpoch }) => producerEpoch),
    [0, 1],
  )
  assert.equal(both[0].producerId, both[1].producerId)
})

test('a closed coordinator writes nothing, waits for nothing and answers so', async () => {
  const world = start()
  const { coordinator, leaders, clock, log } = world
  const producer = await open(world)
  leaders.isUnreachable = true
  await coordinator.endTxn({ ...producer, committed: true }, NEWEST)
  await settled()
  coordinator.close()
  assert.equal(clock.timers, 0)
  const records = log.records.length
  await clock.advance(100_000)
  assert.equal(log.records.length, records)
  assert.equal(leaders.asked.length, 1)
  assert.equal(
    errorName((await coordinator.endTxn({ ...producer, committed: true }, NEWEST)).errorCode),
    'COORDINATOR_NOT_AVAILABLE',
  )
  await assert.rejects(coordinator.loadPartition(0, 4), { code: 'COORDINATOR_NOT_AVAILABLE' })
})

// Strategy: a few transactional ids, each with producers that take it from one another, some by the older rules and some by the newer.
// They pause longer than they may, come back as zombies, and lose answers. The coordinator crashes and moves, with an append under way
// kept or lost; appends fail, are slow, or fail and are kept; leaders of partitions refuse markers, or lose the answer. All of it is
// drawn from one seed. Then the trouble stops.
//
// Invariants: a transaction whose commit was acknowledged is seen whole by read_committed, once, in order; one whose abort was
// acknowledged is not seen at all; any other is seen whole or not at all. Once a producer has an id, nothing that others ask for under
// it succeeds. What is in the log is what the coordinator knows. At last no partition has an open transaction, and no decision is left.
// (The partitions watch the epochs of what they are sent: simulated-partition.ts.)

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ErrorCode, type ErrorName, errorName, KafkaError } from '../../protocol/error-codes.ts'
import { TransactionLogRecord } from '../../protocol/internal-records/transaction-log.ts'
import type { CoordinatorLog, LogEntry, ReplayRecord } from '../runtime/ports.ts'
import { SimulatedClock, settled } from '../runtime/simulated.ts'
import type { MarkerResult, TxnMarker } from './marker-sender.ts'
import type { ProducerSupport } from './producer-support.ts'
import { SimulatedPartition } from './simulated-partition.ts'
import { defaultTransactionConfig, type TransactionVersion } from './transaction-config.ts'
import { TransactionCoordinator } from './transaction-coordinator.ts'
import { type TransactionRecord, transactionCodec } from './transaction-records.ts'
import { Transactions } from './transactions.ts'

/** More on command: MOLDAU_SEEDS=2000; one seed: MOLDAU_SEED=17. */
const SEEDS = Number(process.env['MOLDAU_SEEDS'] ?? 15)
const ONLY = process.env['MOLDAU_SEED']
const IDS = ['a', 'b', 'c']
const PARTITIONS = 4
const TIMEOUT_MS = 10_000
const TROUBLE_MS = 90_000
const CALM_MS = 60_000

/** Uniform in [0, bound), repeatable (mulberry32). */
function drawFrom(seed: number): (bound: number) => number {
  let state = seed >>> 0
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}

/** How a transaction has ended as far as its producer knows. */
type End = 'open' | 'committed' | 'aborted' | 'unknown'

interface Attempt {
  /** What it has written, and was told is written: one name in each of the partitions. */
  readonly written: Set<number>
  end: End
}

class World {
  readonly clock = new SimulatedClock()
  readonly draw: (bound: number) => number
  readonly records: { readonly key: Buffer; readonly value: Buffer | null }[] = []
  readonly partitions = Array.from({ length: PARTITIONS }, () => new SimulatedPartition())
  readonly attempts = new Map<string, Attempt>()
  /** By transactional id, which turn its owner has: each producer that gets the id begins another. */
  readonly turns = new Map<string, number>()
  readonly transactionVersion: TransactionVersion
  coordinator: TransactionCoordinator
  epoch = 0
  isCalm = false
  private inFlight: readonly LogEntry[] | null = null
  private producerIds = 1n

  constructor(seed: number) {
    this.draw = drawFrom(seed)
    this.transactionVersion = this.draw(3) === 0 ? 0 : 2
    // Some ids come to the end of their epochs on the way.
    for (const transactionalId of IDS) if (this.draw(2) === 0) this.records.push(wornOut(transactionalId, this.producerIds++))
    this.coordinator = this.appoint()
  }

  /** One time out of so many, and never once it is calm. */
  happens(outOf: number): boolean {
    return !this.isCalm && this.draw(outOf) === 0
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.timer(ms, resolve))
  }

  private appoint(): TransactionCoordinator {
    this.epoch++
    const { epoch } = this
    return new TransactionCoordinator({
      config: { ...defaultTransactionConfig, abortTimedOutIntervalMs: 2_000, transactionVersion: this.transactionVersion },
      partitionCount: () => 1,
      logFor: () => this.openLog(epoch),
      nextProducerId: async () => {
        await this.sleep(this.draw(20))
        return this.producerIds++
      },
      writeMarkers: (marker) => this.writeMarkers(marker),
      clock: this.clock,
      report: (line, cause) => {
        if (cause !== undefined && !(cause instanceof KafkaError)) throw cause
        assert(!line.includes('could not be written 30 times'), line)
      },
    })
  }

  private store(entries: readonly LogEntry[]): void {
    for (const entry of entries) if ('key' in entry) this.records.push(entry)
  }

  /** Of one coordinator: once there is another, nothing of it is stored. */
  private openLog(epoch: number): CoordinatorLog {
    return {
      append: async (entries) => {
        this.inFlight = entries
        await this.sleep(this.happens(20) ? this.draw(3_000) : this.draw(5))
        if (epoch !== this.epoch) throw new KafkaError('NOT_LEADER_OR_FOLLOWER')
        this.inFlight = null
        const fails = this.happens(40)
        if (!fails || this.draw(2) === 0) this.store(entries)
        if (fails) throw new KafkaError('REQUEST_TIMED_OUT')
      },
      load: async (replay: ReplayRecord) => {
        await this.sleep(this.draw(50))
        for (const { key, value } of this.records) replay(key, value, 0n, 0n, undefined)
      },
    }
  }

  /** The coordinator dies, and another takes over what is stored. */
  async crash(): Promise<void> {
    this.coordinator.close()
    if (this.inFlight !== null && this.draw(2) === 0) this.store(this.inFlight)
    this.inFlight = null
    this.coordinator = this.appoint()
    await this.coordinator.loadPartition(0, this.epoch)
  }

  private async writeMarkers(marker: TxnMarker): Promise<readonly MarkerResult[]> {
    const [[topic, partitions]] = marker.partitions
    return Promise.all(
      Array.from(partitions, async (partition) => {
        await this.sleep(this.happens(10) ? this.draw(5_000) : this.draw(10))
        const answer = (name: ErrorName) => ({ topic, partition, errorCode: ErrorCode[name] })
        if (this.happens(8)) return answer('NOT_LEADER_OR_FOLLOWER')
        const name = this.partitions[partition].end(marker)
        await this.sleep(this.draw(10))
        return answer(this.happens(8) ? 'REQUEST_TIMED_OUT' : name)
      }),
    )
  }
}

/** As the log of a long life has left it. */
function wornOut(transactionalId: string, producerId: bigint) {
  const key = TransactionLogRecord.encodeKey({ transactionalId })
  const value = TransactionLogRecord.encodeValue({
    producerId,
    producerEpoch: 32_755,
    transactionTimeoutMs: TIMEOUT_MS,
    transactionStatus: 0,
    transactionPartitions: null,
    transactionLastUpdateTimestampMs: 0n,
    transactionStartTimestampMs: -1n,
  })
  return { key, value }
}

/** Answers that a producer waits a little for, and asks again. */
const PATIENCE = new Set<ErrorName>([
  'CONCURRENT_TRANSACTIONS',
  'COORDINATOR_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR',
  'NOT_ENOUGH_REPLICAS',
  'UNKNOWN_SERVER_ERROR',
])

class SimulatedProducer {
  private readonly world: World
  private readonly transactionalId: string
  private readonly support: ProducerSupport
  /** Of those that have come for the id. */
  private readonly number: number
  private producerId = -1n
  private producerEpoch = -1
  /** 0 until it has the id. */
  private turn = 0
  private transactions = 0

  constructor(world: World, transactionalId: string, number: number) {
    this.world = world
    this.transactionalId = transactionalId
    this.number = number
    this.support = (['classic', 'abortable', 'implicit', 'implicit'] as const)[world.draw(4)]
  }

  private get isNewer(): boolean {
    return this.support === 'implicit'
  }

  private get identity() {
    const { transactionalId, producerId, producerEpoch } = this
    return { transactionalId, producerId, producerEpoch }
  }

  /** Until it is fenced, or it is calm. */
  async run(): Promise<void> {
    if (!(await this.init())) return
    while (!this.world.isCalm) {
      if (!(await this.runTransaction())) return
      await this.world.sleep(this.world.draw(500))
    }
  }

  /** The answer, unless it is lost on its way: then the request is sent again. Checks that a zombie gets nothing done. */
  private async ask<R extends { readonly errorCode: number }>(
    request: () => Promise<R>,
  ): Promise<{ error: ErrorName; response: R }> {
    const { world } = this
    for (;;) {
      const isZombie = this.turn > 0 && world.turns.get(this.transactionalId)! > this.turn
      const response = await request()
      const error = errorName(response.errorCode)
      assert(!isZombie || error !== 'NONE', `producer ${this.number} of ${this.transactionalId} is fenced`)
      if (world.happens(15)) continue
      if (!PATIENCE.has(error)) return { error, response }
      await world.sleep(20 + world.draw(200))
    }
  }

  private async init(): Promise<boolean> {
    const { world, transactionalId, producerId, producerEpoch } = this
    const request = { transactionalId, transactionTimeoutMs: TIMEOUT_MS, producerId, producerEpoch }
    const { error, response } = await this.ask(() => world.coordinator.initProducerId(request, { version: 5 }))
    if (error !== 'NONE') {
      assert.equal(error, 'PRODUCER_FENCED')
      return false
    }
    this.take(response)
    if (this.turn === 0) {
      this.turn = (world.turns.get(transactionalId) ?? 0) + 1
      world.turns.set(transactionalId, this.turn)
    }
    return true
  }

  private take({ producerId, producerEpoch }: { readonly producerId: bigint; readonly producerEpoch: number }): void {
    this.producerId = producerId
    this.producerEpoch = producerEpoch
  }

  /** Answers whether the producer lives on. */
  private async runTransaction(): Promise<boolean> {
    const { world } = this
    const tag = `${this.transactionalId}/${this.number}/${this.transactions++}`
    const attempt: Attempt = { written: new Set(), end: 'open' }
    world.attempts.set(tag, attempt)
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => partition).filter(() => world.draw(2) === 0)
    let isWell = true
    for (const partition of partitions) {
      if (world.happens(60)) await world.sleep(world.draw(3 * TIMEOUT_MS))
      const error = await this.write(partition, tag)
      if (error !== 'NONE') {
        isWell = false
        break
      }
    }
    if (world.happens(40)) await world.sleep(world.draw(3 * TIMEOUT_MS))
    // Producers of the older rules keep quiet about transactions that they have written nothing in.
    if (partitions.length === 0 && (!this.isNewer || isWell)) {
      attempt.end = 'aborted'
      return true
    }
    return this.end(attempt, isWell && world.draw(4) > 0)
  }

  private async write(partition: number, tag: string): Promise<ErrorName> {
    const { world } = this
    const topics = [{ name: 't', partitions: [partition] }]
    if (!this.isNewer) {
      const { error } = await this.ask(async () => ({
        errorCode: await world.coordinator.addPartitionsToTxn({ ...this.identity, topics }, { version: 3 }),
      }))
      if (error !== 'NONE') return error
    }
    const { error } = await this.ask(async () => {
      const guard = world.partitions[partition].guardFor(this.producerId, this.producerEpoch)
      if (guard !== null) {
        const [result] = await world.coordinator.verifyOrAddPartitions({ ...this.identity, topics }, this.support)
        const errorCode = result.resultsByPartition[0].partitionErrorCode
        if (errorCode !== 0) return { errorCode }
        await world.sleep(world.happens(20) ? world.draw(2 * TIMEOUT_MS) : world.draw(5))
      }
      const written = world.partitions[partition].write(this.producerId, this.producerEpoch, tag, guard)
      if (written === 'NONE') world.attempts.get(tag)!.written.add(partition)
      return { errorCode: ErrorCode[written] }
    })
    return error
  }

  private async end(attempt: Attempt, committed: boolean): Promise<boolean> {
    const { world } = this
    attempt.end = 'unknown'
    const request = { ...this.identity, committed }
    const { error, response } = await this.ask(() => world.coordinator.endTxn(request, { version: this.isNewer ? 5 : 4 }))
    if (error === 'NONE') {
      attempt.end = committed ? 'committed' : 'aborted'
      if (this.isNewer) this.take(response)
      return true
    }
    // Aborted for it, or nothing was there to be ended: it begins anew under the id that it has.
    return error === 'INVALID_TXN_STATE' ? this.init() : false
  }
}

function replayed(world: World): Transactions {
  const transactions = new Transactions(defaultTransactionConfig)
  for (const { key, value } of world.records) transactions.replay(transactionCodec.decode(key, value) as TransactionRecord)
  return transactions
}

async function simulate(seed: number): Promise<World> {
  const world = new World(seed)
  await Promise.all([world.coordinator.loadPartition(0, world.epoch), world.clock.advance(100)])
  let failed: unknown = null
  const fail = (error: unknown) => {
    failed ??= error
  }
  const counts = new Map<string, number>()
  const begin = (transactionalId: string) => {
    const number = counts.get(transactionalId) ?? 0
    counts.set(transactionalId, number + 1)
    new SimulatedProducer(world, transactionalId, number).run().catch(fail)
  }
  for (const transactionalId of IDS) begin(transactionalId)
  for (let passed = 0; passed < TROUBLE_MS && failed === null; ) {
    const step = world.draw(2_000)
    passed += step
    await world.clock.advance(step)
    const what = world.draw(12)
    if (what < 3) begin(IDS[world.draw(IDS.length)])
    if (what === 3) world.crash().catch(fail)
  }
  world.isCalm = true
  await world.clock.advance(CALM_MS)
  await settled()
  if (failed !== null) throw failed
  await check(world)
  world.coordinator.close()
  return world
}

async function check(world: World): Promise<void> {
  const known = replayed(world)
  for (const description of await world.coordinator.describeTransactions(IDS)) {
    const stored = known.get(description.transactionalId)!
    assert.equal(description.transactionState, stored.state)
    assert.deepEqual([description.producerId, description.producerEpoch], [stored.producerId, stored.producerEpoch])
    assert.ok(['Empty', 'CompleteCommit', 'CompleteAbort'].includes(stored.state), stored.state)
  }
  const seen = world.partitions.map((partition) => partition.committed())
  for (const [index, partition] of world.partitions.entries()) {
    assert.equal(partition.openTransactions, 0, `partition ${index} has an open transaction`)
    assert.equal(new Set(seen[index]).size, seen[index].length, 'nothing is seen twice')
  }
  for (const [tag, { written, end }] of world.attempts) {
    const visible = [...written].filter((partition) => seen[partition].includes(tag)).length
    assert.ok(visible === 0 || visible === written.size, `${tag} is seen whole or not at all`)
    if (end === 'committed') assert.equal(visible, written.size, `${tag} was committed`)
    if (end === 'aborted' || end === 'open') assert.equal(visible, 0, `${tag} was ${end}`)
  }
  for (const transactionalId of IDS) {
    for (const tags of seen) {
      const order = tags.filter((tag) => tag.startsWith(transactionalId)).map((tag) => tag.split('/').map(Number).slice(1))
      for (let i = 1; i < order.length; i++) {
        const [[producer, transaction], [nextProducer, nextTransaction]] = [order[i - 1], order[i]]
        if (producer === nextProducer) assert.ok(transaction < nextTransaction, 'transactions of a producer are seen in order')
      }
    }
  }
}

test('transactions of many producers are seen whole or not at all, whatever dies', async () => {
  const seeds = ONLY === undefined ? Array.from({ length: SEEDS }, (_, index) => index + 1) : [Number(ONLY)]
  let committed = 0
  for (const seed of seeds) {
    const world = await simulate(seed).catch((error) => {
      throw new Error(`MOLDAU_SEED=${seed}`, { cause: error })
    })
    for (const { end } of world.attempts.values()) if (end === 'committed') committed++
  }
  assert.ok(committed > 10 * seeds.length, `only ${committed} transactions were committed`)
})

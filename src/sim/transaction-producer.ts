// A producer in a history of transactions (transaction-histories.ts): by the rules of its age it takes a transactional id, and runs
// transactions until somebody takes it away. It loses answers and asks again, and is sometimes slower than it may be.

import assert from 'node:assert/strict'
import type { ProducerSupport } from '../coordinators/transaction/producer-support.ts'
import type { ProducerIdentity } from '../coordinators/transaction/transactions.ts'
import { ErrorCode, type ErrorName, errorName, KafkaError } from '../protocol/error-codes.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import { baseSequence } from '../protocol/records/batch-header.ts'
import { type Attempt, TIMEOUT_MS, type World } from './transaction-world.ts'

/** Answers that a producer waits a little for, and asks again. */
const PATIENCE: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'CONCURRENT_TRANSACTIONS',
  'COORDINATOR_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR',
  'NOT_ENOUGH_REPLICAS',
  'NOT_LEADER_OR_FOLLOWER',
  'UNKNOWN_SERVER_ERROR',
])
/** Said to all that its time is over, or that the coordinator has forgotten the id. */
const OVER: ReadonlySet<ErrorName> = new Set<ErrorName>(['PRODUCER_FENCED', 'INVALID_PRODUCER_ID_MAPPING'])

/** What a producer gives up waiting for gets there by then. */
const LATEST_MS = 3_000

interface Written {
  readonly partition: number
  readonly value: string
  readonly batch: Buffer
}

export class SimulatedProducer {
  readonly name: string
  private readonly world: World
  private readonly transactionalId: string
  private readonly support: ProducerSupport
  private producerId = -1n
  private producerEpoch = -1
  /** 0 until it has the id. */
  private turn = 0
  private transactions = 0
  /** Next sequence number by partition, of this epoch. */
  private sequences = new Map<number, number>()
  /** One of them will never be written: it takes another epoch to go on. */
  private hasGap = false

  /** @param number of those that have come for the id */
  constructor(world: World, transactionalId: string, number: number) {
    this.world = world
    this.transactionalId = transactionalId
    this.name = `${transactionalId}/${number}`
    this.support = world.dice.pick(['classic', 'abortable', 'implicit', 'implicit'] as const)
  }

  private get isNewer(): boolean {
    return this.support === 'implicit'
  }

  private get identity(): ProducerIdentity {
    const { transactionalId, producerId, producerEpoch } = this
    return { transactionalId, producerId, producerEpoch }
  }

  /** Until it is fenced, or it is calm. */
  async run(): Promise<void> {
    if (!(await this.init())) return
    while (!this.world.isCalm) {
      if (!(await this.runTransaction())) return
      await this.world.sleep(this.world.dice.below(300))
    }
  }

  /** The answer, unless it is lost on its way: then the request is sent again. Checks that a zombie gets nothing done. */
  private async ask<R extends { readonly errorCode: number }>(
    what: string,
    request: () => Promise<R>,
    patience = PATIENCE,
  ): Promise<{ readonly error: ErrorName; readonly response: R }> {
    const { world } = this
    for (;;) {
      const isZombie = this.turn > 0 && world.turns.get(this.transactionalId)! > this.turn
      const identity = `${this.producerId}/${this.producerEpoch}`
      const response = await request()
      const error = errorName(response.errorCode)
      world.note(() => `${this.name} as ${identity}: ${what}: ${error}`)
      assert(!isZombie || error !== 'NONE', `${this.name} is fenced, and gets something done: ${what}`)
      if (world.happens(15)) continue
      if (!patience.has(error)) return { error, response }
      await world.sleep(20 + world.dice.below(150))
    }
  }

  private async init(): Promise<boolean> {
    const { world, transactionalId, producerId, producerEpoch } = this
    const request = { transactionalId, transactionTimeoutMs: TIMEOUT_MS, producerId, producerEpoch }
    const { error, response } = await this.ask('init', () => world.coordinator.initProducerId(request, { version: 5 }))
    if (error !== 'NONE') {
      assert(OVER.has(error), `${this.name} gets ${error} for InitProducerId`)
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
    if (producerId !== this.producerId || producerEpoch !== this.producerEpoch) {
      this.sequences = new Map()
      this.hasGap = false
    }
    this.producerId = producerId
    this.producerEpoch = producerEpoch
  }

  /** Answers whether the producer lives on. */
  private async runTransaction(): Promise<boolean> {
    const { world } = this
    const name = `${this.name}/${this.transactions++}`
    const attempt: Attempt = { written: [], end: 'open' }
    world.attempts.set(name, attempt)
    const partitions = world.partitions.map(({ index }) => index).filter(() => world.dice.below(2) === 0)
    let isWell = true
    // It dies, anywhere on the way.
    const lives = world.happens(25) ? world.dice.below(partitions.length + 1) : partitions.length
    for (const [count, partition] of partitions.entries()) {
      if (count === lives) return false
      if (world.happens(40)) await world.sleep(world.dice.below(3 * TIMEOUT_MS))
      if (!(await this.write(attempt, partition, name))) {
        isWell = false
        break
      }
    }
    if (lives < partitions.length) return false
    if (world.happens(30)) await world.sleep(world.dice.below(3 * TIMEOUT_MS))
    // Producers of the older rules keep quiet about transactions that they have written nothing in.
    if (partitions.length === 0 && !this.isNewer) {
      attempt.end = 'aborted'
      return true
    }
    return this.end(attempt, isWell && world.dice.below(4) > 0)
  }

  /** One to three batches, the last two at once. Answers whether all of them are written. */
  private async write(attempt: Attempt, partition: number, name: string): Promise<boolean> {
    const { world } = this
    if (!this.isNewer) {
      const topics = [{ name: 't', partitions: [partition] }]
      const { error } = await this.ask(`add ${partition}`, async () => ({
        errorCode: await world.coordinator.addPartitionsToTxn({ ...this.identity, topics }, { version: 3 }),
      }))
      if (error !== 'NONE') return false
    }
    const batches = Array.from({ length: 1 + world.dice.below(3) }, (_, number) =>
      this.batch(partition, `${name}/${partition}.${number}`),
    )
    const sent: Promise<ErrorName>[] = []
    for (const [index, batch] of batches.entries()) {
      const before = sent[index - 1]
      const isPipelined = index > 0 && index === batches.length - 1
      if (before !== undefined && !isPipelined && (await before) !== 'NONE') break
      sent.push(this.send(attempt, batch, isPipelined ? before : undefined))
    }
    const errors = await Promise.all(sent)
    return errors.length === batches.length && errors.every((error) => error === 'NONE')
  }

  private batch(partition: number, value: string): Written {
    const baseSequence = this.sequences.get(partition) ?? 0
    this.sequences.set(partition, baseSequence + 1)
    const { producerId, producerEpoch } = this
    const builder = new RecordBatchBuilder()
    builder.append({ timestamp: 1n, key: null, value: Buffer.from(value) })
    return { partition, value, batch: builder.build({ producerId, producerEpoch, baseSequence, transactional: true }) }
  }

  /** @param before the batch that is on its way before it: while that is not settled, a gap is no reason to give up */
  private async send(attempt: Attempt, written: Written, before: Promise<ErrorName> | undefined): Promise<ErrorName> {
    const { world, identity } = this
    if (world.happens(40)) {
      // It gives up waiting, and what it has sent is still on its way.
      this.hasGap = true
      world.note(() => `${this.name} gives up ${written.value}`)
      world.clock.timer(world.dice.below(LATEST_MS), () => void this.sendLate(identity, written))
      return 'REQUEST_TIMED_OUT'
    }
    const { leaderEpoch } = world.partitions[written.partition]
    let isFirst = before === undefined
    void before?.then(() => {
      isFirst = true
    })
    for (;;) {
      const alone = isFirst
      const { error } = await this.ask(`write ${written.value}`, async () => ({
        errorCode: await this.sendOnce(identity, written),
      }))
      if (error === 'OUT_OF_ORDER_SEQUENCE_NUMBER' && !alone) {
        if ((await before) === 'NONE') continue
        this.hasGap = true
      } else if (error === 'NONE') {
        attempt.written.push(written.value)
      } else {
        // As in Kafka, who was forgotten and had a marker written since has to begin at 0; and a new leader that has not heard of a
        // producer takes the first batch to come, where the one before it has not come first.
        const isExcused = world.forgetsProducers || world.partitions[written.partition].leaderEpoch !== leaderEpoch
        const isOutOfOrder = error === 'OUT_OF_ORDER_SEQUENCE_NUMBER'
        assert(!isOutOfOrder || isExcused, `${written.value} is out of order, and was sent in order`)
        this.hasGap = true
      }
      return error
    }
  }

  private async sendLate(identity: ProducerIdentity, written: Written): Promise<void> {
    try {
      const errorCode = await this.sendOnce(identity, written)
      this.world.note(
        () => `${this.name} late as ${identity.producerId}/${identity.producerEpoch}: ${written.value}: ${errorName(errorCode)}`,
      )
    } catch (error) {
      this.world.fail(error)
    }
  }

  private async sendOnce(identity: ProducerIdentity, { partition: index, batch }: Written): Promise<number> {
    const { world } = this
    const partition = world.partitions[index]
    const { leaderEpoch } = partition
    const sequence = baseSequence(batch)
    try {
      const verification = partition.verifications.begin(identity.producerId, identity.producerEpoch, sequence)
      if (verification !== null) {
        const request = { ...identity, topics: [{ name: 't', partitions: [index] }] }
        const [result] = await world.verifier.verifyOrAddPartitions(request, this.support)
        const errorCode = result.resultsByPartition[0].partitionErrorCode
        if (errorCode !== ErrorCode.NONE) return errorCode
        await world.sleep(world.happens(20) ? world.dice.below(2 * TIMEOUT_MS) : world.dice.below(5))
      }
      if (partition.leaderEpoch !== leaderEpoch) return ErrorCode.NOT_LEADER_OR_FOLLOWER
      await partition.write(batch, verification, this.isNewer ? 2 : 0)
      return ErrorCode.NONE
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      world.facts.refusals++
      return error.errorCode
    }
  }

  private async end(attempt: Attempt, committed: boolean): Promise<boolean> {
    const { world } = this
    attempt.end = 'unknown'
    const request = { ...this.identity, committed }
    const { error, response } = await this.ask(committed ? 'commit' : 'abort', () =>
      world.coordinator.endTxn(request, { version: this.isNewer ? 5 : 4 }),
    )
    if (error === 'NONE') {
      attempt.end = committed ? 'committed' : 'aborted'
      world.facts[attempt.end]++
      if (this.isNewer) this.take(response)
      return this.hasGap ? this.init() : true
    }
    // Aborted for it, or nothing was there to be ended: it begins anew under the id that it has.
    return error === 'INVALID_TXN_STATE' ? this.init() : false
  }
}

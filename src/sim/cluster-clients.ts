// Those who use a simulated cluster: our own producers, consumers and processors, each on a machine of its own, telling a ledger what they
// do and what they are told.

import { cooperativeStickyAssignor } from '../client/assignors/cooperative-sticky.ts'
import { rangeAssignor } from '../client/assignors/range.ts'
import { ClusterClient } from '../client/cluster-client.ts'
import { Consumer } from '../client/consumer.ts'
import { FencedError, TransactionAbortableError } from '../client/errors.ts'
import { GroupConsumer } from '../client/group-consumer.ts'
import { partitionKey, type TopicPartition } from '../client/metadata.ts'
import { process as processRecords } from '../client/process.ts'
import { Producer } from '../client/producer.ts'
import { delay } from '../host/clock.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { Attempt, Ledger, Sent } from './cluster-ledger.ts'
import type { ClientPlan } from './cluster-scenario.ts'
import type { ClientSurroundings, ClusterWorld } from './cluster-world.ts'
import type { Dice } from './simulation.ts'

/** A producer that hears nothing waits with this many records. */
const MOST_UNSETTLED = 100
const DELIVERY_TIMEOUT_MS = 15_000
const BLOCK_MS = 10_000
const RETRY_MS = 300
/** How often a reader looks for new partitions. */
const LOOK_MS = 2_000

/** One client of the scenario. */
export interface SimulatedClient {
  readonly plan: ClientPlan
  /** Resolves once nothing of it is under way any more. */
  readonly ended: Promise<void>
  /** Begins nothing new. */
  stop(): void
}

type PlanOf<K extends ClientPlan['kind']> = Extract<ClientPlan, { kind: K }>

/** What all of them have. */
abstract class Running<K extends ClientPlan['kind']> implements SimulatedClient {
  readonly plan: PlanOf<K>
  protected readonly world: ClusterWorld
  protected readonly ledger: Ledger
  protected readonly place: ClientSurroundings
  protected readonly client: ClusterClient
  protected readonly dice: Dice
  protected stopped = false
  readonly ended: Promise<void>

  constructor(world: ClusterWorld, ledger: Ledger, plan: PlanOf<K>) {
    this.world = world
    this.ledger = ledger
    this.plan = plan
    this.place = world.client(plan.name)
    this.dice = world.simulation.stream(`workload ${plan.name}`)
    this.client = this.newClient()
    // Once this is complete.
    this.ended = Promise.resolve().then(() => this.run())
    this.ended.catch((error) => world.fail('clients go on', `${plan.name}: ${(error as Error).stack}`))
  }

  stop(): void {
    this.stopped = true
  }

  protected abstract run(): Promise<void>

  protected newClient(): ClusterClient {
    return new ClusterClient({
      ...this.place,
      bootstrapServers: this.world.bootstrapServers,
      clientId: this.plan.name,
      requestTimeoutMs: 3_000,
      connectTimeoutMs: 1_000,
      apiTimeoutMs: BLOCK_MS,
      retryBackoffMs: 50,
      retryBackoffMaxMs: 500,
    })
  }

  protected sleep(ms: number): Promise<void> {
    return delay(this.place.clock, ms)
  }

  /** Something that a client may be told. */
  protected told(what: string, error: unknown): void {
    if (!(error instanceof Error)) throw error
    const name = error instanceof KafkaError ? error.code : error.name
    this.world.note(`${this.plan.name}: ${what}: ${name} ${error.message}`)
    this.world.tally.count(`clients told: ${name} (${what})`)
    if (/^(?:Type|Range|Reference|Assertion)?Error$/.test(name)) throw error
  }
}

export class RunningProducer extends Running<'producer'> {
  private number = 0
  private readonly unsettled = new Set<Promise<void>>()
  private producer!: Producer

  protected async run(): Promise<void> {
    const { acks, idempotence, pauseMs, burst } = this.plan
    const requestTimeoutMs = 3_000
    this.producer = new Producer(this.client, {
      acks,
      idempotence,
      lingerMs: this.dice.pick([0, 5]),
      requestTimeoutMs,
      deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
      maxBlockMs: BLOCK_MS,
      maxInFlightRequestsPerConnection: this.dice.pick([1, 5]),
    })
    while (!this.stopped) {
      for (let i = this.dice.between(1, burst); i > 0; i--) this.send(undefined)
      await this.sleep(this.dice.between(0, 2 * pauseMs))
      while (this.unsettled.size > MOST_UNSETTLED) await Promise.race(this.unsettled)
    }
    await Promise.all(this.unsettled)
  }

  /** One more, now that all is well. */
  async last(partition: number): Promise<Sent> {
    // The topic may have grown. What connection there was may be to a process that has ended.
    const { client } = this
    await client.retrying('looking for new partitions', client.apiTimeoutMs, () => client.metadata([this.plan.topic]))
    const sent = this.send(partition)
    await Promise.all(this.unsettled)
    return sent
  }

  private send(partition: number | undefined): Sent {
    const { name, topic, acks, idempotence } = this.plan
    const number = this.number++
    const value = `${name}:${number}`
    const sent: Sent = {
      value,
      producer: name,
      number,
      topic,
      acks,
      idempotent: idempotence,
      transaction: undefined,
      partition: -1,
      offset: -1n,
      outcome: 'open',
    }
    this.ledger.sent.set(value, sent)
    const sending = this.producer.send({ topic, value, partition }).then(
      (written) => {
        sent.outcome = 'acknowledged'
        sent.partition = written.partition
        sent.offset = written.offset
        this.world.tally.count(`records acknowledged (acks=${acks})`)
        this.world.note(`${value} acknowledged: ${partitionKey(topic, written.partition)} ${written.offset}`)
      },
      (error) => {
        sent.outcome = 'refused'
        this.told('send', error)
      },
    )
    const settled = sending.finally(() => this.unsettled.delete(settled))
    this.unsettled.add(settled)
    return sent
  }
}

export class RunningTransactions extends Running<'transactions'> {
  private number = 0
  private count = 0

  protected async run(): Promise<void> {
    while (!this.stopped) {
      const producer = this.newProducer()
      try {
        await producer.initTransactions()
        for (let left = this.dice.between(1, 30); left > 0 && !this.stopped; left--) {
          await this.transaction(producer)
          await this.sleep(this.dice.between(0, 2 * this.plan.pauseMs))
        }
      } catch (error) {
        this.told('transaction', error)
        await this.sleep(RETRY_MS)
      }
      // Some die in the midst of it.
      if (this.dice.chance(0.3)) await producer.close().catch((error) => this.told('close', error))
    }
  }

  private newProducer(): Producer {
    return new Producer(this.client, {
      transactionalId: this.plan.transactionalId,
      transactionTimeoutMs: 5_000,
      requestTimeoutMs: 3_000,
      deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
      maxBlockMs: BLOCK_MS,
      lingerMs: 0,
    })
  }

  /** Rejects where the producer is of no more use. */
  private async transaction(producer: Producer): Promise<void> {
    const { dice, plan } = this
    const attempt: Attempt = { name: `${plan.name}/${this.count++}`, sent: [], end: 'aborted' }
    this.ledger.attempts.push(attempt)
    await producer.begin()
    try {
      const sending = Array.from({ length: dice.between(1, plan.size) }, () => this.send(producer, attempt))
      if (dice.chance(0.1)) await this.sleep(dice.between(0, 7000))
      await Promise.all(sending)
      if (dice.chance(0.05)) throw new GivenUp()
      if (dice.chance(0.2)) {
        await producer.abort()
        return this.noteEnd(attempt)
      }
      attempt.end = 'asked'
      await producer.commit()
      attempt.end = 'committed'
      this.noteEnd(attempt)
    } catch (error) {
      // Never asked for: as aborted as if it had been.
      if (error instanceof TransactionAbortableError && attempt.end === 'asked') attempt.end = 'aborted'
      this.noteEnd(attempt)
      if (error instanceof GivenUp) throw error
      if (error instanceof FencedError) this.world.tally.count('producers fenced')
      if (attempt.end === 'asked' || error instanceof FencedError) throw error
      this.told('transaction', error)
      await producer.abort()
    }
  }

  private noteEnd(attempt: Attempt): void {
    this.world.tally.count(`transactions ${attempt.end === 'asked' ? 'of unknown end' : attempt.end}`)
    this.world.note(`${attempt.name} ${attempt.end}`)
  }

  private async send(producer: Producer, attempt: Attempt): Promise<void> {
    const { name, topic } = this.plan
    const number = this.number++
    const value = `${attempt.name}:${number}`
    const sent: Sent = {
      value,
      producer: name,
      number,
      topic,
      acks: 'all',
      idempotent: true,
      transaction: attempt,
      partition: -1,
      offset: -1n,
      outcome: 'open',
    }
    this.ledger.sent.set(value, sent)
    attempt.sent.push(sent)
    try {
      const written = await producer.send({ topic, value, key: `key ${this.dice.below(10)}` })
      Object.assign(sent, { outcome: 'acknowledged', partition: written.partition, offset: written.offset })
    } catch (error) {
      sent.outcome = 'refused'
      throw error
    }
  }
}

/** The application leaves without a word. */
class GivenUp extends Error {
  override readonly name = 'GivenUp'
}

export class RunningReader extends Running<'reader'> {
  private readonly positions = new Map<string, bigint>()

  /** Behind the last record that it was given, or had nothing to be given of. */
  position(partition: string): bigint {
    return this.positions.get(partition) ?? 0n
  }

  protected async run(): Promise<void> {
    const { topic, name, isolation } = this.plan
    const consumer = new Consumer(this.client, {
      isolationLevel: isolation,
      autoOffsetReset: 'earliest',
      fetchMaxWaitMs: 500,
      maxPartitionFetchBytes: this.dice.pick([300, 1_000_000]),
    })
    let lookedAtMs = Number.NEGATIVE_INFINITY
    while (!this.stopped) {
      try {
        if (this.place.clock.monotonicMs() - lookedAtMs > LOOK_MS) {
          const { partitions } = (await this.client.metadata([topic])).topics.find((found) => found.name === topic) ?? {
            partitions: [],
          }
          consumer.assign(
            partitions.flatMap((partition, index) => (partition === undefined ? [] : [{ topic, partition: index }])),
          )
          lookedAtMs = this.place.clock.monotonicMs()
        }
        if (consumer.assignment().length === 0) await this.sleep(RETRY_MS)
        else
          for (const { partition, offset, value } of await consumer.poll(500))
            this.ledger.read(name, partitionKey(topic, partition), { offset, value: String(value) })
        for (const partition of consumer.assignment()) {
          const position = consumer.position(partition)
          if (position !== undefined) this.positions.set(partitionKey(topic, partition.partition), position)
        }
      } catch (error) {
        this.told('poll', error)
        this.client.learnFrom(error)
        await this.sleep(RETRY_MS)
      }
    }
    await consumer.close()
  }
}

export class RunningMember extends Running<'member'> {
  protected async run(): Promise<void> {
    while (!this.stopped) {
      const { groupId, topic, assignor, lifeMs } = this.plan
      const consumer = new GroupConsumer(this.client, {
        groupId,
        sessionTimeoutMs: 3_000,
        heartbeatIntervalMs: 500,
        maxPollIntervalMs: 20_000,
        autoOffsetReset: 'earliest',
        enableAutoCommit: false,
        fetchMaxWaitMs: 300,
        assignors: assignor === 'range' ? [rangeAssignor] : [cooperativeStickyAssignor],
      })
      consumer.subscribe([topic], {
        onPartitionsRevoked: (partitions) => this.commit(consumer, partitions),
        onPartitionsLost: () => {},
      })
      const endsAtMs = this.place.clock.monotonicMs() + lifeMs
      while (!this.stopped && this.place.clock.monotonicMs() < endsAtMs) {
        try {
          for (const { partition, offset, value } of await consumer.poll(500))
            this.ledger.deliver(groupId, partitionKey(topic, partition), { offset, value: String(value) })
          if (this.dice.chance(0.5)) await this.commit(consumer, consumer.assignment())
        } catch (error) {
          this.told('poll of a member', error)
          await this.sleep(RETRY_MS)
        }
      }
      await consumer.close(5_000).catch((error) => this.told('close', error))
    }
  }

  private async commit(consumer: GroupConsumer, partitions: readonly TopicPartition[]): Promise<void> {
    const { groupId } = this.plan
    const offsets = partitions.flatMap((partition) => {
      const offset = consumer.position(partition)
      return offset === undefined ? [] : [{ ...partition, offset }]
    })
    if (offsets.length === 0) return
    const answers = offsets.map(({ topic, partition, offset }) =>
      this.ledger.commit(groupId, partitionKey(topic, partition), offset),
    )
    let acknowledged = false
    try {
      await consumer.commit(offsets, 5_000)
      acknowledged = true
    } catch (error) {
      this.told('commit of offsets', error)
    }
    for (const answer of answers) answer(acknowledged)
  }
}

export class RunningProcessor extends Running<'processor'> {
  private readonly abort = new AbortController()

  override stop(): void {
    super.stop()
    this.abort.abort()
  }

  protected async run(): Promise<void> {
    const { groupId, transactionalId, sink, topic } = this.plan
    while (!this.stopped) {
      try {
        await processRecords(this.client, {
          groupId,
          transactionalId,
          topics: [topic],
          transform: (records) => {
            this.world.tally.count('records processed', records.length)
            return records.map(({ value }) => ({ topic: sink, value }))
          },
          signal: this.abort.signal,
          consumer: { sessionTimeoutMs: 3_000, heartbeatIntervalMs: 500, maxPollRecords: 20, fetchMaxWaitMs: 300 },
          producer: {
            transactionTimeoutMs: 5_000,
            requestTimeoutMs: 3_000,
            deliveryTimeoutMs: DELIVERY_TIMEOUT_MS,
            maxBlockMs: BLOCK_MS,
            lingerMs: 0,
          },
        })
      } catch (error) {
        this.told('process', error)
        if (error instanceof FencedError) this.world.tally.count('producers fenced')
        if (!this.stopped) await this.sleep(RETRY_MS)
      }
    }
  }
}

export function startClient(world: ClusterWorld, ledger: Ledger, plan: ClientPlan): SimulatedClient {
  switch (plan.kind) {
    case 'producer':
      return new RunningProducer(world, ledger, plan)
    case 'transactions':
      return new RunningTransactions(world, ledger, plan)
    case 'reader':
      return new RunningReader(world, ledger, plan)
    case 'member':
      return new RunningMember(world, ledger, plan)
    case 'processor':
      return new RunningProcessor(world, ledger, plan)
  }
}

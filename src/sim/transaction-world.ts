// The world of one history of transactions: a coordinator over its partition of `__transaction_state`, which crashes and moves, the
// partitions that transactions write to, and what goes wrong between them. transaction-histories.ts says what for.

import type { CoordinatorLog, LogEntry, LogRecord, ReplayRecord } from '../coordinators/runtime/ports.ts'
import type { MarkerResult, TxnMarker } from '../coordinators/transaction/marker-sender.ts'
import { PartitionVerifier } from '../coordinators/transaction/partition-verifier.ts'
import { defaultTransactionConfig, type TransactionConfig } from '../coordinators/transaction/transaction-config.ts'
import { TransactionCoordinator } from '../coordinators/transaction/transaction-coordinator.ts'
import { transactionCodec } from '../coordinators/transaction/transaction-records.ts'
import { ErrorCode, type ErrorName, KafkaError } from '../protocol/error-codes.ts'
import { TransactionLogRecord } from '../protocol/internal-records/transaction-log.ts'
import { type Dice, SimClock, Simulation } from './simulation.ts'
import { SimulatedPartition } from './transaction-partition.ts'

export const IDS = ['a', 'b', 'c']
const PARTITIONS = 3
/** What producers ask for. */
export const TIMEOUT_MS = 5_000
const SWEPT_EVERY_MS = 1_000
const SLOWEST_MARKER_MS = 4_000
/** By then no marker of a dead coordinator is on its way any more: that could end what began after it was forgotten. */
const PRODUCERS_EXPIRE_MS = SLOWEST_MARKER_MS + 500
/** Of markers: with so many tries something must have come of it. */
const TOO_MANY_TRIES = 'could not be written 30 times'

/** How a transaction has ended as far as its producer knows. */
export type End = 'open' | 'committed' | 'aborted' | 'unknown'

export interface Attempt {
  /** Values that it was told are written. */
  readonly written: string[]
  end: End
}

export class World {
  readonly simulation: Simulation
  readonly clock: SimClock
  readonly dice: Dice
  readonly partitions: readonly SimulatedPartition[]
  /** By the name of the transaction. */
  readonly attempts = new Map<string, Attempt>()
  /** By transactional id, which turn its owner has: each producer that gets the id begins another. */
  readonly turns = new Map<string, number>()
  /** `__transaction_state`. */
  records: LogRecord[] = []
  coordinator: TransactionCoordinator
  /** Of the leaders of partitions. */
  readonly verifier: PartitionVerifier
  isCalm = false
  readonly facts = { committed: 0, aborted: 0, crashes: 0, leaderChanges: 0, refusals: 0 }
  readonly config: TransactionConfig
  /** After how long without a write partitions forget a producer. */
  private readonly producersExpireMs: number
  private epoch = 0
  private inFlight: readonly LogEntry[] | null = null
  private producerIds = 1n
  private readonly trace: string[] | undefined
  private failure: unknown

  constructor(seed: number, trace: string[] | undefined) {
    this.trace = trace
    this.simulation = new Simulation(seed)
    this.clock = new SimClock(this.simulation)
    this.dice = this.simulation.stream('world')
    const happens = (outOf: number) => this.happens(outOf)
    const partitionDice = this.simulation.stream('partitions')
    this.partitions = Array.from(
      { length: PARTITIONS },
      (_, index) => new SimulatedPartition(index, this.clock, partitionDice, happens),
    )
    this.config = {
      ...defaultTransactionConfig,
      abortTimedOutIntervalMs: SWEPT_EVERY_MS,
      removeExpiredIntervalMs: SWEPT_EVERY_MS,
      // Some coordinators forget ids that are idle for a moment.
      idExpirationMs: this.dice.below(5) === 0 ? 1_500 : defaultTransactionConfig.idExpirationMs,
      transactionVersion: this.dice.below(3) === 0 ? 0 : 2,
    }
    this.producersExpireMs = this.dice.below(3) === 0 ? PRODUCERS_EXPIRE_MS : Number.POSITIVE_INFINITY
    // Some ids come to the end of their epochs on the way.
    for (const transactionalId of IDS)
      if (this.dice.below(2) === 0) this.records.push(wornOut(transactionalId, this.producerIds++, 32_755 + this.dice.below(12)))
    this.coordinator = this.appoint()
    this.verifier = new PartitionVerifier({
      ask: (request, verifyOnly) => this.coordinator.askForPartitions(request, verifyOnly),
      clock: this.clock,
      config: this.config,
    })
  }

  /** One time out of so many, and never once it is calm. */
  happens(outOf: number): boolean {
    return !this.isCalm && this.dice.below(outOf) === 0
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.timer(ms, resolve))
  }

  note(line: () => string): void {
    this.trace?.push(`${(this.simulation.nowUs / 1000).toFixed(1).padStart(9)}  ${line()}`)
  }

  /** What somebody in the background has found wrong: the history ends with the first of it. */
  fail(error: unknown): void {
    this.failure ??= error
  }

  rethrow(): void {
    if (this.failure !== undefined) throw this.failure
  }

  get forgetsProducers(): boolean {
    return Number.isFinite(this.producersExpireMs)
  }

  async start(): Promise<void> {
    await this.simulation.settle(this.coordinator.loadPartition(0, this.epoch))
  }

  // ── what goes wrong ───────────────────────────────────────────────────────────────────────────────────────────────

  /** The coordinator dies, and another takes over what is stored. */
  async crash(): Promise<void> {
    this.facts.crashes++
    this.coordinator.close()
    const kept = this.inFlight !== null && this.dice.below(2) === 0
    this.note(
      () => `the coordinator dies${this.inFlight === null ? '' : kept ? ', its last write is kept' : ', its last write is lost'}`,
    )
    if (this.inFlight !== null && kept) this.store(this.inFlight)
    this.inFlight = null
    if (this.dice.below(3) === 0) this.compact()
    this.coordinator = this.appoint()
    await this.coordinator.loadPartition(0, this.epoch)
  }

  changeLeader(): void {
    this.facts.leaderChanges++
    const partition = this.dice.pick(this.partitions)
    partition.changeLeader()
    this.note(() => `another leader: ${partition}`)
  }

  expireProducers(): void {
    for (const { producers, verifications } of this.partitions) {
      producers.expire(this.clock.wallMs(), this.producersExpireMs)
      verifications.expire(this.clock.wallMs(), this.producersExpireMs)
    }
  }

  /** Of each id the last record stays. */
  private compact(): void {
    const last = new Map(this.records.map((record) => [record.key.toString('latin1'), record]))
    this.records = this.records.filter((record) => last.get(record.key.toString('latin1')) === record)
  }

  // ── the coordinator and its ports ─────────────────────────────────────────────────────────────────────────────────

  private appoint(): TransactionCoordinator {
    this.epoch++
    const { epoch } = this
    return new TransactionCoordinator({
      config: this.config,
      partitionCount: () => 1,
      logFor: () => this.openLog(epoch),
      nextProducerId: async () => {
        await this.sleep(this.dice.below(20))
        return this.producerIds++
      },
      writeMarkers: (marker) => this.writeMarkers(marker),
      clock: this.clock,
      report: (line, cause) => {
        if (cause !== undefined && !(cause instanceof KafkaError)) this.fail(cause)
        if (line.includes(TOO_MANY_TRIES)) this.fail(new Error(line))
      },
    })
  }

  /** Of one coordinator: once there is another, nothing of it is stored. */
  private openLog(epoch: number): CoordinatorLog {
    return {
      append: async (entries) => {
        this.inFlight = entries
        await this.sleep(this.happens(20) ? this.dice.below(3_000) : this.dice.below(5))
        if (epoch !== this.epoch) throw new KafkaError('NOT_LEADER_OR_FOLLOWER')
        this.inFlight = null
        const fails = this.happens(40)
        if (!fails || this.dice.below(2) === 0) this.store(entries)
        if (fails) throw new KafkaError('REQUEST_TIMED_OUT')
      },
      load: async (replay: ReplayRecord) => {
        await this.sleep(this.dice.below(50))
        for (const { key, value } of this.records) replay(key, value, 0n, 0n, undefined)
      },
    }
  }

  private store(entries: readonly LogEntry[]): void {
    for (const entry of entries) {
      if (!('key' in entry)) continue
      this.records.push(entry)
      this.note(() => `stored: ${describeRecord(entry)}`)
    }
  }

  private async writeMarkers(marker: TxnMarker): Promise<readonly MarkerResult[]> {
    const [[topic, partitions]] = marker.partitions
    return Promise.all(
      Array.from(partitions, async (partition) => {
        await this.sleep(this.happens(10) ? this.dice.below(SLOWEST_MARKER_MS) : this.dice.below(10))
        const answer = (name: ErrorName) => ({ topic, partition, errorCode: ErrorCode[name] })
        if (this.happens(8)) return answer('NOT_LEADER_OR_FOLLOWER')
        const errorCode = await this.partitions[partition].end(marker)
        this.note(() => {
          const what = marker.committed ? 'commit' : 'abort'
          return `marker of coordinator ${marker.coordinatorEpoch} for ${marker.producerId}/${marker.producerEpoch} in ${partition}: ${what}: ${errorCode}`
        })
        await this.sleep(this.dice.below(10))
        return this.happens(8) ? answer('REQUEST_TIMED_OUT') : { topic, partition, errorCode }
      }),
    )
  }
}

/** As the log of a long life has left it. */
function wornOut(transactionalId: string, producerId: bigint, producerEpoch: number): LogRecord {
  const key = TransactionLogRecord.encodeKey({ transactionalId })
  const value = TransactionLogRecord.encodeValue({
    producerId,
    producerEpoch,
    transactionTimeoutMs: TIMEOUT_MS,
    transactionStatus: 0,
    transactionPartitions: null,
    transactionLastUpdateTimestampMs: 1_750_000_000_000n,
    transactionStartTimestampMs: -1n,
  })
  return { key, value }
}

function describeRecord({ key, value }: LogRecord): string {
  const { transactionalId, transaction } = transactionCodec.decode(key, value)!
  if (transaction === null) return `${transactionalId} is forgotten`
  const { producerId, producerEpoch, state, partitions } = transaction
  return `${transactionalId} of ${producerId}/${producerEpoch} is ${state}, partitions ${[...(partitions.get('t') ?? [])].join(' ')}`
}

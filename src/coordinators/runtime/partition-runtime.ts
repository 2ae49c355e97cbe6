// Runs a state machine over one partition of an internal topic. Records are applied when they are written, answers are held until
// they are committed, so nobody ever hears of a state that could still be lost. When an append fails, the machine has seen what the
// log may not have: it is thrown away and loaded anew, as after a change of coordinator.

import { type ErrorName, KafkaError } from '../../protocol/error-codes.ts'
import type { Outcome, Ticket } from './outcome.ts'
import type {
  CoordinatorClock,
  CoordinatorLog,
  LogEntry,
  LogRecord,
  Producer,
  ReplayRecord,
  Report,
  TransactionMarker,
} from './ports.ts'
import { Timers } from './timers.ts'

export interface StateMachine<Rec, Timer extends object> {
  /** The only place where persisted state changes, but for the ends of transactions. `producer`: whose transaction it is part of. */
  replay(record: Rec, producer?: Producer): void
  /** Left out where nothing is ever written in transactions. */
  replayMarker?(marker: TransactionMarker): void
  /** All of the log has been replayed: what members there are must show up from now on. */
  loaded(now: number): Outcome<void, Rec, Timer>
  wake(timer: Timer, now: number): Outcome<void, Rec, Timer>
}

export interface RecordCodec<Rec> {
  encode(record: Rec): LogRecord
  /** Undefined for a kind that is not known. Throws DecodeError. */
  decode(key: Buffer, value: Buffer | null): Rec | undefined
}

export interface RuntimeOptions<Machine, Rec> {
  readonly name: string
  readonly create: () => Machine
  readonly codec: RecordCodec<Rec>
  /** Called for each load: the partition may have been elsewhere meanwhile. */
  readonly openLog: () => CoordinatorLog
  readonly clock: CoordinatorClock
  readonly report: Report
  /** Called whenever the partition has begun to be served: after each load, those that a failed append has called for included. */
  readonly onLoaded?: () => void
}

/** One append grows to about this much before the next one is begun: a leader's batch stays of the size that replicas fetch well. */
const BATCH_BYTES = 512 * 1024
/** A marker is a batch by itself. */
const MARKER_BYTES = 78
/**
 * A log that failed, and could not be read right after, or has failed again since, is tried again so often: long enough to keep its
 * complaints readable, and to leave the process to others while there are too few replicas to write to.
 */
const RELOAD_BACKOFF_MS = 1_000
/** So many failures in a row, with nothing written in between, are one bad moment: loading at once is what serves clients best. */
const RELOADS_AT_ONCE = 5

interface Waiter {
  resolve(response: unknown): void
  reject(error: Error): void
}

interface HeldAnswer {
  readonly waiter: Waiter
  readonly response: unknown
}

/** What one append takes along. */
interface Batch {
  readonly entries: LogEntry[]
  readonly answers: HeldAnswer[]
  bytes: number
}

/** One life of the machine, from a load to the next failure. Late callbacks of a former life find that it is not the present one. */
interface Life<Machine, Timer extends object> {
  readonly machine: Machine
  readonly log: CoordinatorLog
  readonly timers: Timers<Timer>
  /** Requests that are answered by a later step. */
  readonly parked: Set<Waiter>
  /** Appended in order, one at a time: the first is under way if `appending`. */
  readonly batches: Batch[]
  appending: boolean
}

/** Clients begin to notice. */
const SLOW_LOAD_MS = 1_000
const STEP_FAILED = 'a step failed'

type State = 'unloaded' | 'loading' | 'active' | 'failed'

export class PartitionRuntime<Machine extends StateMachine<Rec, Timer>, Rec, Timer extends object> {
  private readonly options: RuntimeOptions<Machine, Rec>
  private state: State = 'unloaded'
  private life: Life<Machine, Timer> | null = null
  /** Counts loads, so that one that was overtaken gives up. */
  private loads = 0
  /** Of whichever life. The next one reads the log only after it is over, or it could miss what comes behind its back. */
  private appending: Promise<void> | null = null
  private reloadTimer: { cancel(): void } | null = null
  /** Lives in a row that could write nothing. */
  private fruitless = 0

  constructor(options: RuntimeOptions<Machine, Rec>) {
    this.options = options
  }

  /** Replays the log, then serves. Rejects if the log could not be read; the partition then refuses requests until the next try. */
  async load(): Promise<void> {
    const load = ++this.loads
    this.end(new KafkaError('NOT_COORDINATOR'))
    this.state = 'loading'
    const { create, clock, name, report } = this.options
    const startedMs = clock.monotonicMs()
    try {
      await this.appending
      const log = this.options.openLog()
      const machine = create()
      const records = await this.replay(log, machine)
      if (load !== this.loads) return
      this.begin(log, machine)
      const tookMs = Math.round(clock.monotonicMs() - startedMs)
      if (tookMs >= SLOW_LOAD_MS) report(`${name} took ${tookMs} ms to load ${records} records`)
    } catch (error) {
      if (load === this.loads) this.state = 'failed'
      report(`${name} could not be loaded`, error)
      throw error
    }
  }

  /** Another broker takes over, or this one stops. Whoever waits is told to look elsewhere. */
  unload(error: ErrorName = 'NOT_COORDINATOR'): void {
    this.loads++
    this.state = 'unloaded'
    this.end(new KafkaError(error))
  }

  /**
   * One step: a write, a read, or a request that is answered by a later step. Resolves when everything that the machine wrote up to
   * then is committed. Rejects with a KafkaError while the partition is not served, or when what was written could not be.
   */
  run<Response>(
    step: (machine: Machine, ticket: Ticket<Response>, now: number) => Outcome<Response, Rec, Timer>,
  ): Promise<Response> {
    const life = this.life
    if (life === null) return Promise.reject(this.refusal())
    return new Promise<Response>((resolve, reject) => {
      const waiter: Waiter = { resolve: resolve as Waiter['resolve'], reject }
      try {
        const outcome = step(life.machine, waiter as Ticket<Response>, this.options.clock.wallMs())
        life.parked.add(waiter)
        this.apply(life, outcome)
        if (outcome.response !== undefined) this.settle(life, waiter, outcome.response)
      } catch (error) {
        reject(error)
        this.lose(life, STEP_FAILED, error)
      }
    })
  }

  /** A step that only touches what is never stored, answered at once: a slow append must not hold up heartbeats. */
  touch<Response>(step: (machine: Machine) => Outcome<Response, Rec, Timer>): Response {
    const life = this.life
    if (life === null) throw this.refusal()
    try {
      const outcome = step(life.machine)
      this.apply(life, outcome)
      return outcome.response!
    } catch (error) {
      this.lose(life, STEP_FAILED, error)
      throw error
    }
  }

  private async replay(log: CoordinatorLog, machine: Machine): Promise<number> {
    const { codec, name, report } = this.options
    const strangers = new Set<number>()
    let records = 0
    const replay: ReplayRecord = (key, value, _offset, _timestamp, producer) => {
      records++
      const record = codec.decode(key, value)
      if (record !== undefined) return machine.replay(record, producer)
      const kind = key.readInt16BE(0)
      if (!strangers.has(kind)) report(`${name} holds records of kind ${kind}, which this version does not know: skipped`)
      strangers.add(kind)
    }
    await log.load(replay, (marker) => machine.replayMarker?.(marker))
    return records
  }

  private begin(log: CoordinatorLog, machine: Machine): void {
    const { clock } = this.options
    const timers = new Timers<Timer>(clock, (timer) => {
      if (this.life !== life) return
      try {
        this.apply(life, machine.wake(timer, clock.wallMs()))
      } catch (error) {
        this.lose(life, STEP_FAILED, error)
      }
    })
    const life: Life<Machine, Timer> = { machine, log, timers, parked: new Set(), batches: [], appending: false }
    this.life = life
    this.state = 'active'
    try {
      this.apply(life, machine.loaded(clock.wallMs()))
      this.options.onLoaded?.()
    } catch (error) {
      this.end(new KafkaError('NOT_COORDINATOR'))
      throw error
    }
  }

  private refusal(): KafkaError {
    return new KafkaError(this.state === 'loading' ? 'COORDINATOR_LOAD_IN_PROGRESS' : 'NOT_COORDINATOR')
  }

  private apply(life: Life<Machine, Timer>, outcome: Outcome<unknown, Rec, Timer>): void {
    for (const line of outcome.notes) this.options.report(line)
    for (const { timer, delayMs } of outcome.timers) {
      if (delayMs === null) life.timers.cancel(timer)
      else life.timers.set(timer, delayMs)
    }
    if (outcome.records.length > 0 || outcome.marker !== undefined) this.write(life, outcome)
    for (const { ticket, response } of outcome.answers) this.settle(life, ticket as unknown as Waiter, response)
  }

  private write(life: Life<Machine, Timer>, { records, producer, marker }: Outcome<unknown, Rec, Timer>): void {
    // All of them first: one that cannot be encoded must leave nothing behind.
    const encoded = records.map(this.options.codec.encode)
    let batch = life.batches.at(-1)
    if (batch === undefined || batch.bytes >= BATCH_BYTES || (life.appending && life.batches.length === 1)) {
      batch = { entries: [], answers: [], bytes: 0 }
      life.batches.push(batch)
      // What other requests of the same turn write goes along.
      if (life.batches.length === 1) queueMicrotask(() => this.append(life))
    }
    for (const record of encoded) {
      batch.entries.push(producer === undefined ? record : { ...record, producer })
      batch.bytes += record.key.length + (record.value?.length ?? 0)
    }
    for (const record of records) life.machine.replay(record, producer)
    if (marker === undefined) return
    batch.entries.push({ marker })
    batch.bytes += MARKER_BYTES
    life.machine.replayMarker?.(marker)
  }

  /** An answer may tell of anything written before it, by whomever: it waits for the last batch there is. */
  private settle(life: Life<Machine, Timer>, waiter: Waiter, response: unknown): void {
    if (!life.parked.delete(waiter)) return
    const batch = life.batches.at(-1)
    if (batch === undefined) waiter.resolve(response)
    else batch.answers.push({ waiter, response })
  }

  private async append(life: Life<Machine, Timer>): Promise<void> {
    const batch = life.batches[0]
    if (this.life !== life || life.appending || batch === undefined) return
    life.appending = true
    try {
      const appended = life.log.append(batch.entries)
      this.appending = appended.catch(() => {})
      await appended
    } catch (error) {
      this.lose(life, 'it could not be written', error)
      return
    }
    if (this.life !== life) return
    this.fruitless = 0
    life.appending = false
    life.batches.shift()
    for (const { waiter, response } of batch.answers) waiter.resolve(response)
    this.append(life)
  }

  /** The machine is ahead of the log, or has failed half-way, and those who wait could wait for ever: start over from what the log has. */
  private lose(life: Life<Machine, Timer>, why: string, cause: unknown): void {
    if (this.life !== life) return
    const { name, clock, report } = this.options
    report(`${name} is loaded anew: ${why}`, cause)
    this.end(answerFor(cause))
    if (this.fruitless++ < RELOADS_AT_ONCE) return this.reload()
    // What is written as soon as it is loaded would fail at once, and that without end.
    this.state = 'loading'
    this.reloadTimer = clock.timer(RELOAD_BACKOFF_MS, () => this.reload())
  }

  private reload(): void {
    this.load().catch(() => {
      if (this.state === 'failed') this.reloadTimer = this.options.clock.timer(RELOAD_BACKOFF_MS, () => this.reload())
    })
  }

  private end(error: KafkaError): void {
    this.reloadTimer?.cancel()
    this.reloadTimer = null
    const life = this.life
    if (life === null) return
    this.life = null
    life.timers.clear()
    for (const batch of life.batches) for (const { waiter } of batch.answers) waiter.reject(error)
    for (const waiter of life.parked) waiter.reject(error)
  }
}

/** What a client is told whose change may or may not have been stored: try again, here or elsewhere. */
function answerFor(cause: unknown): KafkaError {
  const code = cause instanceof KafkaError ? cause.code : undefined
  const elsewhere = code === 'NOT_LEADER_OR_FOLLOWER' || code === 'KAFKA_STORAGE_ERROR' || code === 'NOT_COORDINATOR'
  return new KafkaError(elsewhere ? 'NOT_COORDINATOR' : 'COORDINATOR_NOT_AVAILABLE', 'the change could not be stored', { cause })
}

// One machine of a simulated cluster: its disk and clock outlive the broker's process, which starts, stops, pauses, and dies in the ways
// in which processes do.

import { Broker, type BrokerView } from '../broker/broker.ts'
import type { ReplicationEvent } from '../cluster/replication/replication-event.ts'
import type { Change, Lease, MetadataStore } from '../cluster/store/metadata-store.ts'
import { loadStaticConfig } from '../config/static-config.ts'
import { type Clock, delay } from '../host/clock.ts'
import type { LogFields, Logger } from '../host/logger.ts'
import { SimDisk } from './disk.ts'
import type { SimEtcd, SimEtcdHandle } from './etcd.ts'
import type { SimHost, SimNetwork } from './network.ts'
import { type Dice, type Pass, SimClock, type Simulation } from './simulation.ts'

export const BROKER_PORT = 9092
export const LOG_DIRECTORIES = ['/d0/data', '/d1/data']
/** Between two attempts to start, where the first one came to nothing. */
const RESTART_MS = 500

/** What the machines of a cluster share. */
export interface Surroundings {
  readonly simulation: Simulation
  readonly network: SimNetwork
  readonly etcd: SimEtcd
  readonly settings: Readonly<Record<string, string>>
  readonly log: (broker: number, level: 'info' | 'warn' | 'error', line: string) => void
  readonly replicated: (broker: number, event: ReplicationEvent) => void
  /** A broker has failed in a way that none may. */
  readonly fail: (error: unknown) => void
}

/** Shut while a process is paused: what happens meanwhile it notices afterwards, one after the other. */
class Gate {
  private readonly simulation: Simulation
  private held: (() => void)[] | undefined
  private paused = false
  ended = false

  constructor(simulation: Simulation) {
    this.simulation = simulation
  }

  readonly pass: Pass = (run) => {
    if (this.ended) return
    if (this.held === undefined) run()
    else this.held.push(run)
  }

  pause(): void {
    this.paused = true
    this.held ??= []
  }

  resume(): void {
    if (!this.paused) return
    this.paused = false
    this.next()
  }

  private next(): void {
    this.simulation.after(1, () => {
      if (this.paused || this.ended) return
      const run = this.held?.shift()
      if (run === undefined) {
        this.held = undefined
        return
      }
      run()
      this.next()
    })
  }
}

/** From a start to the end of the process. */
interface Life {
  readonly number: number
  readonly gate: Gate
  readonly host: SimHost
  readonly store: SimEtcdHandle
  view: BrokerView | undefined
  broker: Broker | undefined
}

export class ClusterNode {
  readonly id: number
  disk: SimDisk
  private clock: SimClock
  private readonly surroundings: Surroundings
  private life: Life | undefined
  private lives = 0
  /** It is meant to run. */
  private wanted = false

  constructor(id: number, surroundings: Surroundings) {
    this.id = id
    this.surroundings = surroundings
    this.disk = SimDisk.create(surroundings.simulation, undefined, `disk-${id}`)
    this.clock = new SimClock(surroundings.simulation)
  }

  get host(): string {
    return hostOf(this.id)
  }

  /** There is a process. */
  get isRunning(): boolean {
    return this.life !== undefined
  }

  /** It has taken its place in the cluster. */
  get isServing(): boolean {
    return this.life?.broker !== undefined
  }

  /** Undefined where there is nothing to look at. */
  get view(): BrokerView | undefined {
    return this.life?.view
  }

  /** Of the processes of this broker, counted from 1. */
  get lifeNumber(): number {
    return this.lives
  }

  get store(): SimEtcdHandle | undefined {
    return this.life?.store
  }

  /** Until it runs, or is ended again. */
  start(): void {
    this.wanted = true
    if (this.life !== undefined) return
    const { simulation, network, etcd } = this.surroundings
    const gate = new Gate(simulation)
    const host = network.host(this.host)
    host.pass = gate.pass
    this.clock.pass = gate.pass
    this.disk.pass = gate.pass
    const store = etcd.handle(this.host, this.clock)
    const life: Life = { number: ++this.lives, gate, host, store, view: undefined, broker: undefined }
    this.life = life
    this.open(life).then(
      (broker) => {
        if (this.life === life) life.broker = broker
      },
      (error) => this.startFailed(life, error as Error),
    )
  }

  private open(life: Life): Promise<Broker> {
    const { simulation, settings, log, replicated } = this.surroundings
    const given = { ...settings, 'node.id': String(this.id), listeners: `PLAINTEXT://${this.host}:${BROKER_PORT}` }
    const entries = Object.entries(given).map(([key, value]) => ({ key, value, origin: 'config' }))
    const say = (level: 'info' | 'warn' | 'error') => (message: string, _fields?: LogFields) => {
      if (this.life === life) log(this.id, level, message)
    }
    const logger: Logger = { info: say('info'), warn: say('warn'), error: say('error') }
    return Broker.start({
      config: loadStaticConfig({ settings: entries }).config,
      directories: LOG_DIRECTORIES,
      disk: this.disk,
      network: life.host,
      clock: this.clock,
      random: simulation.stream(`broker-${this.id}`),
      logger,
      cluster: { store: throughGate(life.store, life.gate, this.clock, simulation.stream(`watch-${this.id}`)) },
      observer: {
        opened: (view) => {
          life.view = view
        },
        replicated: (event) => {
          if (this.life === life) replicated(this.id, event)
        },
      },
    })
  }

  private startFailed(life: Life, error: Error): void {
    if (this.life !== life) return
    this.surroundings.log(this.id, 'error', `cannot start: ${error.message}`)
    if (
      error.name !== 'StartError' &&
      error.name !== 'KafkaError' &&
      error.name !== 'StoreError' &&
      error.name !== 'OutcomeUnknown'
    )
      return this.surroundings.fail(error)
    this.end(life, 'kill')
    this.surroundings.simulation.after(RESTART_MS * 1000, () => {
      if (this.wanted) this.start()
    })
  }

  /** The process ends, and perhaps the power with it. */
  kill(how: 'kill' | 'power cut'): void {
    this.wanted = false
    if (this.life !== undefined) this.end(this.life, how)
  }

  /** In order. Resolves when the process is gone. */
  async stop(): Promise<void> {
    const { life } = this
    this.wanted = false
    if (life?.broker === undefined) return this.kill('kill')
    await life.broker.close()
    if (this.life === life) this.end(life, 'kill')
    // It may have been wanted again meanwhile.
    if (this.wanted) this.start()
  }

  private end(life: Life, how: 'kill' | 'power cut'): void {
    life.gate.ended = true
    life.host.kill()
    void life.store.close()
    this.disk = how === 'kill' ? this.disk.kill() : this.disk.crash()
    this.clock = this.clock.restart()
    this.life = undefined
  }

  pause(): void {
    this.life?.gate.pause()
  }

  resume(): void {
    this.life?.gate.resume()
  }

  jumpClock(ms: number): void {
    this.clock.jump(ms)
  }
}

export function hostOf(id: number): string {
  return `broker-${id}`
}

/** What the store answers comes through the gate, and what it tells of itself comes late. */
function throughGate(store: SimEtcdHandle, gate: Gate, clock: Clock, dice: Dice): MetadataStore {
  const gated = <T>(work: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) =>
      work.then(
        (result) => gate.pass(() => resolve(result)),
        (error) => gate.pass(() => reject(error)),
      ),
    )
  return {
    limits: store.limits,
    load: (prefix) => gated(store.load(prefix)),
    commit: (guards, ops, onFail) => gated(store.commit(guards, ops, onFail)),
    revokeLease: (id) => gated(store.revokeLease(id)),
    identity: () => gated(store.identity()),
    close: () => gated(store.close()),
    async grantLease(ttlMs) {
      const lease = await gated(store.grantLease(ttlMs))
      const throughIt: Lease = {
        id: lease.id,
        lost: gated(lease.lost),
        get confirmedMs() {
          return lease.confirmedMs
        },
        revoke: () => gated(lease.revoke()),
      }
      return throughIt
    },
    watch(prefix, after) {
      const watch = store.watch(prefix, after)[Symbol.asyncIterator]()
      const late: AsyncIterableIterator<Change> = {
        [Symbol.asyncIterator]: () => late,
        async next() {
          const change = await watch.next()
          await delay(clock, dice.between(50, 3000) / 1000)
          return change
        },
        async return() {
          await watch.return?.()
          return { done: true, value: undefined }
        },
      }
      return late
    },
  }
}

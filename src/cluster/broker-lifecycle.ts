// One broker's place in its cluster: takes a lease and with it an epoch, waits until the controller knows it, reports to the
// controller, takes another lease where one is lost, and leaves in order. While the store cannot be reached it changes nothing: the
// broker serves on with what it knows.

import type { Clock, Timer } from '../host/clock.ts'
import { type Random, uuid } from '../host/random.ts'
import { ErrorCode, KafkaError } from '../protocol/error-codes.ts'
import type { BrokerHeartbeatRequest, BrokerHeartbeatResponseInput } from '../protocol/messages/63-broker-heartbeat.ts'
import type { Candidacy } from './controller/controller-role.ts'
import type { ImagePublisher } from './image-publisher.ts'
import type { MemberState } from './member-state.ts'
import type { MetadataImage } from './metadata-image.ts'
import { type AliveRecord, type BrokerEndpoint, encodeRecord, keys } from './metadata-records.ts'
import { type Lease, type MetadataStore, OutcomeUnknown, type Revision, StoreError } from './store/metadata-store.ts'

/** Pause after a store or a controller that does not answer. */
const RETRY_MS = 250
/** How soon a broker reports while it stops, or another one does. */
const STOPPING_BEAT_MS = 20
/** How much longer than asked for a lease may live in the store. */
const LEASE_SLACK_MS = 3_000

export interface LifecycleOptions {
  readonly store: MetadataStore
  readonly publisher: ImagePublisher
  readonly prefix: string
  readonly clock: Clock
  readonly random: Random
  readonly memory: MemberState
  readonly node: {
    readonly id: number
    readonly rack: string | null
    readonly machine: string | null
    readonly logDirs: readonly string[]
    /** The epoch that the marks of a clean shutdown carry, all of them the same; null where there is none. */
    readonly previousEpoch: number | null
  }
  /** broker.session.timeout.ms, broker.heartbeat.interval.ms, initial.broker.registration.timeout.ms */
  readonly times: { readonly sessionMs: number; readonly heartbeatMs: number; readonly registrationMs: number }
  /** Up to which revision this broker has done what the metadata asks of it. */
  readonly applied: () => Revision
  readonly sendHeartbeat: (request: BrokerHeartbeatRequest) => Promise<BrokerHeartbeatResponseInput>
  /** The broker may stand for controller with this lease; undefined: it has none. */
  readonly onCandidacy: (candidacy: Candidacy | undefined) => void
  readonly report: (line: string) => void
}

interface Held {
  readonly lease: Lease
  readonly created: Revision
  readonly epoch: number
}

export class BrokerLifecycle {
  private readonly options: LifecycleOptions
  /** Of this process. */
  private readonly incarnation: string
  private endpoints: readonly BrokerEndpoint[] = []
  private previousEpoch: number | null
  private held: Held | undefined
  private lastEpoch = -1
  private beating: Timer | undefined
  private beatUnderWay = false
  /** Replicas are as the image wants them: there is something to report. */
  private serving = false
  private stopping = false
  /** What the controller has said to the wish to stop. */
  private mayStop = false
  private closed = false
  /** What was told last. */
  private inDoubt = false
  private unfollow: () => void = () => {}
  private taking: Promise<void> | undefined
  private readonly waiters = new Set<() => void>()

  constructor(options: LifecycleOptions) {
    this.options = options
    this.incarnation = uuid(options.random)
    this.previousEpoch = options.node.previousEpoch
  }

  /** Of the lease that is held, or was last; -1 before the first. */
  get brokerEpoch(): number {
    return this.lastEpoch
  }

  /** The store has not confirmed the lease for as long as it lasts: others may take this broker for dead. */
  get leaseInDoubt(): boolean {
    const { clock, times } = this.options
    return this.held !== undefined && clock.monotonicMs() - this.held.lease.confirmedMs > times.sessionMs
  }

  /**
   * Resolves when the image says that the cluster knows this process: from there on, and not before, what the image asks of this broker is
   * meant for it.
   * @throws {KafkaError} DUPLICATE_BROKER_REGISTRATION where another process has the id, REQUEST_TIMED_OUT
   */
  async register(endpoints: readonly BrokerEndpoint[]): Promise<void> {
    const { clock, times, publisher } = this.options
    const deadlineMs = clock.monotonicMs() + times.registrationMs
    this.endpoints = endpoints
    await this.takeLease(deadlineMs)
    this.unfollow = publisher.onChange((image) => this.follow(image))
    this.follow(publisher.image)
    await this.untilKnown(() => this.isRegistered(), deadlineMs)
  }

  /** The replicas are there: resolves when this broker may lead. @throws {KafkaError} REQUEST_TIMED_OUT */
  async serve(): Promise<void> {
    const { clock, times, publisher, node } = this.options
    this.serving = true
    this.beatSoon(0)
    const mayLead = () => this.isRegistered() && publisher.image.broker(node.id)?.fenced === false
    await this.untilKnown(mayLead, clock.monotonicMs() + times.registrationMs)
  }

  private isRegistered(): boolean {
    const { publisher, node } = this.options
    return this.held !== undefined && publisher.image.broker(node.id)?.epoch === this.held.epoch
  }

  private async untilKnown(condition: () => boolean, deadlineMs: number): Promise<void> {
    const { clock, times, node } = this.options
    while (!condition()) {
      const leftMs = deadlineMs - clock.monotonicMs()
      if (this.closed || leftMs <= 0) {
        const problem = `no controller has registered broker ${node.id} within ${times.registrationMs} ms`
        throw new KafkaError('REQUEST_TIMED_OUT', problem)
      }
      await this.something(leftMs)
    }
  }

  /** Asks to stop, until the controller agrees. False: it did not within `timeoutMs`, and what this broker leads is led by nobody for a while. */
  async stop(timeoutMs: number): Promise<boolean> {
    const { clock } = this.options
    const deadlineMs = clock.monotonicMs() + timeoutMs
    this.stopping = true
    this.beatSoon(0)
    while (!this.mayStop && !this.closed && this.held !== undefined) {
      const leftMs = deadlineMs - clock.monotonicMs()
      if (leftMs <= 0) return false
      await this.something(Math.min(leftMs, RETRY_MS))
    }
    return this.mayStop
  }

  /** `revoke`: others hear at once that this broker is gone. */
  async close(revoke: boolean): Promise<void> {
    if (this.closed) return
    this.closed = true
    this.unfollow()
    this.beating?.cancel()
    this.wake()
    await this.taking?.catch(() => {})
    const { held } = this
    this.held = undefined
    if (!revoke || held === undefined) return
    await held.lease.revoke().catch(() => {})
    await this.options.memory.setLease(null).catch(() => {})
  }

  /** A lease, and the key that says so. Grants leases until one of them has it. */
  private async takeLease(deadlineMs: number): Promise<void> {
    const { store, clock, times, memory, prefix, node, report } = this.options
    const key = prefix + keys.alive(node.id)
    const dead = memory.lease
    let lease: Lease | undefined
    let toldOfRival = false
    while (!this.closed) {
      try {
        lease ??= await this.grant()
        const record: AliveRecord = {
          incarnation: this.incarnation,
          previousEpoch: this.previousEpoch,
          endpoints: this.endpoints,
          rack: node.rack,
          machine: node.machine,
          logDirs: node.logDirs,
        }
        const result = await store.commit(
          [{ key, created: 0 }],
          [{ put: key, value: encodeRecord(record), lease: lease.id }],
          [key],
        )
        if (result.ok) return this.hold(lease, result.revision)
        const [rival] = result.seen
        // Ours after all: the answer to an earlier attempt was lost.
        if (rival?.lease === lease.id) return this.hold(lease, rival.created)
        if (rival?.lease != null && rival.lease === dead) {
          // The process before this one, which held the directory that is ours now.
          await store.revokeLease(dead)
          continue
        }
        if (rival !== undefined && !toldOfRival) {
          report(`broker ${node.id} is running elsewhere, or its last lease has not run out: waiting for it`)
          toldOfRival = true
          deadlineMs = Math.min(deadlineMs, clock.monotonicMs() + times.sessionMs + LEASE_SLACK_MS + times.heartbeatMs)
        }
        if (clock.monotonicMs() > deadlineMs) {
          await lease.revoke().catch(() => {})
          throw new KafkaError('DUPLICATE_BROKER_REGISTRATION', `another broker with the id ${node.id} is running`)
        }
      } catch (error) {
        if (error instanceof StoreError && error.reason === 'invalid') lease = undefined
        else if (!(error instanceof OutcomeUnknown) && !(error instanceof StoreError && error.reason === 'unavailable'))
          throw error
        if (clock.monotonicMs() > deadlineMs) throw error
      }
      await this.something(RETRY_MS)
    }
    await lease?.revoke().catch(() => {})
  }

  private async grant(): Promise<Lease> {
    const { store, times, memory } = this.options
    const lease = await store.grantLease(times.sessionMs)
    await memory.setLease(lease.id)
    return lease
  }

  private hold(lease: Lease, created: Revision): void {
    const { publisher, onCandidacy } = this.options
    const epoch = (publisher.image.cluster?.epochBase ?? 0) + created
    this.held = { lease, created, epoch }
    this.lastEpoch = epoch
    // Only the first lease follows a shutdown.
    this.previousEpoch = null
    lease.lost.then(() => {
      if (this.held?.lease === lease) this.lost()
    })
    onCandidacy({ lease: lease.id, brokerEpoch: epoch })
    this.beatSoon(0)
  }

  private lost(): void {
    const { node, report, onCandidacy } = this.options
    this.held = undefined
    onCandidacy(undefined)
    if (this.closed) return
    report(`broker ${node.id} has lost its lease: taking another`)
    this.taking ??= this.takeLease(Number.POSITIVE_INFINITY)
      .catch((error) => report(`broker ${node.id} has no lease, and cannot get one: ${(error as Error).message}`))
      .finally(() => {
        this.taking = undefined
      })
  }

  private follow(image: MetadataImage): void {
    const { held } = this
    const { node } = this.options
    // Some stores confirm leases that they have ended: the key knows better. A later one of ours is told by its own commit.
    if (held !== undefined && image.revision >= held.created && image.alive(node.id)?.created !== held.created) {
      void held.lease.revoke().catch(() => {})
      this.lost()
    }
    const broker = image.broker(node.id)
    if (held !== undefined && broker?.epoch === held.epoch && broker.fenced) this.beatSoon(0)
    // Somebody waits for all others to know that it leads no more.
    else if (image.brokers().some((other) => other.inControlledShutdown && !other.fenced)) this.beatSoon(STOPPING_BEAT_MS)
    this.wake()
  }

  private beatSoon(delayMs: number): void {
    if (this.closed || !this.serving) return
    this.beating?.cancel()
    this.beating = this.options.clock.timer(delayMs, () => void this.beat())
  }

  private async beat(): Promise<void> {
    const { node, publisher, applied, memory, times, sendHeartbeat } = this.options
    const { held } = this
    if (this.beatUnderWay || this.closed) return
    this.beatUnderWay = true
    this.tellOfDoubt()
    let failed = false
    try {
      // Before its own registration is in the image, this broker does not know what it is to do.
      if (held !== undefined && this.isRegistered() && applied() >= held.created) {
        const { errorCode, shouldShutDown } = await sendHeartbeat({
          brokerId: node.id,
          brokerEpoch: BigInt(held.epoch),
          currentMetadataOffset: BigInt(applied()),
          wantFence: false,
          wantShutDown: this.stopping,
          offlineLogDirs: [],
          cordonedLogDirs: null,
        })
        if (errorCode === ErrorCode.NONE && shouldShutDown === true && this.stopping) this.mayStop = true
        if (errorCode !== ErrorCode.NONE || applied() < publisher.image.revision) failed = true
      } else failed = true
      await memory.setRevision(publisher.image.revision)
    } catch {
      // No controller for now, or none that we reach: this broker is what it was.
      failed = true
    }
    this.beatUnderWay = false
    const again = this.stopping ? STOPPING_BEAT_MS : times.heartbeatMs
    this.beatSoon(failed ? RETRY_MS : again)
    this.wake()
  }

  private tellOfDoubt(): void {
    const { report, times } = this.options
    if (this.leaseInDoubt === this.inDoubt) return
    this.inDoubt = this.leaseInDoubt
    if (this.inDoubt) report(`the metadata store has not answered for ${times.sessionMs} ms: serving on with what is known`)
    else report('the metadata store answers again')
  }

  private wake(): void {
    for (const wake of [...this.waiters]) wake()
  }

  /** Until something has changed, or the time is up. */
  private something(timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel()
        this.waiters.delete(done)
        resolve()
      }
      const timer = this.options.clock.timer(timeoutMs, done)
      this.waiters.add(done)
    })
  }
}

// What a controller does of itself: registers brokers that have taken a lease, fences those that have lost it, moves their partitions,
// and gives leadership back. Nothing of it is remembered: the work is what the metadata says is not as it should be, so that the next
// controller goes on wherever this one is stopped.

import { type Clock, delay, every, type Timer } from '../../host/clock.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type { BrokerHeartbeatRequest, BrokerHeartbeatResponseInput } from '../../protocol/messages/63-broker-heartbeat.ts'
import type { ImagePublisher } from '../image-publisher.ts'
import type { MetadataImage } from '../metadata-image.ts'
import type { Revision } from '../store/metadata-store.ts'
import { BrokerIndex } from './broker-index.ts'
import {
  beginControlledShutdown,
  electLeaderless,
  evacuateBroker,
  fenceBroker,
  isUnreliable,
  registered,
  unfenceBroker,
} from './broker-state.ts'
import { settleMinIsr } from './cluster-defaults.ts'
import type { Controller } from './controller.ts'
import type { Decision, DecisionContext } from './decision.ts'
import { deleteUnfinishedTopics } from './delete-topics.ts'
import { balanceLeaders } from './elect-leaders.ts'
import { registerBroker } from './register-broker.ts'

/** Pause after work that failed for another reason than the loss of the office. */
const RETRY_MS = 500
/** The work is looked for at each change of the metadata. Should one ever be missed, so often besides. */
const CHECK_MS = 10_000

export interface ControllerDutiesOptions {
  readonly controller: Controller
  readonly publisher: ImagePublisher
  readonly clock: Clock
  /** For decisions on this image. */
  readonly context: (image: MetadataImage) => DecisionContext
  /** A line for whoever runs the cluster. */
  readonly report: (line: string) => void
  /** Most brokers cannot reach this controller: the office is to be another's. */
  readonly onUnheard: () => void
}

/** So often within a session it is looked who is silent. */
const LISTENS_PER_SESSION = 6

/** What brokers have told this controller; a new one asks anew. */
interface Heartbeat {
  readonly atMs: number
  readonly epoch: number
  readonly appliedRevision: Revision
}

export class ControllerDuties {
  readonly index: BrokerIndex
  private readonly options: ControllerDutiesOptions
  private readonly heartbeats = new Map<number, Heartbeat>()
  /** When a stopping broker was seen to lead nothing any more. */
  private readonly movedAt = new Map<number, Revision>()
  private readonly timers: Timer[] = []
  /** Whoever has a lease had the chance to be heard from then on. */
  private listeningSinceMs: number
  private listenedAtMs: number
  private readonly unfollow: () => void
  private pending = true
  /** Somebody may lead who could not before. */
  private electable = true
  private working: Promise<void> | undefined
  private stopped = false

  constructor(options: ControllerDutiesOptions) {
    const { publisher, clock, context } = options
    this.options = options
    this.index = new BrokerIndex(publisher.image)
    this.unfollow = publisher.onChange((_image, delta) => {
      this.index.apply(delta)
      if (delta.changedBrokers.length + delta.changedConfigs.length > 0) this.electable = true
      this.look()
    })
    const { config } = context(publisher.image)
    const sessionMs = config.get('broker.session.timeout.ms')
    this.listeningSinceMs = clock.monotonicMs()
    this.listenedAtMs = this.listeningSinceMs
    this.timers.push(every(clock, sessionMs / LISTENS_PER_SESSION, () => this.listen(sessionMs)))
    this.timers.push(every(clock, CHECK_MS, () => this.look()))
    this.timers.push(every(clock, Number(config.get('leader.imbalance.check.interval.seconds')) * 1000, () => this.balance()))
  }

  /** What was left undone by whoever had the office before comes first. */
  start(): void {
    const first = [
      this.submit((image) => deleteUnfinishedTopics(image)),
      this.submit((image, { config }) => settleMinIsr(image, config)),
    ]
    Promise.all(first).catch((error) => this.failed(error))
    this.look()
  }

  stop(): void {
    this.stopped = true
    this.unfollow()
    for (const timer of this.timers) timer.cancel()
  }

  /** Until all is done that was to do when it was asked. */
  async idle(): Promise<void> {
    await this.working
  }

  /** A broker says how far it is and what it wants (KIP-631). */
  async heartbeat(request: BrokerHeartbeatRequest): Promise<BrokerHeartbeatResponseInput> {
    const { publisher } = this.options
    const id = request.brokerId
    const epoch = Number(request.brokerEpoch)
    try {
      const broker = registered(publisher.image, id, epoch)
      const atMs = this.options.clock.monotonicMs()
      this.heartbeats.set(id, { atMs, epoch, appliedRevision: Number(request.currentMetadataOffset) })
      if (request.wantShutDown) {
        if (!broker.inControlledShutdown) await this.submit((image) => beginControlledShutdown(image, { id, epoch }))
      } else if (request.wantFence) {
        if (!broker.fenced) await this.submit((image) => fenceBroker(image, id))
      } else if (broker.fenced) {
        await this.submit((image) => unfenceBroker(image, { id, epoch }))
      }
      const { fenced } = publisher.image.broker(id) ?? { fenced: true }
      const shouldShutDown = request.wantShutDown && this.mayStop(id)
      return { errorCode: ErrorCode.NONE, isCaughtUp: true, isFenced: fenced, shouldShutDown }
    } catch (error) {
      if (error instanceof KafkaError) return { errorCode: error.errorCode, shouldShutDown: false }
      throw error
    }
  }

  /** It leads nothing, is in no ISR, and everybody who sends clients to leaders knows. */
  private mayStop(id: number): boolean {
    const { image } = this.options.publisher
    if (this.index.leadsAny(id) || this.index.isInAnyIsr(id)) {
      this.movedAt.delete(id)
      this.look()
      return false
    }
    const movedAt = this.movedAt.get(id) ?? this.index.revision
    this.movedAt.set(id, movedAt)
    return image.activeBrokers().every((other) => {
      const heard = this.heartbeats.get(other.id)
      return other.id === id || !image.mayLead(other.id) || (heard?.epoch === other.epoch && heard.appliedRevision >= movedAt)
    })
  }

  private submit<R>(decide: (image: MetadataImage, context: DecisionContext) => Decision<R>, first = false): Promise<R> {
    const { controller, context } = this.options
    return controller.submit((image) => decide(image, context(image)), first)
  }

  private look(): void {
    this.pending = true
    if (this.stopped) return
    this.working ??= this.work().finally(() => {
      this.working = undefined
      if (this.pending && !this.stopped) this.look()
    })
  }

  private async work(): Promise<void> {
    while (this.pending && !this.stopped) {
      this.pending = false
      try {
        await this.fenceTheLost()
        await this.registerTheNew()
        await this.evacuateTheUnreliable()
        if (this.electable) {
          this.electable = false
          await this.inChunks((image, context) => electLeaderless(image, this.index, context))
        }
      } catch (error) {
        this.electable = true
        if (this.failed(error as Error)) await delay(this.options.clock, RETRY_MS)
        this.pending = true
      }
    }
  }

  private async fenceTheLost(): Promise<void> {
    const { publisher, report } = this.options
    const lost = publisher.image.brokers().filter(({ id, fenced }) => !fenced && publisher.image.alive(id) === undefined)
    for (const { id } of lost) report(`broker ${id} has lost its lease: fencing it`)
    await Promise.all(lost.map(({ id }) => this.submit((image) => fenceBroker(image, id))))
  }

  /**
   * A broker may hold its lease and yet reach no other: what it leads nobody can follow. Silent for a session, it is fenced as if the lease
   * were gone, and its next heartbeat brings it back. A controller that hears no majority is itself the one that is cut off.
   */
  private listen(sessionMs: number): void {
    const { publisher, clock, context, report, onUnheard } = this.options
    const { image } = publisher
    const nowMs = clock.monotonicMs()
    // This process slept, and so did all who knocked.
    if (nowMs - this.listenedAtMs > sessionMs / 2) this.listeningSinceMs = nowMs
    this.listenedAtMs = nowMs
    const sinceMs = nowMs - sessionMs
    if (this.stopped || this.listeningSinceMs > sinceMs) return
    const { brokerId } = context(image)
    const serving = image.brokers().filter(({ id, fenced, epoch }) => !fenced && image.aliveEpoch(id) === epoch)
    const silent = serving.filter(({ id, epoch }) => {
      const heard = this.heartbeats.get(id)
      return id !== brokerId && (heard?.epoch !== epoch || heard.atMs < sinceMs)
    })
    if (silent.length === 0) return
    if (2 * (serving.length - silent.length) <= serving.length) return onUnheard()
    for (const { id } of silent) report(`broker ${id} has its lease, but has not been heard for ${sessionMs} ms: fencing it`)
    Promise.all(silent.map(({ id }) => this.submit((image) => fenceBroker(image, id)))).catch((error) => this.failed(error))
  }

  private async registerTheNew(): Promise<void> {
    const { publisher } = this.options
    const isNew = (id: number) => publisher.image.broker(id)?.epoch !== publisher.image.aliveEpoch(id)
    for (const { id } of publisher.image.aliveBrokers()) {
      if (!isNew(id)) continue
      // First in its commit: only then the index is sure to know of every ISR that the broker is in.
      await this.inChunks((image, context) => {
        return registerBroker(image, { id, index: this.index, published: image === publisher.image }, context)
      }, true)
    }
  }

  private async evacuateTheUnreliable(): Promise<void> {
    for (const broker of this.options.publisher.image.brokers()) {
      const { id } = broker
      if (!isUnreliable(broker) || !(this.index.leadsAny(id) || this.index.isInAnyIsr(id))) continue
      await this.inChunks((image, context) => evacuateBroker(image, { id, index: this.index }, context))
    }
  }

  private balance(): void {
    const { publisher, context } = this.options
    if (!context(publisher.image).config.get('auto.leader.rebalance.enable')) return
    this.inChunks((image, context) => balanceLeaders(image, undefined, context)).catch((error) => this.failed(error))
  }

  /** Other commands are let in between. */
  private async inChunks(
    decide: (image: MetadataImage, context: DecisionContext) => Decision<boolean>,
    first = false,
  ): Promise<void> {
    while (!this.stopped && !(await this.submit(decide, first)));
  }

  /** Whether it makes sense to go on. */
  private failed(error: Error): boolean {
    if (this.stopped || (error instanceof KafkaError && error.code === 'NOT_CONTROLLER')) {
      this.stopped = true
      return false
    }
    this.options.report(`the controller could not do its work, and tries again: ${error.message}`)
    return true
  }
}

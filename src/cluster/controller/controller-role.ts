// The office of the controller, as one broker sees it: stands for it whenever it is vacant, works while it has it, and gives it up
// when another has won. Who has it the store alone decides; a lease only says when to try.

import type { Clock, Timer } from '../../host/clock.ts'
import type { Random } from '../../host/random.ts'
import type { ImagePublisher } from '../image-publisher.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { encodeRecord, keys } from '../metadata-records.ts'
import type { Guard, LeaseId, MetadataStore } from '../store/metadata-store.ts'
import { Controller, decodeEpoch, encodeSequence } from './controller.ts'
import { ControllerDuties } from './controller-duties.ts'
import type { DecisionContext } from './decision.ts'

/** So that not all brokers stand at once: one wins, the others would have asked in vain. */
const SPREAD_MS = 50
/** Where the store did not answer, or knows more than we do. */
const RETRY_MS = 500
const CLOSE_MS = 5_000

export interface ControllerRoleOptions {
  readonly store: MetadataStore
  readonly publisher: ImagePublisher
  readonly prefix: string
  readonly clock: Clock
  readonly random: Random
  readonly brokerId: number
  readonly context: (image: MetadataImage) => DecisionContext
  readonly report: (line: string) => void
}

/** As whom a broker stands: with its lease, so that the office ends with the broker. */
export interface Candidacy {
  readonly lease: LeaseId
  readonly brokerEpoch: number
}

interface Office {
  readonly controller: Controller
  readonly duties: ControllerDuties
}

export class ControllerRole {
  private readonly options: ControllerRoleOptions
  private candidacy: Candidacy | undefined
  private office: Office | undefined
  private standing = false
  private retry: Timer | undefined
  /** After it was resigned the office is left to others. */
  private notBeforeMs = Number.NEGATIVE_INFINITY
  private readonly unfollow: () => void

  constructor(options: ControllerRoleOptions) {
    this.options = options
    this.unfollow = options.publisher.onChange((image) => this.follow(image))
  }

  /** Undefined while another broker is the controller, or none. */
  get current(): Office | undefined {
    return this.office
  }

  /** From now on the office is stood for. */
  stand(candidacy: Candidacy): void {
    this.candidacy = candidacy
    this.follow(this.options.publisher.image)
  }

  /** The lease is lost, and the office with it. */
  withdraw(): void {
    this.candidacy = undefined
    this.leave()
  }

  /** Brings to its end what was begun, if that does not take too long: the store may be out of reach. */
  async close(): Promise<void> {
    this.candidacy = undefined
    this.unfollow()
    this.retry?.cancel()
    const office = this.office
    this.office = undefined
    office?.duties.stop()
    if (office === undefined) return
    await new Promise<void>((resolve) => {
      const timer = this.options.clock.timer(CLOSE_MS, resolve)
      void office.controller.close().then(() => {
        timer.cancel()
        resolve()
      })
    })
  }

  private follow(image: MetadataImage): void {
    const { candidacy, office } = this
    const elected = image.controller
    if (office !== undefined && decodeEpoch(image.controllerSequence) > office.controller.epoch) this.leave()
    if (candidacy === undefined || this.office !== undefined || this.standing) return
    const isOurs = elected?.brokerId === this.options.brokerId && elected.brokerEpoch === candidacy.brokerEpoch
    const { clock, random } = this.options
    const restMs = Math.max(0, this.notBeforeMs - clock.monotonicMs())
    if (elected === null || isOurs) this.tryAgainIn(restMs + (random.u32() % SPREAD_MS))
  }

  private tryAgainIn(delayMs: number): void {
    this.retry?.cancel()
    this.retry = this.options.clock.timer(delayMs, () => {
      if (this.candidacy === undefined || this.office !== undefined || this.standing) return
      this.standing = true
      this.campaign(this.candidacy)
        .catch((error) => this.options.report(`could not stand for controller: ${(error as Error).message}`))
        .finally(() => {
          this.standing = false
          if (this.office === undefined) this.wait()
        })
    })
  }

  private async campaign(candidacy: Candidacy): Promise<void> {
    const { store, publisher, prefix, brokerId } = this.options
    const { image } = publisher
    const known = image.controller
    // Ours, where we have won before without hearing of it, or have given up: then it is taken anew, in a new epoch.
    const isOurs = known?.brokerId === brokerId && known.brokerEpoch === candidacy.brokerEpoch
    if (known !== null && !isOurs) return
    const before = image.controllerSequence
    const epoch = before === '' ? 1 : decodeEpoch(before) + 1
    const sequence = prefix + keys.controllerSequence
    const guards: Guard[] = [
      { key: prefix + keys.controller, created: known?.created ?? 0 },
      before === '' ? { key: sequence, created: 0 } : { key: sequence, value: Buffer.from(before) },
    ]
    const ops = [
      {
        put: prefix + keys.controller,
        value: encodeRecord({ brokerId, brokerEpoch: candidacy.brokerEpoch }),
        lease: candidacy.lease,
      },
      { put: sequence, value: encodeSequence(epoch, 0) },
    ]
    const result = await store.commit(guards, ops, [])
    if (!result.ok) return
    // From here on nothing of an older controller can be applied, and the image at this revision has all that was.
    await publisher.reached(result.revision)
    if (this.candidacy === candidacy) this.enter(epoch, known?.created ?? result.revision)
  }

  /** Until the image changes, or for a while. */
  private wait(): void {
    this.retry?.cancel()
    if (this.candidacy === undefined) return
    this.retry = this.options.clock.timer(RETRY_MS, () => this.follow(this.options.publisher.image))
  }

  private enter(epoch: number, controllerCreated: number): void {
    const { store, publisher, prefix, clock, context, report } = this.options
    // Somebody may have been faster while we waited for the image.
    if (decodeEpoch(publisher.image.controllerSequence) > epoch) return
    const term = { epoch, controllerCreated }
    const onDeposed = () => {
      this.leave()
      this.wait()
    }
    const onUnheard = () => void this.resign(controllerCreated)
    const controller = new Controller({ store, publisher, prefix, term, clock, onDeposed })
    const duties = new ControllerDuties({ controller, publisher, clock, context, report, onUnheard })
    this.office = { controller, duties }
    report(`this broker is the controller, in epoch ${epoch}`)
    duties.start()
  }

  /** Makes room for another, and stands again only when everybody has had the time to. */
  private async resign(controllerCreated: number): Promise<void> {
    const { store, publisher, prefix, clock, context, report } = this.options
    const sessionMs = context(publisher.image).config.get('broker.session.timeout.ms')
    report(`most brokers have not been heard for ${sessionMs} ms: leaving the office of the controller to another`)
    this.notBeforeMs = clock.monotonicMs() + sessionMs
    this.leave()
    const key = prefix + keys.controller
    await store.commit([{ key, created: controllerCreated }], [{ delete: key }], []).catch((error) => {
      report(`could not leave the office, and stands for it again: ${(error as Error).message}`)
      this.notBeforeMs = Number.NEGATIVE_INFINITY
    })
    this.wait()
  }

  private leave(): void {
    const { office } = this
    if (office === undefined) return
    this.office = undefined
    office.duties.stop()
    void office.controller.close()
    this.options.report('this broker is no longer the controller')
  }
}

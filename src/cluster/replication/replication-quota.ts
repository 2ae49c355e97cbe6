// How fast replicas that move are copied (leader.replication.throttled.rate, follower.replication.throttled.rate): a bucket of bytes that
// fills at that rate. A batch is never divided, so it may be overdrawn; then nothing more is copied until it is full again.

import type { Clock } from '../../host/clock.ts'

/** The bucket holds what flows into it in this time: a burst may be that large. */
const BURST_MS = 1000

export interface QuotaOptions {
  readonly clock: Clock
  /** Bytes a second, by the latest configuration. */
  readonly rate: () => number
  /** Whether a replica is throttled at all, by the latest configuration. */
  readonly covers: (topic: string, index: number) => boolean
}

export class ReplicationQuota {
  private readonly options: QuotaOptions
  private bytes = 0
  private countedMs: number

  constructor(options: QuotaOptions) {
    this.options = options
    this.countedMs = options.clock.monotonicMs()
  }

  /** Most brokers move nothing: then nobody needs to be asked about replicas. */
  get isSet(): boolean {
    return this.options.rate() < Number.MAX_SAFE_INTEGER
  }

  covers(topic: string, index: number): boolean {
    return this.isSet && this.options.covers(topic, index)
  }

  /** Until more may be copied, in milliseconds; 0: now. */
  get waitMs(): number {
    this.fill()
    return this.bytes > 0 ? 0 : Math.ceil(((1 - this.bytes) * 1000) / Math.max(1, this.options.rate()))
  }

  /** Has been copied. */
  take(bytes: number): void {
    this.fill()
    this.bytes -= bytes
  }

  private fill(): void {
    const { clock, rate } = this.options
    const nowMs = clock.monotonicMs()
    const most = (rate() * BURST_MS) / 1000
    this.bytes = Math.min(most, this.bytes + ((nowMs - this.countedMs) * rate()) / 1000)
    this.countedMs = nowMs
  }
}

/** What a topic says of throttled replicas: `partition:broker`, `*` for all. */
export function isThrottled(replicas: readonly string[], index: number, brokerId: number): boolean {
  return replicas.some((replica) => replica === '*' || replica === `${index}:${brokerId}`)
}

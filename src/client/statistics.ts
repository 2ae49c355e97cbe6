// What clients tell about themselves: counts and rates over the last seconds, and latencies as a histogram of fixed size.

import type { Clock } from '../host/clock.ts'

/** The window of rates, in slots of a second. */
const SLOTS = 10
/** Bounds of the histogram grow by a quarter each: what it says is off by an eighth at most. From 0.1 ms to about an hour. */
const GROWTH = 1.25
const FIRST_MS = 0.1
const BUCKETS = 80

export interface RateSnapshot {
  readonly total: number
  /** Over the last ten seconds, or since the start if that is less. */
  readonly perSecond: number
}

export class Rate {
  private readonly clock: Clock
  private readonly startMs: number
  private readonly slots = new Float64Array(SLOTS)
  private slot = 0
  private total = 0

  constructor(clock: Clock) {
    this.clock = clock
    this.startMs = clock.monotonicMs()
  }

  add(count: number): void {
    this.total += count
    this.slots[this.turn() % SLOTS] += count
  }

  snapshot(): RateSnapshot {
    const now = this.turn()
    const seconds = Math.min(SLOTS, Math.max(1, now + 1))
    return { total: this.total, perSecond: this.slots.reduce((sum, count) => sum + count, 0) / seconds }
  }

  private turn(): number {
    const now = Math.trunc((this.clock.monotonicMs() - this.startMs) / 1000)
    for (let passed = Math.min(now - this.slot, SLOTS); passed > 0; passed--) this.slots[(now - passed + 1) % SLOTS] = 0
    this.slot = now
    return now
  }
}

/** In milliseconds; all zero while nothing was measured. */
export interface LatencySnapshot {
  readonly count: number
  readonly mean: number
  readonly p50: number
  readonly p99: number
  readonly max: number
}

export class Latency {
  private readonly buckets = new Float64Array(BUCKETS)
  private count = 0
  private sum = 0
  private max = 0

  add(ms: number, count = 1): void {
    this.count += count
    this.sum += ms * count
    if (ms > this.max) this.max = ms
    const bucket = ms <= FIRST_MS ? 0 : Math.ceil(Math.log(ms / FIRST_MS) / Math.log(GROWTH))
    this.buckets[Math.min(BUCKETS - 1, bucket)] += count
  }

  snapshot(): LatencySnapshot {
    const { count, sum, max } = this
    return { count, mean: count === 0 ? 0 : sum / count, p50: this.quantile(0.5), p99: this.quantile(0.99), max }
  }

  private quantile(q: number): number {
    let left = this.count * q
    if (left === 0) return 0
    for (let i = 0; i < BUCKETS; i++) {
      left -= this.buckets[i]
      if (left <= 0) return Math.min(this.max, FIRST_MS * GROWTH ** i)
    }
    return this.max
  }
}

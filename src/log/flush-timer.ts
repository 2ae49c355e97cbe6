// Syncs that are due within some time (flush.ms, `flush.policy=interval`): one timer for all logs of a broker, none while idle.

import type { Clock, Timer } from '../host/clock.ts'

interface Flushable {
  readonly writtenOffset: bigint
  flushTo(offset: bigint): void
}

export class FlushTimer {
  private readonly clock: Clock
  private readonly due = new Map<Flushable, number>()
  private timer: Timer | undefined
  private timerAtMs = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** A sync of `log` begins within `withinMs`, counted from the first call since the last sync. */
  flushWithin(log: Flushable, withinMs: number): void {
    if (this.due.has(log)) return
    const atMs = this.clock.monotonicMs() + withinMs
    this.due.set(log, atMs)
    if (this.timer === undefined || atMs < this.timerAtMs) this.arm(atMs)
  }

  stop(): void {
    this.timer?.cancel()
    this.timer = undefined
    this.due.clear()
  }

  private arm(atMs: number): void {
    this.timer?.cancel()
    this.timerAtMs = atMs
    this.timer = this.clock.timer(Math.max(0, atMs - this.clock.monotonicMs()), () => this.run())
  }

  private run(): void {
    this.timer = undefined
    const now = this.clock.monotonicMs()
    let next = Number.POSITIVE_INFINITY
    for (const [log, atMs] of this.due) {
      if (atMs <= now) {
        this.due.delete(log)
        log.flushTo(log.writtenOffset)
      } else next = Math.min(next, atMs)
    }
    if (next < Number.POSITIVE_INFINITY) this.arm(next)
  }
}

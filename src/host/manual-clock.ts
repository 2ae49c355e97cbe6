// A clock that stands still until a test moves it.

import type { Clock, Timer } from './clock.ts'

interface Alarm {
  readonly atMs: number
  readonly run: () => void
}

export class ManualClock implements Clock {
  private nowMs: number
  private readonly startMs: number
  private readonly alarms = new Set<Alarm>()

  constructor(startMs = 1_750_000_000_000) {
    this.nowMs = startMs
    this.startMs = startMs
  }

  /** Timers that wait. */
  get pending(): number {
    return this.alarms.size
  }

  wallMs(): number {
    return this.nowMs
  }

  monotonicMs(): number {
    return this.nowMs - this.startMs
  }

  timer(delayMs: number, run: () => void): Timer {
    const alarm = { atMs: this.nowMs + delayMs, run }
    this.alarms.add(alarm)
    return { cancel: () => void this.alarms.delete(alarm) }
  }

  soon(run: () => void): void {
    queueMicrotask(run)
  }

  /** Moves on, and runs what falls due on the way, in the order of its time. */
  advance(ms: number): void {
    const end = this.nowMs + ms
    for (;;) {
      let next: Alarm | undefined
      for (const alarm of this.alarms) if (alarm.atMs <= end && (next === undefined || alarm.atMs < next.atMs)) next = alarm
      if (next === undefined) break
      this.alarms.delete(next)
      this.nowMs = Math.max(this.nowMs, next.atMs)
      next.run()
    }
    this.nowMs = end
  }
}

// The timers of one partition, known by the identity of the object they will wake. Nearly all of them are sessions that are put off
// again and again and never end: putting one off only moves its deadline, the clock is asked anew when it fires too early.

import type { CoordinatorClock } from './ports.ts'

/** So late a timer fires only if this process was frozen: what members sent meanwhile lies unread in its sockets. */
const STALL_MS = 1_000
/** Enough to read it. */
const GRACE_MS = 1_000

interface Entry {
  deadline: number
  /** Nobody is judged for a silence that was ours; but only once, or a slow machine would never give anybody up. */
  hadGrace: boolean
  /** When the clock will call; never after the deadline. */
  armedFor: number
  handle: { cancel(): void }
}

export class Timers<Timer extends object> {
  private readonly clock: CoordinatorClock
  private readonly fire: (timer: Timer) => void
  private readonly entries = new Map<Timer, Entry>()

  constructor(clock: CoordinatorClock, fire: (timer: Timer) => void) {
    this.clock = clock
    this.fire = fire
  }

  get size(): number {
    return this.entries.size
  }

  set(timer: Timer, delayMs: number): void {
    const now = this.clock.monotonicMs()
    const deadline = now + delayMs
    const entry = this.entries.get(timer)
    if (entry === undefined) {
      this.entries.set(timer, { deadline, hadGrace: false, armedFor: deadline, handle: this.arm(timer, delayMs) })
      return
    }
    entry.deadline = deadline
    entry.hadGrace = false
    if (entry.armedFor <= deadline) return
    entry.handle.cancel()
    entry.armedFor = deadline
    entry.handle = this.arm(timer, delayMs)
  }

  cancel(timer: Timer): void {
    this.entries.get(timer)?.handle.cancel()
    this.entries.delete(timer)
  }

  clear(): void {
    for (const entry of this.entries.values()) entry.handle.cancel()
    this.entries.clear()
  }

  private arm(timer: Timer, delayMs: number): { cancel(): void } {
    return this.clock.timer(delayMs, () => {
      const entry = this.entries.get(timer)
      if (entry === undefined) return
      const now = this.clock.monotonicMs()
      if (now - entry.armedFor > STALL_MS && entry.deadline < now + GRACE_MS && !entry.hadGrace) {
        entry.hadGrace = true
        entry.deadline = now + GRACE_MS
      }
      const left = entry.deadline - now
      if (left > 0) {
        entry.armedFor = entry.deadline
        entry.handle = this.arm(timer, left)
        return
      }
      this.entries.delete(timer)
      this.fire(timer)
    })
  }
}

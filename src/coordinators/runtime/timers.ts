// The timers of one partition, known by the identity of the object they will wake. Nearly all of them are sessions that are put off
// again and again and never end: putting one off only moves its deadline, the clock is asked anew when it fires too early.

import type { CoordinatorClock } from './ports.ts'

interface Entry {
  deadline: number
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
      this.entries.set(timer, { deadline, armedFor: deadline, handle: this.arm(timer, delayMs) })
      return
    }
    entry.deadline = deadline
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
      const left = entry.deadline - this.clock.monotonicMs()
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

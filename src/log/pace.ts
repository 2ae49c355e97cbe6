// Work in the background that may move only so many bytes per second, so that it leaves the disk to those who wait for it.

import type { Clock, Timer } from '../host/clock.ts'

export class Pace {
  private readonly clock: Clock
  /** Read anew for each step: it may change while the work goes on. */
  private readonly bytesPerSecond: () => number
  /** Monotonic time from which on the next bytes may be moved. */
  private readyMs = 0
  private stopped = false
  private wake: () => void = () => {}

  constructor(clock: Clock, bytesPerSecond: () => number) {
    this.clock = clock
    this.bytesPerSecond = bytesPerSecond
  }

  /** Resolves when the next bytes may be moved; undefined where that is now. */
  ready(): Promise<void> | undefined {
    const ms = this.readyMs - this.clock.monotonicMs()
    // A timer is no finer: what is less adds up.
    if (ms < 1 || this.stopped) return undefined
    return new Promise((resolve) => {
      const timer: Timer = this.clock.timer(ms, resolve)
      this.wake = () => {
        timer.cancel()
        resolve()
      }
    })
  }

  /** So many have been moved. */
  spend(bytes: number): void {
    this.readyMs = Math.max(this.readyMs, this.clock.monotonicMs()) + (bytes / this.bytesPerSecond()) * 1000
  }

  /** Nobody waits any more. */
  stop(): void {
    this.stopped = true
    this.wake()
  }
}

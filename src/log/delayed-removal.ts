// Files that have been renamed out of the way, and are removed some time later (file.delete.delay.ms), when no reader is left.
// One timer for all of them. What a shutdown leaves is removed at the next start.

import type { Clock, Timer } from '../host/clock.ts'
import type { Report } from './log-event.ts'

interface Removal {
  readonly atMs: number
  readonly path: string
  readonly remove: () => Promise<void>
}

export class DelayedRemoval {
  private readonly clock: Clock
  private readonly report: Report
  private removals: Removal[] = []
  private timer: Timer | undefined
  private running: Promise<void> | undefined
  private stopped = false
  /** Who wants what is to be removed to stay for now. */
  private holders = 0

  constructor(clock: Clock, report: Report) {
    this.clock = clock
    this.report = report
  }

  add(path: string, delayMs: number, remove: () => Promise<void>): void {
    if (this.stopped) return
    this.removals.push({ atMs: this.clock.monotonicMs() + delayMs, path, remove })
    this.arm()
  }

  /** Nothing is removed until what this returns is called. */
  hold(): () => void {
    this.holders++
    let held = true
    return () => {
      if (!held) return
      held = false
      this.holders--
      if (!this.stopped) this.arm()
    }
  }

  /** Of what is still to be removed. */
  get paths(): string[] {
    return this.removals.map(({ path }) => path)
  }

  async stop(): Promise<void> {
    this.stopped = true
    this.timer?.cancel()
    this.removals = []
    await this.running
  }

  private arm(): void {
    this.timer?.cancel()
    this.timer = undefined
    if (this.running !== undefined || this.holders > 0 || this.removals.length === 0) return
    const next = this.removals.reduce((earliest, { atMs }) => Math.min(earliest, atMs), Number.POSITIVE_INFINITY)
    this.timer = this.clock.timer(Math.max(0, next - this.clock.monotonicMs()), () => {
      this.running = this.run()
    })
  }

  private async run(): Promise<void> {
    const now = this.clock.monotonicMs()
    const due = this.removals.filter(({ atMs }) => atMs <= now)
    this.removals = this.removals.filter(({ atMs }) => atMs > now)
    for (const removal of due) {
      const { path, remove } = removal
      if (this.holders > 0) {
        this.removals.push(removal)
        continue
      }
      try {
        await remove()
      } catch (error) {
        // They carry a name that the next start recognises.
        this.report({ event: 'background-failure', path, error: error as Error })
      }
    }
    this.running = undefined
    if (!this.stopped) this.arm()
  }
}

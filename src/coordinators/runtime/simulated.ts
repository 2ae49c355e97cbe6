// A clock, a log and dice for tests: time passes when told to, appends succeed when told to, and what was appended can be cut anywhere.

import {
  type CoordinatorClock,
  type CoordinatorLog,
  isMarker,
  type LogEntry,
  type LogRecord,
  type ReplayRecord,
  type TransactionMarker,
} from './ports.ts'

export class SimulatedClock implements CoordinatorClock {
  private nowMs = 1_700_000_000_000
  private count = 0
  private readonly pending: { at: number; order: number; run: () => void }[] = []

  wallMs(): number {
    return this.nowMs
  }

  monotonicMs(): number {
    return this.nowMs
  }

  get timers(): number {
    return this.pending.length
  }

  timer(delayMs: number, run: () => void): { cancel(): void } {
    const entry = { at: this.nowMs + delayMs, order: this.count++, run }
    this.pending.push(entry)
    return {
      cancel: () => {
        const index = this.pending.indexOf(entry)
        if (index >= 0) this.pending.splice(index, 1)
      },
    }
  }

  /** The process is frozen: time passes, and nothing runs. */
  freeze(ms: number): void {
    this.nowMs += ms
  }

  /** Runs what is due on the way, in order, and lets promises settle after each. */
  async advance(ms: number): Promise<void> {
    const end = this.nowMs + ms
    for (;;) {
      await settled()
      const next = this.pending.reduce<(typeof this.pending)[number] | null>(
        (first, entry) =>
          entry.at <= end && (first === null || entry.at < first.at || (entry.at === first.at && entry.order < first.order))
            ? entry
            : first,
        null,
      )
      if (next === null) break
      this.pending.splice(this.pending.indexOf(next), 1)
      this.nowMs = Math.max(this.nowMs, next.at)
      next.run()
    }
    this.nowMs = end
    await settled()
  }
}

/** Uniform in [0, bound), the same for the same seed (mulberry32). */
export function drawFrom(seed: number): (bound: number) => number {
  let state = seed >>> 0
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound
  }
}

/** Long enough for any chain of promises that waits for nothing outside. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 20; i++) await Promise.resolve()
}

export class SimulatedLog implements CoordinatorLog {
  /** One element for each append. */
  readonly batches: (readonly LogEntry[])[] = []
  /** While true, appends wait for `release`. */
  isHeld = false
  /** The next append fails with it; `isKept` tells whether its records stay in the log all the same. */
  failure: { readonly error: Error; readonly isKept: boolean } | null = null
  loadFailure: Error | null = null
  loads = 0
  private waiting: (() => void)[] = []

  get entries(): LogEntry[] {
    return this.batches.flat()
  }

  get records(): LogRecord[] {
    return this.entries.filter((entry): entry is LogRecord => !isMarker(entry))
  }

  async append(entries: readonly LogEntry[]): Promise<void> {
    const batch = [...entries]
    if (this.isHeld) await new Promise<void>((resolve) => this.waiting.push(resolve))
    const { failure } = this
    this.failure = null
    if (failure === null || failure.isKept) this.batches.push(batch)
    if (failure !== null) throw failure.error
  }

  release(): void {
    this.isHeld = false
    for (const resolve of this.waiting.splice(0)) resolve()
  }

  async load(replay: ReplayRecord, replayMarker: (marker: TransactionMarker) => void): Promise<void> {
    this.loads++
    if (this.isHeld) await new Promise<void>((resolve) => this.waiting.push(resolve))
    if (this.loadFailure !== null) throw this.loadFailure
    let offset = 0n
    for (const entry of this.entries) {
      if (isMarker(entry)) replayMarker(entry.marker)
      else replay(entry.key, entry.value, offset, 0n, entry.producer)
      offset++
    }
  }
}

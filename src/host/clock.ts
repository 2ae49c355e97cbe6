// Time as an argument. Wall time stamps records and may jump; monotonic time measures waits and never does.

export interface Timer {
  /** Harmless after it has fired, and twice. */
  cancel(): void
}

export interface Clock {
  /** Milliseconds since 1970, UTC. */
  wallMs(): number
  /** Milliseconds since some fixed moment; never goes back. */
  monotonicMs(): number
  /** Runs once, after `delayMs` of monotonic time. */
  timer(delayMs: number, run: () => void): Timer
  /** Runs at the end of this turn of the event loop, when all that had arrived has been looked at: work that is cheaper for many at once. */
  soon(run: () => void): void
}

/** setTimeout takes 32 bits; anything longer fires at once. A wait that long is as good as this one. */
const LONGEST_DELAY_MS = 2 ** 31 - 1

export const realClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  timer(delayMs, run) {
    const handle = setTimeout(run, Math.min(delayMs, LONGEST_DELAY_MS))
    return { cancel: () => clearTimeout(handle) }
  },
  soon: (run) => void setImmediate(run),
}

/** Runs `work` every `periodMs`, the next run counted from the end of the last. */
export function every(clock: Clock, periodMs: number, work: () => void | Promise<void>): Timer {
  let timer: Timer
  let stopped = false
  const arm = () => {
    if (stopped) return
    timer = clock.timer(periodMs, async () => {
      await work()
      arm()
    })
  }
  arm()
  return {
    cancel() {
      stopped = true
      timer.cancel()
    },
  }
}

/** A promise of time gone by. */
export function delay(clock: Clock, delayMs: number): Promise<void> {
  return new Promise((resolve) => {
    clock.timer(delayMs, resolve)
  })
}

// Trying again: what is retriable, with a pause that doubles, until a time is up (KIP-580).

import { type Clock, delay } from '../host/clock.ts'
import type { Random } from '../host/random.ts'
import { isRetriable, TimeoutError } from './errors.ts'

export interface Backoff {
  readonly initialMs: number
  readonly maxMs: number
}

/** Spread by a fifth to either side, so that clients that failed together do not return together. */
const JITTER = 0.2

/** The pause before try number `attempt`, counted from 1. */
export function backoffMs(backoff: Backoff, attempt: number, random: Random): number {
  const exact = Math.min(backoff.maxMs, backoff.initialMs * 2 ** (attempt - 1))
  return exact * (1 - JITTER + (random.u32() / 2 ** 32) * 2 * JITTER)
}

export interface RetryOptions {
  readonly clock: Clock
  readonly random: Random
  readonly backoff: Backoff
  /** From the call to the last failure. */
  readonly timeoutMs: number
  /** For the message when time is up: "listing groups". */
  readonly what: string
  /** Called with each failure that will be tried again: the place to forget what proved stale. */
  readonly beforeRetry?: (error: unknown) => void
}

/** The result of the first try that succeeds. Rejects with the first error that is not retriable, or TimeoutError with the last one as its cause. */
export async function retry<T>(options: RetryOptions, work: (remainingMs: number) => Promise<T>): Promise<T> {
  const { clock, timeoutMs } = options
  const deadline = clock.monotonicMs() + timeoutMs
  for (let attempt = 1; ; attempt++) {
    try {
      return await work(Math.max(1, deadline - clock.monotonicMs()))
    } catch (error) {
      if (!isRetriable(error)) throw error
      options.beforeRetry?.(error)
      const pauseMs = backoffMs(options.backoff, attempt, options.random)
      if (clock.monotonicMs() + pauseMs >= deadline) {
        const last = error instanceof Error ? error.message : String(error)
        throw new TimeoutError(`${options.what}: not done within ${timeoutMs} ms, last: ${last}`, { cause: error })
      }
      await delay(clock, pauseMs)
    }
  }
}

// A fetch that waits in the broker until there is enough to answer (KIP-227's long poll): parked at its partitions,
// woken when one of their high watermarks moves, done at the latest when its time is up.

import type { Clock, Timer } from '../host/clock.ts'

export interface FetchAttempt {
  /** Bytes of records found. */
  readonly bytes: number
  /** Something that must be told at once: an error, a divergence, a redirect. */
  readonly urgent: boolean
}

/** Where a parked fetch can be woken: a partition. */
export interface WakePoint {
  readonly fetchers: Set<() => void>
}

interface DelayedFetchOptions<A extends FetchAttempt> {
  readonly clock: Clock
  readonly minBytes: number
  readonly maxWaitMs: number
  readonly wakePoints: readonly WakePoint[]
  /** Reads what there is now: at once if it is in memory. */
  readonly attempt: () => A | Promise<A>
  /** Registers what to do when the client is gone; returns how to take that back. */
  readonly onAbandoned: (abandon: () => void) => () => void
}

/** The first attempt that is worth an answer, or the last one when time is up. Undefined if the client has gone. */
export function delayedFetch<A extends FetchAttempt>(options: DelayedFetchOptions<A>): A | Promise<A | undefined> {
  const enough = (attempt: A) => attempt.urgent || attempt.bytes >= options.minBytes
  if (options.maxWaitMs <= 0 || options.wakePoints.length === 0) return options.attempt()
  const first = options.attempt()
  if (!(first instanceof Promise) && enough(first)) return first
  return new Promise((resolve, reject) => {
    let timer: Timer | undefined
    let done = false
    let reading = false
    let woken = false
    let forget = () => {}
    const leave = () => {
      done = true
      timer?.cancel()
      forget()
      for (const point of options.wakePoints) point.fetchers.delete(wake)
    }
    const finish = (attempt: A | undefined) => {
      if (done) return
      leave()
      resolve(attempt)
    }
    // The partition that wakes a fetch must not suffer from what the fetch meets elsewhere.
    const fail = (error: unknown) => {
      leave()
      reject(error)
    }
    /** Found nothing, which holds until somebody wakes us: of ten thousand partitions nobody needs to look at each again. */
    let nothing: A | undefined
    const judge = (attempt: A) => {
      reading = false
      if (done) return
      if (enough(attempt) || timer === undefined) return finish(attempt)
      if (attempt.bytes === 0) nothing = attempt
      // The log has moved while this attempt was reading an older part of it.
      if (woken) look()
    }
    const look = () => {
      woken = false
      nothing = undefined
      try {
        const attempt = options.attempt()
        if (!(attempt instanceof Promise)) return judge(attempt)
        reading = true
        attempt.then(judge, fail)
      } catch (error) {
        fail(error)
      }
    }
    const wake = () => {
      if (reading) woken = true
      else look()
    }
    forget = options.onAbandoned(() => finish(undefined))
    if (done) return
    for (const point of options.wakePoints) point.fetchers.add(wake)
    timer = options.clock.timer(options.maxWaitMs, () => {
      timer = undefined
      if (nothing !== undefined) finish(nothing)
      else if (!reading) look()
    })
    if (first instanceof Promise) {
      reading = true
      first.then(judge, fail)
    } else judge(first)
  })
}

// Who waits for an offset of one partition: produce requests for their answers, coordinators for their records.

import { KafkaError } from '../../protocol/error-codes.ts'

interface Waiter {
  /** Everything below it is wanted. */
  readonly offset: bigint
  readonly deadlineMs: number
  readonly resolve: () => void
  readonly reject: (error: KafkaError) => void
}

export class AckWaiters {
  /** In the order of their offsets, because appends are; a repeated batch, whose offset is older, waits with those before it. */
  private waiters: Waiter[] = []

  /** Resolves when `wake` has been called with `offset` or more. Rejects with KafkaError. */
  until(offset: bigint, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiters.push({ offset, deadlineMs, resolve, reject })
    })
  }

  wake(reached: bigint): void {
    const { waiters } = this
    let done = 0
    while (done < waiters.length && waiters[done].offset <= reached) waiters[done++].resolve()
    if (done > 0) this.waiters = done === waiters.length ? [] : waiters.slice(done)
  }

  /** Tells those who wait for more than `offset` that it will not come. */
  refuseBehind(offset: bigint, error: KafkaError): void {
    this.refuse((waiter) => waiter.offset > offset, error)
  }

  /** Tells those whose time is up. What they wait for may still come. */
  expire(nowMs: number): void {
    this.refuse(
      (waiter) => waiter.deadlineMs <= nowMs,
      new KafkaError('REQUEST_TIMED_OUT', 'the disk did not take the records in time'),
    )
  }

  private refuse(which: (waiter: Waiter) => boolean, error: KafkaError): void {
    const refused = this.waiters.filter(which)
    if (refused.length === 0) return
    this.waiters = this.waiters.filter((waiter) => !which(waiter))
    for (const waiter of refused) waiter.reject(error)
  }
}

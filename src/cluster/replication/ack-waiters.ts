// Who waits for an offset of one partition: produce requests for their answers, coordinators for their records, deletions for all replicas.

import { KafkaError } from '../../protocol/error-codes.ts'

interface Waiter {
  /** Everything below it is wanted. */
  readonly offset: bigint
  readonly deadlineMs: number
  readonly resolve: () => void
  readonly reject: (error: KafkaError) => void
}

export class AckWaiters {
  /** In the order of their offsets. Nearly all come in that order, because appends do. */
  private waiters: Waiter[] = []

  get size(): number {
    return this.waiters.length
  }

  /** Resolves when `wake` has been called with `offset` or more. Rejects with KafkaError. */
  until(offset: bigint, deadlineMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const { waiters } = this
      let place = waiters.length
      while (place > 0 && waiters[place - 1].offset > offset) place--
      waiters.splice(place, 0, { offset, deadlineMs, resolve, reject })
    })
  }

  /** With `error` they are told that what they waited for is there, and not good enough. */
  wake(reached: bigint, error?: KafkaError): void {
    const { waiters } = this
    let done = 0
    while (done < waiters.length && waiters[done].offset <= reached) {
      if (error === undefined) waiters[done++].resolve()
      else waiters[done++].reject(error)
    }
    if (done > 0) this.waiters = done === waiters.length ? [] : waiters.slice(done)
  }

  /** Tells those who wait for more than `offset` that it will not come. */
  refuseBehind(offset: bigint, error: KafkaError): void {
    this.refuse(
      (waiter) => waiter.offset > offset,
      () => error,
    )
  }

  /** Tells all: whatever comes is no longer what they wait for. */
  refuseAll(error: KafkaError): void {
    this.refuse(
      () => true,
      () => error,
    )
  }

  /** Tells those whose time is up. What they wait for may still come. */
  expire(nowMs: number): void {
    this.refuse(
      (waiter) => waiter.deadlineMs <= nowMs,
      () => new KafkaError('REQUEST_TIMED_OUT', 'the disk, or other replicas, did not get there in time'),
    )
  }

  private refuse(which: (waiter: Waiter) => boolean, why: () => KafkaError): void {
    if (!this.waiters.some(which)) return
    const refused = this.waiters.filter(which)
    this.waiters = this.waiters.filter((waiter) => !which(waiter))
    const error = why()
    for (const waiter of refused) waiter.reject(error)
  }
}

// One thing at a time from a queue to a loop: offered, taken, and done with when the next is asked for.

/** The loop was left in the midst of what it had. */
export class AbandonedError extends Error {
  override readonly name = 'AbandonedError'
}

interface Offer<T> {
  readonly item: T
  readonly done: () => void
  readonly fail: (error: Error) => void
}

export class Offering<T> {
  isAbandoned = false
  private readonly offers: Offer<T>[] = []
  private inHand: Offer<T> | undefined
  private ended = false
  private waiting: (() => void) | undefined

  /** Resolves when the loop asks for the next. Rejects with AbandonedError if it never does. */
  offer(item: T): Promise<void> {
    if (this.isAbandoned) return Promise.reject(new AbandonedError())
    return new Promise((done, fail) => {
      this.offers.push({ item, done, fail })
      this.waiting?.()
    })
  }

  /** Undefined at the end. */
  async next(): Promise<T | undefined> {
    this.inHand?.done()
    this.inHand = undefined
    while (this.offers.length === 0) {
      if (this.ended) return undefined
      await new Promise<void>((resolve) => {
        this.waiting = resolve
      })
      this.waiting = undefined
    }
    this.inHand = this.offers.shift()!
    return this.inHand.item
  }

  /** Nothing more will be offered. */
  end(): void {
    this.ended = true
    this.waiting?.()
  }

  /** Nothing more will be asked for. */
  abandon(): void {
    this.isAbandoned = true
    for (const { fail } of [...(this.inHand === undefined ? [] : [this.inHand]), ...this.offers.splice(0)])
      fail(new AbandonedError())
    this.inHand = undefined
  }
}

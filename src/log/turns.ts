// Work that must not overlap: each begins when what was asked for before it has come to its end, well or not.

export class Turns {
  private last: Promise<unknown> = Promise.resolve()

  take<T>(work: () => Promise<T>): Promise<T> {
    const result = this.last.then(work, work)
    this.last = result.catch(() => {})
    return result
  }

  /** All that has been asked for has come to its end. */
  async over(): Promise<void> {
    await this.last
  }
}

// How much may wait for the disk, over all partitions. A producer that does not wait for answers (acks=0), or many that do,
// could otherwise fill the memory faster than the disk empties it.

/** Batches taken and not yet written. Enough to keep a disk busy; what is beyond waits in the clients. */
const LIMIT_BYTES = 64 * 1024 * 1024

export class AppendBudget {
  private readonly limitBytes: number
  private used = 0
  private readonly waiting: (() => void)[] = []

  constructor(limitBytes = LIMIT_BYTES) {
    this.limitBytes = limitBytes
  }

  /** Whether another request to append may start. */
  get open(): boolean {
    return this.used < this.limitBytes
  }

  /** Calls back once, when there is room again. */
  whenOpen(proceed: () => void): void {
    this.waiting.push(proceed)
  }

  /** `bytes` more wait for the disk, or fewer where negative. */
  add(bytes: number): void {
    this.used += bytes
    if (!this.open) return
    for (const proceed of this.waiting.splice(0)) proceed()
  }
}

// Large buffers, used again instead of being allocated anew: fresh memory costs a page fault for every 4 KiB that is written to
// it, many times the price of the copy itself, and garbage of this size makes the collector run all the time.
//
// A buffer that is never released is merely not used again: the collector takes it. One that is released too early would be
// overwritten under its readers, so whoever is in doubt does not release.

const SMALLEST = 4 * 1024
const LARGEST = 4 * 1024 * 1024
/** Free buffers that are kept for later, in bytes: what one burst leaves behind and the next can use. */
const KEEP_BYTES = 16 * 1024 * 1024

/** Memory on loan, for as many holders as have retained it. */
export class Lease {
  /** At least as large as was asked for. */
  readonly buffer: Buffer
  private holders = 1
  private readonly pool: BufferPool | undefined

  constructor(buffer: Buffer, pool: BufferPool | undefined) {
    this.buffer = buffer
    this.pool = pool
  }

  retain(): void {
    this.holders++
  }

  /** The last one gives the memory back: nobody may look at it any more. */
  release(): void {
    if (--this.holders === 0) this.pool?.giveBack(this.buffer)
  }
}

export class BufferPool {
  /** By power of two. */
  private readonly free: Buffer[][] = []
  private keptBytes = 0

  /** A buffer of `size` bytes or more; its contents are arbitrary. */
  take(size: number): Lease {
    if (size > LARGEST) return new Lease(Buffer.allocUnsafeSlow(size), undefined)
    const capacity = size <= SMALLEST ? SMALLEST : 2 ** (32 - Math.clz32(size - 1))
    const buffer = this.free[Math.log2(capacity)]?.pop()
    if (buffer === undefined) return new Lease(Buffer.allocUnsafeSlow(capacity), this)
    this.keptBytes -= capacity
    return new Lease(buffer, this)
  }

  /** Forgets all that is free. */
  trim(): void {
    this.free.length = 0
    this.keptBytes = 0
  }

  /** For leases only. */
  giveBack(buffer: Buffer): void {
    if (this.keptBytes + buffer.length > KEEP_BYTES) return
    this.keptBytes += buffer.length
    const sizeClass = Math.log2(buffer.length)
    this.free[sizeClass] ??= []
    this.free[sizeClass].push(buffer)
  }
}

// The newest batches of all logs, in memory: the very buffers that arrived. Consumers at the tail are served from here. One
// limit for all logs, oldest batch out first. What is not written yet is always here, whatever the limit.

import type { Segment } from './segment.ts'

export interface TailBatch {
  readonly bytes: Buffer
  readonly baseOffset: bigint
  readonly lastOffset: bigint
  readonly records: number
  readonly segment: Segment
  /** In the segment's file. */
  readonly position: number
  readonly tail: LogTail
  written: boolean
  /** Counted against the limit. Evicted batches are not, but stay until they are written. */
  counted: boolean
}

/** The cached end of one log: its batches up to the last one appended, without a hole. */
export class LogTail {
  private batches: TailBatch[] = []
  /** Where the batches begin; what is in front of it has been dropped. */
  private head = 0

  get first(): TailBatch | undefined {
    return this.batches[this.head]
  }

  /** In order of their offsets, from the first whose last offset is at or behind `from`. `from` must not be below the first batch. */
  *from(from: bigint): Generator<TailBatch, void, undefined> {
    let low = this.head
    let high = this.batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.batches[middle].lastOffset < from) low = middle + 1
      else high = middle
    }
    for (let i = low; i < this.batches.length; i++) yield this.batches[i]
  }

  push(batch: TailBatch): void {
    this.batches.push(batch)
  }

  /** Drops from the front what is written and no longer counted. */
  trim(): void {
    while (this.head < this.batches.length && !this.batches[this.head].counted && this.batches[this.head].written) this.head++
    if (this.head > 64 && this.head * 2 > this.batches.length) {
      this.batches = this.batches.slice(this.head)
      this.head = 0
    }
  }

  /** Empties the tail. */
  take(): TailBatch[] {
    const taken = this.batches.slice(this.head)
    this.batches = []
    this.head = 0
    return taken
  }
}

/** Batches up to this size are copied together rather than each into memory of its own. */
const SLAB_BATCH = 16 * 1024
const SLAB_SIZE = 256 * 1024

export class TailCache {
  private readonly limitBytes: number
  /** Of all logs, oldest first. */
  private fifo: TailBatch[] = []
  private head = 0
  private countedBytes = 0
  private slab = Buffer.alloc(0)
  private slabUsed = 0

  constructor(limitBytes: number) {
    this.limitBytes = limitBytes
  }

  get bytes(): number {
    return this.countedBytes
  }

  /**
   * The bytes, in a place where they may stay: a small batch within a large buffer would keep all of it in memory. Slabs are
   * filled in order and evicted in order, so a slab lives about as long as its batches.
   */
  hold(bytes: Buffer): Buffer {
    if (bytes.length * 2 >= bytes.buffer.byteLength) return bytes
    if (bytes.length > SLAB_BATCH) {
      const copy = Buffer.allocUnsafeSlow(bytes.length)
      bytes.copy(copy)
      return copy
    }
    if (this.slabUsed + bytes.length > this.slab.length) {
      this.slab = Buffer.allocUnsafeSlow(SLAB_SIZE)
      this.slabUsed = 0
    }
    const copy = this.slab.subarray(this.slabUsed, this.slabUsed + bytes.length)
    bytes.copy(copy)
    this.slabUsed += bytes.length
    return copy
  }

  add(batch: TailBatch): void {
    batch.counted = true
    batch.tail.push(batch)
    this.fifo.push(batch)
    this.countedBytes += batch.bytes.length
    while (this.countedBytes > this.limitBytes) this.evictOldest()
  }

  /** Forgets all batches of a log. */
  clear(tail: LogTail): void {
    for (const batch of tail.take()) this.discount(batch)
    // They stay in the order of eviction until their turn comes, unless they are most of it.
    if (this.countedBytes === 0) {
      this.fifo = []
      this.head = 0
    }
  }

  private evictOldest(): void {
    const oldest = this.fifo[this.head++]
    if (oldest.counted) {
      this.discount(oldest)
      oldest.tail.trim()
    }
    if (this.head > 1024 && this.head * 2 > this.fifo.length) {
      this.fifo = this.fifo.slice(this.head)
      this.head = 0
    }
  }

  private discount(batch: TailBatch): void {
    if (!batch.counted) return
    batch.counted = false
    this.countedBytes -= batch.bytes.length
  }
}

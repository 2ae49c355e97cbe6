// The newest batches of all logs, in memory, copied there once from the requests that brought them. Consumers at the tail are served from here. One
// limit for all logs, oldest batch out first. What is not written yet is always here, whatever the limit.

import type { BufferPool, Lease } from '../bytes/buffer-pool.ts'
import type { ReadOptions, ReadResult } from './log-types.ts'
import type { Segment } from './segment.ts'

export interface TailBatch {
  readonly bytes: Buffer
  /** Of the memory that `bytes` lies in: held by this batch, and by whoever sends it. */
  readonly lease: Lease
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
  private *from(from: bigint): Generator<TailBatch, void, undefined> {
    let low = this.head
    let high = this.batches.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.batches[middle].lastOffset < from) low = middle + 1
      else high = middle
    }
    for (let i = low; i < this.batches.length; i++) yield this.batches[i]
  }

  /** `from` must not be below the first batch. */
  read(from: bigint, { maxBytes, limitOffset, atLeastOneBatch }: ReadOptions): ReadResult {
    const chunks: Buffer[] = []
    const leases: Lease[] = []
    let size = 0
    let nextOffset = -1n
    for (const { bytes, lastOffset, lease } of this.from(from)) {
      if (lastOffset >= limitOffset) break
      if (size + bytes.length > maxBytes && !(size === 0 && atLeastOneBatch)) break
      chunks.push(bytes)
      size += bytes.length
      nextOffset = lastOffset + 1n
      if (lease === leases[leases.length - 1]) continue
      lease.retain()
      leases.push(lease)
    }
    return { chunks, size, nextOffset, leases }
  }

  push(batch: TailBatch): void {
    this.batches.push(batch)
  }

  /** Drops from the front what is written and no longer counted. */
  trim(): void {
    while (this.head < this.batches.length && !this.batches[this.head].counted && this.batches[this.head].written) {
      this.batches[this.head++].lease.release()
    }
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

  /** Takes from the front what is written and lies below `offset`. */
  takeBelow(offset: bigint): TailBatch[] {
    let end = this.head
    while (end < this.batches.length && this.batches[end].lastOffset < offset && this.batches[end].written) end++
    const taken = this.batches.slice(this.head, end)
    this.batches = this.batches.slice(end)
    this.head = 0
    return taken
  }
}

/**
 * Memory is taken in pieces of this size, filled in order and evicted in order, so that a piece lives about as long as its
 * batches. Large enough to leave little unused behind batches of the largest usual size.
 */
const SLAB_SIZE = 4 * 1024 * 1024

export class TailCache {
  private readonly limitBytes: number
  /** Of all logs, oldest first. */
  private fifo: TailBatch[] = []
  private head = 0
  private countedBytes = 0
  private readonly pool: BufferPool
  private slab: Lease | undefined
  private slabUsed = 0

  constructor(limitBytes: number, pool: BufferPool) {
    this.limitBytes = limitBytes
    this.pool = pool
  }

  get bytes(): number {
    return this.countedBytes
  }

  /** Copies a batch to where it may stay, and holds the memory for it. */
  hold(bytes: Buffer): { bytes: Buffer; lease: Lease } {
    if (bytes.length > SLAB_SIZE) {
      const lease = this.pool.take(bytes.length)
      return { bytes: copyInto(lease, 0, bytes), lease }
    }
    if (this.slab === undefined || this.slabUsed + bytes.length > this.slab.buffer.length) {
      this.slab?.release()
      this.slab = this.pool.take(SLAB_SIZE)
      this.slabUsed = 0
    }
    const { slab } = this
    slab.retain()
    const copy = copyInto(slab, this.slabUsed, bytes)
    this.slabUsed += bytes.length
    return { bytes: copy, lease: slab }
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
    this.drop(tail.take())
  }

  /** Forgets the batches of a log below an offset whose segments have been replaced: what compaction removed must not be served any more. */
  clearBelow(tail: LogTail, offset: bigint): void {
    this.drop(tail.takeBelow(offset))
  }

  private drop(batches: readonly TailBatch[]): void {
    for (const batch of batches) {
      this.discount(batch)
      // A write may still be reading the others.
      if (batch.written) batch.lease.release()
    }
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

function copyInto({ buffer }: Lease, at: number, bytes: Buffer): Buffer {
  bytes.copy(buffer, at)
  return buffer.subarray(at, at + bytes.length)
}

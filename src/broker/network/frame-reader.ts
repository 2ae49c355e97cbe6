// Cuts a byte stream into Kafka's frames: a four-byte length, then that many bytes.
// A frame that lies within one chunk is handed out as a view on it; one that spans chunks is put together in memory on loan.
// Either way it is gone when the call returns: whoever keeps it copies it.

import type { BufferPool, Lease } from '../../bytes/buffer-pool.ts'
import { DecodeError } from '../../bytes/reader.ts'

const PREFIX_SIZE = 4
/** Taken on the word of a length; beyond it memory follows what has arrived. Holds a batch of the largest usual size. */
const BELIEVED_BYTES = 2 * 1024 * 1024

export class FrameReader {
  private readonly maxFrameBytes: number
  private readonly pool: BufferPool
  /** The frame under way, its prefix included, as far as it has arrived. */
  private lease: Lease | undefined
  private have = 0

  constructor(maxFrameBytes: number, pool: BufferPool) {
    this.maxFrameBytes = maxFrameBytes
    this.pool = pool
  }

  /** Calls `onFrame` for each frame that `chunk` completes. Throws DecodeError on a length that cannot be. */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    let position = this.have === 0 ? 0 : this.complete(chunk, onFrame)
    while (chunk.length - position >= PREFIX_SIZE) {
      const end = position + PREFIX_SIZE + this.checked(chunk.readInt32BE(position))
      if (end > chunk.length) break
      onFrame(chunk.subarray(position + PREFIX_SIZE, end))
      position = end
    }
    if (position < chunk.length) this.keep(chunk, position, chunk.length)
  }

  /** Adds to the frame under way. Returns where in `chunk` the next one begins. */
  private complete(chunk: Buffer, onFrame: (frame: Buffer) => void): number {
    let position = 0
    if (this.have < PREFIX_SIZE) {
      position = Math.min(chunk.length, PREFIX_SIZE - this.have)
      this.keep(chunk, 0, position)
      if (this.have < PREFIX_SIZE) return position
    }
    const whole = PREFIX_SIZE + this.checked(this.lease!.buffer.readInt32BE(0))
    const end = Math.min(chunk.length, position + whole - this.have)
    this.keep(chunk, position, end)
    if (this.have < whole) return end
    const { lease } = this
    this.lease = undefined
    this.have = 0
    onFrame(lease!.buffer.subarray(PREFIX_SIZE, whole))
    lease!.release()
    return end
  }

  private keep(chunk: Buffer, start: number, end: number): void {
    const needed = this.have + end - start
    if (this.lease === undefined || needed > this.lease.buffer.length)
      this.grow(needed, end - start >= PREFIX_SIZE && this.have === 0 ? chunk.readInt32BE(start) : 0)
    chunk.copy(this.lease!.buffer, this.have, start, end)
    this.have = needed
  }

  private grow(needed: number, claimed: number): void {
    const before = this.lease
    this.lease = this.pool.take(
      Math.max(needed, Math.min(PREFIX_SIZE + claimed, BELIEVED_BYTES), 2 * (before?.buffer.length ?? 0)),
    )
    if (before === undefined) return
    before.buffer.copy(this.lease.buffer, 0, 0, this.have)
    before.release()
  }

  /** Gives back what an unfinished frame has taken. */
  close(): void {
    this.lease?.release()
    this.lease = undefined
    this.have = 0
  }

  private checked(length: number): number {
    if (length < 0 || length > this.maxFrameBytes) {
      throw new DecodeError(`frame of ${length} bytes; socket.request.max.bytes allows ${this.maxFrameBytes}`)
    }
    return length
  }
}

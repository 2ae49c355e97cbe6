// Cuts a byte stream into Kafka's frames: a four-byte length, then that many bytes.
// A frame that lies within one chunk is handed out as a view on it; one that spans chunks is copied once, when it is whole.
// Memory follows what has arrived, never what a length claims.

import { DecodeError } from '../../bytes/reader.ts'

const PREFIX_SIZE = 4

export class FrameReader {
  private readonly maxFrameBytes: number
  private chunks: Buffer[] = []
  private held = 0
  /** Length of the frame under way, -1 while its prefix is not complete. */
  private wanted = -1

  constructor(maxFrameBytes: number) {
    this.maxFrameBytes = maxFrameBytes
  }

  /** Calls `onFrame` for each frame that `chunk` completes. Throws DecodeError on a length that cannot be. */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): void {
    if (this.held > 0) {
      chunk = this.join(chunk, onFrame)
      if (chunk.length === 0) return
    }
    let position = 0
    while (chunk.length - position >= PREFIX_SIZE) {
      const length = this.checked(chunk.readInt32BE(position))
      const start = position + PREFIX_SIZE
      if (chunk.length - start < length) break
      position = start + length
      onFrame(chunk.subarray(start, position))
    }
    if (position < chunk.length) this.hold(chunk.subarray(position))
  }

  /** Adds to the frame under way; returns what lies behind its end. */
  private join(chunk: Buffer, onFrame: (frame: Buffer) => void): Buffer {
    if (this.wanted === -1) {
      if (this.held + chunk.length < PREFIX_SIZE) {
        this.hold(chunk)
        return chunk.subarray(chunk.length)
      }
      const prefix = Buffer.concat([...this.chunks, chunk], PREFIX_SIZE)
      this.wanted = this.checked(prefix.readInt32BE(0))
    }
    const missing = PREFIX_SIZE + this.wanted - this.held
    if (chunk.length < missing) {
      this.hold(chunk)
      return chunk.subarray(chunk.length)
    }
    const whole = Buffer.concat([...this.chunks, chunk.subarray(0, missing)], PREFIX_SIZE + this.wanted)
    this.chunks = []
    this.held = 0
    this.wanted = -1
    onFrame(whole.subarray(PREFIX_SIZE))
    return chunk.subarray(missing)
  }

  private hold(chunk: Buffer): void {
    this.chunks.push(chunk)
    this.held += chunk.length
    if (this.wanted === -1 && this.chunks.length === 1 && chunk.length >= PREFIX_SIZE) {
      this.wanted = this.checked(chunk.readInt32BE(0))
    }
  }

  private checked(length: number): number {
    if (length < 0 || length > this.maxFrameBytes) {
      throw new DecodeError(`frame of ${length} bytes; socket.request.max.bytes allows ${this.maxFrameBytes}`)
    }
    return length
  }
}

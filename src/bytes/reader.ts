// Reads big-endian primitives from a view and refuses to leave it. Every length, count and varint is checked against
// what the view holds before anything is allocated, because the bytes come from the network.
// Encodings: https://kafka.apache.org/protocol.html#protocol_types

/** The bytes are not what they claim to be. Whoever sent them made a mistake, or is hostile. */
export class DecodeError extends Error {
  override readonly name: string = 'DecodeError'
}

/**
 * Elements that one message may hold in all its arrays together. A 100 MiB frame of one-byte elements would otherwise
 * become gigabytes of objects. A request that names every partition of a large cluster stays well below.
 */
const ELEMENTS_PER_MESSAGE = 2_000_000

/** An int64 is put together here from two halves: half the time that Buffer takes with bigint arithmetic. */
const scratch = new DataView(new ArrayBuffer(8))

export class Reader {
  readonly buffer: Buffer
  position: number
  readonly end: number
  private elements = 0

  constructor(buffer: Buffer, position = 0, end = buffer.length) {
    this.buffer = buffer
    this.position = position
    this.end = end
  }

  get remaining(): number {
    return this.end - this.position
  }

  /** Moves past `length` bytes and returns where they began. */
  advance(length: number): number {
    const start = this.position
    if (length < 0 || length > this.end - start) {
      throw new DecodeError(`${length} bytes wanted at position ${start}, ${this.end - start} left`)
    }
    this.position = start + length
    return start
  }

  int8(): number {
    return this.buffer.readInt8(this.advance(1))
  }

  uint8(): number {
    return this.buffer[this.advance(1)]
  }

  int16(): number {
    return this.buffer.readInt16BE(this.advance(2))
  }

  uint16(): number {
    return this.buffer.readUInt16BE(this.advance(2))
  }

  int32(): number {
    return this.buffer.readInt32BE(this.advance(4))
  }

  uint32(): number {
    return this.buffer.readUInt32BE(this.advance(4))
  }

  int64(): bigint {
    const at = this.advance(8)
    scratch.setInt32(0, this.buffer.readInt32BE(at))
    scratch.setInt32(4, this.buffer.readInt32BE(at + 4))
    return scratch.getBigInt64(0)
  }

  float64(): number {
    return this.buffer.readDoubleBE(this.advance(8))
  }

  bool(): boolean {
    return this.uint8() !== 0
  }

  /** At most five bytes, at most 32 bits. */
  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.uint8()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) {
        if (shift === 28 && byte > 0x0f) break
        return value >>> 0
      }
    }
    throw new DecodeError(`varint before position ${this.position} is longer than 32 bits`)
  }

  /** Zigzag, 32 bits: lengths and offset deltas in records. */
  varint(): number {
    const value = this.unsignedVarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** Zigzag, 64 bits: timestamp deltas in records. At most ten bytes. */
  varlong(): bigint {
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.uint8()
      low |= (byte & 0x7f) << shift
      // Nearly every delta ends here, and needs no bigint arithmetic.
      if (byte < 0x80) return BigInt((low >>> 1) ^ -(low & 1))
    }
    let value = BigInt(low)
    for (let shift = 28n; shift < 70n; shift += 7n) {
      const byte = this.uint8()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) {
        if (value > 0xffff_ffff_ffff_ffffn) break
        return BigInt.asIntN(64, (value >> 1n) ^ -(value & 1n))
      }
    }
    throw new DecodeError(`varlong before position ${this.position} is longer than 64 bits`)
  }

  /** A view, not a copy: it keeps the whole buffer behind it in memory. */
  view(length: number): Buffer {
    const start = this.advance(length)
    return this.buffer.subarray(start, start + length)
  }

  utf8(length: number): string {
    const start = this.advance(length)
    return this.buffer.toString('utf8', start, start + length)
  }

  /** Sixteen bytes as 22 characters of base64url, the form that Kafka prints topic ids in. */
  uuid(): string {
    const start = this.advance(16)
    return this.buffer.toString('base64url', start, start + 16)
  }

  /** Checks an element count against the bytes that are left, given that each element takes at least `minimumSize` of them. */
  count(count: number, minimumSize: number): number {
    if (count < 0 || count * minimumSize > this.remaining) {
      throw new DecodeError(`array of ${count} elements at position ${this.position}, ${this.remaining} bytes left`)
    }
    this.elements += count
    if (this.elements > ELEMENTS_PER_MESSAGE) {
      throw new DecodeError(`more than ${ELEMENTS_PER_MESSAGE} array elements in one message`)
    }
    return count
  }
}

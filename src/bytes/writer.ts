// Builds a message as a list of chunks: small fields are copied into a growing buffer, large byte strings (record batches)
// are linked in as they are, so that a fetched batch reaches the socket without a copy.

/** From here on a byte string is linked, not copied: below it one copy is cheaper than one more vector of a writev. */
const LINK_FROM = 1024

/** Up to here ASCII text is written faster letter by letter than by a call into native code (bench/micro/bytes.ts). */
const SHORT_TEXT = 16

/** An int64 is taken apart here: a fifth of the time that Buffer takes with bigint arithmetic. */
const scratch = new DataView(new ArrayBuffer(8))

export class Writer {
  private buffer: Buffer
  private position = 0
  /** Where the bytes begin that are not yet in `chunks`. */
  private start = 0
  private readonly chunks: Buffer[] = []
  private linked = 0

  constructor(sizeHint = 256) {
    this.buffer = Buffer.allocUnsafe(sizeHint)
  }

  /** Bytes written so far. */
  get length(): number {
    return this.linked + this.position - this.start
  }

  private reserve(size: number): number {
    const position = this.position
    if (position + size > this.buffer.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.buffer.length * 2, position - this.start + size))
      this.buffer.copy(grown, 0, this.start, position)
      this.buffer = grown
      this.position = position - this.start
      this.start = 0
    }
    const at = this.position
    this.position += size
    return at
  }

  int8(value: number): void {
    const at = this.reserve(1)
    this.buffer.writeInt8(value, at)
  }

  uint8(value: number): void {
    const at = this.reserve(1)
    this.buffer[at] = value
  }

  int16(value: number): void {
    const at = this.reserve(2)
    this.buffer.writeInt16BE(value, at)
  }

  uint16(value: number): void {
    const at = this.reserve(2)
    this.buffer.writeUInt16BE(value, at)
  }

  int32(value: number): void {
    const at = this.reserve(4)
    this.buffer.writeInt32BE(value, at)
  }

  uint32(value: number): void {
    const at = this.reserve(4)
    this.buffer.writeUInt32BE(value, at)
  }

  int64(value: bigint): void {
    const at = this.reserve(8)
    scratch.setBigInt64(0, value)
    if (scratch.getBigInt64(0) !== value) throw new RangeError(`${value} does not fit an int64`)
    this.buffer.writeInt32BE(scratch.getInt32(0), at)
    this.buffer.writeInt32BE(scratch.getInt32(4), at + 4)
  }

  float64(value: number): void {
    const at = this.reserve(8)
    this.buffer.writeDoubleBE(value, at)
  }

  bool(value: boolean): void {
    this.uint8(value ? 1 : 0)
  }

  unsignedVarint(value: number): void {
    let rest = value >>> 0
    let at = this.reserve(unsignedVarintSize(rest))
    while (rest > 0x7f) {
      this.buffer[at++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.buffer[at] = rest
  }

  /** Zigzag, 32 bits. */
  varint(value: number): void {
    this.unsignedVarint((value << 1) ^ (value >> 31))
  }

  /** Zigzag, 64 bits. */
  varlong(value: bigint): void {
    if (value >= -0x4000_0000n && value < 0x4000_0000n) return this.varint(Number(value))
    let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
    while (rest > 0x7fn) {
      this.uint8(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    this.uint8(Number(rest))
  }

  /** Text whose length in bytes the caller has written. */
  utf8(value: string, byteLength: number): void {
    const at = this.reserve(byteLength)
    // As many bytes as letters: ASCII only.
    if (byteLength > SHORT_TEXT || byteLength !== value.length) this.buffer.write(value, at, byteLength, 'utf8')
    else for (let i = 0; i < byteLength; i++) this.buffer[at + i] = value.charCodeAt(i)
  }

  /** 22 characters of base64url as 16 bytes. */
  uuid(value: string): void {
    const at = this.reserve(16)
    if (this.buffer.write(value, at, 16, 'base64url') !== 16) throw new RangeError(`not a uuid: ${value}`)
  }

  /** Large bytes are linked, not copied: they must not change until the message is sent. */
  bytes(value: Buffer): void {
    if (value.length < LINK_FROM) return this.copy(value)
    this.cut()
    this.chunks.push(value)
    this.linked += value.length
  }

  /** Always copied, however large: for what must end up in one piece, such as the records of a batch. */
  copy(value: Buffer): void {
    const at = this.reserve(value.length)
    value.copy(this.buffer, at)
  }

  private cut(): void {
    if (this.position === this.start) return
    this.chunks.push(this.buffer.subarray(this.start, this.position))
    this.linked += this.position - this.start
    this.start = this.position
  }

  /** The message in pieces, in order. The writer is used up. */
  finish(): Buffer[] {
    this.cut()
    return this.chunks
  }

  /** As `finish`, for a message that began with an int32 of room for its own length: Kafka's framing. */
  finishFrame(): Buffer[] {
    const chunks = this.finish()
    chunks[0].writeInt32BE(this.linked - 4, 0)
    return chunks
  }

  /** The message as one buffer, copied only if it is in pieces. */
  toBuffer(): Buffer {
    const chunks = this.finish()
    return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks)
  }
}

export function unsignedVarintSize(value: number): number {
  const bits = 32 - Math.clz32(value)
  return bits <= 7 ? 1 : Math.ceil(bits / 7)
}

export function varintSize(value: number): number {
  return unsignedVarintSize((value << 1) ^ (value >> 31))
}

export function varlongSize(value: bigint): number {
  if (value >= -0x4000_0000n && value < 0x4000_0000n) return varintSize(Number(value))
  let size = 1
  for (let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n)); rest > 0x7fn; rest >>= 7n) size++
  return size
}

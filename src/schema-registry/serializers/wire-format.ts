// What stands in front of a value that was written with a registry's schema: a zero, the schema's id, and, for Protobuf, which of the
// schema's messages it is.

const MAGIC = 0
export const PREFIX_BYTES = 5
/** Deeper than messages are nested; what claims more is no such value. */
const MAX_INDEXES = 64

/** The bytes were not written with a registry's schema. */
export class WireFormatError extends Error {
  override readonly name = 'WireFormatError'
}

export function withPrefix(id: number, ...parts: readonly Uint8Array[]): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix[0] = MAGIC
  prefix.writeInt32BE(id, 1)
  return Buffer.concat([prefix, ...parts])
}

/** Throws WireFormatError. The rest is a view. */
export function readPrefix(bytes: Buffer): { readonly id: number; readonly rest: Buffer } {
  if (bytes.length < PREFIX_BYTES || bytes[0] !== MAGIC) {
    const found = bytes.length === 0 ? 'it is empty' : `it begins with ${bytes.subarray(0, PREFIX_BYTES).toString('hex')}`
    throw new WireFormatError(`no value of a schema registry, which begins with a zero and an id: ${found}`)
  }
  return { id: bytes.readInt32BE(1), rest: bytes.subarray(PREFIX_BYTES) }
}

/** The way to a message: its index in the file, then in each message around it. The first of a file, which nearly all are, is one zero. */
export function encodeIndexes(indexes: readonly number[]): Buffer {
  if (indexes.length === 1 && indexes[0] === 0) return Buffer.of(0)
  return Buffer.from([indexes.length, ...indexes].flatMap(zigzag))
}

/** Throws WireFormatError. */
export function decodeIndexes(bytes: Buffer): { readonly indexes: readonly number[]; readonly rest: Buffer } {
  let position = 0
  const next = () => {
    let value = 0
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[position++]
      if (byte === undefined || shift > 28) throw new WireFormatError('the message indexes of the value are cut off')
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
  }
  const count = next()
  if (count < 0 || count > MAX_INDEXES) throw new WireFormatError(`${count} message indexes make no sense`)
  const indexes = count === 0 ? [0] : Array.from({ length: count }, next)
  return { indexes, rest: bytes.subarray(position) }
}

function zigzag(value: number): number[] {
  const bytes: number[] = []
  let rest = value << 1
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest]
}

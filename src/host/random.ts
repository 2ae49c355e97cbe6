// Randomness as an argument, so that a run can be repeated from its seed.

import { randomBytes } from 'node:crypto'

export interface Random {
  /** 0 to 2^32 - 1. */
  u32(): number
  bytes(length: number): Buffer
}

export const realRandom: Random = {
  u32: () => randomBytes(4).readUInt32BE(),
  bytes: (length) => randomBytes(length),
}

/** Version 4, as 22 characters of base64url. */
export function uuid(random: Random): string {
  return uuidBytes(random).toString('base64url')
}

/** Version 4, in the form with hyphens: member ids carry it. */
export function hyphenatedUuid(random: Random): string {
  const hex = uuidBytes(random).toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

function uuidBytes(random: Random): Buffer {
  const bytes = random.bytes(16)
  bytes[6] = (bytes[6] & 0x0f) | 0x40
  bytes[8] = (bytes[8] & 0x3f) | 0x80
  return bytes
}

/** A repeatable stream (mulberry32). Not for secrets. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const u32 = () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return (mixed ^ (mixed >>> 14)) >>> 0
  }
  return {
    u32,
    bytes(length) {
      const bytes = Buffer.alloc(length)
      for (let i = 0; i < length; i++) bytes[i] = u32() & 0xff
      return bytes
    },
  }
}

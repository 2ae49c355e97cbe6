// Which offset each key was last written at, for compaction: a hash table in one piece of memory of bounded size. Of a key only a hash of
// 128 bits is kept, under a secret that each table has of its own, so that nobody can make two keys look the same.

import { SIPHASH_WORDS, siphash128 } from '../bytes/siphash.ts'
import type { Random } from '../host/random.ts'

/** The hash, and the offset relative to the table's base as a double, plus one so that zero means an empty slot. */
const SLOT_BYTES = 24
const SLOT_WORDS = SLOT_BYTES / 4
const SLOT_DOUBLES = SLOT_BYTES / 8
/** Where in a slot the offset stands, in doubles. */
const OFFSET = 2
const FIRST_SLOTS = 1024
/** Moved at a time when the table grows: some hundred microseconds of work. */
const SLOTS_PER_STEP = 4096

export class KeyOffsets {
  private readonly base: bigint
  private readonly maxSlots: number
  private readonly loadFactor: number
  private readonly secret = new Int32Array(SIPHASH_WORDS)
  private readonly hash = new Int32Array(SIPHASH_WORDS)
  private slots = FIRST_SLOTS
  private words: Int32Array
  private doubles: Float64Array
  private used = 0

  /**
   * @param base Offsets are at or behind it.
   * @param limitBytes Memory for the table; while it grows, half as much again.
   * @param loadFactor Share of the slots that may be taken at most: the fuller, the longer it takes to find one.
   */
  constructor(base: bigint, limitBytes: number, loadFactor: number, random: Random) {
    this.base = base
    this.loadFactor = Math.min(loadFactor, 0.95)
    this.maxSlots = Math.max(FIRST_SLOTS, Math.floor(limitBytes / SLOT_BYTES))
    for (let i = 0; i < SIPHASH_WORDS; i++) this.secret[i] = random.u32()
    const table = new ArrayBuffer(this.slots * SLOT_BYTES)
    this.words = new Int32Array(table)
    this.doubles = new Float64Array(table)
  }

  get count(): number {
    return this.used
  }

  /** A key more may not have room any more, unless the table grows. */
  get isFull(): boolean {
    return this.used >= this.slots * this.loadFactor
  }

  /** Offsets of one key must come in ascending order. False: there is no room for another key. */
  put(key: Buffer, offset: bigint): boolean {
    siphash128(key, this.secret, this.hash)
    const slot = this.find(this.hash, 0)
    const at = slot * SLOT_DOUBLES + OFFSET
    if (this.doubles[at] === 0) {
      if (this.isFull) return false
      this.words.set(this.hash, slot * SLOT_WORDS)
      this.used++
    }
    this.doubles[at] = Number(offset - this.base) + 1
    return true
  }

  /** Undefined for a key that was not put. */
  latest(key: Buffer): bigint | undefined {
    siphash128(key, this.secret, this.hash)
    const value = this.doubles[this.find(this.hash, 0) * SLOT_DOUBLES + OFFSET]
    return value === 0 ? undefined : this.base + BigInt(value - 1)
  }

  /** Makes room for as many keys again, in steps between which others get their turn. False where the limit is reached. */
  async grow(turn: () => Promise<void>): Promise<boolean> {
    const slots = Math.min(this.slots * 2, this.maxSlots)
    if (slots <= this.slots) return false
    const { words, doubles } = this
    const old = this.slots
    const table = new ArrayBuffer(slots * SLOT_BYTES)
    this.slots = slots
    this.words = new Int32Array(table)
    this.doubles = new Float64Array(table)
    for (let slot = 0; slot < old; slot++) {
      if (slot % SLOTS_PER_STEP === SLOTS_PER_STEP - 1) await turn()
      const value = doubles[slot * SLOT_DOUBLES + OFFSET]
      if (value === 0) continue
      const at = slot * SLOT_WORDS
      const to = this.find(words, at)
      for (let i = 0; i < SIPHASH_WORDS; i++) this.words[to * SLOT_WORDS + i] = words[at + i]
      this.doubles[to * SLOT_DOUBLES + OFFSET] = value
    }
    return true
  }

  /** The slot that has the hash which stands in `hash` at `from`, or would get it. */
  private find(hash: Int32Array, from: number): number {
    const { words, doubles, slots } = this
    let slot = (hash[from] >>> 0) % slots
    for (;;) {
      if (doubles[slot * SLOT_DOUBLES + OFFSET] === 0) return slot
      const at = slot * SLOT_WORDS
      if (
        words[at] === hash[from] &&
        words[at + 1] === hash[from + 1] &&
        words[at + 2] === hash[from + 2] &&
        words[at + 3] === hash[from + 3]
      ) {
        return slot
      }
      slot = slot + 1 === slots ? 0 : slot + 1
    }
  }
}

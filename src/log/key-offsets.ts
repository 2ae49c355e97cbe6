// Which offset each key was last written at, for compaction: a hash table in one piece of memory of bounded size. Keys are kept
// as 128 bits of their SHA-256, so that nobody can make two keys look the same.

import { hash } from 'node:crypto'

const HASH_BYTES = 16
/** The hash, and the offset relative to the table's base, plus one so that zero means an empty slot. */
const SLOT_BYTES = HASH_BYTES + 8
const FIRST_SLOTS = 1024

export class KeyOffsets {
  private readonly base: bigint
  private readonly maxSlots: number
  private readonly loadFactor: number
  private table: Buffer
  private slots: number
  private used = 0

  /**
   * @param base Offsets are at or behind it.
   * @param loadFactor Share of the slots that may be taken at most: the fuller, the longer it takes to find one.
   */
  constructor(base: bigint, limitBytes: number, loadFactor: number) {
    this.base = base
    this.loadFactor = Math.min(loadFactor, 0.95)
    this.maxSlots = Math.max(FIRST_SLOTS, Math.floor(limitBytes / SLOT_BYTES))
    this.slots = FIRST_SLOTS
    this.table = Buffer.alloc(FIRST_SLOTS * SLOT_BYTES)
  }

  get count(): number {
    return this.used
  }

  /** Offsets of one key must come in ascending order. False: there is no room for another key. */
  put(key: Buffer, offset: bigint): boolean {
    const digest = digestOf(key)
    let at = this.find(digest)
    if (this.table.readDoubleLE(at + HASH_BYTES) === 0) {
      if (this.used >= this.slots * this.loadFactor) {
        if (!this.grow()) return false
        at = this.find(digest)
      }
      digest.copy(this.table, at, 0, HASH_BYTES)
      this.used++
    }
    this.table.writeDoubleLE(Number(offset - this.base) + 1, at + HASH_BYTES)
    return true
  }

  /** Undefined for a key that was not put. */
  latest(key: Buffer): bigint | undefined {
    const value = this.table.readDoubleLE(this.find(digestOf(key)) + HASH_BYTES)
    return value === 0 ? undefined : this.base + BigInt(value - 1)
  }

  /** The position of the slot that has the key, or would get it. */
  private find(digest: Buffer): number {
    let slot = digest.readUInt32LE(0) % this.slots
    for (;;) {
      const at = slot * SLOT_BYTES
      if (this.table.readDoubleLE(at + HASH_BYTES) === 0) return at
      if (digest.compare(this.table, at, at + HASH_BYTES, 0, HASH_BYTES) === 0) return at
      slot = slot + 1 === this.slots ? 0 : slot + 1
    }
  }

  private grow(): boolean {
    const slots = Math.min(this.slots * 2, this.maxSlots)
    if (slots <= this.slots) return false
    const old = this.table
    this.slots = slots
    this.table = Buffer.alloc(slots * SLOT_BYTES)
    for (let at = 0; at < old.length; at += SLOT_BYTES) {
      if (old.readDoubleLE(at + HASH_BYTES) === 0) continue
      old.copy(this.table, this.find(old.subarray(at, at + HASH_BYTES)), at, at + SLOT_BYTES)
    }
    return true
  }
}

function digestOf(key: Buffer): Buffer {
  return hash('sha256', key, 'buffer')
}

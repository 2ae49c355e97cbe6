// An index file of a segment: sorted entries of fixed size, a key and a number, for one batch in every few kilobytes of log.
// Entries gather in memory, go to the file in lumps, and are looked up in the file by bisection: nothing of a sealed segment's
// index stays in memory.

import type { FilePool } from './file-pool.ts'

export interface IndexEntry<Key> {
  readonly key: Key
  readonly value: number
}

interface Layout<Key> {
  readonly size: number
  readKey(buffer: Buffer, at: number): Key
  readValue(buffer: Buffer, at: number): number
  write(buffer: Buffer, at: number, key: Key, value: number): void
}

/** int32 offset relative to the segment's base offset, of the last record of a batch; int32 position of that batch. */
export const offsetIndexLayout: Layout<number> = {
  size: 8,
  readKey: (buffer, at) => buffer.readInt32BE(at),
  readValue: (buffer, at) => buffer.readInt32BE(at + 4),
  write(buffer, at, key, value) {
    buffer.writeInt32BE(key, at)
    buffer.writeInt32BE(value, at + 4)
  },
}

/** int64 timestamp that no record before was beyond; int32 relative offset of the last record of the batch that reached it. */
export const timeIndexLayout: Layout<bigint> = {
  size: 12,
  readKey: (buffer, at) => buffer.readBigInt64BE(at),
  readValue: (buffer, at) => buffer.readInt32BE(at + 8),
  write(buffer, at, key, value) {
    buffer.writeBigInt64BE(key, at)
    buffer.writeInt32BE(value, at + 8)
  },
}

/** Entries held back in memory, at most: a few megabytes of log. */
const ENTRIES_PER_SAVE = 1024
/** From here down the rest of a bisection is done in memory, after one read. */
const ENTRIES_PER_READ = 512
/** Read at a time where all of them are. */
const ENTRIES_PER_CHECK = 8192

export class SparseIndex<Key extends number | bigint> {
  path: string
  private readonly pool: FilePool
  private readonly layout: Layout<Key>
  /** Entries in the file. Never more than it holds. */
  private saved: number
  private unsaved: Buffer
  private unsavedCount = 0
  private saving: Promise<void> | undefined

  constructor(pool: FilePool, path: string, layout: Layout<Key>, saved: number) {
    this.pool = pool
    this.path = path
    this.layout = layout
    this.saved = saved
    this.unsaved = Buffer.alloc(0)
  }

  get count(): number {
    return this.saved + this.unsavedCount
  }

  get sizeBytes(): number {
    return this.count * this.layout.size
  }

  get shouldSave(): boolean {
    return this.unsavedCount >= ENTRIES_PER_SAVE
  }

  get hasUnsaved(): boolean {
    return this.unsavedCount > 0
  }

  /** Keys must ascend. */
  add(key: Key, value: number): void {
    const at = this.unsavedCount * this.layout.size
    if (at === this.unsaved.length) {
      const grown = Buffer.alloc(Math.max(8 * this.layout.size, this.unsaved.length * 2))
      this.unsaved.copy(grown)
      this.unsaved = grown
    }
    this.layout.write(this.unsaved, at, key, value)
    this.unsavedCount++
  }

  /** Brings all entries into the file, which is created if need be. */
  save(): Promise<void> {
    const saving = this.saving === undefined ? this.saveNow() : this.saving.then(() => this.saveNow())
    // Whoever comes next begins where this one has ended, or where it has failed.
    const settled: Promise<void> = saving
      .catch(() => {})
      .then(() => {
        if (this.saving === settled) this.saving = undefined
      })
    this.saving = settled
    return saving
  }

  private async saveNow(): Promise<void> {
    const count = this.unsavedCount
    const bytes = this.unsaved.subarray(0, count * this.layout.size)
    // A power cut may have left a file of this name without its log.
    if (this.saved === 0) await this.pool.createEmpty(this.path)
    if (count === 0) return
    await this.pool.use(this.path, 'write', (file) => file.write([bytes], this.saved * this.layout.size))
    // Entries that came meanwhile stay, in a buffer of their own: lookups may be reading the old one.
    this.unsaved = Buffer.from(this.unsaved.subarray(bytes.length, this.unsavedCount * this.layout.size))
    this.unsavedCount -= count
    this.saved += count
  }

  /** Saves, and makes durable. */
  async sync(): Promise<void> {
    await this.save()
    await this.pool.use(this.path, 'write', (file) => file.sync())
  }

  /** Drops all entries from number `count` on. */
  async keep(count: number): Promise<void> {
    if (count < this.saved) {
      this.saved = count
      this.unsavedCount = 0
      await this.pool.use(this.path, 'write', (file) => file.truncate(count * this.layout.size))
    } else this.unsavedCount = Math.min(this.unsavedCount, count - this.saved)
  }

  /** Of the entries in the file, keeps the first ones that ascend in both columns and satisfy `holds`. With nothing unsaved. */
  async keepSound(holds: (entry: IndexEntry<Key>) => boolean): Promise<void> {
    const { layout, saved } = this
    let previous: IndexEntry<Key> | undefined
    for (let first = 0; first < saved; first += ENTRIES_PER_CHECK) {
      const entries = await this.readSaved(first, Math.min(ENTRIES_PER_CHECK, saved - first))
      for (let at = 0; at < entries.length; at += layout.size) {
        const entry = { key: layout.readKey(entries, at), value: layout.readValue(entries, at) }
        const ascends = previous === undefined || (entry.key > previous.key && entry.value > previous.value)
        if (!ascends || !holds(entry)) return this.keep(first + at / layout.size)
        previous = entry
      }
    }
  }

  async last(): Promise<IndexEntry<Key> | undefined> {
    return this.count === 0 ? undefined : this.at(this.count - 1)
  }

  /** The last entry whose key is at most `key`. */
  async floor(key: Key): Promise<IndexEntry<Key> | undefined> {
    const below = await this.countUpTo(key)
    return below === 0 ? undefined : this.at(below - 1)
  }

  /** How many entries have a key of at most `key`. */
  async countUpTo(key: Key): Promise<number> {
    const { layout, saved, unsaved, unsavedCount } = this
    if (unsavedCount > 0 && layout.readKey(unsaved, 0) <= key) return saved + this.bisect(unsaved, unsavedCount, key)
    // The count lies in low..high.
    let low = 0
    let high = saved
    while (high - low > ENTRIES_PER_READ) {
      const middle = (low + high) >>> 1
      const entry = await this.readSaved(middle, 1)
      if (layout.readKey(entry, 0) <= key) low = middle + 1
      else high = middle
    }
    if (low === high) return low
    return low + this.bisect(await this.readSaved(low, high - low), high - low, key)
  }

  private bisect(entries: Buffer, count: number, key: Key): number {
    let low = 0
    let high = count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.layout.readKey(entries, middle * this.layout.size) <= key) low = middle + 1
      else high = middle
    }
    return low
  }

  private async at(number: number): Promise<IndexEntry<Key>> {
    const held = number - this.saved
    const [bytes, at] = held >= 0 ? [this.unsaved, held * this.layout.size] : [await this.readSaved(number, 1), 0]
    return { key: this.layout.readKey(bytes, at), value: this.layout.readValue(bytes, at) }
  }

  private async readSaved(first: number, count: number): Promise<Buffer> {
    const bytes = Buffer.allocUnsafe(count * this.layout.size)
    const read = await this.pool.use(this.path, 'read', (file) => file.read(bytes, first * this.layout.size))
    if (read !== bytes.length) throw new Error(`${this.path}: ${this.saved} entries expected, the file is shorter`)
    return bytes
  }
}

// The embedded store's state: entries by key, with the keys in order so that a prefix is a slice.

import type { Entry } from './metadata-store.ts'

export class KeySpace {
  private readonly entries: Map<string, Entry>
  /** The keys of `entries`, ascending. */
  private readonly keys: string[]

  /** Takes the map over. */
  constructor(entries = new Map<string, Entry>()) {
    this.entries = entries
    this.keys = [...entries.keys()].sort()
  }

  get size(): number {
    return this.keys.length
  }

  get(key: string): Entry | undefined {
    return this.entries.get(key)
  }

  set(entry: Entry): void {
    if (!this.entries.has(entry.key)) {
      this.keys.splice(this.position(entry.key), 0, entry.key)
    }
    this.entries.set(entry.key, entry)
  }

  delete(key: string): void {
    if (this.entries.delete(key)) this.keys.splice(this.position(key), 1)
  }

  /** Entries below a prefix, in order. */
  below(prefix: string): Entry[] {
    const found: Entry[] = []
    for (let i = this.position(prefix); i < this.keys.length && this.keys[i].startsWith(prefix); i++) {
      found.push(this.entries.get(this.keys[i])!)
    }
    return found
  }

  /** Where a key stands, or would. */
  private position(key: string): number {
    let low = 0
    let high = this.keys.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.keys[middle] < key) low = middle + 1
      else high = middle
    }
    return low
  }
}

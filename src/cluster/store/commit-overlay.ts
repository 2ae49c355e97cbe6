// Judges commits one after the other, before any of them is durable.

import type { KeySpace } from './key-space.ts'
import type { Entry, Event, Guard, Op, Revision } from './metadata-store.ts'
import type { Batch } from './store-files.ts'

/** The state as it will be after the commits judged so far. */
export class CommitOverlay {
  revision: Revision
  private readonly base: KeySpace
  /** Null: deleted. */
  private readonly changed = new Map<string, Entry | null>()

  constructor(base: KeySpace, revision: Revision) {
    this.base = base
    this.revision = revision
  }

  get(key: string): Entry | undefined {
    const entry = this.changed.get(key)
    return entry === undefined ? this.base.get(key) : (entry ?? undefined)
  }

  holds(guard: Guard): boolean {
    const entry = this.get(guard.key)
    if ('created' in guard) return (entry?.created ?? 0) === guard.created
    if ('modified' in guard) return (entry?.modified ?? 0) === guard.modified
    return entry !== undefined && Buffer.compare(entry.value, guard.value) === 0
  }

  /** Undefined where nothing changed: such a commit has no revision of its own. */
  apply(ops: readonly Op[]): Batch | undefined {
    const revision = this.revision + 1
    const events: Event[] = []
    for (const op of ops) {
      if ('put' in op) {
        const created = this.get(op.put)?.created ?? revision
        const entry: Entry = { key: op.put, value: ownCopy(op.value), created, modified: revision, lease: op.lease ?? null }
        this.changed.set(op.put, entry)
        events.push({ put: entry })
      } else {
        for (const key of 'delete' in op ? [op.delete] : this.keysBelow(op.deletePrefix)) {
          if (this.get(key) === undefined) continue
          this.changed.set(key, null)
          events.push({ delete: key })
        }
      }
    }
    if (events.length === 0) return undefined
    this.revision = revision
    return { revision, events }
  }

  private keysBelow(prefix: string): string[] {
    const keys = new Set(this.base.below(prefix).map((entry) => entry.key))
    for (const key of this.changed.keys()) if (key.startsWith(prefix)) keys.add(key)
    return [...keys].sort()
  }
}

/** For keeping: a small buffer is a slice of Node's pool, and would keep 64 KiB of that with it for as long as it lives. */
function ownCopy(value: Uint8Array): Uint8Array {
  const copy = Buffer.allocUnsafeSlow(value.length)
  copy.set(value)
  return copy
}

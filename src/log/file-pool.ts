// Open files, bounded: opened on use, closed when not used for long. A log has three files per segment, and most of
// them are never touched.

import type { Disk, DiskFile } from '../host/disk.ts'

type Mode = 'read' | 'write'

interface Slot {
  readonly path: string
  readonly mode: Mode
  readonly opening: Promise<DiskFile>
  /** Since eviction last came by: a use notes that, and no more, for most of them find their file open and the pool half empty. */
  used: boolean
  /** Uses under way: a file is never closed under them. */
  pins: number
  /** No longer in the pool: closed with its last use. */
  forgotten: boolean
}

/** Where nobody knows how many there may be. */
const FEW_FILES = 1000
/** Each of them costs the kernel about a kilobyte. */
const MANY_FILES = 50_000

/** How many files logs may keep open, where a process may have `openFileLimit` files and sockets: three in four. */
export function openLogFiles(openFileLimit: number | undefined): number {
  return openFileLimit === undefined ? FEW_FILES : Math.min(MANY_FILES, Math.floor((openFileLimit * 3) / 4))
}

export class FilePool {
  private readonly disk: Disk
  private readonly limit: number
  /** In the order in which eviction looks at them. */
  private readonly slots = new Map<string, Slot>()

  /** @param limit Files open at once. Uses under way may go beyond it, for they cannot wait for each other. */
  constructor(disk: Disk, limit: number) {
    this.disk = disk
    this.limit = limit
  }

  get openFiles(): number {
    return this.slots.size
  }

  /** Runs `work` on the file, which `write` creates if it is absent. */
  async use<T>(path: string, mode: Mode, work: (file: DiskFile) => Promise<T>): Promise<T> {
    const slot = this.slot(path, mode)
    slot.pins++
    try {
      return await work(await slot.opening)
    } finally {
      slot.pins--
      if (slot.forgotten) this.closeIfUnused(slot)
    }
  }

  /** An empty file, whatever was there. It is not kept open: who makes one at the same time as its log does not write to it for long. */
  async createEmpty(path: string): Promise<void> {
    this.forget(path)
    const file = await this.disk.open(path, 'write')
    try {
      await file.truncate(0)
    } finally {
      await file.close()
    }
  }

  /** Before a file is renamed, replaced or removed: the next use opens what then has the name. */
  forget(path: string): void {
    const slot = this.slots.get(path)
    if (slot === undefined) return
    this.slots.delete(path)
    slot.forgotten = true
    this.closeIfUnused(slot)
  }

  /** Closes all files but those in use, which close with their last use. What is used afterwards is opened again. */
  async close(): Promise<void> {
    const slots = [...this.slots.values()]
    this.slots.clear()
    for (const slot of slots) slot.forgotten = true
    await Promise.allSettled(slots.filter(({ pins }) => pins === 0).map(async (slot) => (await slot.opening).close()))
  }

  private slot(path: string, mode: Mode): Slot {
    const present = this.slots.get(path)
    if (present !== undefined) {
      if (mode === 'read' || present.mode === 'write') {
        present.used = true
        return present
      }
      this.slots.delete(path)
      present.forgotten = true
      this.closeIfUnused(present)
    }
    const slot: Slot = { path, mode, opening: this.disk.open(path, mode), used: false, pins: 0, forgotten: false }
    this.slots.set(path, slot)
    slot.opening.catch(() => {
      if (this.slots.get(path) === slot) this.slots.delete(path)
    })
    if (this.slots.size > this.limit) this.evict(slot)
    return slot
  }

  /** Closes what nobody has used since the last time; who has been used gets to the end of the line. */
  private evict(newest: Slot): void {
    for (const slot of this.slots.values()) {
      if (this.slots.size <= this.limit) return
      if (slot === newest || slot.pins > 0) continue
      this.slots.delete(slot.path)
      if (slot.used) {
        slot.used = false
        this.slots.set(slot.path, slot)
        continue
      }
      slot.forgotten = true
      this.closeIfUnused(slot)
    }
  }

  private closeIfUnused(slot: Slot): void {
    if (slot.pins > 0) return
    // Nothing hangs on the outcome: what had to be durable has been synced.
    slot.opening.then((file) => file.close()).catch(() => {})
  }
}

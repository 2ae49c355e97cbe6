// What lies under the simulated disk: files and directories, each as it is now (what reads see: the page cache) and as it is on
// the medium, with the changes in between in order. A power cut decides change by change, sector by sector, what has got there.

import type { Dice, Tally } from './simulation.ts'

/** What a disk writes whole, as a rule. */
const SECTOR = 512

interface Write {
  readonly number: number
  readonly position: number
  readonly bytes: Buffer
}

interface Truncation {
  readonly number: number
  readonly size: number
}

type Change = Write | Truncation

const isWrite = (change: Change): change is Write => 'bytes' in change

const EMPTY = Buffer.alloc(0)

/** Bytes that grow. Behind `size` the buffer holds zeros. */
class Contents {
  size: number
  private buffer: Buffer

  constructor(bytes: Buffer = EMPTY) {
    this.buffer = bytes
    this.size = bytes.length
  }

  get bytes(): Buffer {
    return this.buffer.subarray(0, this.size)
  }

  copy(): Contents {
    return new Contents(Buffer.from(this.bytes))
  }

  write(bytes: Buffer, position: number): void {
    if (bytes.length === 0) return
    this.reserve(position + bytes.length)
    bytes.copy(this.buffer, position)
    this.size = Math.max(this.size, position + bytes.length)
  }

  truncate(size: number): void {
    this.reserve(size)
    if (size < this.size) this.buffer.fill(0, size, this.size)
    this.size = size
  }

  apply(change: Change): void {
    if (isWrite(change)) this.write(change.bytes, change.position)
    else this.truncate(change.size)
  }

  private reserve(size: number): void {
    if (size <= this.buffer.length) return
    // From Node's pool: a buffer with memory of its own costs more than filling this one.
    const grown = Buffer.allocUnsafe(Math.max(size, this.buffer.length * 2, 256)).fill(0)
    this.bytes.copy(grown)
    this.buffer = grown
  }
}

/** A file apart from its names. Lives as long as somebody has a handle on it. */
export class Inode {
  private current = new Contents()
  private durable = new Contents()
  private changes: Change[] = []
  private lastNumber = 0
  /** A sync has failed: `current` shows what the medium has not got, until the cache is dropped. */
  private lying = false

  get size(): number {
    return this.current.size
  }

  /** Of the change made last: what a sync that begins now will cover. */
  get version(): number {
    return this.lastNumber
  }

  read(target: Buffer, position: number): number {
    if (position >= this.size) return 0
    return this.current.bytes.copy(target, 0, position)
  }

  write(bytes: Buffer, position: number): void {
    this.change({ number: ++this.lastNumber, position, bytes: Buffer.from(bytes) })
  }

  truncate(size: number): void {
    this.change({ number: ++this.lastNumber, size })
  }

  private change(change: Change): void {
    this.current.apply(change)
    this.changes.push(change)
  }

  /** All changes up to `version` are on the medium. */
  sync(version: number): void {
    for (const change of this.takeChanges(version)) this.durable.apply(change)
  }

  /** Some of it may be on the medium. What is not will never be, though reads may show it for a while. */
  failSync(version: number, dice: Dice): void {
    this.durable = surviving(this.durable, this.takeChanges(version), dice)
    this.lying = true
    if (dice.chance(0.5)) this.dropCache()
  }

  private takeChanges(version: number): Change[] {
    const covered = this.changes.filter(({ number }) => number <= version)
    this.changes = this.changes.slice(covered.length)
    return covered
  }

  private dropCache(): void {
    this.lying = false
    this.current = this.durable.copy()
    for (const change of this.changes) this.current.apply(change)
  }

  /** A process ends, and its successor reads: pages that are clean need not have stayed. */
  survivesKill(): void {
    if (this.lying) this.dropCache()
  }

  losePower(dice: Dice, tally: Tally): void {
    if (this.changes.length > 0) {
      const wanted = this.current
      this.durable = surviving(this.durable, this.changes, dice)
      tally.count(`files whole after a power cut`, wanted.bytes.equals(this.durable.bytes) ? 1 : 0)
      tally.count(`files shorter after a power cut`, this.durable.size < wanted.size ? 1 : 0)
      tally.count(`files with other bytes after a power cut`, isPrefix(this.durable.bytes, wanted.bytes) ? 0 : 1)
    } else if (!this.lying) return
    this.lying = false
    this.changes = []
    this.current = this.durable.copy()
  }

  /** The medium gives back another bit than it was given. */
  flip(position: number, bit: number): void {
    for (const contents of [this.current, this.durable]) {
      if (position < contents.size) contents.bytes[position] ^= 1 << bit
    }
  }
}

function isPrefix(part: Buffer, whole: Buffer): boolean {
  return part.length <= whole.length && part.compare(whole, 0, part.length) === 0
}

/** Of the changes to a sector that has never been written, not even in part. */
const NOTHING = -1

/** What is on the medium of a file that had `changes` on their way to it. */
function surviving(durable: Contents, changes: readonly Change[], dice: Dice): Contents {
  const all = changes.length
  const manner = dice.pick(['nothing', 'everything', 'in order', 'scattered', 'scattered'] as const)
  if (manner === 'nothing') return durable
  /** How many changes the file's size knows of. */
  const metadata = manner === 'everything' || (manner === 'scattered' && dice.chance(0.5)) ? all : dice.below(all + 1)
  const sectors = new Map<number, number>()
  /** How many changes a sector has seen when it was written: it is written as it is in memory at that time. */
  const seenBy = (sector: number): number => {
    if (manner === 'everything') return all
    if (manner === 'in order') return metadata
    let seen = sectors.get(sector)
    if (seen === undefined) {
      seen = dice.pick([all, NOTHING, dice.below(all + 1)])
      sectors.set(sector, seen)
    }
    return seen
  }
  const result = durable.copy()
  let size = durable.size
  for (const [i, change] of changes.entries()) {
    if (!isWrite(change)) {
      if (i >= metadata) continue
      result.truncate(change.size)
      size = change.size
      continue
    }
    const end = change.position + change.bytes.length
    if (i < metadata) size = Math.max(size, end)
    for (let at = change.position; at < end; ) {
      const sector = Math.floor(at / SECTOR)
      const next = Math.min(end, (sector + 1) * SECTOR)
      const seen = seenBy(sector)
      // The change that came while the sector was being written: it is torn.
      const kept = i < seen ? next - at : i === seen && manner !== 'everything' ? dice.below(next - at + 1) : 0
      result.write(change.bytes.subarray(at - change.position, at - change.position + kept), at)
      at = next
    }
  }
  // The size counts: data without it is not there, and it without data reads as zeros.
  result.truncate(size)
  return result
}

export type Node = Inode | Folder

/** One step that names appear or vanish by: all of its entries or none. */
interface Renaming {
  readonly number: number
  readonly entries: readonly { readonly folder: Folder; readonly name: string; readonly node: Node | undefined }[]
}

export class Folder {
  readonly names = new Map<string, Node>()
  readonly durable = new Map<string, Node>()
}

/** All names, and which of them are on the medium. */
export class Names {
  readonly root = new Folder()
  private renamings: Renaming[] = []
  private lastNumber = 0

  get version(): number {
    return this.lastNumber
  }

  find(path: string): Node | undefined {
    let node: Node | undefined = this.root
    for (const name of path.split('/')) {
      if (name === '') continue
      if (!(node instanceof Folder)) return undefined
      node = node.names.get(name)
    }
    return node
  }

  change(...entries: Renaming['entries']): void {
    for (const { folder, name, node } of entries) {
      if (node === undefined) folder.names.delete(name)
      else folder.names.set(name, node)
    }
    this.renamings.push({ number: ++this.lastNumber, entries })
  }

  /** What has happened in `folder` up to `version` is on the medium. */
  sync(folder: Folder, version: number): void {
    this.renamings = this.renamings.filter((renaming) => {
      if (renaming.number > version || !renaming.entries.some((entry) => entry.folder === folder)) return true
      keep(renaming)
      return false
    })
  }

  losePower(dice: Dice, tally: Tally): void {
    // As a journal has it, or as no order promises.
    const ordered = dice.chance(0.6)
    const count = dice.below(this.renamings.length + 1)
    for (const [i, renaming] of this.renamings.entries()) {
      const kept = ordered ? i < count : dice.chance(0.5)
      if (kept) keep(renaming)
      tally.count(`${kept ? 'kept' : 'lost'} ${kindOf(renaming)} in a power cut`)
    }
    this.renamings = []
    for (const node of this.all('durable')) {
      if (!(node instanceof Folder)) {
        node.losePower(dice, tally)
        continue
      }
      node.names.clear()
      for (const [name, child] of node.durable) node.names.set(name, child)
    }
  }

  survivesKill(): void {
    for (const node of this.all('names')) if (!(node instanceof Folder)) node.survivesKill()
  }

  /** Bytes of the files below `node`. */
  sizeOf(node: Node | undefined): number {
    if (node === undefined) return 0
    if (!(node instanceof Folder)) return node.size
    let size = 0
    for (const child of node.names.values()) size += this.sizeOf(child)
    return size
  }

  private *all(view: 'names' | 'durable', from: Folder = this.root): Generator<Node> {
    yield from
    for (const node of from[view].values()) {
      if (node instanceof Folder) yield* this.all(view, node)
      else yield node
    }
  }
}

function kindOf({ entries }: Renaming): string {
  if (entries.length > 1) return 'renames'
  return entries[0].node === undefined ? 'removals' : 'new names'
}

function keep({ entries }: Renaming): void {
  for (const { folder, name, node } of entries) {
    if (node === undefined) folder.durable.delete(name)
    else folder.durable.set(name, node)
  }
}

// A disk in simulated time, for everything that must survive what disks do: power cuts that keep some of what was not synced,
// calls that fail, are slow, or overtake each other, disks that fill up, bits that flip. All from one seed.

import { type DirectoryEntry, type Disk, DiskError, type DiskFile, type DiskLock } from '../host/disk.ts'
import { Folder, Inode, Names, type Node } from './disk-medium.ts'
import { type Dice, type Pass, type Simulation, Tally } from './simulation.ts'

/** Calls by what can go wrong with them: `name` is whatever creates, renames, removes or lists names; nothing can with `end`. */
export type CallKind = 'open' | 'read' | 'write' | 'sync' | 'name' | 'end'

/** Makes calls fail. */
export interface Fault {
  /** Calls on paths that begin so. */
  readonly under: string
  readonly kinds: readonly CallKind[]
  readonly code: 'EIO' | 'EACCES' | 'ENOSPC'
  /** Of one such call. */
  readonly probability?: number
  /** The n-th such call fails, counted from 1. */
  readonly nth?: number
}

/** What outlives processes. */
interface Machine {
  readonly simulation: Simulation
  readonly dice: Dice
  readonly names: Names
  readonly locks: Set<string>
  /** By the first part of a path: each directory of the root is a disk of its own. */
  readonly capacities: Map<string, number>
  readonly used: Map<string, number>
  readonly onCall: ((call: string) => void) | undefined
  readonly tally: Tally
  /** Some calls take very long. */
  slow: boolean
}

interface Call {
  /** What it would have done. */
  readonly work: () => unknown
  /** What it may have done of that when it is cut short. */
  readonly part: () => void
}

export class SimDisk implements Disk {
  /** In force until changed. */
  faults: Fault[] = []
  /** What the process hears goes through here: a gate that is shut while it is paused. */
  pass: Pass = (run) => run()
  private readonly machine: Machine
  private readonly calls = new Set<Call>()
  private readonly counts = new Map<Fault, number>()
  private alive = true

  /** @param onCall hears of every call when it takes effect: for traces @param name of its stream of chance */
  static create(simulation: Simulation, onCall?: (call: string) => void, name = 'disk'): SimDisk {
    return new SimDisk({
      simulation,
      dice: simulation.stream(name),
      names: new Names(),
      locks: new Set(),
      capacities: new Map(),
      used: new Map(),
      onCall,
      tally: new Tally(),
      slow: false,
    })
  }

  private constructor(machine: Machine) {
    this.machine = machine
  }

  // ── what happens to disks ─────────────────────────────────────────────────────────────────────────────────────────

  /** The power goes. This disk and its files never answer again; returns the disk as the next process finds it. */
  crash(): SimDisk {
    this.end()
    this.machine.names.losePower(this.machine.dice, this.machine.tally)
    return this.next()
  }

  /** The process is killed: all that was written is there, durable or not. */
  kill(): SimDisk {
    this.end()
    this.machine.names.survivesKill()
    return this.next()
  }

  private end(): void {
    const { dice, locks, tally } = this.machine
    this.alive = false
    for (const call of this.calls) {
      const fate = dice.below(3)
      tally.count(`calls ${FATES[fate]} at an end`)
      try {
        if (fate === 0) call.part()
        else if (fate === 1) call.work()
      } catch {
        // It would have failed, and nobody would have heard.
      }
    }
    locks.clear()
  }

  /** The disk as the next process finds it. */
  private next(): SimDisk {
    const { names, used } = this.machine
    for (const [name, node] of names.root.names) used.set(name, names.sizeOf(node))
    return new SimDisk(this.machine)
  }

  /** What has gone wrong on this machine since it was made. */
  get tally(): ReadonlyMap<string, number> {
    return this.machine.tally
  }

  /** Calls under way. */
  get busy(): number {
    return this.calls.size
  }

  set slow(slow: boolean) {
    this.machine.slow = slow
  }

  /** Room on the disk that `path` lies on. Unlimited by default. */
  setCapacity(path: string, bytes: number): void {
    this.machine.capacities.set(device(path), bytes)
  }

  used(path: string): number {
    return this.machine.used.get(device(path)) ?? 0
  }

  /** At rest, on the medium and wherever it is remembered. */
  flip(path: string, position: number, bit: number): void {
    this.file(path).flip(position, bit)
  }

  /** Without simulated time: for those who look on. */
  peek(path: string): Buffer | undefined {
    const node = this.machine.names.find(path)
    if (!(node instanceof Inode)) return undefined
    const contents = Buffer.alloc(node.size)
    node.read(contents, 0)
    return contents
  }

  peekNames(path: string): string[] {
    const node = this.machine.names.find(path)
    return node instanceof Folder ? [...node.names.keys()] : []
  }

  // ── the port ──────────────────────────────────────────────────────────────────────────────────────────────────────

  open(path: string, mode: 'read' | 'write'): Promise<DiskFile> {
    return this.call('open', path, () => {
      const { folder, name } = this.place(path)
      let node = folder.names.get(name)
      if (node === undefined) {
        if (mode === 'read') throw failure('ENOENT', path)
        node = new Inode()
        this.machine.names.change({ folder, name, node })
      }
      if (node instanceof Folder) throw failure('EISDIR', path)
      return new SimFile(this, path, node, this.machine.dice)
    })
  }

  async readFile(path: string): Promise<Buffer> {
    return this.call('read', path, () => {
      const inode = this.file(path)
      const contents = Buffer.allocUnsafe(inode.size)
      inode.read(contents, 0)
      return contents
    })
  }

  /** In the steps that a real disk takes. */
  async replaceFile(path: string, contents: Buffer): Promise<void> {
    const temporary = `${path}.tmp`
    const file = await this.open(temporary, 'write')
    try {
      await file.truncate(0)
      await file.write([contents], 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await this.rename(temporary, path)
    await this.syncDirectory(path.slice(0, path.lastIndexOf('/')))
  }

  exists(path: string): Promise<boolean> {
    return this.call('name', path, () => this.machine.names.find(path) !== undefined)
  }

  fileSize(path: string): Promise<number> {
    return this.call('name', path, () => this.file(path).size)
  }

  rename(from: string, to: string): Promise<void> {
    return this.call('name', from, () => {
      const source = this.place(from)
      const target = this.place(to)
      const node = source.folder.names.get(source.name)
      const replaced = target.folder.names.get(target.name)
      if (node === undefined) throw failure('ENOENT', from)
      if (node === replaced) return
      if (replaced !== undefined) {
        const isFolder = node instanceof Folder
        if (isFolder !== replaced instanceof Folder) throw failure(isFolder ? 'ENOTDIR' : 'EISDIR', to)
        if (replaced instanceof Folder && replaced.names.size > 0) throw failure('ENOTEMPTY', to)
        this.free(to, replaced)
      }
      this.machine.names.change({ ...source, node: undefined }, { ...target, node })
    })
  }

  remove(path: string): Promise<void> {
    return this.call('name', path, () => {
      const node = this.machine.names.find(path)
      if (node === undefined) return
      this.free(path, node)
      this.removeNode(this.place(path), node)
    })
  }

  /** Name by name, as `rm -r` does: a power cut may find it half done. */
  private removeNode(place: { folder: Folder; name: string }, node: Node): void {
    if (node instanceof Folder) for (const [name, child] of [...node.names]) this.removeNode({ folder: node, name }, child)
    this.machine.names.change({ ...place, node: undefined })
  }

  makeDirectory(path: string): Promise<void> {
    return this.call('name', path, () => {
      let folder = this.machine.names.root
      for (const name of path.split('/')) {
        if (name === '') continue
        let node = folder.names.get(name)
        if (node === undefined) {
          node = new Folder()
          this.machine.names.change({ folder, name, node })
          // Disks are mounted, not made.
          if (folder === this.machine.names.root) this.machine.names.sync(folder, this.machine.names.version)
        }
        if (!(node instanceof Folder)) throw failure('ENOTDIR', path)
        folder = node
      }
    })
  }

  list(path: string): Promise<DirectoryEntry[]> {
    return this.call('name', path, () => {
      const entries = [...this.folder(path).names]
      return entries.map(([name, node]) => ({ name, isDirectory: node instanceof Folder }))
    })
  }

  syncDirectory(path: string): Promise<void> {
    const { names } = this.machine
    const { version } = names
    return this.call('sync', path, () => names.sync(this.folder(path), version))
  }

  space(path: string): Promise<{ totalBytes: number; freeBytes: number }> {
    return this.call('name', path, () => {
      const totalBytes = this.capacity(path)
      return { totalBytes, freeBytes: Math.max(0, totalBytes - this.used(path)) }
    })
  }

  lock(path: string): Promise<DiskLock | undefined> {
    const { locks } = this.machine
    return this.call('name', path, () => {
      this.place(path)
      if (locks.has(path)) return undefined
      locks.add(path)
      return { release: () => this.call('end', path, () => void locks.delete(path)) }
    })
  }

  // ── for the files of this disk ────────────────────────────────────────────────────────────────────────────────────

  /**
   * Plans a call: it takes effect, and answers, after a while, unless the process has ended by then.
   *
   * @param part what of it may have happened when it is cut short
   * @param failed what has happened when the fault comes from outside
   */
  call<T>(kind: CallKind, path: string, work: () => T, part: () => void = () => {}, failed: () => void = part): Promise<T> {
    if (!this.alive) return new Promise(() => {})
    const { machine } = this
    return new Promise((resolve, reject) => {
      const call = { work, part }
      this.calls.add(call)
      machine.simulation.after(this.delayUs(kind), () => {
        if (!this.alive) return
        this.calls.delete(call)
        const fault = this.faultOf(kind, path)
        try {
          if (fault !== undefined) {
            machine.tally.count(`${fault.code} on ${kind}`)
            failed()
            throw failure(fault.code, path)
          }
          const result = work()
          machine.onCall?.(`${kind} ${path}`)
          this.pass(() => resolve(result))
        } catch (error) {
          machine.onCall?.(`${kind} ${path}: ${(error as Error).message}`)
          this.pass(() => reject(error))
        }
      })
    })
  }

  /** Grows a file on its disk's account. Returns how many of the bytes between `before` and `after` there is room for. */
  charge(path: string, before: number, after: number): number {
    const room = this.capacity(path) - this.used(path)
    const granted = Math.max(Math.min(after - before, room), Math.min(0, after - before))
    this.machine.used.set(device(path), this.used(path) + granted)
    return granted
  }

  refuse(path: string): never {
    this.machine.tally.count('writes to a full disk')
    throw failure('ENOSPC', path)
  }

  private free(path: string, node: Node): void {
    this.machine.used.set(device(path), this.used(path) - this.machine.names.sizeOf(node))
  }

  private capacity(path: string): number {
    return this.machine.capacities.get(device(path)) ?? Number.MAX_SAFE_INTEGER
  }

  private delayUs(kind: CallKind): number {
    const { dice, slow } = this.machine
    if (slow && dice.chance(0.05)) return dice.below(500_000)
    return dice.below(kind === 'sync' ? 2000 : 200)
  }

  private faultOf(kind: CallKind, path: string): Fault | undefined {
    for (const fault of this.faults) {
      if (!path.startsWith(fault.under) || !fault.kinds.includes(kind)) continue
      const count = (this.counts.get(fault) ?? 0) + 1
      this.counts.set(fault, count)
      if (count === fault.nth || (fault.probability !== undefined && this.machine.dice.chance(fault.probability))) return fault
    }
    return undefined
  }

  private file(path: string): Inode {
    const node = this.machine.names.find(path)
    if (node === undefined) throw failure('ENOENT', path)
    if (node instanceof Folder) throw failure('EISDIR', path)
    return node
  }

  private folder(path: string): Folder {
    const node = this.machine.names.find(path)
    if (node === undefined) throw failure('ENOENT', path)
    if (!(node instanceof Folder)) throw failure('ENOTDIR', path)
    return node
  }

  /** The folder that holds `path`, which must exist, and the name in it, which need not. */
  private place(path: string): { folder: Folder; name: string } {
    const slash = path.lastIndexOf('/')
    const folder = this.machine.names.find(path.slice(0, slash))
    if (!(folder instanceof Folder)) throw failure('ENOENT', path)
    return { folder, name: path.slice(slash + 1) }
  }
}

/** What becomes of a call that is under way when a process or the power ends. */
const FATES = ['half done', 'done', 'not done']

/** `/d0/a-0/…` lies on `d0`. */
function device(path: string): string {
  const end = path.indexOf('/', 1)
  return end === -1 ? path.slice(1) : path.slice(1, end)
}

function failure(code: string, path: string): DiskError {
  return new DiskError(code, path, `${path}: ${code}`)
}

class SimFile implements DiskFile {
  readonly path: string
  private readonly disk: SimDisk
  private readonly inode: Inode
  private readonly dice: Dice
  private open = true

  constructor(disk: SimDisk, path: string, inode: Inode, dice: Dice) {
    this.disk = disk
    this.path = path
    this.inode = inode
    this.dice = dice
  }

  read(target: Buffer, position: number): Promise<number> {
    return this.call('read', () => this.inode.read(target, position))
  }

  write(chunks: readonly Buffer[], position: number): Promise<void> {
    const bytes = () => (chunks.length === 1 ? chunks[0] : Buffer.concat(chunks))
    const part = () => {
      const all = bytes()
      this.put(all.subarray(0, this.dice.below(all.length + 1)), position)
    }
    return this.call('write', () => this.put(bytes(), position), part)
  }

  /** As much as there is room for; the rest fails. */
  private put(bytes: Buffer, position: number): void {
    if (bytes.length === 0) return
    const end = position + bytes.length
    const missing = Math.max(0, end - this.inode.size)
    const granted = missing === 0 ? 0 : this.disk.charge(this.path, this.inode.size, end)
    const fits = bytes.length - (missing - granted)
    if (fits > 0) this.inode.write(bytes.subarray(0, fits), position)
    else this.disk.charge(this.path, end, end - granted)
    if (granted < missing) this.disk.refuse(this.path)
  }

  sync(): Promise<void> {
    const { version } = this.inode
    return this.call(
      'sync',
      () => this.inode.sync(version),
      () => {},
      () => this.inode.failSync(version, this.dice),
    )
  }

  truncate(size: number): Promise<void> {
    return this.call(
      'write',
      () => {
        if (this.disk.charge(this.path, this.inode.size, size) < size - this.inode.size) throw failure('ENOSPC', this.path)
        if (size !== this.inode.size) this.inode.truncate(size)
      },
      () => {},
    )
  }

  size(): Promise<number> {
    return this.call('read', () => this.inode.size)
  }

  close(): Promise<void> {
    return this.call('end', () => {
      this.open = false
    })
  }

  private call<T>(kind: CallKind, work: () => T, part?: () => void, failed?: () => void): Promise<T> {
    const checked = () => {
      if (!this.open) throw failure('EBADF', this.path)
      return work()
    }
    return this.disk.call(kind, this.path, checked, part, failed)
  }
}

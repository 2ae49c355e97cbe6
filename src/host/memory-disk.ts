// A disk in memory: `storage: 'memory'`, tests, and the ground under the fault-injecting disk of the simulator.
// Files are pages, so that growing one copies nothing, and outlive the handles on them, as inodes do.

import { type DirectoryEntry, type Disk, DiskError, type DiskFile, type DiskLock } from './disk.ts'

/** Large enough that a log of a gigabyte has few pages; files smaller than a page take what they need, rounded up to a power of two. */
const PAGE_SIZE = 64 * 1024
const SMALLEST_PAGE = 256

/** What a file holds, apart from its name. */
class Pages {
  size = 0
  private pages: Buffer[] = []

  /** Bytes of memory taken. */
  get allocated(): number {
    return this.pages.length === 0 ? 0 : (this.pages.length - 1) * PAGE_SIZE + this.pages[this.pages.length - 1].length
  }

  read(target: Buffer, position: number): number {
    const end = Math.min(this.size, position + target.length)
    let at = position
    while (at < end) {
      const within = at % PAGE_SIZE
      const count = Math.min(end - at, PAGE_SIZE - within)
      this.pages[Math.floor(at / PAGE_SIZE)].copy(target, at - position, within, within + count)
      at += count
    }
    return Math.max(0, end - position)
  }

  write(chunk: Buffer, position: number): void {
    this.grow(position + chunk.length)
    let done = 0
    while (done < chunk.length) {
      const within = (position + done) % PAGE_SIZE
      const count = Math.min(chunk.length - done, PAGE_SIZE - within)
      chunk.copy(this.pages[Math.floor((position + done) / PAGE_SIZE)], within, done, done + count)
      done += count
    }
    this.size = Math.max(this.size, position + chunk.length)
  }

  truncate(size: number): void {
    if (size > this.size) this.grow(size)
    else {
      this.pages.length = Math.ceil(size / PAGE_SIZE)
      // What a later write leaves out between the end and its position must read as zeros.
      const last = this.pages[this.pages.length - 1]
      if (last !== undefined && size % PAGE_SIZE !== 0) last.fill(0, size % PAGE_SIZE)
    }
    this.size = size
  }

  private grow(size: number): void {
    const full = Math.floor(size / PAGE_SIZE)
    for (let i = 0; i < full; i++) this.page(i, PAGE_SIZE)
    if (size % PAGE_SIZE > 0) this.page(full, size % PAGE_SIZE)
  }

  private page(index: number, wanted: number): void {
    const present = this.pages[index]
    if (present !== undefined && present.length >= wanted) return
    let size = Math.max(SMALLEST_PAGE, present?.length ?? 0)
    while (size < wanted) size *= 2
    const page = Buffer.alloc(size)
    present?.copy(page)
    this.pages[index] = page
  }
}

export interface MemoryDiskOptions {
  /** Writes beyond fail with ENOSPC. Unlimited by default. */
  readonly capacityBytes?: number
}

interface Directory {
  readonly children: Map<string, Directory | Pages>
}

const isDirectory = (node: Directory | Pages | undefined): node is Directory => node !== undefined && 'children' in node

/** What stays when a process ends. */
interface Medium {
  readonly root: Directory
  readonly locks: Set<string>
  capacityBytes: number
  usedBytes: number
}

export class MemoryDisk implements Disk {
  readonly openFileLimit = undefined
  private readonly medium: Medium
  private alive = true

  constructor(options: MemoryDiskOptions = {}, medium?: Medium) {
    this.medium = medium ?? {
      root: { children: new Map() },
      locks: new Set(),
      capacityBytes: options.capacityBytes ?? Number.MAX_SAFE_INTEGER,
      usedBytes: 0,
    }
  }

  /** May be changed at any time: the disk fills up, or is given room. */
  set capacityBytes(bytes: number) {
    this.medium.capacityBytes = bytes
  }

  /**
   * `kill -9` of the process: this object and the files opened through it never answer again. Returns the disk as the next
   * process finds it: all that was written is there, and locks are free.
   */
  kill(): MemoryDisk {
    this.alive = false
    this.medium.locks.clear()
    return new MemoryDisk({}, this.medium)
  }

  open(path: string, mode: 'read' | 'write'): Promise<DiskFile> {
    return this.settle(() => {
      const { parent, name } = this.place(path)
      let node = parent.children.get(name)
      if (node === undefined) {
        if (mode === 'read') throw failure('ENOENT', path)
        node = new Pages()
        parent.children.set(name, node)
      }
      if (isDirectory(node)) throw failure('EISDIR', path)
      return new MemoryFile(this, path, node)
    })
  }

  readFile(path: string): Promise<Buffer> {
    return this.settle(() => {
      const pages = this.file(path)
      const contents = Buffer.allocUnsafe(pages.size)
      pages.read(contents, 0)
      return contents
    })
  }

  replaceFile(path: string, contents: Buffer): Promise<void> {
    return this.settle(() => {
      const { parent, name } = this.place(path)
      const replaced = parent.children.get(name)
      if (isDirectory(replaced)) throw failure('EISDIR', path)
      const pages = new Pages()
      this.charged(path, pages, contents.length, () => pages.write(contents, 0))
      this.free(replaced)
      parent.children.set(name, pages)
    })
  }

  exists(path: string): Promise<boolean> {
    return this.settle(() => this.find(path) !== undefined)
  }

  fileSize(path: string): Promise<number> {
    return this.settle(() => this.file(path).size)
  }

  rename(from: string, to: string): Promise<void> {
    return this.settle(() => {
      const source = this.place(from)
      const target = this.place(to)
      const node = source.parent.children.get(source.name)
      const replaced = target.parent.children.get(target.name)
      if (node === undefined) throw failure('ENOENT', from)
      if (node === replaced) return
      if (replaced !== undefined) {
        if (isDirectory(node) !== isDirectory(replaced)) throw failure(isDirectory(node) ? 'ENOTDIR' : 'EISDIR', to)
        if (isDirectory(replaced) && replaced.children.size > 0) throw failure('ENOTEMPTY', to)
        this.free(replaced)
      }
      source.parent.children.delete(source.name)
      target.parent.children.set(target.name, node)
    })
  }

  remove(path: string): Promise<void> {
    return this.settle(() => {
      if (this.find(path) === undefined) return
      const { parent, name } = this.place(path)
      this.free(parent.children.get(name))
      parent.children.delete(name)
    })
  }

  makeDirectory(path: string): Promise<void> {
    return this.settle(() => {
      let directory = this.medium.root
      for (const name of parts(path)) {
        let child = directory.children.get(name)
        if (child === undefined) {
          child = { children: new Map() }
          directory.children.set(name, child)
        }
        if (!isDirectory(child)) throw failure('ENOTDIR', path)
        directory = child
      }
    })
  }

  list(path: string): Promise<DirectoryEntry[]> {
    return this.settle(() => [...this.directory(path).children].map(([name, node]) => ({ name, isDirectory: isDirectory(node) })))
  }

  syncDirectory(path: string): Promise<void> {
    return this.settle(() => void this.directory(path))
  }

  space(_path: string): Promise<{ totalBytes: number; freeBytes: number }> {
    const { capacityBytes, usedBytes } = this.medium
    return this.settle(() => ({ totalBytes: capacityBytes, freeBytes: Math.max(0, capacityBytes - usedBytes) }))
  }

  lock(path: string): Promise<DiskLock | undefined> {
    return this.settle(() => {
      this.place(path)
      const { locks } = this.medium
      if (locks.has(path)) return undefined
      locks.add(path)
      return { release: () => this.settle(() => void locks.delete(path)) }
    })
  }

  /** The answer of a call, unless the process that made it has been killed by the time it would come. */
  async settle<T>(work: () => T): Promise<T> {
    if (!this.alive) return new Promise(() => {})
    const result = work()
    await null
    if (!this.alive) return new Promise(() => {})
    return result
  }

  /** Runs `write`, which grows `pages` to `size` at most, against the capacity. */
  charged(path: string, pages: Pages, size: number, write: () => void): void {
    const { medium } = this
    const before = pages.allocated
    if (size > before && medium.usedBytes + size - before > medium.capacityBytes) throw failure('ENOSPC', path)
    write()
    medium.usedBytes += pages.allocated - before
  }

  private free(node: Directory | Pages | undefined): void {
    if (node === undefined) return
    if (isDirectory(node)) for (const child of node.children.values()) this.free(child)
    else this.medium.usedBytes -= node.allocated
  }

  private find(path: string): Directory | Pages | undefined {
    let node: Directory | Pages | undefined = this.medium.root
    for (const name of parts(path)) {
      if (!isDirectory(node)) return undefined
      node = node.children.get(name)
    }
    return node
  }

  private file(path: string): Pages {
    const node = this.find(path)
    if (node === undefined) throw failure('ENOENT', path)
    if (isDirectory(node)) throw failure('EISDIR', path)
    return node
  }

  private directory(path: string): Directory {
    const node = this.find(path)
    if (node === undefined) throw failure('ENOENT', path)
    if (!isDirectory(node)) throw failure('ENOTDIR', path)
    return node
  }

  /** The directory that holds `path`, which must exist, and the name in it, which need not. */
  private place(path: string): { parent: Directory; name: string } {
    const slash = path.lastIndexOf('/')
    const parent = this.find(path.slice(0, slash))
    if (!isDirectory(parent)) throw failure('ENOENT', path)
    return { parent, name: path.slice(slash + 1) }
  }
}

const parts = (path: string) => path.split('/').filter((part) => part !== '')

function failure(code: string, path: string): DiskError {
  return new DiskError(code, path, `${path}: ${code}`)
}

class MemoryFile implements DiskFile {
  readonly path: string
  private readonly disk: MemoryDisk
  private readonly pages: Pages
  private open = true

  constructor(disk: MemoryDisk, path: string, pages: Pages) {
    this.disk = disk
    this.path = path
    this.pages = pages
  }

  read(target: Buffer, position: number): Promise<number> {
    return this.settle(() => this.pages.read(target, position))
  }

  write(chunks: readonly Buffer[], position: number): Promise<void> {
    return this.settle(() => {
      for (const chunk of chunks) {
        const at = position
        this.disk.charged(this.path, this.pages, at + chunk.length, () => this.pages.write(chunk, at))
        position += chunk.length
      }
    })
  }

  sync(): Promise<void> {
    return this.settle(() => {})
  }

  truncate(size: number): Promise<void> {
    return this.settle(() => this.disk.charged(this.path, this.pages, size, () => this.pages.truncate(size)))
  }

  size(): Promise<number> {
    return this.settle(() => this.pages.size)
  }

  close(): Promise<void> {
    return this.settle(() => {
      this.open = false
    })
  }

  private settle<T>(work: () => T): Promise<T> {
    return this.disk.settle(() => {
      if (!this.open) throw failure('EBADF', this.path)
      return work()
    })
  }
}

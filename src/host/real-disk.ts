// The disk by node:fs. Reads and syncs are one thread-pool job and one promise per call; what the kernel does in its memory, such as small
// writes, names and descriptors, is done at once.

import fs from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { type Disk, DiskError, type DiskFile, type DiskLock } from './disk.ts'

const { O_RDONLY, O_RDWR, O_CREAT } = fs.constants

const promised = {
  open: promisify(fs.open),
  close: promisify(fs.close),
  ftruncate: promisify(fs.ftruncate),
  fsync: promisify(fs.fsync),
}

/**
 * Writes up to this size are made at once, on the event loop's own thread: the kernel copies so much into the page cache in less time
 * than this thread spends on sending a job to the pool and hearing of its end (docs/decisions/0012-small-writes-at-once.md).
 */
const AT_ONCE_BYTES = 32 * 1024
/** What takes longer has waited, for the journal or for memory. */
const STALL_MS = 1
/** After a stall the pool takes all work for so many times as long: so the event loop stands still for a hundredth of the time at most. */
const PATIENCE = 100
/** On the clock of `performance.now()`. */
let poolTakesWorkUntilMs = 0

/** Does what the kernel does in its memory, at once; in the pool for as long as such work stalls. Rejects with DiskError. */
async function atOnce<T>(at: string, now: () => T, inPool: () => Promise<T>): Promise<T> {
  const begunMs = performance.now()
  if (begunMs < poolTakesWorkUntilMs) return wrapped(at, inPool())
  try {
    return now()
  } catch (error) {
    throw diskError(error as NodeJS.ErrnoException, at)
  } finally {
    noteStall(begunMs)
  }
}

function noteStall(begunMs: number): void {
  const tookMs = performance.now() - begunMs
  if (tookMs > STALL_MS) poolTakesWorkUntilMs = begunMs + tookMs * (PATIENCE + 1)
}

/** A node:fs failure in our terms. */
function diskError(error: NodeJS.ErrnoException, at: string): DiskError {
  const code = error.code ?? 'EIO'
  return new DiskError(code, at, `${at}: ${error.message}`, { cause: error })
}

async function wrapped<T>(at: string, work: Promise<T>): Promise<T> {
  try {
    return await work
  } catch (error) {
    throw diskError(error as NodeJS.ErrnoException, at)
  }
}

export const realDisk: Disk = {
  async open(at, mode) {
    // What is read first may have to be looked for on the disk; what is written to is new, or has been used lately.
    if (mode === 'read') return new RealFile(at, await wrapped(at, promised.open(at, O_RDONLY)))
    const flags = O_RDWR | O_CREAT
    const open = () => fs.openSync(at, flags, 0o644)
    return new RealFile(at, await atOnce(at, open, () => promised.open(at, flags, 0o644)))
  },

  // Small files, most of them read at start by the thousand: three system calls cost a tenth of four trips to the thread pool.
  // So do sizes.
  async readFile(at) {
    try {
      return fs.readFileSync(at)
    } catch (error) {
      throw diskError(error as NodeJS.ErrnoException, at)
    }
  },

  async replaceFile(at, contents) {
    const temporary = `${at}.tmp`
    const file = await realDisk.open(temporary, 'write')
    try {
      await file.truncate(0)
      await file.write([contents], 0)
      await file.sync()
    } finally {
      await file.close()
    }
    await realDisk.rename(temporary, at)
    await realDisk.syncDirectory(path.dirname(at))
  },

  async exists(at) {
    try {
      await fs.promises.access(at)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
      throw diskError(error as NodeJS.ErrnoException, at)
    }
  },

  async fileSize(at) {
    try {
      return fs.statSync(at).size
    } catch (error) {
      throw diskError(error as NodeJS.ErrnoException, at)
    }
  },

  rename: (from, to) => {
    const rename = () => fs.renameSync(from, to)
    return atOnce(from, rename, () => fs.promises.rename(from, to))
  },
  remove: (at) => wrapped(at, fs.promises.rm(at, { recursive: true, force: true })),
  makeDirectory: async (at) => {
    const make = () => fs.mkdirSync(at, { recursive: true })
    await atOnce(at, make, () => fs.promises.mkdir(at, { recursive: true }))
  },

  async list(at) {
    const entries = await wrapped(at, fs.promises.readdir(at, { withFileTypes: true }))
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
  },

  async syncDirectory(at) {
    // Windows opens no directories, and writes their entries through.
    if (process.platform === 'win32') return
    // At once: what is synced has just been changed, so that it is in memory.
    const open = () => fs.openSync(at, O_RDONLY)
    const fd = await atOnce(at, open, () => promised.open(at, O_RDONLY))
    try {
      await wrapped(at, promised.fsync(fd))
    } finally {
      fs.closeSync(fd)
    }
  },

  openFileLimit: openFileLimit(),

  async space(at) {
    const { bsize, blocks, bavail } = await wrapped(at, fs.promises.statfs(at))
    return { totalBytes: bsize * blocks, freeBytes: bsize * bavail }
  },

  lock: async (at) => lockFile(at),
}

/** Undefined where the system does not say. Node raises the soft limit to the hard one when it starts. */
function openFileLimit(): number | undefined {
  try {
    const limit = /^Max open files +(\d+)/m.exec(fs.readFileSync('/proc/self/limits', 'utf8'))?.[1]
    return limit === undefined ? undefined : Number(limit)
  } catch {
    return undefined
  }
}

class RealFile implements DiskFile {
  readonly path: string
  private readonly fd: number

  constructor(at: string, fd: number) {
    this.path = at
    this.fd = fd
  }

  read(target: Buffer, position: number): Promise<number> {
    return new Promise((resolve, reject) => {
      const step = (done: number) => {
        fs.read(this.fd, target, done, target.length - done, position + done, (error, count) => {
          if (error) return reject(diskError(error, this.path))
          if (count === 0 || done + count === target.length) return resolve(done + count)
          step(done + count)
        })
      }
      step(0)
    })
  }

  async write(chunks: readonly Buffer[], position: number): Promise<void> {
    const size = totalLength(chunks)
    if (size === 0) return
    const begunMs = performance.now()
    if (size > AT_ONCE_BYTES || begunMs < poolTakesWorkUntilMs) return this.writeInPool(chunks, position)
    const count = this.writeAtOnce(chunks, position)
    noteStall(begunMs)
    // A short write: the next one says why.
    if (count < size) return this.writeInPool(behind(chunks, count), position + count)
  }

  /** Returns how many bytes were taken. */
  private writeAtOnce(chunks: readonly Buffer[], position: number): number {
    try {
      if (chunks.length === 1) return fs.writeSync(this.fd, chunks[0], 0, chunks[0].length, position)
      return fs.writevSync(this.fd, chunks as Buffer[], position)
    } catch (error) {
      throw diskError(error as NodeJS.ErrnoException, this.path)
    }
  }

  private writeInPool(chunks: readonly Buffer[], position: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const step = (rest: readonly Buffer[], at: number) => {
        const size = totalLength(rest)
        fs.writev(this.fd, rest as Buffer[], at, (error, count) => {
          if (error) return reject(diskError(error, this.path))
          if (count === size) return resolve()
          // A short write: the next one says why.
          step(behind(rest, count), at + count)
        })
      }
      step(chunks, position)
    })
  }

  sync(): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.fdatasync(this.fd, (error) => (error ? reject(diskError(error, this.path)) : resolve()))
    })
  }

  async truncate(size: number): Promise<void> {
    // Most files that are cut are new.
    if ((await this.size()) === size) return
    return wrapped(this.path, promised.ftruncate(this.fd, size))
  }

  /** At once: of an open file the kernel knows. */
  async size(): Promise<number> {
    try {
      return fs.fstatSync(this.fd).size
    } catch (error) {
      throw diskError(error as NodeJS.ErrnoException, this.path)
    }
  }

  close(): Promise<void> {
    const close = () => fs.closeSync(this.fd)
    return atOnce(this.path, close, () => promised.close(this.fd))
  }
}

function totalLength(chunks: readonly Buffer[]): number {
  let size = 0
  for (const chunk of chunks) size += chunk.length
  return size
}

/** What is left of `chunks` behind their first `count` bytes. */
function behind(chunks: readonly Buffer[], count: number): Buffer[] {
  const rest: Buffer[] = []
  for (const chunk of chunks) {
    if (count >= chunk.length) count -= chunk.length
    else {
      rest.push(chunk.subarray(count))
      count = 0
    }
  }
  return rest
}

/** Another connection, here or in another process, holds the lock. */
const SQLITE_BUSY = 5

/**
 * Node has no call for file locks, but brings SQLite, which takes them: an exclusive transaction on an empty database is a
 * kernel lock on a file that stays empty. Why this and no other: docs/decisions/0003-data-directory-lock.md.
 */
async function lockFile(at: string): Promise<DiskLock | undefined> {
  // Loaded here: a command that locks nothing does without it.
  const { DatabaseSync } = await import('node:sqlite')
  let database: InstanceType<typeof DatabaseSync> | undefined
  try {
    database = new DatabaseSync(at, { timeout: 0 })
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
  } catch (error) {
    if (database?.isOpen) database.close()
    const { errcode, message } = error as { errcode?: number; message: string }
    if (errcode === SQLITE_BUSY) return undefined
    throw new DiskError('EACCES', at, `${at} cannot be locked: ${message}`, { cause: error })
  }
  const held = database
  return {
    async release() {
      if (held.isOpen) held.close()
    },
  }
}

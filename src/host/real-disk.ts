// The disk by node:fs. Files are read and written by descriptor with callbacks: one thread-pool job and one promise per call.

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
    const fd = await wrapped(at, promised.open(at, mode === 'read' ? O_RDONLY : O_RDWR | O_CREAT, 0o644))
    return new RealFile(at, fd)
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

  rename: (from, to) => wrapped(from, fs.promises.rename(from, to)),
  remove: (at) => wrapped(at, fs.promises.rm(at, { recursive: true, force: true })),
  makeDirectory: async (at) => {
    await wrapped(at, fs.promises.mkdir(at, { recursive: true }))
  },

  async list(at) {
    const entries = await wrapped(at, fs.promises.readdir(at, { withFileTypes: true }))
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }))
  },

  async syncDirectory(at) {
    // Windows opens no directories, and writes their entries through.
    if (process.platform === 'win32') return
    const fd = await wrapped(at, promised.open(at, O_RDONLY))
    try {
      await wrapped(at, promised.fsync(fd))
    } finally {
      await wrapped(at, promised.close(fd))
    }
  },

  async space(at) {
    const { bsize, blocks, bavail } = await wrapped(at, fs.promises.statfs(at))
    return { totalBytes: bsize * blocks, freeBytes: bsize * bavail }
  },

  lock: async (at) => lockFile(at),
}

/**
 * Writes up to this size are made at once, on the event loop's own thread: the kernel copies so much into the page cache in less time
 * than this thread spends on sending a job to the pool and hearing of its end (docs/decisions/0012-small-writes-at-once.md).
 */
const AT_ONCE_BYTES = 32 * 1024
/** A write that takes longer has waited, for the journal or for memory. */
const STALL_MS = 1
/** After a stall the pool takes all writes for so many times as long: so the event loop stands still for a hundredth of the time at most. */
const PATIENCE = 100
/** On the clock of `performance.now()`. */
let poolTakesWritesUntilMs = 0

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
    if (size > AT_ONCE_BYTES || begunMs < poolTakesWritesUntilMs) return this.writeInPool(chunks, position)
    const count = this.writeAtOnce(chunks, position)
    const tookMs = performance.now() - begunMs
    if (tookMs > STALL_MS) poolTakesWritesUntilMs = begunMs + tookMs * (PATIENCE + 1)
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

  truncate(size: number): Promise<void> {
    return wrapped(this.path, promised.ftruncate(this.fd, size))
  }

  size(): Promise<number> {
    return new Promise((resolve, reject) => {
      fs.fstat(this.fd, (error, stats) => (error ? reject(diskError(error, this.path)) : resolve(stats.size)))
    })
  }

  close(): Promise<void> {
    return wrapped(this.path, promised.close(this.fd))
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

// The disk as an argument: real (real-disk.ts), or in memory (memory-disk.ts). Paths are absolute, their parts joined by '/'.
// Nothing is durable before `sync` (contents of a file) and `syncDirectory` (names in it) have returned.

/** What went wrong, by the operating system's own code. */
export class DiskError extends Error {
  override readonly name = 'DiskError'
  /** ENOENT, EEXIST, ENOSPC, EIO, EACCES, … */
  readonly code: string
  readonly path: string

  constructor(code: string, path: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
    this.path = path
  }
}

export interface DiskFile {
  readonly path: string
  /** Fills `target` from `position` on; returns the bytes read, fewer only at the end of the file. */
  read(target: Buffer, position: number): Promise<number>
  /** Writes all chunks one after the other from `position` on, or fails. After a failure any part of them may be in the file. */
  write(chunks: readonly Buffer[], position: number): Promise<void>
  /** fdatasync. After a failure nothing written since the last success may be relied on: never try again. */
  sync(): Promise<void>
  truncate(size: number): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}

export interface DirectoryEntry {
  readonly name: string
  readonly isDirectory: boolean
}

/** Held until released, or until the process ends in whatever way. */
export interface DiskLock {
  release(): Promise<void>
}

export interface Disk {
  /** `read`: must exist. `write`: read and write, created if absent. */
  open(path: string, mode: 'read' | 'write'): Promise<DiskFile>
  readFile(path: string): Promise<Buffer>
  /** Atomic and durable: a crash leaves the old contents or the new ones. */
  replaceFile(path: string, contents: Buffer): Promise<void>
  exists(path: string): Promise<boolean>
  /** Of a file, in bytes. */
  fileSize(path: string): Promise<number>
  /** Replaces a file at `to`. Open files go with the name. */
  rename(from: string, to: string): Promise<void>
  /** A file, or a directory with all that is in it. Absent is fine. */
  remove(path: string): Promise<void>
  makeDirectory(path: string): Promise<void>
  /** Unordered. */
  list(path: string): Promise<DirectoryEntry[]>
  syncDirectory(path: string): Promise<void>
  space(path: string): Promise<{ totalBytes: number; freeBytes: number }>
  /** `path` names a file that exists for this alone. Undefined where another process, or another holder in this one, has it. */
  lock(path: string): Promise<DiskLock | undefined>
  /** How many files and sockets this process may have open together. Undefined where nobody knows. */
  readonly openFileLimit?: number | undefined
}

// The metadata of a single node: all of it in memory, each commit appended to a file first. Commits that arrive while the disk
// is busy share the next write and its sync.

import { posix } from 'node:path'
import type { Disk, DiskFile, DiskLock } from '../../host/disk.ts'
import { type Random, uuid } from '../../host/random.ts'
import { CommitHistory } from './commit-history.ts'
import { CommitOverlay } from './commit-overlay.ts'
import type { KeySpace } from './key-space.ts'
import {
  type Change,
  type CommitResult,
  checkCommit,
  type Entry,
  type Guard,
  type Lease,
  type LeaseId,
  type MetadataStore,
  type Op,
  OutcomeUnknown,
  type Revision,
  StoreError,
} from './metadata-store.ts'
import { createLog, type OpenedStore, openStoreDirectory } from './store-directory.ts'
import { type Batch, encodeFrame, encodeSnapshot, HEADER_SIZE } from './store-files.ts'

/** Bytes of log after which the whole state is written anew: bounds the start, and the memory that watches can look back on. */
const SNAPSHOT_AFTER_BYTES = 8 * 1024 * 1024
/** No limit of the file's own; generous, so that only a mistake meets it. */
const LIMITS = { opsPerCommit: 100_000, bytesPerCommit: 64 * 1024 * 1024 }

export interface EmbeddedStoreOptions {
  readonly disk: Disk
  /** Made if absent. The store alone writes in it. */
  readonly directory: string
  readonly random: Random
  /** etcd's are 128 and 1.5 MiB. */
  readonly limits?: MetadataStore['limits']
  readonly snapshotAfterBytes?: number
}

interface PendingCommit {
  readonly guards: readonly Guard[]
  readonly ops: readonly Op[]
  readonly onFail: readonly string[]
  readonly resolve: (result: CommitResult) => void
  readonly reject: (error: Error) => void
}

export class EmbeddedStore implements MetadataStore {
  readonly limits: MetadataStore['limits']
  private readonly disk: Disk
  private readonly directory: string
  private readonly random: Random
  private readonly lock: DiskLock
  private readonly storeId: string
  private readonly snapshotAfterBytes: number

  /** What is durable. Only `write` changes it. */
  private readonly state: KeySpace
  private revision: Revision
  /** Commits since the snapshot, for watches. */
  private readonly history: CommitHistory

  private file: DiskFile
  private position: number
  /** What could not be undone: from then on the store only reads. */
  private failure: Error | undefined
  private closed = false
  private readonly pending: PendingCommit[] = []
  private writing: Promise<void> | undefined
  private readonly leases = new Map<LeaseId, () => void>()

  private constructor(options: EmbeddedStoreOptions, lock: DiskLock, opened: OpenedStore) {
    this.disk = options.disk
    this.directory = options.directory
    this.random = options.random
    this.limits = options.limits ?? LIMITS
    this.snapshotAfterBytes = options.snapshotAfterBytes ?? SNAPSHOT_AFTER_BYTES
    this.lock = lock
    this.storeId = opened.storeId
    this.state = opened.state
    this.revision = opened.revision
    this.history = new CommitHistory(opened.history, opened.compacted)
    this.file = opened.file
    this.position = opened.position
  }

  /** @throws {StoreError} locked, corrupt @throws {DiskError} */
  static async open(options: EmbeddedStoreOptions): Promise<EmbeddedStore> {
    const { disk, directory } = options
    if (!(await disk.exists(directory))) {
      await disk.makeDirectory(directory)
      await disk.syncDirectory(posix.dirname(directory))
    }
    const lock = await disk.lock(`${directory}/lock`)
    if (lock === undefined) throw new StoreError('locked', `the metadata in ${directory} is in use by another process`)
    try {
      const store = new EmbeddedStore(options, lock, await openStoreDirectory(disk, directory, options.random))
      await store.dropDeadLeases()
      return store
    } catch (error) {
      await lock.release()
      throw error
    }
  }

  async load(prefix: string): Promise<{ revision: Revision; entries: Entry[] }> {
    if (this.closed) throw closedError()
    return { revision: this.revision, entries: this.state.below(prefix) }
  }

  /** All there is now, as the file `snapshot` of another store's directory. */
  encodeSnapshot(): Buffer {
    return encodeSnapshot(this.storeId, this.revision, this.state.below(''))
  }

  async identity(): Promise<{ storeId: string; revision: Revision }> {
    return { storeId: this.storeId, revision: this.revision }
  }

  async commit(guards: readonly Guard[], ops: readonly Op[], onFail: readonly string[]): Promise<CommitResult> {
    checkCommit(this.limits, guards, ops)
    for (const op of ops) {
      if ('put' in op && op.lease !== undefined && !this.leases.has(op.lease))
        throw new StoreError('invalid', `lease ${op.lease} does not exist`)
    }
    return this.enqueue(guards, ops, onFail)
  }

  private enqueue(guards: readonly Guard[], ops: readonly Op[], onFail: readonly string[]): Promise<CommitResult> {
    if (this.failure !== undefined) return Promise.reject(failedError(this.failure))
    if (this.closed) return Promise.reject(closedError())
    return new Promise((resolve, reject) => {
      this.pending.push({ guards, ops, onFail, resolve, reject })
      this.writing ??= this.drain()
    })
  }

  private async drain(): Promise<void> {
    // Whatever else asks for a commit in this turn of the loop shares the write.
    await Promise.resolve()
    while (this.pending.length > 0) {
      const commits = this.pending.splice(0)
      if (this.failure !== undefined) {
        for (const commit of commits) commit.reject(failedError(this.failure))
        continue
      }
      await this.write(commits)
      if (this.position - HEADER_SIZE > this.snapshotAfterBytes && this.failure === undefined) await this.snapshot()
    }
    // In the same breath as the look at `pending`: whoever comes next must find that nobody is writing.
    this.writing = undefined
  }

  /** Judges each commit after the ones before it, writes what they changed, and only then lets anybody see it. */
  private async write(commits: readonly PendingCommit[]): Promise<void> {
    const overlay = new CommitOverlay(this.state, this.revision)
    const batches: Batch[] = []
    const results = commits.map(({ guards, ops, onFail }): CommitResult => {
      if (!guards.every((guard) => overlay.holds(guard))) {
        return { ok: false, revision: overlay.revision, seen: onFail.flatMap((key) => overlay.get(key) ?? []) }
      }
      const batch = overlay.apply(ops)
      if (batch !== undefined) batches.push(batch)
      return { ok: true, revision: overlay.revision }
    })
    if (batches.length > 0) {
      const frame = encodeFrame(batches)
      try {
        await this.file.write([frame], this.position)
        await this.file.sync()
      } catch (error) {
        this.fail(error as Error)
        const unknown = new OutcomeUnknown('the metadata could not be written; it may be found after a restart', { cause: error })
        for (const commit of commits) commit.reject(unknown)
        return
      }
      this.position += frame.length
      for (const batch of batches) {
        for (const event of batch.events) {
          if ('put' in event) this.state.set(event.put)
          else this.state.delete(event.delete)
        }
        this.history.push(batch)
      }
      this.revision = overlay.revision
    }
    for (const [i, commit] of commits.entries()) commit.resolve(results[i])
    if (batches.length > 0) this.history.wake()
  }

  /** A crash at any point leaves the old snapshot and log, or the new snapshot with no log, an empty one, or the old one besides. */
  private async snapshot(): Promise<void> {
    try {
      const old = this.file
      await this.disk.replaceFile(`${this.directory}/snapshot`, encodeSnapshot(this.storeId, this.revision, this.state.below('')))
      this.file = await createLog(this.disk, this.directory, this.storeId, this.revision)
      this.position = HEADER_SIZE
      this.history.compact(this.revision)
      await old.close()
      await this.disk.remove(old.path)
    } catch (error) {
      // The commits were written and are answered; but no later one could be.
      this.fail(error as Error)
    }
  }

  private fail(error: Error): void {
    this.failure = error
    this.history.end()
  }

  watch(prefix: string, after: Revision): AsyncIterableIterator<Change> {
    return this.history.watch(prefix, after)
  }

  /** Leases live as long as the process: there is nobody else who could miss it. */
  async grantLease(_ttlMs: number): Promise<Lease> {
    if (this.closed) throw closedError()
    const id = uuid(this.random)
    const lost = new Promise<void>((resolve) => this.leases.set(id, resolve))
    return { id, lost, confirmedMs: Number.POSITIVE_INFINITY, revoke: () => this.revokeLease(id) }
  }

  async revokeLease(id: LeaseId): Promise<void> {
    await this.deleteLeased((lease) => lease === id)
    this.leases.get(id)?.()
    this.leases.delete(id)
  }

  private async dropDeadLeases(): Promise<void> {
    await this.deleteLeased(() => true)
  }

  private async deleteLeased(matches: (lease: LeaseId) => boolean): Promise<void> {
    const ops = this.state
      .below('')
      .flatMap((entry) => (entry.lease !== null && matches(entry.lease) ? { delete: entry.key } : []))
    if (ops.length > 0) await this.enqueue([], ops, [])
  }

  async close(): Promise<void> {
    if (this.closed) return
    this.closed = true
    await this.writing
    this.history.end()
    await this.file.close()
    await this.lock.release()
  }
}

const closedError = () => new StoreError('closed', 'the metadata store is closed')
const failedError = (cause: Error) => new StoreError('failed', 'the metadata store cannot be written any more', { cause })

// What a broker remembers of its metadata store between two lives, in a small file of its data directory: which store it was, how far
// it had come, and the lease that the last process held.

import { type Disk, DiskError } from '../host/disk.ts'
import type { LeaseId, MetadataStore, Revision } from './store/metadata-store.ts'

const FILE = 'member-state'

interface State {
  readonly storeId: string
  readonly revision: Revision
  readonly lease: LeaseId | null
}

/** The store is not the one that this broker's data was made with, or is an older state of it. */
export class MetadataRollbackError extends Error {
  override readonly name = 'MetadataRollbackError'
}

export class MemberState {
  private readonly disk: Disk
  private readonly path: string
  private state: State
  private writing: Promise<void> = Promise.resolve()

  private constructor(disk: Disk, path: string, state: State) {
    this.disk = disk
    this.path = path
    this.state = state
  }

  /**
   * `acceptRollback`: go on with another or older store than before, whatever that loses.
   * @throws {MetadataRollbackError} @throws {StoreError} unavailable @throws {DiskError}
   */
  static async open(disk: Disk, directory: string, store: MetadataStore, acceptRollback: boolean): Promise<MemberState> {
    await disk.makeDirectory(directory)
    const path = `${directory}/${FILE}`
    const { storeId, revision } = await store.identity()
    const known = await read(disk, path)
    if (known !== undefined && !acceptRollback) {
      if (known.storeId !== storeId) {
        throw new MetadataRollbackError(
          `the metadata store is ${storeId}, this broker's data was made with ${known.storeId}: check the address, or start with --accept-metadata-rollback`,
        )
      }
      if (revision < known.revision) {
        throw new MetadataRollbackError(
          `the metadata store is at revision ${revision}, and was at ${known.revision} when this broker last saw it. It was restored from an older backup: what happened since is unknown to it. Start with --accept-metadata-rollback to go on regardless`,
        )
      }
    }
    const lease = known?.storeId === storeId ? known.lease : null
    const state = new MemberState(disk, path, { storeId, revision, lease })
    await state.save()
    return state
  }

  /** Held by the process before this one, which is dead: this one has its directory. */
  get lease(): LeaseId | null {
    return this.state.lease
  }

  /** Before anything is bound to it. */
  setLease(lease: LeaseId | null): Promise<void> {
    this.state = { ...this.state, lease }
    return this.save()
  }

  /** Nothing is written where it is not news. */
  setRevision(revision: Revision): Promise<void> {
    if (revision <= this.state.revision) return this.writing
    this.state = { ...this.state, revision }
    return this.save()
  }

  private save(): Promise<void> {
    const write = () => this.disk.replaceFile(this.path, Buffer.from(JSON.stringify({ v: 1, ...this.state })))
    this.writing = this.writing.catch(() => {}).then(write)
    return this.writing
  }
}

async function read(disk: Disk, path: string): Promise<State | undefined> {
  try {
    const { storeId, revision, lease } = JSON.parse((await disk.readFile(path)).toString('utf8')) as Partial<State>
    if (typeof storeId !== 'string' || typeof revision !== 'number') throw new MetadataRollbackError(`${path} is damaged`)
    return { storeId, revision, lease: lease ?? null }
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') return undefined
    if (error instanceof SyntaxError) throw new MetadataRollbackError(`${path} is damaged: ${error.message}`)
    throw error
  }
}

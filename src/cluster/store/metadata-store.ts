// What the cluster's metadata is kept in: keys with revisions, transactions that compare first, leases, a watch. A file for a
// single node (embedded-store.ts), etcd for a cluster. The same controller runs on both, so every word here is etcd's too.

/** Counts commits; grows by at least one with each that changes something. etcd's int64, checked to be a safe integer. */
export type Revision = number
export type LeaseId = string

export interface Entry {
  readonly key: string
  /** Not to be changed. */
  readonly value: Uint8Array
  /** The commit that made the key, and the last that wrote it. */
  readonly created: Revision
  readonly modified: Revision
  /** Gone with this lease, if any. */
  readonly lease: LeaseId | null
}

/** What must hold for a commit to be applied. `created: 0`: the key must not exist. */
export type Guard =
  | { readonly key: string; readonly created: Revision }
  | { readonly key: string; readonly modified: Revision }
  | { readonly key: string; readonly value: Uint8Array }

export type Op =
  | { readonly put: string; readonly value: Uint8Array; readonly lease?: LeaseId }
  | { readonly delete: string }
  | { readonly deletePrefix: string }

export type CommitResult =
  | { readonly ok: true; readonly revision: Revision }
  /** Nothing was applied. `seen`: those of the keys asked for that exist. */
  | { readonly ok: false; readonly revision: Revision; readonly seen: readonly Entry[] }

export type Event = { readonly put: Entry } | { readonly delete: string }

export type Change =
  /** All events of one revision below the prefix. */
  | { readonly kind: 'batch'; readonly revision: Revision; readonly events: readonly Event[] }
  /** What comes next is no longer known: load again, compare, and watch from there. The watch has ended. */
  | { readonly kind: 'compacted' }
  /** Nothing more has happened below the prefix up to this revision. */
  | { readonly kind: 'progress'; readonly revision: Revision }

export interface Lease {
  readonly id: LeaseId
  /** Settles when the lease is lost or revoked: its keys are gone, or soon will be. */
  readonly lost: Promise<void>
  /** When the store last confirmed it, on this process's monotonic clock. Infinity where it cannot run out. */
  readonly confirmedMs: number
  /** Deletes its keys. */
  revoke(): Promise<void>
}

export interface MetadataStore {
  /** Guards, and ops, of one commit each; bytes of all keys and values in it. */
  readonly limits: { readonly opsPerCommit: number; readonly bytesPerCommit: number }
  /** All entries below a prefix at one revision, in the order of their keys. */
  load(prefix: string): Promise<{ revision: Revision; entries: Entry[] }>
  /**
   * Applies all ops or none. On a failed guard, `seen` has the entries of the keys in `onFail`.
   * @throws {OutcomeUnknown} when it may or may not have been applied
   * @throws {StoreError} when it cannot be: too large, or a key is written twice
   */
  commit(guards: readonly Guard[], ops: readonly Op[], onFail: readonly string[]): Promise<CommitResult>
  /** Everything after a revision, in order, without gaps or repeats, until the iteration is ended or the store is closed. */
  watch(prefix: string, after: Revision): AsyncIterable<Change>
  grantLease(ttlMs: number): Promise<Lease>
  /** A lease of another process, which is known to have ended. Nothing happens where it has run out already. */
  revokeLease(id: LeaseId): Promise<void>
  /** `storeId` differs between any two stores: revisions of one mean nothing in the other. */
  identity(): Promise<{ storeId: string; revision: Revision }>
  /** Ends watches. Leases are left to run out. */
  close(): Promise<void>
}

/** The request may or may not have been applied, now or later. Only reading tells; sending it again unchanged is always right. */
export class OutcomeUnknown extends Error {
  override readonly name = 'OutcomeUnknown'
}

/** The store cannot do what was asked, and has not done it. */
export class StoreError extends Error {
  override readonly name = 'StoreError'
  /**
   * unavailable: could not be reached, may be tried again. full: takes nothing more until its operator has made room. denied: not
   * with these credentials. compacted: that far back is not known any more. invalid: never will. closed, failed: not in this
   * process any more. locked: another process has it. corrupt: its files are damaged.
   */
  readonly reason: 'unavailable' | 'full' | 'denied' | 'compacted' | 'invalid' | 'closed' | 'failed' | 'locked' | 'corrupt'

  constructor(reason: StoreError['reason'], message: string, options?: ErrorOptions) {
    super(message, options)
    this.reason = reason
  }
}

/** Guards and ops that etcd would refuse are refused by every store. */
export function checkCommit(limits: MetadataStore['limits'], guards: readonly Guard[], ops: readonly Op[]): void {
  if (guards.length > limits.opsPerCommit || ops.length > limits.opsPerCommit) {
    throw new StoreError(
      'invalid',
      `a commit of ${guards.length} guards and ${ops.length} ops; the store takes ${limits.opsPerCommit} of each`,
    )
  }
  let bytes = 0
  const keys = new Set<string>()
  const prefixes: string[] = []
  for (const op of ops) {
    if ('deletePrefix' in op) prefixes.push(op.deletePrefix)
    else {
      const key = 'put' in op ? op.put : op.delete
      if (keys.has(key)) throw new StoreError('invalid', `a commit writes ${key} twice`)
      keys.add(key)
      bytes += key.length + ('put' in op ? op.value.length : 0)
    }
  }
  for (const prefix of prefixes) {
    for (const key of keys)
      if (key.startsWith(prefix)) throw new StoreError('invalid', `a commit writes ${key} and deletes ${prefix}*`)
  }
  if (bytes > limits.bytesPerCommit)
    throw new StoreError('invalid', `a commit of ${bytes} bytes; the store takes ${limits.bytesPerCommit}`)
}

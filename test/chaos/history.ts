// What clients did to a cluster and what they saw, as test/chaos records it and the checker judges it. The model is that of Jepsen's kafka
// workload: values are unique, an operation ends `ok`, `fail` (it certainly did not happen) or `info` (nobody knows).

export type Isolation = 'read_committed' | 'read_uncommitted'

/** A partition: `topic/index`. */
export type Key = string

export interface Send {
  readonly key: Key
  readonly value: string
  /** Null where no acknowledgement has told it. */
  readonly offset: number | null
  /** The value that this one was made from, in a transaction that also commits the position behind it. */
  readonly copyOf?: string
}

export interface Read {
  readonly key: Key
  readonly offset: number
  readonly value: string
}

/**
 * `send`: of an idempotent producer. `txn`: what a transaction read and wrote; `fail` where its abort was acknowledged.
 * `poll`: what one call returned. `assign`: this process reads from elsewhere next.
 * `commit`: positions of a group, acknowledged where `ok`. `resume`: positions that a member was told to go on from.
 */
export type OperationName = 'send' | 'txn' | 'poll' | 'assign' | 'commit' | 'resume'

export interface Operation {
  /** One thread of one client: its operations follow each other, but sends may overlap; they are in the order of their calls. */
  readonly process: string
  readonly f: OperationName
  readonly type: 'ok' | 'fail' | 'info'
  /** Milliseconds on one monotonic clock for the whole history. */
  readonly start: number
  readonly end: number
  readonly sends?: readonly Send[]
  readonly reads?: readonly Read[]
  /** Of `reads`. */
  readonly isolation?: Isolation
  /** Of `commit` and `resume`. */
  readonly group?: string
  readonly positions?: readonly { readonly key: Key; readonly offset: number }[]
  /** Why it did not end well, for people. */
  readonly error?: string
}

export interface History {
  readonly operations: readonly Operation[]
  /** Everything there was to read, from beginning to end, once all faults were healed: what is in no such read is gone. */
  readonly final: Readonly<Record<Isolation, readonly Read[]>>
}

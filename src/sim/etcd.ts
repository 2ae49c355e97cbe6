// etcd as a cluster's brokers see it, in memory: one linearizable history, leases that run out, and a handle for each broker
// that can be cut off, lag behind, or lose requests and answers. Passes the conformance suite that real stores pass.

import { CommitHistory } from '../cluster/store/commit-history.ts'
import { CommitOverlay } from '../cluster/store/commit-overlay.ts'
import { KeySpace } from '../cluster/store/key-space.ts'
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
} from '../cluster/store/metadata-store.ts'
import type { Clock, Timer } from '../host/clock.ts'
import { type Random, uuid } from '../host/random.ts'

/** etcd's own. */
const LIMITS = { opsPerCommit: 128, bytesPerCommit: 1.5 * 1024 * 1024 }
/** After which a request that got no answer is given up, as our etcd client does. */
const REQUEST_TIMEOUT_MS = 2_000
/** How much longer than asked for a lease may live: etcd checks them now and then, and an election starts them anew. */
const LEASE_SLACK_MS = 300
/** Commits that watches can look back on, as with etcd's automatic compaction. */
const REMEMBERED = 10_000

export type RequestKind = 'load' | 'commit' | 'grant' | 'keep-alive' | 'revoke' | 'identity'

/** What happens to one request on its way. Times in ms, of the server's clock. */
export interface Journey {
  /** Before it is applied. Infinity: it never arrives. */
  readonly thereMs: number
  /** Before the answer is here. Infinity: it was applied, and nobody hears of it. */
  readonly backMs: number
}

export interface SimEtcdOptions {
  /** The server's. */
  readonly clock: Clock
  readonly random: Random
  readonly limits?: MetadataStore['limits']
  /** Asked for each request. Default: it arrives and is answered at once. */
  readonly journey?: (handle: string, kind: RequestKind) => Journey
  /** How much longer than its time to live a lease lasts; negative: it runs out early, as some etcd versions let it. */
  readonly leaseSlackMs?: () => number
}

interface ServerLease {
  readonly ttlMs: number
  expiry: Timer
}

export class SimEtcd {
  readonly limits: MetadataStore['limits']
  readonly storeId: string
  private readonly options: SimEtcdOptions
  private readonly state = new KeySpace()
  private readonly history = new CommitHistory()
  private readonly leases = new Map<LeaseId, ServerLease>()
  private revision: Revision = 1
  private compactedUpTo: Revision = 0
  /** There is no leader: requests wait. */
  private down = false
  private waiting: (() => void)[] = []
  /** Called with each commit that changed something, in order. For checkers. */
  onCommit: (revision: Revision, guards: readonly Guard[], ops: readonly Op[]) => void = () => {}

  constructor(options: SimEtcdOptions) {
    this.options = options
    this.limits = options.limits ?? LIMITS
    this.storeId = uuid(options.random)
  }

  /** The store as one process sees it. `clock`: that process's own. */
  handle(name: string, clock: Clock): SimEtcdHandle {
    return new SimEtcdHandle(this, name, clock)
  }

  /** All that is in it, now. */
  contents(): { revision: Revision; entries: Entry[] } {
    return { revision: this.revision, entries: this.state.below('') }
  }

  /** No leader: nothing is answered, and leases start anew once there is one again. */
  lose(): void {
    this.down = true
    for (const lease of this.leases.values()) lease.expiry.cancel()
  }

  recover(): void {
    if (!this.down) return
    this.down = false
    for (const [id, lease] of this.leases) this.arm(id, lease)
    for (const go of this.waiting.splice(0)) go()
    this.history.wake()
  }

  /** Ends leases' timers and all watches. */
  close(): void {
    for (const lease of this.leases.values()) lease.expiry.cancel()
    this.leases.clear()
    this.history.end()
  }

  /** Forgets all but the newest `keep` revisions. */
  compact(keep = 0): void {
    this.compactedUpTo = Math.max(this.compactedUpTo, this.revision - keep)
    this.history.compact(this.compactedUpTo)
  }

  /** A lease ends whatever its holder does. Returns whether there was one that holds this key. */
  expireLeaseOf(key: string): boolean {
    const lease = this.state.get(key)?.lease
    if (lease == null) return false
    this.endLease(lease)
    return true
  }

  // What handles ask. ---------------------------------------------------------------------------------------------------

  journey(handle: string, kind: RequestKind): Journey {
    return this.options.journey?.(handle, kind) ?? { thereMs: 0, backMs: 0 }
  }

  after(delayMs: number, run: () => void): void {
    if (delayMs === 0) queueMicrotask(run)
    else if (Number.isFinite(delayMs)) this.options.clock.timer(delayMs, run)
  }

  /** Runs `work` when there is a leader. */
  serve(work: () => void): void {
    if (this.down) this.waiting.push(work)
    else work()
  }

  load(prefix: string): { revision: Revision; entries: Entry[] } {
    return { revision: this.revision, entries: this.state.below(prefix) }
  }

  commit(guards: readonly Guard[], ops: readonly Op[], onFail: readonly string[]): CommitResult {
    const overlay = new CommitOverlay(this.state, this.revision)
    for (const op of ops) {
      if ('put' in op && op.lease !== undefined && !this.leases.has(op.lease))
        throw new StoreError('invalid', `lease ${op.lease} does not exist`)
    }
    if (!guards.every((guard) => overlay.holds(guard)))
      return { ok: false, revision: this.revision, seen: onFail.flatMap((key) => overlay.get(key) ?? []) }
    this.apply(overlay, ops)
    if (ops.length > 0) this.onCommit(this.revision, guards, ops)
    return { ok: true, revision: this.revision }
  }

  watch(prefix: string, after: Revision, upTo: () => Revision): AsyncIterableIterator<Change> {
    return this.history.watch(prefix, after, () => (this.down ? 0 : upTo()))
  }

  wakeWatches(): void {
    this.history.wake()
  }

  grant(ttlMs: number): LeaseId {
    const id = uuid(this.options.random)
    const lease: ServerLease = { ttlMs, expiry: { cancel() {} } }
    this.leases.set(id, lease)
    this.arm(id, lease)
    return id
  }

  /** False: there is no such lease any more. */
  keepAlive(id: LeaseId): boolean {
    const lease = this.leases.get(id)
    if (lease === undefined) return false
    lease.expiry.cancel()
    this.arm(id, lease)
    return true
  }

  endLease(id: LeaseId): void {
    this.leases.get(id)?.expiry.cancel()
    if (!this.leases.delete(id)) return
    const ops = this.state.below('').flatMap((entry) => (entry.lease === id ? [{ delete: entry.key }] : []))
    if (ops.length === 0) return
    this.apply(new CommitOverlay(this.state, this.revision), ops)
    this.onCommit(this.revision, [], ops)
  }

  private arm(id: LeaseId, lease: ServerLease): void {
    const slackMs = this.options.leaseSlackMs?.() ?? LEASE_SLACK_MS
    lease.expiry = this.options.clock.timer(Math.max(1, lease.ttlMs + slackMs), () => this.endLease(id))
  }

  private apply(overlay: CommitOverlay, ops: readonly Op[]): void {
    const batch = overlay.apply(ops)
    if (batch === undefined) return
    for (const event of batch.events) {
      if ('put' in event) this.state.set(event.put)
      else this.state.delete(event.delete)
    }
    this.revision = batch.revision
    this.history.push(batch)
    if (this.revision - this.compactedUpTo > 2 * REMEMBERED) this.compact(REMEMBERED)
    this.history.wake()
  }
}

export class SimEtcdHandle implements MetadataStore {
  readonly limits: MetadataStore['limits']
  private readonly server: SimEtcd
  private readonly name: string
  private readonly clock: Clock
  private readonly keepAlives = new Map<LeaseId, Timer>()
  private readonly watches = new Set<AsyncIterableIterator<Change>>()
  private closed = false
  private reachable = true
  /** The member that this handle reads from has come this far, and no further. */
  private stale: { readonly revision: Revision; readonly state: KeySpace } | undefined

  constructor(server: SimEtcd, name: string, clock: Clock) {
    this.server = server
    this.limits = server.limits
    this.name = name
    this.clock = clock
  }

  /** Nothing gets through any more, either way. */
  cut(): void {
    this.reachable = false
  }

  /** From now on reads and watches show the past: the member behind them lags. Commits go through as always. */
  lag(): void {
    const { revision, entries } = this.server.contents()
    this.stale = { revision, state: new KeySpace(new Map(entries.map((entry) => [entry.key, entry]))) }
  }

  /** Undoes `cut` and `lag`. */
  mend(): void {
    this.reachable = true
    this.stale = undefined
    this.server.wakeWatches()
  }

  async load(prefix: string): Promise<{ revision: Revision; entries: Entry[] }> {
    return this.ask('load', () => {
      const { stale } = this
      return stale === undefined ? this.server.load(prefix) : { revision: stale.revision, entries: stale.state.below(prefix) }
    })
  }

  async commit(guards: readonly Guard[], ops: readonly Op[], onFail: readonly string[]): Promise<CommitResult> {
    checkCommit(this.limits, guards, ops)
    return this.ask('commit', () => this.server.commit(guards, ops, onFail))
  }

  watch(prefix: string, after: Revision): AsyncIterable<Change> {
    const watch = this.server.watch(prefix, after, () => {
      if (!this.reachable) return 0
      return this.stale?.revision ?? Number.MAX_SAFE_INTEGER
    })
    this.watches.add(watch)
    if (this.closed) void watch.return?.()
    return watch
  }

  async grantLease(ttlMs: number): Promise<Lease> {
    const id = await this.ask('grant', () => this.server.grant(ttlMs))
    let confirmedMs = this.clock.monotonicMs()
    let lose = () => {}
    const lost = new Promise<void>((resolve) => {
      lose = resolve
    })
    const end = () => {
      this.keepAlives.get(id)?.cancel()
      this.keepAlives.delete(id)
      lose()
    }
    const renew = async () => {
      try {
        if (!(await this.ask('keep-alive', () => this.server.keepAlive(id)))) return end()
        confirmedMs = this.clock.monotonicMs()
      } catch {
        // Not reached: the lease may be there still, and is asked for again.
      }
      if (this.keepAlives.has(id)) this.keepAlives.set(id, this.clock.timer(ttlMs / 3, renew))
    }
    if (!this.closed) this.keepAlives.set(id, this.clock.timer(ttlMs / 3, renew))
    return {
      id,
      lost,
      get confirmedMs() {
        return confirmedMs
      },
      revoke: async () => {
        await this.revokeLease(id)
        end()
      },
    }
  }

  async revokeLease(id: LeaseId): Promise<void> {
    await this.ask('revoke', () => this.server.endLease(id))
  }

  async identity(): Promise<{ storeId: string; revision: Revision }> {
    return this.ask('identity', () => ({ storeId: this.server.storeId, revision: this.server.contents().revision }))
  }

  async close(): Promise<void> {
    this.closed = true
    for (const timer of this.keepAlives.values()) timer.cancel()
    this.keepAlives.clear()
    for (const watch of this.watches) await watch.return?.()
  }

  /** There and back, or until the time is up. Whoever commits does not know then what has become of it. */
  private ask<T>(kind: RequestKind, work: () => T): Promise<T> {
    if (this.closed) return Promise.reject(new StoreError('closed', 'the metadata store is closed'))
    const { thereMs, backMs } = this.server.journey(this.name, kind)
    return new Promise<T>((resolve, reject) => {
      const giveUp = () =>
        reject(
          kind === 'commit'
            ? new OutcomeUnknown('the metadata store did not answer in time')
            : new StoreError('unavailable', 'the metadata store did not answer in time'),
        )
      // No timer where nothing can go wrong: the real clock would wait for it.
      let timeout: Timer | undefined
      const arm = () => {
        timeout ??= this.clock.timer(REQUEST_TIMEOUT_MS, giveUp)
      }
      const answer = (settle: () => void) => {
        if (!this.reachable || !Number.isFinite(backMs)) return arm()
        this.server.after(backMs, () => {
          timeout?.cancel()
          settle()
        })
      }
      if (!this.reachable || !Number.isFinite(thereMs)) return arm()
      if (thereMs > 0 || backMs > 0) arm()
      let served = false
      this.server.after(thereMs, () => {
        this.server.serve(() => {
          served = true
          try {
            const result = work()
            answer(() => resolve(result))
          } catch (error) {
            answer(() => reject(error))
          }
        })
        if (!served) arm()
      })
    })
  }
}

// The metadata store of a cluster: etcd. Thin on purpose: every word of MetadataStore is one of etcd's.

import type { Clock, Timer } from '../../host/clock.ts'
import { EtcdChannel, type EtcdChannelOptions } from './etcd-channel.ts'
import { type Compare, CompareTarget, entryOf, etcd, type RequestOp, revisionOf, type StatusResponse } from './etcd-messages.ts'
import { EtcdWatch } from './etcd-watch.ts'
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
  type Revision,
  StoreError,
} from './metadata-store.ts'

/** Entries of one answer: bounds what a member puts together at a time. */
const PAGE = 10_000
/** Keep-alives are sent this often within a lease's time. */
const KEEP_ALIVES_PER_TTL = 3
const KEEP_ALIVE_TIMEOUT_MS = 2_000

export class EtcdStore implements MetadataStore {
  /** etcd's defaults (--max-txn-ops, --max-request-bytes). */
  readonly limits = { opsPerCommit: 128, bytesPerCommit: 1.5 * 1024 * 1024 - 64 * 1024 }
  private readonly channel: EtcdChannel
  private readonly clock: Clock
  private readonly watches = new Set<EtcdWatch>()
  private readonly keepAlives = new Map<LeaseId, Timer>()
  private closed = false

  private constructor(options: EtcdChannelOptions) {
    this.channel = new EtcdChannel(options)
    this.clock = options.clock
  }

  /** Asks a member who it is, so that whoever starts hears at once what is wrong. @throws {StoreError} unavailable, denied */
  static async open(options: EtcdChannelOptions): Promise<EtcdStore> {
    const store = new EtcdStore(options)
    try {
      await store.identity()
      return store
    } catch (error) {
      await store.close()
      throw error
    }
  }

  async load(prefix: string): Promise<{ revision: Revision; entries: Entry[] }> {
    for (;;) {
      try {
        return await this.loadPages(prefix)
      } catch (error) {
        // Between two pages: what comes next is of a newer revision, so all of it must be.
        if (!(error instanceof StoreError && error.reason === 'compacted')) throw error
      }
    }
  }

  private async loadPages(prefix: string): Promise<{ revision: Revision; entries: Entry[] }> {
    const range_end = endOfPrefix(prefix)
    const entries: Entry[] = []
    let key = startOfPrefix(prefix)
    let revision = 0
    for (;;) {
      // From any member, and maybe of the past: commits compare.
      const request = { key, range_end, limit: PAGE, revision, serializable: true }
      const { header, kvs, more } = await this.channel.read(etcd.range, request)
      if (revision === 0) revision = revisionOf(header.revision)
      for (const kv of kvs) entries.push(entryOf(kv))
      if (!more) return { revision, entries }
      key = Buffer.concat([kvs[kvs.length - 1].key, Buffer.alloc(1)])
    }
  }

  async commit(guards: readonly Guard[], ops: readonly Op[], onFail: readonly string[]): Promise<CommitResult> {
    checkCommit(this.limits, guards, ops)
    for (const op of ops) {
      if ('put' in op && op.lease !== undefined && !/^\d+$/.test(op.lease))
        throw new StoreError('invalid', `lease ${op.lease} does not exist`)
    }
    const { header, succeeded, responses } = await this.channel.write(etcd.txn, {
      compare: guards.map(compareOf),
      success: ops.map(requestOf),
      failure: onFail.map((key) => ({ request_range: { key: Buffer.from(key) } })),
    })
    const revision = revisionOf(header.revision)
    if (succeeded) return { ok: true, revision }
    return { ok: false, revision, seen: responses.flatMap(({ response_range }) => (response_range?.kvs ?? []).map(entryOf)) }
  }

  watch(prefix: string, after: Revision): AsyncIterable<Change> {
    const watch = new EtcdWatch(this.channel, this.clock, startOfPrefix(prefix), endOfPrefix(prefix), after, () =>
      this.watches.delete(watch),
    )
    if (this.closed) void watch.return()
    else this.watches.add(watch)
    return watch
  }

  async grantLease(ttlMs: number): Promise<Lease> {
    const sentMs = this.clock.monotonicMs()
    // Only half done, it runs out by itself.
    const { ID } = await this.channel.read(etcd.leaseGrant, { TTL: Math.ceil(ttlMs / 1000) })
    const id = ID.toString()
    let confirmedMs = sentMs
    let lose = () => {}
    const lost = new Promise<void>((resolve) => {
      lose = resolve
    })
    const end = () => {
      this.keepAlives.get(id)?.cancel()
      this.keepAlives.delete(id)
      lose()
    }
    const arm = () => void this.keepAlives.set(id, this.clock.timer(ttlMs / KEEP_ALIVES_PER_TTL, renew))
    const renew = async () => {
      const askedMs = this.clock.monotonicMs()
      try {
        if (!(await this.keepAlive(id))) return end()
        confirmedMs = askedMs
      } catch {
        // Nobody was reached. The lease may be there still: the next keep-alive goes to another member.
      }
      if (this.keepAlives.has(id)) arm()
    }
    if (!this.closed) arm()
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
    try {
      await this.channel.read(etcd.leaseRevoke, { ID: id })
    } catch (error) {
      // Run out already.
      if (!(error instanceof StoreError && error.reason === 'invalid')) throw error
    }
  }

  /** The revision is the newest: a member that lags does not answer. */
  async identity(): Promise<{ storeId: string; revision: Revision }> {
    const { header } = await this.channel.read(etcd.range, { key: Buffer.alloc(1), count_only: true })
    return { storeId: header.cluster_id.toString(), revision: revisionOf(header.revision) }
  }

  /** How the member that is used now is doing. */
  async status(): Promise<StatusResponse & { readonly member: string }> {
    const status = await this.channel.read(etcd.status, {})
    return Object.assign(status, { member: this.channel.member })
  }

  async close(): Promise<void> {
    this.closed = true
    for (const timer of this.keepAlives.values()) timer.cancel()
    this.keepAlives.clear()
    await Promise.all([...this.watches].map((watch) => watch.return()))
    this.channel.close()
  }

  /** False: there is no such lease any more. */
  private async keepAlive(id: LeaseId): Promise<boolean> {
    const { member } = this.channel
    const stream = await this.channel.open(etcd.leaseKeepAlive)
    const timeout = this.clock.timer(KEEP_ALIVE_TIMEOUT_MS, () => stream.cancel())
    try {
      return await new Promise((resolve, reject) => {
        stream.on('data', ({ TTL }) => resolve(TTL.toNumber() > 0))
        stream.on('error', (error) => reject(this.channel.translate(error, member)))
        stream.on('end', () => reject(new StoreError('unavailable', 'etcd ended the keep-alive')))
        stream.write({ ID: id })
      })
    } finally {
      timeout.cancel()
      stream.end()
      stream.cancel()
    }
  }
}

/** No key is empty: all of them is everything from the byte 0 on. */
const startOfPrefix = (prefix: string) => (prefix === '' ? Buffer.alloc(1) : Buffer.from(prefix))

/** The first key behind the prefix. Ours are text and end below 0xff. */
function endOfPrefix(prefix: string): Buffer {
  if (prefix === '') return Buffer.alloc(1)
  const end = Buffer.from(prefix)
  end[end.length - 1]++
  return end
}

function compareOf(guard: Guard): Compare {
  const key = Buffer.from(guard.key)
  if ('created' in guard) return { target: CompareTarget.CREATED, key, create_revision: guard.created }
  if ('modified' in guard) return { target: CompareTarget.MODIFIED, key, mod_revision: guard.modified }
  return { target: CompareTarget.VALUE, key, value: guard.value }
}

function requestOf(op: Op): RequestOp {
  if ('put' in op) return { request_put: { key: Buffer.from(op.put), value: op.value, lease: op.lease } }
  if ('delete' in op) return { request_delete_range: { key: Buffer.from(op.delete) } }
  return { request_delete_range: { key: startOfPrefix(op.deletePrefix), range_end: endOfPrefix(op.deletePrefix) } }
}

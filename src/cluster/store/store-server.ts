// Gives other processes of this machine a store that only one can open (`moldau start --nodes`). Their leases run out when they are no
// longer kept alive, as with etcd: a process that has died, or is stuck, is missed.

import type { Clock, Timer } from '../../host/clock.ts'
import { type Change, type Lease, type LeaseId, type MetadataStore, OutcomeUnknown, StoreError } from './metadata-store.ts'
import type { StoreCall, StoreCalls, StoreChannel } from './store-messages.ts'

/** How much longer than asked for a lease lives: its holder counts from when it asked. */
const LEASE_SLACK_MS = 300

interface Kept {
  readonly lease: Lease
  readonly ttlMs: number
  expiry: Timer
}

export class StoreServer {
  private readonly store: MetadataStore
  private readonly clock: Clock
  private readonly leases = new Map<LeaseId, Kept>()

  /** `store` is not closed here. */
  constructor(store: MetadataStore, clock: Clock) {
    this.store = store
    this.clock = clock
  }

  /** Answers until the channel closes. Leases are left to run out. */
  serve(channel: StoreChannel): void {
    const watches = new Map<number, AsyncIterator<Change>>()
    let open = true
    channel.onMessage = (message) => {
      if (!('call' in message)) return
      const { id, call, ask } = message
      this.answer(call, ask, watches).then(
        (answer) => open && channel.send({ id, answer }),
        (error) => open && channel.send({ id, error: described(error) }),
      )
    }
    channel.onClose = () => {
      open = false
      for (const watch of watches.values()) void watch.return?.()
    }
  }

  close(): void {
    for (const { expiry } of this.leases.values()) expiry.cancel()
    this.leases.clear()
  }

  private async answer(call: StoreCall, ask: unknown, watches: Map<number, AsyncIterator<Change>>): Promise<unknown> {
    const { store } = this
    const calls: { [C in StoreCall]: (ask: StoreCalls[C]['ask']) => Promise<StoreCalls[C]['answer']> } = {
      hello: async () => ({ limits: store.limits }),
      load: ({ prefix }) => store.load(prefix),
      commit: ({ guards, ops, onFail }) => store.commit(guards, ops, onFail),
      watch: ({ watch, prefix, after }) => {
        watches.set(watch, store.watch(prefix, after)[Symbol.asyncIterator]())
        return next(watches, watch)
      },
      next: ({ watch }) => next(watches, watch),
      unwatch: async ({ watch }) => {
        const iterator = watches.get(watch)
        watches.delete(watch)
        await iterator?.return?.()
        return null
      },
      grant: ({ ttlMs }) => this.grant(ttlMs),
      keepAlive: async ({ lease }) => this.keepAlive(lease),
      revoke: async ({ lease }) => {
        await this.end(lease)
        return null
      },
      identity: () => store.identity(),
    }
    if (!Object.hasOwn(calls, call)) throw new StoreError('invalid', `a metadata store has no ${call}`)
    return (calls[call] as (ask: unknown) => Promise<unknown>)(ask)
  }

  private async grant(ttlMs: number): Promise<LeaseId> {
    const lease = await this.store.grantLease(ttlMs)
    const kept: Kept = { lease, ttlMs, expiry: { cancel() {} } }
    this.leases.set(lease.id, kept)
    this.arm(kept)
    return lease.id
  }

  private keepAlive(id: LeaseId): boolean {
    const kept = this.leases.get(id)
    if (kept !== undefined) this.arm(kept)
    return kept !== undefined
  }

  private arm(kept: Kept): void {
    kept.expiry.cancel()
    // A store that cannot be written keeps the lease's keys, and this process keeps the lease, for another time.
    const expire = () => void this.end(kept.lease.id).catch(() => this.arm(kept))
    kept.expiry = this.clock.timer(kept.ttlMs + LEASE_SLACK_MS, expire)
  }

  private async end(id: LeaseId): Promise<void> {
    await this.store.revokeLease(id)
    this.leases.get(id)?.expiry.cancel()
    this.leases.delete(id)
  }
}

async function next(watches: ReadonlyMap<number, AsyncIterator<Change>>, watch: number): Promise<Change | null> {
  const result = await watches.get(watch)?.next()
  return result === undefined || result.done === true ? null : result.value
}

function described(error: unknown): { reason: StoreError['reason'] | 'unknown'; message: string } {
  const { message } = error as Error
  if (error instanceof OutcomeUnknown) return { reason: 'unknown', message }
  return { reason: error instanceof StoreError ? error.reason : 'failed', message }
}

// A metadata store that another process of this machine has open (store-server.ts).

import type { Clock, Timer } from '../../host/clock.ts'
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
import type { StoreCall, StoreCalls, StoreChannel, StoreMessage } from './store-messages.ts'

/** After which a request without an answer is given up, as with etcd. A watch waits for as long as nothing happens. */
const REQUEST_TIMEOUT_MS = 2_000
const KEEP_ALIVES_PER_TTL = 3

interface Asked {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: Error) => void
}

export class RemoteStore implements MetadataStore {
  readonly limits = { opsPerCommit: 0, bytesPerCommit: 0 }
  private readonly channel: StoreChannel
  private readonly clock: Clock
  private readonly asked = new Map<number, Asked>()
  private readonly keepAlives = new Map<LeaseId, Timer>()
  private readonly watches = new Set<RemoteWatch>()
  private nextId = 1
  /** The other process is gone, or this store is closed. */
  private ended = false

  private constructor(channel: StoreChannel, clock: Clock) {
    this.channel = channel
    this.clock = clock
    channel.onMessage = (message) => settle(this.asked, message)
    channel.onClose = () => void this.close()
  }

  /** @throws {StoreError} unavailable */
  static async open(channel: StoreChannel, clock: Clock): Promise<RemoteStore> {
    // The limits are known once it has answered; until then the store is only good for that question.
    const store = new RemoteStore(channel, clock)
    try {
      Object.assign(store.limits, (await store.ask('hello', null)).limits)
      return store
    } catch (error) {
      await store.close()
      throw error
    }
  }

  load(prefix: string): Promise<{ revision: Revision; entries: Entry[] }> {
    return this.ask('load', { prefix })
  }

  async commit(guards: readonly Guard[], ops: readonly Op[], onFail: readonly string[]): Promise<CommitResult> {
    checkCommit(this.limits, guards, ops)
    return this.ask('commit', { guards, ops, onFail })
  }

  watch(prefix: string, after: Revision): AsyncIterable<Change> {
    const id = this.nextId++
    const watch = new RemoteWatch(
      (isFirst) => (isFirst ? this.ask('watch', { watch: id, prefix, after }, false) : this.ask('next', { watch: id }, false)),
      () => {
        this.watches.delete(watch)
        if (!this.ended) this.ask('unwatch', { watch: id }).catch(() => {})
      },
    )
    if (this.ended) void watch.return()
    else this.watches.add(watch)
    return watch
  }

  async grantLease(ttlMs: number): Promise<Lease> {
    let confirmedMs = this.clock.monotonicMs()
    const id = await this.ask('grant', { ttlMs })
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
        if (!(await this.ask('keepAlive', { lease: id }))) return end()
        confirmedMs = askedMs
      } catch {
        // Not answered: the lease may be there still, and is asked for again.
      }
      if (this.keepAlives.has(id)) arm()
    }
    if (!this.ended) arm()
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
    await this.ask('revoke', { lease: id })
  }

  identity(): Promise<{ storeId: string; revision: Revision }> {
    return this.ask('identity', null)
  }

  async close(): Promise<void> {
    if (this.ended) return
    const watches = [...this.watches]
    for (const watch of watches) void watch.return()
    this.ended = true
    for (const timer of this.keepAlives.values()) timer.cancel()
    this.keepAlives.clear()
    for (const { reject } of this.asked.values()) reject(new StoreError('closed', 'the metadata store is closed'))
    this.asked.clear()
  }

  private async ask<C extends StoreCall>(call: C, ask: StoreCalls[C]['ask'], impatient = true): Promise<StoreCalls[C]['answer']> {
    if (this.ended) throw new StoreError('closed', 'the metadata store is closed')
    const id = this.nextId++
    let timer: Timer | undefined
    try {
      return (await new Promise<unknown>((resolve, reject) => {
        this.asked.set(id, { resolve, reject })
        const giveUp = () => reject(new StoreError('unavailable', 'the process that keeps the metadata does not answer'))
        if (impatient) timer = this.clock.timer(REQUEST_TIMEOUT_MS, giveUp)
        this.channel.send({ id, call, ask } as StoreMessage)
      })) as StoreCalls[C]['answer']
    } catch (error) {
      const isLost = error instanceof StoreError && (error.reason === 'unavailable' || error.reason === 'closed')
      if (call === 'commit' && isLost) throw new OutcomeUnknown(error.message, { cause: error })
      throw error
    } finally {
      timer?.cancel()
      this.asked.delete(id)
    }
  }
}

/** Asks for one change at a time. */
class RemoteWatch implements AsyncIterableIterator<Change> {
  private readonly ask: (isFirst: boolean) => Promise<Change | null>
  private readonly onEnd: () => void
  private isFirst = true
  private ended = false
  private endWaiting: () => void = () => {}

  constructor(ask: (isFirst: boolean) => Promise<Change | null>, onEnd: () => void) {
    this.ask = ask
    this.onEnd = onEnd
  }

  async next(): Promise<IteratorResult<Change>> {
    if (this.ended) return { done: true, value: undefined }
    const asked = this.ask(this.isFirst)
    this.isFirst = false
    const over = new Promise<null>((resolve) => {
      this.endWaiting = () => resolve(null)
    })
    const change = await Promise.race([asked.catch(() => null), over])
    if (change === null) void this.return()
    return change === null ? { done: true, value: undefined } : { done: false, value: change }
  }

  async return(): Promise<IteratorResult<Change>> {
    if (!this.ended) {
      this.ended = true
      this.endWaiting()
      this.onEnd()
    }
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}

function settle(asked: ReadonlyMap<number, Asked>, message: StoreMessage): void {
  if ('call' in message) return
  const waiting = asked.get(message.id)
  if (waiting === undefined) return
  if ('answer' in message) waiting.resolve(message.answer)
  else if (message.error.reason === 'unknown') waiting.reject(new OutcomeUnknown(message.error.message))
  else waiting.reject(new StoreError(message.error.reason, message.error.message))
}

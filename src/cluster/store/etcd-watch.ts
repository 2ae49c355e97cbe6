// One watch of etcd, across any number of broken connections: never skips, never repeats.
//
// It goes on behind the last event that was delivered. The revision in a response's header is no place to go on from: while a
// watch catches up, the server stamps every part with the newest revision, and whatever lies between would be lost.

import type { ClientDuplexStream } from '@grpc/grpc-js'
import { type Clock, delay } from '../../host/clock.ts'
import type { EtcdChannel } from './etcd-channel.ts'
import { DELETED, entryOf, etcd, revisionOf, type WatchResponse } from './etcd-messages.ts'
import { type Change, type Event, type Revision, StoreError } from './metadata-store.ts'

/** Between two attempts where every member fails. */
const RETRY_MS = 200

type Request = Parameters<typeof etcd.watch.encode>[0]
type Batch = Extract<Change, { kind: 'batch' }>

export class EtcdWatch implements AsyncIterableIterator<Change> {
  private readonly channel: EtcdChannel
  private readonly clock: Clock
  private readonly key: Buffer
  private readonly rangeEnd: Buffer
  private readonly ended: () => void
  /** Everything up to here has been delivered, or waits in `ready`. */
  private last: Revision
  private readonly ready: Batch[] = []
  private stream: ClientDuplexStream<Request, WatchResponse> | undefined
  private responses: AsyncIterator<WatchResponse> | undefined
  private over = false
  private stop = () => {}
  private readonly stopped: Promise<void>

  constructor(channel: EtcdChannel, clock: Clock, key: Buffer, rangeEnd: Buffer, after: Revision, ended: () => void) {
    this.channel = channel
    this.clock = clock
    this.key = key
    this.rangeEnd = rangeEnd
    this.last = after
    this.ended = ended
    this.stopped = new Promise((resolve) => {
      this.stop = resolve
    })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<Change, undefined>> {
    while (!this.over) {
      const batch = this.ready.shift()
      if (batch !== undefined) return { done: false, value: batch }
      const response = await Promise.race([this.receive(), this.stopped])
      if (response === undefined || this.over) continue
      if (response.canceled && response.compact_revision.toNumber() > 0) {
        await this.return()
        return { done: false, value: { kind: 'compacted' } }
      }
      if (response.canceled) {
        // Its member has lost the leader, or is going.
        await this.retry()
        continue
      }
      this.ready.push(...batchesOf(response))
      this.last = this.ready.at(-1)?.revision ?? this.last
    }
    return { done: true, value: undefined }
  }

  /** Ends a `next` that waits, too. */
  async return(): Promise<IteratorResult<Change, undefined>> {
    this.over = true
    this.stream?.cancel()
    this.stop()
    this.ended()
    return { done: true, value: undefined }
  }

  /** The next response. Undefined: the connection broke, and has been given time. */
  private async receive(): Promise<WatchResponse | undefined> {
    const { member } = this.channel
    try {
      const { done, value } = await (this.responses ?? (await this.open())).next()
      if (done !== true) {
        this.channel.checkCluster(value.header)
        return value
      }
      this.channel.leave(member)
    } catch (error) {
      if (this.over) return undefined
      const told = this.channel.translate(error, member)
      if (told.reason !== 'unavailable') throw told
    }
    await this.retry()
    return undefined
  }

  private async open(): Promise<AsyncIterator<WatchResponse>> {
    const stream = await this.channel.open(etcd.watch)
    this.stream = stream
    // Read one by one: what nobody takes stays with the server.
    this.responses = stream[Symbol.asyncIterator]() as AsyncIterator<WatchResponse>
    stream.write({ create_request: { key: this.key, range_end: this.rangeEnd, start_revision: this.last + 1 } })
    return this.responses
  }

  private async retry(): Promise<void> {
    this.stream?.cancel()
    this.stream = undefined
    this.responses = undefined
    await delay(this.clock, RETRY_MS)
  }
}

/** All events of one revision belong together, and lie in one response. */
function batchesOf(response: WatchResponse): Batch[] {
  const batches: { kind: 'batch'; revision: Revision; events: Event[] }[] = []
  for (const { type, kv } of response.events) {
    const revision = revisionOf(kv.mod_revision)
    const event: Event = type === DELETED ? { delete: Buffer.from(kv.key).toString() } : { put: entryOf(kv) }
    const batch = batches.at(-1)
    if (batch?.revision === revision) batch.events.push(event)
    else batches.push({ kind: 'batch', revision, events: [event] })
  }
  const behind = batches.find((batch, i) => i > 0 && batch.revision <= batches[i - 1].revision)
  if (behind !== undefined) throw new StoreError('corrupt', `etcd told revision ${behind.revision} behind a newer one`)
  return batches
}

// From records as they came to a handler's call: decodes, traces, tries again with a pause, and sends what stays impossible to a dead-letter
// topic. typed-consumer.ts decides what runs when.

import type { Timer } from '../host/clock.ts'
import type { ClusterClient } from './cluster-client.ts'
import { deadLetterOf, isHopeless } from './dead-letters.ts'
import type { ConsumerRecord } from './fetched-records.ts'
import { Producer, type ProducerRecord } from './producer.ts'
import { decodeRecord, encodePart, type Topic, toHeaders } from './topic.ts'
import { channels, type Tracing } from './tracing.ts'
import type { Message } from './typed-producer.ts'
import type { Order } from './work-queue.ts'

export interface HandlerContext {
  /** From 1. */
  readonly attempt: number
  /**
   * With `exactly-once` only: sends in the transaction of the record that is being handled, and settles with the codecs; whether it is
   * written shows when the transaction ends.
   */
  send<Value, Key, Input>(topic: Topic<Value, Key, Input>, message: Message<Input, Key>): Promise<void>
}

export type Handler<R> = (record: R, context: HandlerContext) => unknown
export type BatchHandler<R> = (records: R[], context: HandlerContext) => unknown

export interface RunOptions {
  /** Handlers under way at a time, over all partitions. Default 1. */
  readonly concurrency?: number
  /** Default `partition`: one record of a partition after the other. `key`: one of each key, others side by side. `none`: all side by side. */
  readonly order?: Order
  /** Stops the consumer, as `stop` does. */
  readonly signal?: AbortSignal
  /** What a handler throws is tried again, while the records behind it wait. Default: not at all. */
  readonly retries?: Retries
  /** What fails for good, or cannot be read, goes to `<topic>.DLT`, or to the topic that the function names, and counts as processed. */
  readonly deadLetters?: boolean | ((record: ConsumerRecord, error: unknown) => string)
}

export interface Retries {
  /** After the first. */
  readonly attempts: number
  /** Before the first of them. Default 1000. */
  readonly delayMs?: number
  /** Of the pause, from one to the next. Default 2. */
  readonly multiplier?: number
  /** Default 30000. */
  readonly maxDelayMs?: number
  /** Part of the pause that is left to chance, 0 to 1. Default 0.2. */
  readonly jitter?: number
  /** Errors for which it returns false are not tried again. */
  readonly isRetriable?: (error: unknown) => boolean
}

/** The consumer was stopped while a record waited to be tried again: it comes again elsewhere. */
export class StoppedError extends Error {
  override readonly name = 'StoppedError'
}

// biome-ignore lint/suspicious/noExplicitAny: codecs of any topic; its records alone come to them
type Readable = Omit<Topic<any, any, any>, 'name'> & { readonly name: string | RegExp }

export class HandlerRunner<R> {
  private readonly cluster: ClusterClient
  private readonly topicOf: (name: string) => Readable
  private readonly tracing: Tracing
  private readonly groupId: string
  private readonly call: (records: R[], context: HandlerContext) => unknown
  private readonly options: RunOptions
  private readonly isBatch: boolean
  /** What is sent in the transaction that is open. */
  private collected: ProducerRecord[] | undefined
  private letters: Producer | undefined
  private readonly pauses = new Set<() => void>()
  private stopped = false
  private readonly firstContext: HandlerContext = { attempt: 1, send: (topic, message) => this.send(topic, message) }

  static ofBatches<R>(
    cluster: ClusterClient,
    topicOf: (name: string) => Readable,
    tracing: Tracing,
    groupId: string,
    handler: BatchHandler<R>,
    options: RunOptions,
  ): HandlerRunner<R> {
    return new HandlerRunner(cluster, topicOf, tracing, groupId, handler, options, true)
  }

  constructor(
    cluster: ClusterClient,
    topicOf: (name: string) => Readable,
    tracing: Tracing,
    groupId: string,
    handler: Handler<R> | BatchHandler<R>,
    options: RunOptions,
    isBatch = false,
  ) {
    this.cluster = cluster
    this.topicOf = topicOf
    this.tracing = tracing
    this.groupId = groupId
    this.options = options
    this.isBatch = isBatch
    this.call = isBatch ? (handler as BatchHandler<R>) : ([record], context) => (handler as Handler<R>)(record, context)
  }

  /** What handlers send from now on ends up in the list that this returns. */
  collect(): ProducerRecord[] {
    this.collected = []
    return this.collected
  }

  /** Returns nothing if all of it was synchronous. Rejects, or throws, with what cannot be dealt with here. */
  run(records: readonly ConsumerRecord[]): void | Promise<void> {
    return this.attempt(records, 1)
  }

  /** What waits to be tried again is given up, with StoppedError. */
  stop(): void {
    this.stopped = true
    for (const wake of this.pauses) wake()
  }

  async close(): Promise<void> {
    this.stop()
    await this.letters?.close()
  }

  private attempt(records: readonly ConsumerRecord[], attempt: number): void | Promise<void> {
    const failed = (error: unknown) => this.failed(records, attempt, error)
    try {
      const handling = this.handle(records, attempt)
      if (handling instanceof Promise) return handling.then(() => {}, failed)
    } catch (error) {
      return failed(error)
    }
  }

  private handle(records: readonly ConsumerRecord[], attempt: number): unknown {
    const [first] = records
    // The way of nearly all records: nothing is made for it but what the handler gets.
    if (records.length === 1 && attempt === 1 && !channels.process.hasSubscribers && this.tracing.isUntraced?.(first)) {
      const read = decodeRecord(this.topicOf(first.topic) as Topic, first) as R | Promise<R>
      if (!(read instanceof Promise)) return toNative(this.call([read], this.firstContext))
      return read.then((ready) => this.call([ready], this.firstContext))
    }
    const decoded: (R | Promise<R>)[] = []
    let isReady = true
    for (const record of records) {
      const read = decodeRecord(this.topicOf(record.topic) as Topic, record) as R | Promise<R>
      if (read instanceof Promise) isReady = false
      decoded.push(read)
    }
    const context: HandlerContext = { attempt, send: (topic, message) => this.send(topic, message) }
    const call = (ready: R[]): unknown => {
      const handle = () => toNative(this.tracing.process(records[0], this.groupId, () => toNative(this.call(ready, context))))
      if (!channels.process.hasSubscribers) return handle()
      return channels.process.tracePromise(async () => handle(), { groupId: this.groupId, records })
    }
    return isReady ? call(decoded as R[]) : Promise.all(decoded).then(call)
  }

  private async failed(records: readonly ConsumerRecord[], attempt: number, error: unknown): Promise<void> {
    const { retries, deadLetters = false } = this.options
    if (error instanceof StoppedError) throw error
    const mayRetry = retries !== undefined && attempt <= retries.attempts && !isHopeless(error)
    if (mayRetry && (retries.isRetriable?.(error) ?? true)) {
      this.tell(error, `attempt ${attempt}`)
      await this.pause(retries, attempt)
      return this.attempt(records, attempt + 1)
    }
    if (deadLetters === false) throw error
    if (this.isBatch && records.length > 1) {
      // One of them is to blame, and nobody says which: alone, each shows.
      for (const record of records) await this.attempt([record], (retries?.attempts ?? 0) + 1)
      return
    }
    this.tell(error, 'given to the dead letters')
    const topic = typeof deadLetters === 'function' ? deadLetters(records[0], error) : undefined
    await this.bury(deadLetterOf(records[0], error, this.groupId, topic), records[0].partition)
  }

  /** Into the partition of the same number, if there is one: what was in order stays so. */
  private async bury(letter: ProducerRecord, partition: number): Promise<void> {
    const topic = await this.cluster.topic(letter.topic, { allowAutoTopicCreation: true })
    const placed = { ...letter, ...(partition < topic.partitions.length ? { partition } : {}) }
    if (this.collected !== undefined) {
      this.collected.push(placed)
      return
    }
    this.letters ??= new Producer(this.cluster, { lingerMs: 0 })
    await this.letters.send(placed)
  }

  private async send<Value, Key, Input>(topic: Topic<Value, Key, Input>, message: Message<Input, Key>): Promise<void> {
    const { collected } = this
    if (collected === undefined) throw new TypeError("context.send is for guarantee: 'exactly-once'; use a producer elsewhere")
    const headers = toHeaders(message.headers)
    await this.tracing.produce(topic.name, headers, async () => {
      const key =
        message.key === undefined || message.key === null
          ? null
          : await encodePart(topic.name, topic.key, message.key, true, headers)
      const value = await encodePart(topic.name, topic.value, message.value, false, headers)
      const { partition, timestamp } = message
      const at = timestamp instanceof Date ? timestamp.getTime() : timestamp
      collected.push({ topic: topic.name, partition, key, value, headers, timestamp: at === undefined ? undefined : BigInt(at) })
    })
  }

  private async pause(
    { delayMs = 1000, multiplier = 2, maxDelayMs = 30_000, jitter = 0.2 }: Retries,
    attempt: number,
  ): Promise<void> {
    const exact = Math.min(maxDelayMs, delayMs * multiplier ** (attempt - 1))
    const pauseMs = exact * (1 - jitter + (this.cluster.random.u32() / 2 ** 32) * 2 * jitter)
    let timer: Timer | undefined
    if (!this.stopped) {
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.pauses.delete(wake)
          resolve()
        }
        this.pauses.add(wake)
        timer = this.cluster.clock.timer(pauseMs, wake)
      })
    }
    timer?.cancel()
    if (this.stopped) throw new StoppedError('the consumer was stopped before the record was tried again')
  }

  private tell(error: unknown, during: string): void {
    if (channels.error.hasSubscribers) channels.error.publish({ groupId: this.groupId, error, during })
  }
}

/** Thenables of other libraries count as promises. */
function toNative(result: unknown): unknown {
  if (result instanceof Promise || typeof (result as PromiseLike<unknown> | undefined)?.then !== 'function') return result
  return Promise.resolve(result)
}

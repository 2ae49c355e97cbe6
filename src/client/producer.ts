// Sends records: gathers them into batches per partition, sends batches to the leaders, tries again what can be, in order.
// Idempotent unless told otherwise: batches carry a producer id and sequence numbers, so that one sent twice is written once.

import { type CodecName, CompressionCodec } from '../bytes/compression/codecs.ts'
import type { Timer } from '../host/clock.ts'
import { ErrorCode, type ErrorName, errorName, KafkaError } from '../protocol/error-codes.ts'
import { NO_PRODUCER_ID, ZERO_UUID } from '../protocol/ids.ts'
import { Produce } from '../protocol/messages/00-produce.ts'
import { InitProducerId } from '../protocol/messages/22-init-producer-id.ts'
import { maxRecordSize, RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import type { RecordHeader } from '../protocol/records/record.ts'
import type { ClusterClient } from './cluster-client.ts'
import type { Connection } from './connection.ts'
import { ClientClosedError, isRetriable, TimeoutError } from './errors.ts'
import { partitionKey, type TopicMetadata } from './metadata.ts'
import { DefaultPartitioner, type Partitioner } from './partitioner.ts'
import { BufferMemory, nextSequence, PartitionQueue, PendingBatch, type PendingRecord } from './record-accumulator.ts'
import { backoffMs } from './retry.ts'

export type Acks = 0 | 1 | 'all'

export interface ProducerOptions {
  /** Default `all`. */
  readonly acks?: Acks
  /** Default true, with acks=all only. */
  readonly idempotence?: boolean
  readonly compression?: CodecName
  /** A batch is sent when it holds this many bytes, or after `lingerMs`, whichever comes first. */
  readonly batchSize?: number
  readonly lingerMs?: number
  /** How long the broker may wait for its replicas. */
  readonly requestTimeoutMs?: number
  /** From `send` to the final answer, whatever was tried in between. */
  readonly deliveryTimeoutMs?: number
  /** How long `send` may wait for metadata and for room in the buffer. */
  readonly maxBlockMs?: number
  /** Tries after the first; unlimited within `deliveryTimeoutMs` by default. */
  readonly retries?: number
  readonly bufferMemory?: number
  readonly maxRequestSize?: number
  readonly maxInFlightRequestsPerConnection?: number
  readonly partitioner?: Partitioner
}

export interface ProducerRecord {
  readonly topic: string
  /** Chosen by the partitioner where absent. */
  readonly partition?: number
  readonly key?: Buffer | string | null
  readonly value: Buffer | string | null
  readonly headers?: readonly RecordHeader[]
  /** Milliseconds since 1970. Now where absent. */
  readonly timestamp?: bigint
}

export interface RecordMetadata {
  readonly topic: string
  readonly partition: number
  /** -1 with acks=0, where nobody says. */
  readonly offset: bigint
  readonly timestamp: bigint
}

/** A batch may come back as written long ago, or in the wrong order after one that failed: both mend themselves. */
const SEQUENCE_ERRORS: ReadonlySet<ErrorName> = new Set<ErrorName>(['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID'])
const MAX_PRODUCER_EPOCH = 0x7fff
/** What brokers remember of a producer, per partition: more in flight, and they cannot tell a batch sent twice (KIP-98). */
const MAX_IN_FLIGHT_IDEMPOTENT = 5

export class Producer {
  private readonly cluster: ClusterClient
  private readonly options: Required<Omit<ProducerOptions, 'partitioner'>>
  private readonly partitioner: Partitioner
  private readonly memory: BufferMemory
  private readonly queues = new Map<string, PartitionQueue>()
  /** Requests on their way, by node. */
  private readonly inFlight = new Map<number, number>()
  /** Records accepted and not yet settled, by the number of calls of `flush` before them. */
  private readonly unsettled = new Map<number, number>()
  private generation = 0
  private flushers: (() => void)[] = []
  /** Calls of `flush` under way. */
  private flushing = 0
  private closed = false
  /** The last of those who wait for metadata or for room. */
  private admitting: Promise<void> | undefined
  private producerId = NO_PRODUCER_ID
  private producerIdEpoch = 0
  private wakeUp: { readonly timer: Timer; readonly atMs: number } | undefined
  private draining = false
  private drainAgain = false

  constructor(cluster: ClusterClient, options: ProducerOptions = {}) {
    const acks = options.acks ?? 'all'
    if (options.idempotence === true && acks !== 'all') throw new TypeError('an idempotent producer needs acks=all')
    const idempotence = options.idempotence ?? acks === 'all'
    const maxInFlight = options.maxInFlightRequestsPerConnection ?? 5
    this.cluster = cluster
    this.options = {
      acks,
      idempotence,
      compression: options.compression ?? 'none',
      batchSize: options.batchSize ?? 16_384,
      lingerMs: options.lingerMs ?? 5,
      requestTimeoutMs: options.requestTimeoutMs ?? 30_000,
      deliveryTimeoutMs: options.deliveryTimeoutMs ?? 120_000,
      maxBlockMs: options.maxBlockMs ?? 60_000,
      retries: options.retries ?? Number.MAX_SAFE_INTEGER,
      bufferMemory: options.bufferMemory ?? 32 * 1024 * 1024,
      maxRequestSize: options.maxRequestSize ?? 1024 * 1024,
      maxInFlightRequestsPerConnection: idempotence ? Math.min(maxInFlight, MAX_IN_FLIGHT_IDEMPOTENT) : maxInFlight,
    }
    this.partitioner = options.partitioner ?? new DefaultPartitioner(cluster.random)
    this.memory = new BufferMemory(this.options.bufferMemory)
  }

  /** Resolves when the buffer takes another record: what a fast source waits for between one `send` and the next. */
  ready(): Promise<void> {
    return this.memory.room()
  }

  /**
   * Resolves when the record is acknowledged as `acks` asks. Records for one partition are written in the order of their calls.
   * Rejects with KafkaError (refused), TimeoutError, ConnectionError or ClientClosedError. The topic is created if the brokers do so.
   */
  async send(record: ProducerRecord): Promise<RecordMetadata> {
    if (this.closed) throw new ClientClosedError('the producer')
    const key = toBuffer(record.key)
    const value = toBuffer(record.value)
    const headers = record.headers ?? []
    const size = maxRecordSize({ key, value, headers, timestamp: 0n })
    if (size > this.options.maxRequestSize) {
      throw new KafkaError(
        'MESSAGE_TOO_LARGE',
        `a record of ${size} bytes exceeds max.request.size, ${this.options.maxRequestSize}`,
      )
    }
    let topic = this.admitting === undefined && !this.memory.isFull ? this.cluster.knownTopic(record.topic) : undefined
    if (topic === undefined) {
      // Waits in line, so that calls in a row keep their order.
      const admission = (this.admitting ?? Promise.resolve()).then(() => this.admit(record.topic))
      const line = admission.then(
        () => {},
        () => {},
      )
      this.admitting = line
      try {
        topic = await admission
      } finally {
        if (this.admitting === line) this.admitting = undefined
      }
    }
    if (this.closed) throw new ClientClosedError('the producer')
    const partition = record.partition ?? this.partitioner.partition(topic, key)
    if (topic.partitions[partition] === undefined) {
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${record.topic} has no partition ${partition}`)
    }
    const timestamp = record.timestamp ?? BigInt(Math.trunc(this.cluster.clock.wallMs()))
    return new Promise<RecordMetadata>((resolve, reject) => {
      const generation = this.generation
      const settle = () => {
        this.memory.giveBack(size)
        const left = this.unsettled.get(generation)! - 1
        if (left > 0) this.unsettled.set(generation, left)
        else {
          this.unsettled.delete(generation)
          for (const look of this.flushers.splice(0)) look()
        }
      }
      this.memory.take(size)
      this.unsettled.set(generation, (this.unsettled.get(generation) ?? 0) + 1)
      this.append(topic, partition, {
        key,
        value,
        headers,
        timestamp,
        size,
        resolve: (written) => {
          settle()
          resolve({ topic: record.topic, partition, offset: written.offset, timestamp: written.timestamp })
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      })
    })
  }

  /** Sends what waits, without lingering, and resolves when every record accepted so far is settled, well or not. */
  async flush(): Promise<void> {
    await this.admitting
    const upTo = this.generation++
    this.flushing++
    this.drainSoon()
    try {
      while ([...this.unsettled.keys()].some((generation) => generation <= upTo)) {
        await new Promise<void>((resolve) => this.flushers.push(resolve))
      }
    } finally {
      this.flushing--
    }
  }

  /** Flushes, and takes no more. The cluster client stays open: it may have other users. */
  async close(): Promise<void> {
    await this.admitting
    this.closed = true
    await this.flush()
    this.wakeUp?.timer.cancel()
  }

  private async admit(topic: string): Promise<TopicMetadata> {
    if (this.memory.isFull) await this.room()
    return this.cluster.topic(topic, { allowAutoTopicCreation: true, timeoutMs: this.options.maxBlockMs })
  }

  private async room(): Promise<void> {
    const { maxBlockMs } = this.options
    let timer: Timer | undefined
    const late = new Promise<never>((_, reject) => {
      timer = this.cluster.clock.timer(maxBlockMs, () => reject(new TimeoutError(`no room in the buffer for ${maxBlockMs} ms`)))
    })
    try {
      await Promise.race([this.memory.room(), late])
    } finally {
      timer?.cancel()
    }
  }

  private append(topic: TopicMetadata, partition: number, record: PendingRecord): void {
    const name = partitionKey(topic.name, partition)
    let queue = this.queues.get(name)
    if (queue === undefined) {
      queue = new PartitionQueue(topic.name, partition)
      this.queues.set(name, queue)
    }
    const { batchSize } = this.options
    let last = queue.waiting.at(-1)
    // A batch with numbers has been sent before, and must stay what it was.
    const takes = last !== undefined && last.baseSequence < 0 && last.attempts === 0 && last.size + record.size <= batchSize
    if (!takes) {
      if (last !== undefined && record.key === null) this.partitioner.batchFilled(topic, partition)
      last = new PendingBatch(this.cluster.clock.monotonicMs())
      queue.waiting.push(last)
    }
    last!.add(record)
    if (!takes || last!.size >= batchSize) this.drainSoon()
  }

  // ── sending ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private drainSoon(): void {
    if (this.draining) {
      this.drainAgain = true
      return
    }
    this.draining = true
    void this.drain().finally(() => {
      this.draining = false
      if (this.drainAgain) {
        this.drainAgain = false
        this.drainSoon()
      }
    })
  }

  /** Sends all that may be sent now, and sets the clock for the rest. */
  private async drain(): Promise<void> {
    // Records that come in the same turn go out together.
    await null
    const now = this.cluster.clock.monotonicMs()
    const ready: PartitionQueue[] = []
    let nextMs = Number.POSITIVE_INFINITY
    for (const queue of this.queues.values()) {
      this.expire(queue, now)
      const dueMs = this.dueMs(queue, now)
      if (dueMs <= now) ready.push(queue)
      else nextMs = Math.min(nextMs, dueMs)
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.wakeAt(nextMs)
    if (ready.length === 0) return
    let byNode: Map<number, PartitionQueue[]>
    try {
      if (this.options.idempotence && this.producerId === NO_PRODUCER_ID) await this.obtainProducerId()
      byNode = await this.groupByLeader(ready)
    } catch (error) {
      this.holdBack(ready, error as Error)
      return
    }
    for (const [nodeId, queues] of byNode) await this.sendTo(nodeId, queues)
  }

  /** When the head of a queue wants to be sent, in monotonic time; infinity where something else will wake us. */
  private dueMs(queue: PartitionQueue, now: number): number {
    const head = queue.waiting[0]
    if (head === undefined) return Number.POSITIVE_INFINITY
    const limit = this.options.idempotence ? this.options.maxInFlightRequestsPerConnection : 1
    const last = queue.inFlight.at(-1)
    // After a failure the queue empties before it goes on: no batch overtakes one that is tried again.
    if (queue.inFlight.length >= limit || (last !== undefined && (head.attempts > 0 || queue.renumber))) {
      return Number.POSITIVE_INFINITY
    }
    const full = queue.waiting.length > 1 || head.size >= this.options.batchSize || this.flushing > 0 || this.closed
    return Math.max(head.notBeforeMs, full || head.attempts > 0 ? now : head.createdAtMs + this.options.lingerMs)
  }

  private wakeAt(atMs: number): void {
    if (this.wakeUp !== undefined && this.wakeUp.atMs <= atMs) return
    this.wakeUp?.timer.cancel()
    const delayMs = Math.max(0, atMs - this.cluster.clock.monotonicMs())
    const timer = this.cluster.clock.timer(delayMs, () => {
      this.wakeUp = undefined
      this.drainSoon()
    })
    this.wakeUp = { timer, atMs }
  }

  private expire(queue: PartitionQueue, now: number): void {
    const { deliveryTimeoutMs } = this.options
    while (queue.waiting.length > 0 && now - queue.waiting[0].createdAtMs >= deliveryTimeoutMs) {
      const batch = queue.waiting.shift()!
      if (batch.baseSequence >= 0) queue.renumber = true
      const error = new TimeoutError(
        `${batch.records.length} records for ${queue.topic}-${queue.partition} not delivered within ${deliveryTimeoutMs} ms`,
      )
      for (const record of batch.records) record.reject(error)
    }
  }

  private async groupByLeader(queues: readonly PartitionQueue[]): Promise<Map<number, PartitionQueue[]>> {
    const byNode = new Map<number, PartitionQueue[]>()
    for (const queue of queues) {
      let nodeId: number
      try {
        nodeId = await this.cluster.leader(queue.topic, queue.partition)
      } catch (error) {
        this.holdBack([queue], error as Error)
        continue
      }
      const led = byNode.get(nodeId)
      if (led === undefined) byNode.set(nodeId, [queue])
      else led.push(queue)
    }
    return byNode
  }

  private async sendTo(nodeId: number, queues: readonly PartitionQueue[]): Promise<void> {
    if ((this.inFlight.get(nodeId) ?? 0) >= this.options.maxInFlightRequestsPerConnection) return
    let connection: Connection
    try {
      connection = await this.cluster.broker(nodeId)
    } catch (error) {
      this.holdBack(queues, error as Error)
      return
    }
    const sent: [PartitionQueue, PendingBatch][] = []
    let size = 0
    for (const queue of queues) {
      const batch = queue.waiting[0]
      // Looked at again: an answer may have come while we connected.
      if (batch === undefined || this.dueMs(queue, this.cluster.clock.monotonicMs()) === Number.POSITIVE_INFINITY) continue
      if (sent.length > 0 && size + batch.size > this.options.maxRequestSize) continue
      queue.waiting.shift()
      this.number(queue, batch)
      queue.inFlight.push(batch)
      try {
        batch.encoded ??= encodeBatch(batch, CompressionCodec[this.options.compression])
      } catch (error) {
        this.refuse(queue, batch, error as Error)
        continue
      }
      sent.push([queue, batch])
      size += batch.size
    }
    if (sent.length === 0) return
    this.inFlight.set(nodeId, (this.inFlight.get(nodeId) ?? 0) + 1)
    void this.exchange(connection, sent).finally(() => {
      this.inFlight.set(nodeId, this.inFlight.get(nodeId)! - 1)
      this.drainSoon()
    })
    // More may wait for the same partitions.
    this.drainAgain = true
  }

  /** Sequence numbers are given when a batch is first sent, in the order of sending. */
  private number(queue: PartitionQueue, batch: PendingBatch): void {
    if (!this.options.idempotence) return
    if (queue.renumber) {
      queue.renumber = false
      queue.sequence = 0
      queue.producerEpoch++
      for (const waiting of [batch, ...queue.waiting]) {
        waiting.baseSequence = -1
        waiting.encoded = undefined
      }
      if (queue.producerEpoch > MAX_PRODUCER_EPOCH) this.producerId = NO_PRODUCER_ID
    }
    if (batch.baseSequence >= 0) return
    batch.producerId = this.producerId
    batch.producerEpoch = Math.max(queue.producerEpoch, this.producerIdEpoch)
    batch.baseSequence = queue.sequence
    queue.sequence = nextSequence(queue.sequence, batch.records.length)
  }

  private async exchange(connection: Connection, sent: readonly [PartitionQueue, PendingBatch][]): Promise<void> {
    const topicData = [...Map.groupBy(sent, ([queue]) => queue.topic)].map(([name, entries]) => ({
      name,
      topicId: this.cluster.knownTopic(name)?.topicId,
      partitionData: entries.map(([queue, batch]) => ({ index: queue.partition, records: batch.encoded! })),
    }))
    const acks = this.options.acks === 'all' ? -1 : this.options.acks
    const request = { acks, timeoutMs: this.options.requestTimeoutMs, topicData }
    try {
      // Topic ids only where all are known: 12 is the last version with names.
      const named = topicData.every(({ topicId }) => topicId !== undefined && topicId !== ZERO_UUID)
      const bounds = named ? {} : { maxVersion: 12 }
      if (acks === 0) {
        await connection.requestWithoutResponse(Produce, request, bounds)
        for (const [queue, batch] of sent) this.succeed(queue, batch, -1n, -1n)
        return
      }
      const response = await connection.request(Produce, request, bounds)
      const results = new Map(
        response.responses.flatMap((topic) =>
          topic.partitionResponses.map((result) => {
            const name = topic.name !== '' ? topic.name : topicData.find((sent) => sent.topicId === topic.topicId)?.name
            return [partitionKey(name ?? '', result.index), result] as const
          }),
        ),
      )
      for (const [queue, batch] of sent) {
        const result = results.get(partitionKey(queue.topic, queue.partition))
        if (result === undefined) {
          this.refuse(queue, batch, new KafkaError('UNKNOWN_SERVER_ERROR', `no answer for ${queue.topic}-${queue.partition}`))
        } else if (result.errorCode === ErrorCode.NONE || result.errorCode === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) {
          this.succeed(queue, batch, result.baseOffset, result.logAppendTimeMs)
        } else {
          const code = errorName(result.errorCode)
          const detail = result.recordErrors[0]?.batchIndexErrorMessage ?? result.errorMessage ?? code
          this.refuse(queue, batch, new KafkaError(code, detail))
        }
      }
    } catch (error) {
      for (const [queue, batch] of sent) {
        if (!queue.inFlight.includes(batch)) continue
        batch.inDoubt = true
        this.refuse(queue, batch, error as Error)
      }
    }
  }

  private succeed(queue: PartitionQueue, batch: PendingBatch, baseOffset: bigint, logAppendTimeMs: bigint): void {
    queue.inFlight.splice(queue.inFlight.indexOf(batch), 1)
    for (const [index, record] of batch.records.entries()) {
      const offset = baseOffset < 0n ? -1n : baseOffset + BigInt(index)
      record.resolve({ offset, timestamp: logAppendTimeMs >= 0n ? logAppendTimeMs : record.timestamp })
    }
  }

  /** Splits, tries again, or gives up. */
  private refuse(queue: PartitionQueue, batch: PendingBatch, error: Error): void {
    this.cluster.learnFrom(error)
    const isFirst = queue.inFlight[0] === batch
    queue.inFlight.splice(queue.inFlight.indexOf(batch), 1)
    const code = error instanceof KafkaError ? error.code : undefined
    if (code === 'MESSAGE_TOO_LARGE' && batch.records.length > 1) {
      const [first, second] = batch.split()
      first.attempts = second.attempts = batch.attempts + 1
      queue.giveBack(second)
      queue.giveBack(first)
      return
    }
    // Out of order because one before it failed: it goes again after that one. As the first in flight it would fail for ever.
    const isSequence = code !== undefined && SEQUENCE_ERRORS.has(code)
    if (isSequence && isFirst && queue.waiting.every((other) => other.baseSequence < 0)) {
      queue.renumber = true
      if (batch.inDoubt) {
        this.abandon(batch, error)
        return
      }
    }
    const now = this.cluster.clock.monotonicMs()
    const again = isRetriable(error) || isSequence
    if (again && batch.attempts < this.options.retries && now - batch.createdAtMs < this.options.deliveryTimeoutMs) {
      batch.attempts++
      batch.notBeforeMs = now + backoffMs(this.cluster.backoff, batch.attempts, this.cluster.random)
      queue.giveBack(batch)
      return
    }
    if (batch.baseSequence >= 0) queue.renumber = true
    this.abandon(batch, error)
  }

  private abandon(batch: PendingBatch, error: Error): void {
    for (const record of batch.records) record.reject(error)
  }

  /** Nothing could be sent: the batches wait, or are given up with the error if that cannot change. */
  private holdBack(queues: readonly PartitionQueue[], error: Error): void {
    this.cluster.learnFrom(error)
    const now = this.cluster.clock.monotonicMs()
    for (const queue of queues) {
      const head = queue.waiting[0]
      if (head === undefined) continue
      if (isRetriable(error)) {
        head.attempts++
        head.notBeforeMs = now + backoffMs(this.cluster.backoff, head.attempts, this.cluster.random)
      } else {
        if (head.baseSequence >= 0) queue.renumber = true
        for (const batch of queue.waiting.splice(0)) this.abandon(batch, error)
      }
    }
    this.drainAgain = true
  }

  private async obtainProducerId(): Promise<void> {
    const response = await this.cluster.request(InitProducerId, { transactionalId: null, transactionTimeoutMs: 60_000 })
    if (response.errorCode !== ErrorCode.NONE) {
      const code = errorName(response.errorCode)
      throw new KafkaError(code, `no producer id: ${code}`)
    }
    this.producerId = response.producerId
    this.producerIdEpoch = response.producerEpoch
    for (const queue of this.queues.values()) {
      queue.producerEpoch = response.producerEpoch
      queue.sequence = 0
    }
  }
}

function encodeBatch(batch: PendingBatch, codecId: number): Buffer {
  const { producerId, producerEpoch, baseSequence } = batch
  const builder = new RecordBatchBuilder({ sizeHint: batch.size })
  for (const record of batch.records) builder.append(record)
  return builder.build({ codecId, producerId, producerEpoch, baseSequence })
}

function toBuffer(value: Buffer | string | null | undefined): Buffer | null {
  if (value === null || value === undefined) return null
  return typeof value === 'string' ? Buffer.from(value) : value
}

// Sends batches to the leaders, tries again what can be, and keeps every partition in order. Idempotent unless told otherwise:
// batches carry a producer id and sequence numbers, so that one sent twice is written once (KIP-98). In a transaction nothing may get
// lost: the first batch that does takes the transaction with it (transaction-manager.ts).

import { type CodecName, CompressionCodec } from '../bytes/compression/codecs.ts'
import type { Timer } from '../host/clock.ts'
import { ErrorCode, type ErrorName, errorName, KafkaError } from '../protocol/error-codes.ts'
import { NO_PRODUCER_ID, ZERO_UUID } from '../protocol/ids.ts'
import { Produce } from '../protocol/messages/00-produce.ts'
import { InitProducerId } from '../protocol/messages/22-init-producer-id.ts'
import { RecordBatchBuilder } from '../protocol/records/batch-builder.ts'
import type { ClusterClient } from './cluster-client.ts'
import type { Connection } from './connection.ts'
import { isRetriable, TimeoutError, TransactionAbortableError } from './errors.ts'
import { partitionKey } from './metadata.ts'
import { nextSequence, PartitionQueue, PendingBatch, type PendingRecord } from './record-accumulator.ts'
import { backoffMs } from './retry.ts'
import { Latency, Rate } from './statistics.ts'
import { CONCURRENT_TRANSACTIONS_BACKOFF_MS, type TransactionManager } from './transaction-manager.ts'

export type Acks = 0 | 1 | 'all'

/** See ProducerOptions for what they mean. */
export interface SenderOptions {
  readonly acks: Acks
  readonly idempotence: boolean
  readonly compression: CodecName
  readonly batchSize: number
  readonly lingerMs: number
  readonly requestTimeoutMs: number
  readonly deliveryTimeoutMs: number
  readonly retries: number
  readonly maxRequestSize: number
  readonly maxInFlightRequestsPerConnection: number
}

/** Of records, but for `retries`, which are of batches. The latency is from the first record of a batch to its acknowledgement. */
export interface SenderStats {
  readonly records: Rate
  readonly bytes: Rate
  readonly failed: Rate
  readonly retries: Rate
  readonly latency: Latency
}

/** A batch may come back as written long ago, or in the wrong order after one that failed: both mend themselves. */
const SEQUENCE_ERRORS: ReadonlySet<ErrorName> = new Set<ErrorName>(['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID'])
const MAX_PRODUCER_EPOCH = 0x7fff
export class Sender {
  private readonly cluster: ClusterClient
  private readonly options: SenderOptions
  private readonly transactions: TransactionManager | undefined
  readonly stats: SenderStats
  private readonly queues = new Map<string, PartitionQueue>()
  /** Requests on their way, by node. */
  private readonly inFlight = new Map<number, number>()
  private hurried = 0
  private producerId = NO_PRODUCER_ID
  private producerIdEpoch = 0
  private wakeUp: { readonly timer: Timer; readonly atMs: number } | undefined
  private draining = false
  private drainAgain = false

  constructor(cluster: ClusterClient, options: SenderOptions, transactions?: TransactionManager) {
    this.cluster = cluster
    this.options = options
    this.transactions = transactions
    const { clock } = cluster
    this.stats = {
      records: new Rate(clock),
      bytes: new Rate(clock),
      failed: new Rate(clock),
      retries: new Rate(clock),
      latency: new Latency(),
    }
    if (transactions !== undefined) transactions.onIdentity = (producerId, epoch) => this.identify(producerId, epoch)
  }

  /** Puts a record into the partition's last batch. True if that was full, and the record is in a new one. */
  enqueue(topic: string, partition: number, record: PendingRecord): boolean {
    const name = partitionKey(topic, partition)
    let queue = this.queues.get(name)
    if (queue === undefined) {
      queue = new PartitionQueue(topic, partition)
      this.queues.set(name, queue)
    }
    const { batchSize } = this.options
    const last = queue.waiting.at(-1)
    // A batch that has been sent, or should have been, stays what it is.
    if (last !== undefined && last.baseSequence < 0 && last.attempts === 0 && last.size + record.size <= batchSize) {
      last.add(record)
      if (last.size >= batchSize) this.drainSoon()
      return false
    }
    const batch = new PendingBatch(this.cluster.clock.monotonicMs())
    batch.add(record)
    queue.waiting.push(batch)
    this.drainSoon()
    return last !== undefined
  }

  /** While more calls with 1 than with -1 have been made, no batch waits for more records. */
  hurry(change: 1 | -1): void {
    this.hurried += change
    this.drainSoon()
  }

  /** Drops what waits: of a transaction that will not be. What is in flight is not tried again. */
  discard(error: Error): void {
    for (const queue of this.queues.values()) {
      for (const batch of queue.waiting.splice(0)) {
        if (batch.baseSequence >= 0) queue.renumber = true
        for (const record of batch.records) record.reject(error)
      }
    }
  }

  /** Batches with sequence numbers were given up, and brokers may or may not have seen them. */
  get hasLost(): boolean {
    return [...this.queues.values()].some((queue) => queue.renumber)
  }

  /** Once nothing waits any more. */
  close(): void {
    this.wakeUp?.timer.cancel()
  }

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
      const mayRenumber = this.transactions === undefined && queue.renumber
      if (mayRenumber && queue.producerEpoch >= MAX_PRODUCER_EPOCH) this.producerId = NO_PRODUCER_ID
      if (queue.inFlight.length > 0) nextMs = Math.min(nextMs, this.expiryMs(queue.inFlight[0], now))
      const dueMs = this.dueMs(queue, now)
      if (dueMs <= now) ready.push(queue)
      else nextMs = Math.min(nextMs, dueMs)
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.wakeAt(nextMs)
    if (ready.length === 0) return
    let byNode: Map<number, PartitionQueue[]>
    try {
      if (this.options.idempotence && this.producerId === NO_PRODUCER_ID) await this.obtainProducerId()
      await this.transactions?.addPartitions(ready)
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
    const full = queue.waiting.length > 1 || head.size >= this.options.batchSize || this.hurried > 0
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

  /** Delivery has its time, wherever the batch is: in the queue, or on its way to a broker that does not answer (KIP-91). */
  private expire(queue: PartitionQueue, now: number): void {
    const { deliveryTimeoutMs } = this.options
    const late = (batch: PendingBatch) => now - batch.createdAtMs >= deliveryTimeoutMs
    const error = (batch: PendingBatch) =>
      new TimeoutError(
        `${batch.records.length} records for ${queue.topic}-${queue.partition} not delivered within ${deliveryTimeoutMs} ms`,
        { cause: batch.lastError },
      )
    for (const batch of queue.inFlight) {
      if (batch.expired || !late(batch)) continue
      batch.expired = true
      this.abandon(batch, error(batch))
    }
    while (queue.waiting.length > 0 && late(queue.waiting[0])) {
      const batch = queue.waiting.shift()!
      if (batch.baseSequence >= 0) queue.renumber = true
      this.abandon(batch, error(batch))
    }
  }

  private expiryMs(batch: PendingBatch, now: number): number {
    return batch.expired ? Number.POSITIVE_INFINITY : Math.max(now, batch.createdAtMs + this.options.deliveryTimeoutMs)
  }

  /** One question for all topics that are not known; partitions without a leader are held back. */
  private async groupByLeader(queues: readonly PartitionQueue[]): Promise<Map<number, PartitionQueue[]>> {
    const unknown = new Set(queues.map(({ topic }) => topic).filter((topic) => this.cluster.knownTopic(topic) === undefined))
    if (unknown.size > 0) await this.cluster.metadata([...unknown])
    const byNode = new Map<number, PartitionQueue[]>()
    for (const queue of queues) {
      const leaderId = this.cluster.knownTopic(queue.topic)?.partitions[queue.partition]?.leaderId ?? -1
      const led = byNode.get(leaderId)
      if (led === undefined) byNode.set(leaderId, [queue])
      else led.push(queue)
    }
    for (const queue of byNode.get(-1) ?? []) {
      this.holdBack([queue], new KafkaError('LEADER_NOT_AVAILABLE', `partition ${queue.topic}-${queue.partition} has no leader`))
    }
    byNode.delete(-1)
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
        batch.encoded ??= this.encode(batch)
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
    const transactionalId = this.transactions?.transactionalId ?? null
    const request = { transactionalId, acks, timeoutMs: this.options.requestTimeoutMs, topicData }
    try {
      // Topic ids only where all are known: 12 is the last version with names.
      const named = topicData.every(({ topicId }) => topicId !== undefined && topicId !== ZERO_UUID)
      const bounds = { ...(named ? {} : { maxVersion: 12 }), ...this.transactions?.produceVersions }
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
    if (batch.expired) return
    const { records } = batch
    this.stats.records.add(records.length)
    this.stats.bytes.add(batch.size)
    this.stats.latency.add(this.cluster.clock.monotonicMs() - batch.createdAtMs, records.length)
    let offset = baseOffset
    for (const record of records) {
      record.resolve(offset, logAppendTimeMs >= 0n ? logAppendTimeMs : record.timestamp)
      if (offset >= 0n) offset++
    }
  }

  /** Splits, tries again, or gives up. */
  private refuse(queue: PartitionQueue, batch: PendingBatch, error: Error): void {
    this.cluster.learnFrom(error)
    const isFirst = queue.inFlight[0] === batch
    queue.inFlight.splice(queue.inFlight.indexOf(batch), 1)
    const code = error instanceof KafkaError ? error.code : undefined
    if (batch.expired) {
      if (batch.baseSequence >= 0) queue.renumber = true
      return
    }
    if (this.transactions?.isAlive === false) {
      if (batch.baseSequence >= 0) queue.renumber = true
      this.abandon(batch, error)
      return
    }
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
      if (batch.inDoubt || this.transactions !== undefined) {
        this.abandon(batch, error)
        return
      }
    }
    const now = this.cluster.clock.monotonicMs()
    const again = isRetriable(error) || isSequence
    if (again && batch.attempts < this.options.retries && now - batch.createdAtMs < this.options.deliveryTimeoutMs) {
      batch.attempts++
      batch.lastError = error
      this.stats.retries.add(1)
      const concurrent = code === 'CONCURRENT_TRANSACTIONS'
      const pauseMs = backoffMs(this.cluster.backoff, batch.attempts, this.cluster.random)
      batch.notBeforeMs = now + (concurrent ? Math.min(pauseMs, CONCURRENT_TRANSACTIONS_BACKOFF_MS) : pauseMs)
      queue.giveBack(batch)
      return
    }
    if (batch.baseSequence >= 0) queue.renumber = true
    this.abandon(batch, error)
  }

  private abandon(batch: PendingBatch, error: Error): void {
    this.stats.failed.add(batch.records.length)
    const told = this.transactions?.failed(error) ?? error
    for (const record of batch.records) record.reject(told)
    if (this.transactions?.isAlive === false) this.discard(new TransactionAbortableError(told))
  }

  /** Nothing could be sent: the batches wait, or are given up with the error if that cannot change. */
  private holdBack(queues: readonly PartitionQueue[], error: Error): void {
    this.cluster.learnFrom(error)
    const now = this.cluster.clock.monotonicMs()
    for (const queue of queues) {
      const head = queue.waiting[0]
      if (head === undefined) continue
      if (isRetriable(error) && this.transactions?.isAlive !== false) {
        head.attempts++
        head.lastError = error
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
    this.identify(response.producerId, response.producerEpoch)
  }

  /** As whom batches are numbered from now on. Between transactions nothing waits that would have to be numbered anew. */
  private identify(producerId: bigint, producerEpoch: number): void {
    this.producerId = producerId
    this.producerIdEpoch = producerEpoch
    for (const queue of this.queues.values()) {
      queue.producerEpoch = producerEpoch
      queue.sequence = 0
      if (this.transactions !== undefined) queue.renumber = false
    }
  }

  private encode(batch: PendingBatch): Buffer {
    const { producerId, producerEpoch, baseSequence } = batch
    const builder = new RecordBatchBuilder({ sizeHint: batch.size })
    for (const record of batch.records) builder.append(record)
    const codecId = CompressionCodec[this.options.compression]
    return builder.build({ codecId, producerId, producerEpoch, baseSequence, transactional: this.transactions !== undefined })
  }
}

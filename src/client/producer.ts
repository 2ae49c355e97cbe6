// Takes records from the application: finds their partition, keeps them within the buffer's bounds, and tells when they are settled.
// How they travel is the sender's business (sender.ts), what transactions are the transaction manager's (transaction-manager.ts).

import type { CodecName } from '../bytes/compression/codecs.ts'
import type { Timer } from '../host/clock.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import { maxRecordSize } from '../protocol/records/batch-builder.ts'
import type { RecordHeader } from '../protocol/records/record.ts'
import type { ClusterClient } from './cluster-client.ts'
import { ClientClosedError, TimeoutError, TransactionStateError } from './errors.ts'
import type { OffsetToCommit } from './group-offsets.ts'
import type { TopicMetadata } from './metadata.ts'
import { DefaultPartitioner, type Partitioner } from './partitioner.ts'
import { BufferMemory } from './record-accumulator.ts'
import { type Acks, Sender, type SenderOptions } from './sender.ts'
import type { LatencySnapshot, RateSnapshot } from './statistics.ts'
import { type GroupMetadata, TransactionManager } from './transaction-manager.ts'

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
  /** How long `send` may wait for metadata and for room in the buffer, and a transaction's calls for the coordinator. */
  readonly maxBlockMs?: number
  /** Makes a transactional producer. Of all producers with the same id only the newest can write. */
  readonly transactionalId?: string
  /** How long a transaction may stay open before its coordinator aborts it. */
  readonly transactionTimeoutMs?: number
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

export interface ProducerStats {
  readonly records: RateSnapshot
  /** Before compression. */
  readonly bytes: RateSnapshot
  readonly failed: RateSnapshot
  /** Batches sent again. */
  readonly retries: RateSnapshot
  /** From `send` to the acknowledgement, by the first record of each batch. */
  readonly latencyMs: LatencySnapshot
  readonly bufferedBytes: number
}

export interface RecordMetadata {
  readonly topic: string
  readonly partition: number
  /** -1 with acks=0, where nobody says. */
  readonly offset: bigint
  readonly timestamp: bigint
}

interface SizedRecord {
  readonly record: ProducerRecord
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
  readonly size: number
}

/** What brokers remember of a producer, per partition: more in flight, and they cannot tell a batch sent twice (KIP-98). */
const MAX_IN_FLIGHT_IDEMPOTENT = 5

export class Producer {
  private readonly cluster: ClusterClient
  private readonly options: SenderOptions & { readonly maxBlockMs: number; readonly bufferMemory: number }
  private readonly partitioner: Partitioner
  private readonly memory: BufferMemory
  private readonly sender: Sender
  private readonly transactions: TransactionManager | undefined
  /** Records accepted and not yet settled, by the number of calls of `flush` before them. */
  private readonly unsettled = new Map<number, number>()
  private generation = 0
  private flushers: (() => void)[] = []
  private closed = false
  /** The last of those who wait for metadata or for room. */
  private admitting: Promise<void> | undefined

  constructor(cluster: ClusterClient, options: ProducerOptions = {}) {
    const acks = options.acks ?? 'all'
    if (options.idempotence === true && acks !== 'all') throw new TypeError('an idempotent producer needs acks=all')
    const idempotence = options.idempotence ?? acks === 'all'
    const { transactionalId } = options
    if (transactionalId !== undefined && !idempotence)
      throw new TypeError('a transactional producer is idempotent, with acks=all')
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
    const { transactionTimeoutMs = 60_000 } = options
    const { maxBlockMs } = this.options
    if (transactionalId !== undefined) {
      this.transactions = new TransactionManager(cluster, { transactionalId, transactionTimeoutMs, maxBlockMs })
    }
    this.sender = new Sender(cluster, this.options, this.transactions)
  }

  stats(): ProducerStats {
    const { records, bytes, failed, retries, latency } = this.sender.stats
    return {
      records: records.snapshot(),
      bytes: bytes.snapshot(),
      failed: failed.snapshot(),
      retries: retries.snapshot(),
      latencyMs: latency.snapshot(),
      bufferedBytes: this.memory.usedBytes,
    }
  }

  /** Resolves when the buffer takes another record: what a fast source waits for between one `send` and the next. */
  ready(): Promise<void> {
    return this.memory.room()
  }

  /**
   * Resolves when the record is acknowledged as `acks` asks. Records for one partition are written in the order of their calls.
   * Rejects with KafkaError (refused), TimeoutError, ConnectionError or ClientClosedError. The topic is created if the brokers do so.
   * A transactional producer sends in transactions only, and a record that fails leaves its transaction nothing but `abort`.
   */
  send(record: ProducerRecord): Promise<RecordMetadata> {
    try {
      return this.transactions === undefined ? this.accept(record) : this.sendInTransaction(record, this.transactions)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  private async sendInTransaction(record: ProducerRecord, transactions: TransactionManager): Promise<RecordMetadata> {
    const number = transactions.enter()
    try {
      return await this.accept(record, () => transactions.stillIn(number))
    } catch (error) {
      throw transactions.failed(error as Error, number)
    }
  }

  /** `mayEnter` throws if the record has no place any more, after it had to wait for one. */
  private accept(record: ProducerRecord, mayEnter: () => void = () => {}): Promise<RecordMetadata> {
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
    const sized = { record, key, value, headers, size }
    const topic = this.admitting === undefined && !this.memory.isFull ? this.cluster.knownTopic(record.topic) : undefined
    return topic === undefined ? this.placeInTurn(sized, mayEnter) : this.place(sized, topic)
  }

  /** Waits in line, so that calls in a row keep their order. */
  private async placeInTurn(sized: SizedRecord, mayEnter: () => void): Promise<RecordMetadata> {
    const admission = (this.admitting ?? Promise.resolve()).then(() => this.admit(sized.record.topic))
    const line = admission.then(
      () => {},
      () => {},
    )
    this.admitting = line
    let topic: TopicMetadata
    try {
      topic = await admission
    } finally {
      if (this.admitting === line) this.admitting = undefined
    }
    mayEnter()
    if (this.closed) throw new ClientClosedError('the producer')
    return this.place(sized, topic)
  }

  private place({ record, key, value, headers, size }: SizedRecord, topic: TopicMetadata): Promise<RecordMetadata> {
    const partition = record.partition ?? this.partitioner.partition(topic, key, { value, headers })
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
      const isFull = this.sender.enqueue(topic.name, partition, {
        key,
        value,
        headers,
        timestamp,
        size,
        resolve: (offset, timestamp) => {
          settle()
          resolve({ topic: record.topic, partition, offset, timestamp })
        },
        reject: (error) => {
          settle()
          reject(error)
        },
      })
      if (isFull) this.partitioner.batchFilled(topic, partition)
    })
  }

  /** Sends what waits, without lingering, and resolves when every record accepted so far is settled, well or not. */
  async flush(): Promise<void> {
    await this.admitting
    await this.settled()
  }

  /**
   * Takes the transactional id over: an older producer with it is fenced, and what it left open is aborted, before this resolves.
   * The first `begin` does it if nobody has. Rejects with KafkaError, or TimeoutError after `maxBlockMs`, and may be repeated.
   */
  initTransactions(): Promise<void> {
    return this.transactional().init()
  }

  /**
   * Begins a transaction. This and the calls below reject with FencedError once another producer has the transactional id: this one
   * is of no more use. TransactionStateError: the call is out of order.
   */
  begin(): Promise<void> {
    return this.transactional().begin()
  }

  /**
   * Commits positions of a consumer group if and when the transaction is committed. With the `groupMetadata` of a GroupConsumer, the
   * coordinator refuses them from a member that has been replaced: KafkaError ILLEGAL_GENERATION or UNKNOWN_MEMBER_ID. After an error
   * only `abort` is possible.
   */
  sendOffsets(offsets: readonly OffsetToCommit[], group: GroupMetadata): Promise<void> {
    return this.transactional().sendOffsets(offsets, group)
  }

  /**
   * Sends what waits, and commits. Rejects with TransactionAbortableError if any part of the transaction has failed, with KafkaError if
   * the coordinator will not commit (INVALID_TXN_STATE: it took longer than `transactionTimeoutMs`): abort it then.
   * After a TimeoutError nobody knows how it ended, and only `commit` may be called again.
   */
  commit(): Promise<void> {
    return this.transactional().commit(() => this.flush())
  }

  /** Drops what has not been sent, and aborts: no reader of committed data will see anything of the transaction. */
  abort(): Promise<void> {
    return this.transactional().abort(async () => {
      this.sender.discard(new TransactionStateError('the transaction was aborted before this was sent'))
      await this.settled()
      return this.sender.hasLost
    })
  }

  private transactional(): TransactionManager {
    if (this.closed) throw new ClientClosedError('the producer')
    if (this.transactions === undefined) throw new TypeError('the producer has no transactional id')
    return this.transactions
  }

  /** All that is in the buffer. What still waits for room is not. */
  private async settled(): Promise<void> {
    const upTo = this.generation++
    this.sender.hurry(1)
    try {
      while ([...this.unsettled.keys()].some((generation) => generation <= upTo)) {
        await new Promise<void>((resolve) => this.flushers.push(resolve))
      }
    } finally {
      this.sender.hurry(-1)
    }
  }

  /** Aborts the transaction that is open, if any, flushes, and takes no more. The cluster client stays open: it may have other users. */
  async close(): Promise<void> {
    await this.admitting
    // What cannot be aborted now its coordinator aborts later.
    if (this.transactions?.isOpen) await this.abort().catch(() => {})
    this.closed = true
    await this.flush()
    this.sender.close()
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
}

function toBuffer(value: Buffer | string | null | undefined): Buffer | null {
  if (value === null || value === undefined) return null
  return typeof value === 'string' ? Buffer.from(value) : value
}

// The producer of `moldau/client`: takes what topics say their keys and values are, and leaves the rest to producer.ts.

import type { RecordHeader } from '../protocol/records/record.ts'
import type { ClusterClient } from './cluster-client.ts'
import type { OffsetToCommit } from './group-offsets.ts'
import type { PartitionMetadata } from './metadata.ts'
import { type Partitioner, type PartitionerName, partitionerNamed } from './partitioner.ts'
import { Producer, type ProducerOptions, type ProducerRecord, type ProducerStats, type RecordMetadata } from './producer.ts'
import { encodePart, type Headers, type Topic, toHeaders } from './topic.ts'
import { channels, type Tracing } from './tracing.ts'
import type { GroupMetadata } from './transaction-manager.ts'

export interface TypedProducerOptions extends Omit<ProducerOptions, 'partitioner'> {
  /** Default `murmur2`. A function of one's own returns the index of a partition. */
  readonly partitioner?: PartitionerName | ((record: RecordToPartition) => number)
}

export interface RecordToPartition {
  readonly topic: string
  readonly partitions: readonly PartitionMetadata[]
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly RecordHeader[]
}

export interface Message<Value, Key> {
  /** Records with the same key go to the same partition, in order. Absent is null. */
  readonly key?: Key | null
  readonly value: Value
  readonly headers?: Headers
  /** In place of the partitioner's choice. */
  readonly partition?: number
  /** Milliseconds since 1970; now where absent. */
  readonly timestamp?: bigint | number | Date
}

export type Delivered = (error: Error | undefined, metadata: RecordMetadata | undefined) => void

/** What may be done within a transaction. */
export interface Transaction {
  send<Value, Key, Input>(topic: Topic<Value, Key, Input>, message: Message<Input, Key>): Promise<RecordMetadata>
  /** Positions of a consumer's group, committed with the records or not at all. */
  sendOffsets(offsets: readonly OffsetToCommit[], group: GroupMetadata): Promise<void>
}

/** Many times Kafka's default: a batch takes memory as it fills, and what costs is the number of requests. */
const BATCH_SIZE = 256 * 1024

export class TypedProducer implements AsyncDisposable {
  private readonly producer: Producer
  private readonly tracing: Tracing

  constructor(cluster: ClusterClient, options: TypedProducerOptions, tracing: Tracing) {
    const { partitioner = 'murmur2', batchSize = BATCH_SIZE, ...rest } = options
    const chosen = typeof partitioner === 'string' ? partitionerNamed(partitioner, cluster.random) : custom(partitioner)
    this.producer = new Producer(cluster, { ...rest, batchSize, partitioner: chosen })
    this.tracing = tracing
  }

  /**
   * Resolves when the record is acknowledged as `acks` asks, to its partition and offset. With a `callback` that is called instead.
   * Records for one partition are written in the order of their calls. A full buffer makes it wait: a fast source awaits `ready()`
   * between one call and the next. Rejects with SerializationError, KafkaError (refused), TimeoutError or ClientClosedError.
   */
  send<Value, Key, Input>(topic: Topic<Value, Key, Input>, message: Message<Input, Key>): Promise<RecordMetadata>
  send<Value, Key, Input>(topic: Topic<Value, Key, Input>, message: Message<Input, Key>, callback: Delivered): void
  send<Value, Key, Input>(
    topic: Topic<Value, Key, Input>,
    message: Message<Input, Key>,
    callback?: Delivered,
  ): Promise<RecordMetadata> | undefined {
    const sending = this.trace(topic, message)
    if (callback === undefined) return sending
    sending.then(
      (metadata) => callback(undefined, metadata),
      (error) => callback(error, undefined),
    )
    return undefined
  }

  /** Resolves when all are acknowledged, in their order. Rejects with the first error; the others may have been written. */
  sendMany<Value, Key, Input>(
    topic: Topic<Value, Key, Input>,
    messages: Iterable<Message<Input, Key>>,
  ): Promise<RecordMetadata[]> {
    return Promise.all(Array.from(messages, (message) => this.trace(topic, message)))
  }

  /** Resolves when the buffer takes another record. */
  ready(): Promise<void> {
    return this.producer.ready()
  }

  /** Sends what waits without lingering. Resolves when every record accepted so far is settled, well or not. */
  flush(): Promise<void> {
    return this.producer.flush()
  }

  /**
   * Runs `work` in a transaction: commits when it resolves, aborts when it rejects, and rejects with its error then. Needs a
   * `transactionalId`. FencedError: another producer has taken the id over, and this one is of no more use.
   */
  async transaction<T>(work: (transaction: Transaction) => Promise<T>): Promise<T> {
    await this.producer.begin()
    try {
      const result = await work({
        send: (topic, message) => this.trace(topic, message),
        sendOffsets: (offsets, group) => this.producer.sendOffsets(offsets, group),
      })
      await this.producer.commit()
      return result
    } catch (error) {
      // What cannot be aborted is in doubt, or fenced: the first error says more.
      await this.producer.abort().catch(() => {})
      throw error
    }
  }

  stats(): ProducerStats {
    return this.producer.stats()
  }

  /** Flushes, and takes no more. */
  close(): Promise<void> {
    return this.producer.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  private trace<Value, Key, Input>(topic: Topic<Value, Key, Input>, message: Message<Input, Key>): Promise<RecordMetadata> {
    const headers = toHeaders(message.headers)
    if (!channels.produce.hasSubscribers && this.tracing.isOutside?.()) return this.encode(topic, message, headers)
    const send = () => this.encode(topic, message, headers)
    if (!channels.produce.hasSubscribers) return this.tracing.produce(topic.name, headers, send)
    return channels.produce.tracePromise(() => this.tracing.produce(topic.name, headers, send), { topic: topic.name, headers })
  }

  private encode<Value, Key, Input>(
    topic: Topic<Value, Key, Input>,
    message: Message<Input, Key>,
    headers: RecordHeader[],
  ): Promise<RecordMetadata> {
    try {
      const key =
        message.key === undefined || message.key === null ? null : encodePart(topic.name, topic.key, message.key, true, headers)
      const value = encodePart(topic.name, topic.value, message.value, false, headers)
      if (!(key instanceof Promise) && !(value instanceof Promise)) {
        return this.producer.send(recordOf(topic.name, message, key, value, headers))
      }
      return Promise.all([key, value]).then(([key, value]) =>
        this.producer.send(recordOf(topic.name, message, key, value, headers)),
      )
    } catch (error) {
      return Promise.reject(error)
    }
  }
}

function recordOf(
  topic: string,
  { partition, timestamp }: Message<unknown, unknown>,
  key: Buffer | null,
  value: Buffer | null,
  headers: readonly RecordHeader[],
): ProducerRecord {
  const at = timestamp instanceof Date ? timestamp.getTime() : timestamp
  return { topic, partition, key, value, headers, timestamp: at === undefined ? undefined : BigInt(at) }
}

function custom(choose: (record: RecordToPartition) => number): Partitioner {
  return {
    partition: ({ name, partitions }, key, { value, headers }) => choose({ topic: name, partitions, key, value, headers }),
    batchFilled() {},
  }
}

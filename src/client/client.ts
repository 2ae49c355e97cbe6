// `moldau/client`: where applications begin. Producers, consumers and an administrator that know the types of their topics, over one
// set of connections. Works with any Kafka. docs/client.md shows how.

import { type Clock, realClock } from '../host/clock.ts'
import type { Network } from '../host/network.ts'
import { type Random, realRandom } from '../host/random.ts'
import { realNetwork } from '../host/real-network.ts'
import { Admin } from './admin.ts'
import { ClusterClient, type ClusterClientOptions } from './cluster-client.ts'
import { TracePropagation, type Tracing } from './tracing.ts'
import { TypedConsumer } from './typed-consumer.ts'
import type { AnyTopic, TypedConsumerOptions } from './typed-consumer-options.ts'
import { TypedProducer, type TypedProducerOptions } from './typed-producer.ts'

export { KafkaError } from '../protocol/error-codes.ts'
export { orThrow } from './admin/results.ts'
export type { Admin } from './admin.ts'
export { DEAD_LETTER_SUFFIX, DeadLetterHeader, readDeadLetter } from './dead-letters.ts'
export {
  ClientClosedError,
  ConnectionError,
  FencedError,
  isRetriable,
  ProtocolError,
  TimeoutError,
  TransactionAbortableError,
  TransactionStateError,
  UnsupportedVersionError,
} from './errors.ts'
export type { TopicPartition } from './metadata.ts'
export type { ProducerStats, RecordMetadata } from './producer.ts'
export type { BatchHandler, Handler, HandlerContext, Retries, RunOptions } from './run-handler.ts'
export * from './serializers.ts'
export type { StandardSchema } from './standard-schema.ts'
export { type Headers, header, type Topic, type TopicCodecs, type TypedRecord, topic, topicPattern } from './topic.ts'
export { channels, openTelemetry, type Tracing } from './tracing.ts'
export type { TypedConsumer } from './typed-consumer.ts'
export type { ConsumerStats, Guarantee, PartitionStats, RecordOf, TypedConsumerOptions } from './typed-consumer-options.ts'
export type { Delivered, Message, Transaction, TypedProducer, TypedProducerOptions } from './typed-producer.ts'

export interface ClientOptions extends Omit<ClusterClientOptions, 'network' | 'clock' | 'random'> {
  /** Default: passes on the traces that records come with. `openTelemetry(api)` makes spans. */
  readonly tracing?: Tracing
  /** Of the machine by default; tests may bring their own. */
  readonly network?: Network
  readonly clock?: Clock
  readonly random?: Random
}

/** Connects when it is first needed. TypeError: `bootstrapServers` is no list of `host:port`. */
export function connect(options: ClientOptions): Client {
  return new Client(options)
}

export class Client implements AsyncDisposable {
  /** Topics, configuration, groups, transactions, the cluster: all that the tools do. */
  readonly admin: Admin
  private readonly cluster: ClusterClient
  private readonly tracing: Tracing
  private readonly parts = new Set<{ end(): Promise<void> }>()

  constructor(options: ClientOptions) {
    const {
      network = realNetwork,
      clock = realClock,
      random = realRandom,
      tracing = new TracePropagation(random),
      ...rest
    } = options
    this.cluster = new ClusterClient({ ...rest, network, clock, random })
    this.admin = new Admin(this.cluster)
    this.tracing = tracing
  }

  producer(options: TypedProducerOptions = {}): TypedProducer {
    const producer = new TypedProducer(this.cluster, options, this.tracing)
    this.parts.add({ end: () => producer.close() })
    return producer
  }

  /** A member of the group `groupId`, once it is run or iterated over. */
  consumer<T extends AnyTopic>(options: TypedConsumerOptions<T>): TypedConsumer<T> {
    const consumer = new TypedConsumer(this.cluster, options, this.tracing)
    this.parts.add({ end: () => consumer.stop() })
    return consumer
  }

  /** Stops the consumers, which finish what they have in hand, flushes the producers, and closes the connections. */
  async close(): Promise<void> {
    const parts = [...this.parts].reverse()
    this.parts.clear()
    await Promise.allSettled(parts.map((part) => part.end()))
    await this.cluster.close()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

// What a typed consumer is told, and what it tells about itself (typed-consumer.ts).

import type { Assignor } from './assignors/assignor.ts'
import type { GroupConsumerOptions, RebalanceListener } from './group-consumer.ts'
import type { TopicPartition } from './metadata.ts'
import type { ProducerOptions } from './producer.ts'
import type { LatencySnapshot, RateSnapshot } from './statistics.ts'
import type { Topic, TopicPattern, TypedRecord } from './topic.ts'

/** What is said once about how often a record counts. */
export type Guarantee = 'at-most-once' | 'at-least-once' | 'exactly-once'

type Passed = 'groupId' | 'groupInstanceId' | 'sessionTimeoutMs' | 'heartbeatIntervalMs' | 'allowAutoTopicCreation'
type PassedOn = Exclude<
  keyof GroupConsumerOptions,
  'enableAutoCommit' | 'autoCommitIntervalMs' | 'assignors' | 'maxPollIntervalMs'
>

export interface TypedConsumerOptions<T> extends Pick<GroupConsumerOptions, Passed | PassedOn> {
  readonly topics: T | readonly T[]
  /**
   * Default `at-least-once`: positions are committed behind what is processed. `at-most-once`: before it is. `exactly-once`: with what
   * the handler sends, in one transaction; needs `transactionalId`, and `run`.
   */
  readonly guarantee?: Guarantee
  /** Default `automatic`. `manual`: only by `commit`. */
  readonly commit?: 'automatic' | 'manual'
  /** How often positions are committed while records come. Default 1000. */
  readonly commitIntervalMs?: number
  /** How long a rebalance waits for this member to finish what it has in hand: then others get its partitions. Default 300000. */
  readonly rebalanceTimeoutMs?: number
  /** How partitions are divided; the group uses the first that all its members know. Default range, cooperative-sticky. */
  readonly assignors?: readonly (AssignorName | Assignor)[]
  /** For `exactly-once`: of this instance alone, and the same when it is started again. */
  readonly transactionalId?: string
  readonly producer?: Omit<ProducerOptions, 'transactionalId' | 'idempotence' | 'acks'>
  readonly onRebalance?: RebalanceListener
}

export type AssignorName = 'range' | 'round-robin' | 'cooperative-sticky'

// biome-ignore lint/suspicious/noExplicitAny: any topic's codecs are looked at only with its own records
export type AnyTopic = Topic<any, any, any> | TopicPattern<any, any>
/** A record of any of these topics. */
export type RecordOf<T> =
  T extends Topic<infer V, infer K, infer _>
    ? TypedRecord<V, K>
    : T extends TopicPattern<infer V, infer K>
      ? TypedRecord<V, K>
      : never

export interface PartitionStats extends TopicPartition {
  /** Of the next record to be handed out. */
  readonly position: bigint | undefined
  readonly committed: bigint | undefined
  /** Records from the position to the high watermark, as of the last fetch; undefined before the first. */
  readonly lag: bigint | undefined
  /** Records handed out or waiting, and not finished. */
  readonly inHand: number
}

export interface ConsumerStats {
  readonly records: RateSnapshot
  readonly bytes: RateSnapshot
  /** Of the handler, per call; of handlers that return no promise, of one call in 64. */
  readonly processingMs: LatencySnapshot
  readonly rebalances: number
  readonly partitions: readonly PartitionStats[]
  /** Over all partitions whose lag is known. */
  readonly lag: bigint
}

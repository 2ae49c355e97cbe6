// Transactions as an administrator sees them: which there are, what they hold, which of them hang; and their end, by force (KIP-664).

import { errorName, KafkaError } from '../../protocol/error-codes.ts'
import { InitProducerId } from '../../protocol/messages/22-init-producer-id.ts'
import { WriteTxnMarkers } from '../../protocol/messages/27-write-txn-markers.ts'
import { DescribeProducers } from '../../protocol/messages/61-describe-producers.ts'
import { DescribeTransactions } from '../../protocol/messages/65-describe-transactions.ts'
import { ListTransactions } from '../../protocol/messages/66-list-transactions.ts'
import { type ClusterClient, CoordinatorType } from '../cluster-client.ts'
import { check } from '../group-offsets.ts'
import { partitionKey, type TopicPartition } from '../metadata.ts'
import type { Results } from './results.ts'

export interface TransactionListing {
  readonly transactionalId: string
  readonly coordinatorId: number
  readonly producerId: bigint
  readonly state: string
}

export interface TransactionFilters {
  readonly producerIds?: readonly bigint[]
  /** Only those that run for longer. */
  readonly durationMs?: bigint
  /** A regular expression for the whole id. Brokers that filter by it read it as RE2; for others we do, as JavaScript does. */
  readonly pattern?: string
}

export interface TransactionDescription extends TransactionListing {
  readonly producerEpoch: number
  readonly timeoutMs: number
  /** Milliseconds since 1970; undefined where there was no transaction yet. */
  readonly startTimeMs: bigint | undefined
  /** Those that wait for the transaction's end, or for their markers. */
  readonly partitions: readonly TopicPartition[]
}

/** What a partition remembers of a producer. */
export interface ProducerDescription {
  readonly producerId: bigint
  readonly producerEpoch: number
  /** -1 where it has not ended a transaction here yet. */
  readonly coordinatorEpoch: number
  readonly lastSequence: number
  readonly lastTimestamp: bigint
  /** Of the transaction that is open here, if one is. */
  readonly transactionStartOffset: bigint | undefined
}

/** A transaction that is open in a partition. */
export interface OpenTransaction extends TopicPartition {
  readonly producer: ProducerDescription
}

export class TransactionAdmin {
  private readonly cluster: ClusterClient

  constructor(cluster: ClusterClient) {
    this.cluster = cluster
  }

  /**
   * Of all coordinators, by id. Rejects with UnsupportedVersionError where a broker cannot filter by duration; KafkaError
   * INVALID_REGULAR_EXPRESSION.
   */
  async list(filters: TransactionFilters = {}): Promise<TransactionListing[]> {
    const { producerIds = [], durationMs, pattern } = filters
    const minVersion = durationMs === undefined ? 0 : 1
    const { brokers } = await this.retrying('looking up brokers', () => this.cluster.metadata([]))
    const lists = await Promise.all(
      brokers.map(({ nodeId }) =>
        this.retrying(`listing transactions of broker ${nodeId}`, async () => {
          const connection = await this.cluster.broker(nodeId)
          const response = await connection.request(
            ListTransactions,
            {
              stateFilters: [],
              producerIdFilters: producerIds,
              durationFilter: durationMs ?? -1n,
              transactionalIdPattern: pattern ?? null,
            },
            { minVersion },
          )
          check(response.errorCode)
          const isFiltered = pattern === undefined || connection.supports(ListTransactions, 2)
          const matches = isFiltered ? () => true : wholeMatch(pattern)
          const states = response.transactionStates.filter(({ transactionalId }) => matches(transactionalId))
          return states.map(({ transactionalId, producerId, transactionState }) => ({
            transactionalId,
            coordinatorId: nodeId,
            producerId,
            state: transactionState,
          }))
        }),
      ),
    )
    return lists.flat().sort((a, b) => (a.transactionalId < b.transactionalId ? -1 : 1))
  }

  /** By transactional id. One that nobody knows: TRANSACTIONAL_ID_NOT_FOUND. */
  async describe(transactionalIds: readonly string[]): Promise<Results<TransactionDescription>> {
    const results: Results<TransactionDescription> = new Map()
    await Promise.all(
      transactionalIds.map(async (id) => {
        try {
          results.set(id, await this.describeOne(id))
        } catch (error) {
          if (!(error instanceof KafkaError)) throw error
          results.set(id, error)
        }
      }),
    )
    return results
  }

  /** The producers that the partition's leader knows, or another of its replicas. Rejects with KafkaError. */
  async producers({ topic, partition }: TopicPartition, nodeId?: number): Promise<ProducerDescription[]> {
    // Whoever names what is not there should hear of it at once.
    const { partitions } = await this.cluster.topic(topic, { timeoutMs: 1 })
    if (partitions[partition] === undefined) {
      throw new KafkaError(
        'UNKNOWN_TOPIC_OR_PARTITION',
        `topic ${topic} has no partition ${partition}, it has ${partitions.length}`,
      )
    }
    if (nodeId !== undefined) {
      const { brokers } = await this.retrying('looking up brokers', () => this.cluster.metadata([]))
      if (!brokers.some((broker) => broker.nodeId === nodeId)) {
        throw new KafkaError('BROKER_NOT_AVAILABLE', `there is no broker ${nodeId}`)
      }
    }
    return this.retrying(`describing producers of ${topic}-${partition}`, async () => {
      const connection = await this.cluster.broker(nodeId ?? (await this.cluster.leader(topic, partition)))
      const response = await connection.request(DescribeProducers, { topics: [{ name: topic, partitionIndexes: [partition] }] })
      const found = response.topics[0]?.partitions[0]
      if (found === undefined) throw new KafkaError('UNKNOWN_SERVER_ERROR', `no answer for ${topic}-${partition}`)
      check(found.errorCode, found.errorMessage)
      return found.activeProducers.map((producer) => ({
        producerId: producer.producerId,
        producerEpoch: producer.producerEpoch,
        coordinatorEpoch: producer.coordinatorEpoch,
        lastSequence: producer.lastSequence,
        lastTimestamp: producer.lastTimestamp,
        transactionStartOffset: producer.currentTxnStartOffset < 0n ? undefined : producer.currentTxnStartOffset,
      }))
    })
  }

  /**
   * Of these open transactions, those that no coordinator will ever end: it does not know the producer, or not that it writes to
   * the partition.
   */
  async hanging(open: readonly OpenTransaction[]): Promise<OpenTransaction[]> {
    if (open.length === 0) return []
    const listed = await this.list({ producerIds: [...new Set(open.map(({ producer }) => producer.producerId))] })
    const described = await this.describe(listed.map(({ transactionalId }) => transactionalId))
    const awaited = new Set<string>()
    for (const transaction of described.values()) {
      if (transaction instanceof KafkaError) {
        if (transaction.code !== 'TRANSACTIONAL_ID_NOT_FOUND') throw transaction
        continue
      }
      for (const { topic, partition } of transaction.partitions) {
        awaited.add(`${transaction.producerId} ${partitionKey(topic, partition)}`)
      }
    }
    return open.filter(
      ({ topic, partition, producer }) => !awaited.has(`${producer.producerId} ${partitionKey(topic, partition)}`),
    )
  }

  /** Writes the end of an aborted transaction into the partition, past its coordinator: for one that hangs. Rejects with KafkaError. */
  async abort(
    { topic, partition }: TopicPartition,
    producer: Pick<ProducerDescription, 'producerId' | 'producerEpoch' | 'coordinatorEpoch'>,
  ): Promise<void> {
    const { producerId, producerEpoch, coordinatorEpoch } = producer
    await this.retrying(`aborting the transaction in ${topic}-${partition}`, async () => {
      const connection = await this.cluster.broker(await this.cluster.leader(topic, partition))
      const topics = [{ name: topic, partitionIndexes: [partition] }]
      const marker = { producerId, producerEpoch, transactionResult: false, topics, coordinatorEpoch }
      const response = await connection.request(WriteTxnMarkers, { markers: [marker] })
      const result = response.markers[0]?.topics[0]?.partitions[0]
      if (result === undefined) throw new KafkaError('UNKNOWN_SERVER_ERROR', `no answer for ${topic}-${partition}`)
      check(result.errorCode, `aborting the transaction in ${topic}-${partition}: ${errorName(result.errorCode)}`)
    })
  }

  /** Has the coordinator fence whoever has the transactional id, and abort what it left open. Resolves when that is done. */
  async terminate(transactionalId: string): Promise<void> {
    await this.retrying(`terminating the transaction of ${transactionalId}`, async () => {
      const connection = await this.cluster.coordinator(CoordinatorType.TRANSACTION, transactionalId)
      const response = await connection.request(InitProducerId, {
        transactionalId,
        transactionTimeoutMs: this.cluster.requestTimeoutMs,
      })
      check(response.errorCode)
    })
  }

  private describeOne(transactionalId: string): Promise<TransactionDescription> {
    return this.retrying(`describing transactional id ${transactionalId}`, async () => {
      const { nodeId } = await this.cluster.findCoordinator(CoordinatorType.TRANSACTION, transactionalId)
      const connection = await this.cluster.broker(nodeId)
      const response = await connection.request(DescribeTransactions, { transactionalIds: [transactionalId] })
      const found = response.transactionStates[0]
      if (found === undefined) throw new KafkaError('UNKNOWN_SERVER_ERROR', `no answer for ${transactionalId}`)
      check(found.errorCode)
      return {
        transactionalId,
        coordinatorId: nodeId,
        producerId: found.producerId,
        producerEpoch: found.producerEpoch,
        state: found.transactionState,
        timeoutMs: found.transactionTimeoutMs,
        startTimeMs: found.transactionStartTimeMs < 0n ? undefined : found.transactionStartTimeMs,
        partitions: found.topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition }))),
      }
    })
  }

  private retrying<T>(what: string, work: () => Promise<T>): Promise<T> {
    return this.cluster.retrying(what, this.cluster.apiTimeoutMs, work)
  }
}

function wholeMatch(pattern: string): (id: string) => boolean {
  try {
    const whole = new RegExp(`^(?:${pattern})$`, 'su')
    return (id) => whole.test(id)
  } catch (error) {
    throw new KafkaError('INVALID_REGULAR_EXPRESSION', `not a regular expression: ${pattern}`, { cause: error })
  }
}

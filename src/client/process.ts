// Read, transform, write, in transactions: each record of the source counts once, whatever dies in between (KIP-98, KIP-447).

import { delay } from '../host/clock.ts'
import { type ErrorName, KafkaError } from '../protocol/error-codes.ts'
import type { ClusterClient } from './cluster-client.ts'
import { isRetriable, TransactionAbortableError, TransactionStateError } from './errors.ts'
import type { ConsumerRecord } from './fetched-records.ts'
import { GroupConsumer, type GroupConsumerOptions } from './group-consumer.ts'
import type { OffsetToCommit } from './group-offsets.ts'
import { partitionKey } from './metadata.ts'
import { Producer, type ProducerOptions, type ProducerRecord } from './producer.ts'
import { backoffMs } from './retry.ts'

export interface ProcessOptions {
  readonly groupId: string
  readonly topics: readonly string[] | RegExp
  /** Of this instance: no two that run at the same time share one, and a restarted instance had best come back with its own. */
  readonly transactionalId: string
  /**
   * What follows from these records: all of it is written in one transaction with their positions. May be called again with the same
   * records after a transaction that was aborted, here or in another instance, so it should have no other effects.
   */
  readonly transform: (records: readonly ConsumerRecord[]) => Iterable<ProducerRecord> | Promise<Iterable<ProducerRecord>>
  /** Ends the processing, after the transaction under way. */
  readonly signal: AbortSignal
  readonly consumer?: Omit<GroupConsumerOptions, 'groupId' | 'enableAutoCommit' | 'isolationLevel'>
  readonly producer?: Omit<ProducerOptions, 'transactionalId' | 'idempotence' | 'acks'>
}

/** How soon an idle loop sees that it is to end, should nothing wake it. */
const POLL_MS = 1000

/** Failures that are nobody's fault: the group has moved on, or the coordinator wants to begin anew. Others may have the partitions. */
const BEGIN_ANEW: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'REBALANCE_IN_PROGRESS',
  'TRANSACTION_ABORTABLE',
  'INVALID_TXN_STATE',
  'INVALID_PRODUCER_EPOCH',
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
])

/**
 * Consumes `topics` as a member of `groupId`, committed records only, and hands what each poll brings to `transform`. What that returns
 * and the positions behind what it was given are committed in one transaction: readers of committed data see the results of each
 * record exactly once and in order per partition of the source, through restarts, rebalances and failing brokers.
 *
 * - A rebalance: positions are accepted from the present generation of the group only. If ours is past, the transaction is
 *   aborted, and the records go to whoever has their partitions now.
 * - What may pass by itself (a transaction that took too long, brokers that are away) aborts the transaction, and the same records are tried again. Only if
 *   the end of a transaction stays unknown for `producer.maxBlockMs` this rejects with TimeoutError: start anew then, too.
 * - Fenced by another instance with the transactional id: rejects with FencedError, and nothing of the last transaction counts.
 * - `transform` throws, or a record is refused (too large, no such topic, not allowed): the transaction is aborted, and the error is
 *   what this rejects with. The group stands before the records.
 *
 * Resolves when `signal` has ended it and group and producer are left. The cluster client stays open.
 */
export async function process(cluster: ClusterClient, options: ProcessOptions): Promise<void> {
  const { groupId, topics, transactionalId } = options
  const producer = new Producer(cluster, { ...options.producer, transactionalId })
  const consumer = new GroupConsumer(cluster, {
    autoOffsetReset: 'earliest',
    ...options.consumer,
    groupId,
    enableAutoCommit: false,
    isolationLevel: 'read_committed',
  })
  consumer.subscribe(topics)
  await processWith(cluster, producer, consumer, options)
}

/** The same with a consumer that has subscribed and does not commit by itself. Closes both in the end. */
export async function processWith(
  cluster: ClusterClient,
  producer: Producer,
  consumer: GroupConsumer,
  options: Pick<ProcessOptions, 'transform' | 'signal'>,
): Promise<void> {
  const { signal } = options
  const wake = () => consumer.wake()
  signal.addEventListener('abort', wake)
  try {
    // First the end of what a predecessor left open: until then the group's positions are not stable.
    await producer.initTransactions()
    for (let failures = 0; !signal.aborted; ) {
      const records = await consumer.poll(POLL_MS)
      if (records.length === 0) continue
      if (await processOnce(producer, consumer, options, records)) failures = 0
      else await delay(cluster.clock, backoffMs(cluster.backoff, ++failures, cluster.random))
    }
  } finally {
    signal.removeEventListener('abort', wake)
    await Promise.all([consumer.close(), producer.close()])
  }
}

/** One transaction. False if it was aborted and the consumer stands before `records` again. */
async function processOnce(
  producer: Producer,
  consumer: GroupConsumer,
  { transform }: Pick<ProcessOptions, 'transform'>,
  records: readonly ConsumerRecord[],
): Promise<boolean> {
  const bySource = [...Map.groupBy(records, ({ topic, partition }) => partitionKey(topic, partition)).values()]
  // As of now: what was read in this generation must not be committed in the next.
  const group = consumer.groupMetadata
  const offsets = bySource.map((of): OffsetToCommit => {
    const { topic, partition, offset, leaderEpoch } = of[of.length - 1]
    return { topic, partition, offset: consumer.position({ topic, partition }) ?? offset + 1n, leaderEpoch }
  })
  await producer.begin()
  try {
    const sent = [...(await transform(records))].map((record) => producer.send(record))
    await Promise.all(sent)
    await producer.sendOffsets(offsets, group)
    await producer.commit()
    return true
  } catch (error) {
    // A commit in doubt cannot be aborted: the group's positions will say how it ended.
    await producer.abort().catch((refusal) => {
      throw refusal instanceof TransactionStateError ? error : refusal
    })
    if (!canBeginAnew(error)) throw error
    const owned = new Set(consumer.assignment().map(({ topic, partition }) => partitionKey(topic, partition)))
    for (const [{ topic, partition, offset }] of bySource) {
      if (owned.has(partitionKey(topic, partition))) consumer.seek({ topic, partition }, offset)
    }
    return false
  }
}

function canBeginAnew(error: unknown): boolean {
  if (error instanceof TransactionAbortableError) return canBeginAnew(error.cause)
  return isRetriable(error) || (error instanceof KafkaError && BEGIN_ANEW.has(error.code))
}

// Fetch: the way out. Batches leave as the bytes that arrived, from memory at the tail and from the segments below it.

import type { Lease } from '../../bytes/buffer-pool.ts'
import type { Partition } from '../../cluster/replication/partition.ts'
import type { AbortedTransaction } from '../../log/aborted-index.ts'
import type { ReadResult } from '../../log/partition-log.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import { Fetch } from '../../protocol/messages/01-fetch.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { delayedFetch, type FetchAttempt } from '../delayed-fetch.ts'
import type { FetchContext, FetchPartition, PartitionResponse } from '../fetch-sessions.ts'
import type { Services } from '../services.ts'
import { type Call, handler } from './handler.ts'

const READ_COMMITTED = 1
const NO_RECORDS: readonly Buffer[] = []
const NO_TRANSACTIONS: readonly AbortedTransaction[] = []

/** What was found in a partition; with what readers of committed records must know of it. */
interface Found {
  readonly result: ReadResult | null
  readonly aborted: readonly AbortedTransaction[]
}

const NOTHING_FOUND: Found = { result: null, aborted: NO_TRANSACTIONS }

interface Attempt extends FetchAttempt {
  readonly leases: readonly Lease[]
  readonly found: readonly { partition: FetchPartition; response: PartitionResponse }[]
}

export const fetch = handler(Fetch, {
  handle(request, services, call) {
    // Followers are told by AlterPartition and their own sessions; none can exist on a single node.
    if (request.replicaId >= 0 || request.replicaState.replicaId >= 0) throw new KafkaError('NOT_LEADER_OR_FOLLOWER')
    const context = services.sessions.contextFor(
      request,
      call.version,
      (id) => services.image().topicById(id as TopicId)?.name ?? '',
    )
    const partitions = [...context.partitions]
    const maxBytes = Math.min(request.maxBytes, services.config().get('fetch.max.bytes'))
    const readCommitted = request.isolationLevel === READ_COMMITTED
    const result = delayedFetch<Attempt>({
      clock: services.clock,
      minBytes: Math.min(request.minBytes, maxBytes),
      maxWaitMs: request.maxWaitMs,
      wakePoints: partitions.flatMap((partition) => services.replicas.find(partition.topic, partition.partition) ?? []),
      attempt: () => new Reading(services, partitions, maxBytes, readCommitted, call.version).run(),
      onAbandoned: (abandon) => call.connection.onClose(abandon),
    })
    if (result instanceof Promise)
      return result.then((attempt) => (attempt === undefined ? 'close' : answer(context, attempt, call)))
    return answer(context, result, call)
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, responses: [] }),
})

function answer(context: FetchContext, attempt: Attempt, call: Call): ResponseInput<typeof Fetch> {
  const { leases } = attempt
  if (leases.length > 0) call.sent = () => leases.forEach((lease) => void lease.release())
  const responses: { topic: string; topicId: string; partitions: PartitionResponse[] }[] = []
  for (const { partition, response } of attempt.found) {
    if (!context.include(partition, response)) continue
    let topic = responses.at(-1)
    if (topic === undefined || topic.topic !== partition.topic || topic.topicId !== partition.topicId) {
      topic = { topic: partition.topic, topicId: partition.topicId, partitions: [] }
      responses.push(topic)
    }
    topic.partitions.push(response)
  }
  return { errorCode: ErrorCode.NONE, sessionId: context.sessionId, responses }
}

/** One pass over the partitions of a fetch, in the order in which the client named them, within its byte limits. */
class Reading {
  private readonly services: Services
  private readonly partitions: readonly FetchPartition[]
  private readonly readCommitted: boolean
  private readonly version: number
  private readonly found: { partition: FetchPartition; response: PartitionResponse }[] = []
  private left: number
  private readonly leases: Lease[] = []
  private bytes = 0
  private urgent = false

  constructor(
    services: Services,
    partitions: readonly FetchPartition[],
    maxBytes: number,
    readCommitted: boolean,
    version: number,
  ) {
    this.services = services
    this.partitions = partitions
    this.left = maxBytes
    this.readCommitted = readCommitted
    this.version = version
  }

  run(from = 0): Attempt | Promise<Attempt> {
    for (let i = from; i < this.partitions.length; i++) {
      const requested = this.partitions[i]
      try {
        const partition = this.leaderFor(requested)
        if (this.diverge(requested, partition)) continue
        const limit = this.readCommitted ? partition.lastStableOffset : partition.highWatermark
        const read = this.read(partition, requested, limit)
        if (read instanceof Promise) {
          return read.then(
            (result) => {
              this.take(requested, partition, result)
              return this.run(i + 1)
            },
            (error) => {
              this.refuse(requested, error)
              return this.run(i + 1)
            },
          )
        }
        this.take(requested, partition, read)
      } catch (error) {
        this.refuse(requested, error)
      }
    }
    return { found: this.found, leases: this.leases, bytes: this.bytes, urgent: this.urgent }
  }

  private leaderFor(requested: FetchPartition): Partition {
    if (requested.topic === '') throw new KafkaError(this.version >= 13 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION')
    const partition = this.services.replicas.leader(requested.topic, requested.partition)
    if (this.version >= 13 && partition.topicId !== requested.topicId) throw new KafkaError('INCONSISTENT_TOPIC_ID')
    partition.checkLeaderEpoch(requested.currentLeaderEpoch)
    return partition
  }

  private read(partition: Partition, requested: FetchPartition, limit: bigint): Found | Promise<Found> {
    const { fetchOffset } = requested
    if (fetchOffset < partition.logStartOffset || fetchOffset > partition.log.endOffset)
      throw new KafkaError('OFFSET_OUT_OF_RANGE')
    // The first batch comes whatever the limits are: a client must get on.
    if (fetchOffset >= limit || (this.left <= 0 && this.bytes > 0)) return NOTHING_FOUND
    const maxBytes = Math.max(0, Math.min(this.left, requested.maxBytes))
    const read = partition.log.read(fetchOffset, { maxBytes, limitOffset: limit, atLeastOneBatch: this.bytes === 0 })
    if (read instanceof Promise) return read.then((result) => this.withAborted(partition, fetchOffset, result))
    return this.withAborted(partition, fetchOffset, read)
  }

  private withAborted(partition: Partition, fetchOffset: bigint, result: ReadResult): Found | Promise<Found> {
    if (!this.readCommitted || result.size === 0) return { result, aborted: NO_TRANSACTIONS }
    const aborted = partition.log.abortedTransactions(fetchOffset, result.nextOffset)
    return aborted instanceof Promise ? aborted.then((aborted) => ({ result, aborted })) : { result, aborted }
  }

  private take(requested: FetchPartition, partition: Partition, { result, aborted }: Found): void {
    const size = result?.size ?? 0
    if (result !== null) this.leases.push(...result.leases)
    this.bytes += size
    this.left -= size
    this.found.push({
      partition: requested,
      response: this.response(requested, partition, result?.chunks ?? NO_RECORDS, aborted),
    })
  }

  /** The client's log and ours went apart (KIP-320): it is told where, and gets no records. */
  private diverge(requested: FetchPartition, partition: Partition): boolean {
    if (requested.lastFetchedEpoch < 0) return false
    // An epoch that has not been yet: there is no place to send the client back to.
    if (requested.lastFetchedEpoch > partition.leaderEpoch) throw new KafkaError('OFFSET_OUT_OF_RANGE')
    const known = partition.log.endOffsetForEpoch(requested.lastFetchedEpoch)
    if (known === undefined) return false
    const { leaderEpoch, endOffset } = known
    if (leaderEpoch === requested.lastFetchedEpoch && endOffset >= requested.fetchOffset) return false
    this.urgent = true
    const response = this.response(requested, partition, NO_RECORDS)
    this.found.push({ partition: requested, response: { ...response, divergingEpoch: { epoch: leaderEpoch, endOffset } } })
    return true
  }

  private response(
    requested: FetchPartition,
    partition: Partition,
    records: readonly Buffer[],
    aborted = NO_TRANSACTIONS,
  ): PartitionResponse {
    return {
      partitionIndex: requested.partition,
      errorCode: ErrorCode.NONE,
      highWatermark: partition.highWatermark,
      lastStableOffset: partition.lastStableOffset,
      logStartOffset: partition.logStartOffset,
      // Null tells "all is visible"; an empty list tells a consumer of committed records that none was aborted.
      abortedTransactions: this.readCommitted ? aborted : null,
      records,
    }
  }

  private refuse(requested: FetchPartition, error: unknown): void {
    if (!(error instanceof KafkaError)) throw error
    this.urgent = true
    const code = error.code === 'KAFKA_STORAGE_ERROR' && this.version <= 5 ? ErrorCode.NOT_LEADER_OR_FOLLOWER : error.errorCode
    this.found.push({
      partition: requested,
      response: {
        partitionIndex: requested.partition,
        errorCode: code,
        highWatermark: -1n,
        lastStableOffset: -1n,
        logStartOffset: -1n,
        abortedTransactions: null,
        records: NO_RECORDS,
      },
    })
  }
}

// Fetch: the way out. Batches leave as the bytes that arrived, from memory at the tail and from the segments below it.

import type { Lease } from '../../bytes/buffer-pool.ts'
import type { Partition } from '../../cluster/replication/partition.ts'
import { preferredReplica, RACK_AWARE_SELECTOR } from '../../cluster/replication/preferred-replica.ts'
import type { AbortedTransaction } from '../../log/aborted-index.ts'
import type { ReadResult } from '../../log/partition-log.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import { Fetch, type FetchRequest } from '../../protocol/messages/01-fetch.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { delayedFetch, type FetchAttempt } from '../delayed-fetch.ts'
import type { FetchContext, FetchPartition, PartitionResponse } from '../fetch-sessions.ts'
import { LeaderHints } from '../leader-hints.ts'
import type { Services } from '../services.ts'
import { type Call, handler } from './handler.ts'

const READ_COMMITTED = 1
/** Of these a client learns at once where to go (KIP-951). */
const LED_ELSEWHERE = new Set(['NOT_LEADER_OR_FOLLOWER', 'FENCED_LEADER_EPOCH'])
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
  readonly hints: LeaderHints
  readonly found: readonly { partition: FetchPartition; response: PartitionResponse }[]
}

export const fetch = handler(Fetch, {
  handle(request, services, call) {
    const reader = readerOf(request, call.version)
    const isFollower = reader.replicaId >= 0
    const topicName = (id: string) => services.image().topicById(id as TopicId)?.name ?? ''
    const context = services.sessions.contextFor(request, call.version, topicName, { privileged: isFollower })
    const partitions = [...context.partitions]
    const maxBytes = isFollower ? request.maxBytes : Math.min(request.maxBytes, services.config().get('fetch.max.bytes'))
    // What a fetch says of a follower, it says once, however often it is looked at.
    let isNew = true
    const result = delayedFetch<Attempt>({
      clock: services.clock,
      minBytes: Math.min(request.minBytes, maxBytes),
      maxWaitMs: request.maxWaitMs,
      wakePoints: partitions.flatMap(({ topic, partition }) => {
        const replica = services.replicas.find(topic, partition)
        if (replica === undefined) return []
        return isFollower ? replica.followers : replica
      }),
      attempt: () => {
        const hints = new LeaderHints(services, call.connection)
        const reading = new Reading(services, partitions, maxBytes, reader, isNew, hints)
        isNew = false
        return reading.run()
      },
      onAbandoned: (abandon) => call.connection.onClose(abandon),
    })
    if (result instanceof Promise)
      return result.then((attempt) => (attempt === undefined ? 'close' : answer(context, attempt, call)))
    return answer(context, result, call)
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, responses: [] }),
})

/** Who fetches, and how. */
interface FetchReader {
  readonly version: number
  /** A follower's broker; -1 for consumers. */
  readonly replicaId: number
  readonly brokerEpoch: number
  readonly readCommitted: boolean
  /** Where a consumer is; '' if it does not say. */
  readonly rack: string
}

function readerOf(request: FetchRequest, version: number): FetchReader {
  const { replicaId, replicaEpoch } = request.replicaState
  return {
    version,
    replicaId: version >= 15 ? replicaId : request.replicaId,
    brokerEpoch: Number(replicaEpoch),
    readCommitted: request.isolationLevel === READ_COMMITTED,
    rack: request.rackId,
  }
}

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
  return { errorCode: ErrorCode.NONE, sessionId: context.sessionId, responses, nodeEndpoints: attempt.hints.endpoints }
}

/** One pass over the partitions of a fetch, in the order in which the client named them, within its byte limits. */
class Reading {
  private readonly services: Services
  private readonly partitions: readonly FetchPartition[]
  private readonly reader: FetchReader
  private readonly isNew: boolean
  private readonly hints: LeaderHints
  private readonly found: { partition: FetchPartition; response: PartitionResponse }[] = []
  private left: number
  private readonly leases: Lease[] = []
  private bytes = 0
  private urgent = false

  constructor(
    services: Services,
    partitions: readonly FetchPartition[],
    maxBytes: number,
    reader: FetchReader,
    isNew: boolean,
    hints: LeaderHints,
  ) {
    this.services = services
    this.partitions = partitions
    this.left = maxBytes
    this.reader = reader
    this.isNew = isNew
    this.hints = hints
  }

  run(from = 0): Attempt | Promise<Attempt> {
    for (let i = from; i < this.partitions.length; i++) {
      const requested = this.partitions[i]
      try {
        const partition = this.replicaFor(requested)
        if (this.diverge(requested, partition) || this.redirect(requested, partition)) continue
        const read = this.read(partition, requested)
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
    return { found: this.found, leases: this.leases, bytes: this.bytes, urgent: this.urgent, hints: this.hints }
  }

  /** Followers fetch from leaders; consumers from any replica, if they know of racks (KIP-392). */
  private replicaFor(requested: FetchPartition): Partition {
    const { replicas } = this.services
    const { version, replicaId } = this.reader
    const { topic, partition: index } = requested
    if (topic === '') throw new KafkaError(version >= 13 ? 'UNKNOWN_TOPIC_ID' : 'UNKNOWN_TOPIC_OR_PARTITION')
    const partition = replicaId < 0 && version >= 11 ? replicas.replica(topic, index) : replicas.leader(topic, index)
    if (version >= 13 && partition.topicId !== requested.topicId) throw new KafkaError('INCONSISTENT_TOPIC_ID')
    partition.checkLeaderEpoch(requested.currentLeaderEpoch)
    return partition
  }

  /** Consumers see what is committed; followers all there is, for that is how it comes to be committed. */
  private limitOf(partition: Partition): bigint {
    if (this.reader.replicaId >= 0) return partition.log.endOffset
    return this.reader.readCommitted ? partition.lastStableOffset : partition.highWatermark
  }

  private read(partition: Partition, requested: FetchPartition): Found | Promise<Found> {
    const { fetchOffset, logStartOffset } = requested
    const { replicaId, brokerEpoch } = this.reader
    if (fetchOffset < partition.logStartOffset || fetchOffset > partition.log.endOffset)
      throw new KafkaError('OFFSET_OUT_OF_RANGE')
    if (this.isNew && replicaId >= 0) partition.noteFetch({ replicaId, brokerEpoch, fetchOffset, logStartOffset })
    const limit = this.limitOf(partition)
    if (this.isThrottled(partition) && this.services.replicas.leaderQuota!.waitMs > 0) return NOTHING_FOUND
    // The first batch comes whatever the limits are: a client must get on.
    if (fetchOffset >= limit || (this.left <= 0 && this.bytes > 0)) return NOTHING_FOUND
    const maxBytes = Math.max(0, Math.min(this.left, requested.maxBytes))
    const read = partition.log.read(fetchOffset, { maxBytes, limitOffset: limit, atLeastOneBatch: this.bytes === 0 })
    if (read instanceof Promise) return read.then((result) => this.withAborted(partition, fetchOffset, result))
    return this.withAborted(partition, fetchOffset, read)
  }

  /** A reassignment goes as fast as the leader is told. Whoever is in sync is never held up. */
  private isThrottled({ topic, index, leader }: Partition): boolean {
    const { replicaId } = this.reader
    if (replicaId < 0 || leader === undefined || leader.isr.includes(replicaId)) return false
    return this.services.replicas.leaderQuota?.covers(topic, index) === true
  }

  private withAborted(partition: Partition, fetchOffset: bigint, result: ReadResult): Found | Promise<Found> {
    if (!this.reader.readCommitted || result.size === 0) return { result, aborted: NO_TRANSACTIONS }
    const aborted = partition.log.abortedTransactions(fetchOffset, result.nextOffset)
    return aborted instanceof Promise ? aborted.then((aborted) => ({ result, aborted })) : { result, aborted }
  }

  private take(requested: FetchPartition, partition: Partition, { result, aborted }: Found): void {
    const size = result?.size ?? 0
    if (result !== null) this.leases.push(...result.leases)
    if (size > 0 && this.isThrottled(partition)) this.services.replicas.leaderQuota!.take(size)
    this.bytes += size
    this.left -= size
    // So that followers serve what is committed without waiting for the next records (KIP-1166).
    if (requested.wantsHighWatermark && partition.highWatermark > requested.toldHighWatermark) this.urgent = true
    // Somebody waits until followers have deleted, too. Without a session nobody knows what they have been told.
    if (this.reader.replicaId >= 0 && requested.toldLogStartOffset >= 0n) {
      if (partition.logStartOffset > requested.toldLogStartOffset) this.urgent = true
    }
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
    if (known === undefined) {
      // Records of an epoch that we know nothing of may be anything.
      if (this.reader.replicaId >= 0) throw new KafkaError('OFFSET_OUT_OF_RANGE')
      return false
    }
    const { leaderEpoch, endOffset } = known
    if (leaderEpoch === requested.lastFetchedEpoch && endOffset >= requested.fetchOffset) return false
    this.urgent = true
    const response = this.response(requested, partition, NO_RECORDS)
    this.found.push({ partition: requested, response: { ...response, divergingEpoch: { epoch: leaderEpoch, endOffset } } })
    return true
  }

  /** A consumer that has a replica in its own rack is sent there. */
  private redirect(requested: FetchPartition, partition: Partition): boolean {
    const { replicaId, rack } = this.reader
    if (replicaId >= 0 || rack === '' || partition.leader === undefined || partition.leader.alone) return false
    const { services } = this
    if (services.config().get('replica.selector.class') !== RACK_AWARE_SELECTOR) return false
    const { fetchOffset } = requested
    const image = services.image()
    const preferredReadReplica = preferredReplica(partition.leader, { rack, fetchOffset, leaderId: services.nodeId }, (id) => {
      const broker = image.broker(id)
      return broker === undefined || broker.fenced ? undefined : broker.rack
    })
    if (preferredReadReplica === undefined) return false
    this.urgent = true
    this.found.push({
      partition: requested,
      response: { ...this.response(requested, partition, NO_RECORDS), preferredReadReplica },
    })
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
      // Followers know by their own logs.
      lastStableOffset: this.reader.replicaId >= 0 ? -1n : partition.lastStableOffset,
      logStartOffset: partition.logStartOffset,
      // Null tells "all is visible"; an empty list tells a consumer of committed records that none was aborted.
      abortedTransactions: this.reader.readCommitted ? aborted : null,
      records,
    }
  }

  private refuse(requested: FetchPartition, error: unknown): void {
    if (!(error instanceof KafkaError)) throw error
    this.urgent = true
    const { topic, partition } = requested
    const currentLeader = this.reader.version >= 16 && LED_ELSEWHERE.has(error.code) ? this.hints.of(topic, partition) : undefined
    const code =
      error.code === 'KAFKA_STORAGE_ERROR' && this.reader.version <= 5 ? ErrorCode.NOT_LEADER_OR_FOLLOWER : error.errorCode
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
        currentLeader,
      },
    })
  }
}

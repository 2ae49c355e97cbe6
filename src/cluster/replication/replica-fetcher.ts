// Follows one leader for some of the partitions that it leads: fetches what is new, again and again, over one connection. What comes is
// taken over only if the partition still stands where it stood when it was asked for.

import { Connection } from '../../client/connection.ts'
import { backoffMs } from '../../client/retry.ts'
import { type Clock, delay, type Timer } from '../../host/clock.ts'
import type { Endpoint, Network } from '../../host/network.ts'
import type { Random } from '../../host/random.ts'
import { ErrorCode, errorName, KafkaError } from '../../protocol/error-codes.ts'
import { Fetch, type FetchResponse } from '../../protocol/messages/01-fetch.ts'
import { ListOffsets } from '../../protocol/messages/02-list-offsets.ts'
import { BATCH_HEADER_SIZE, baseOffset, lastOffset } from '../../protocol/records/batch-header.ts'
import { cutFor } from './divergence.ts'
import { FetchSessionClient, type WantedPartition } from './fetch-session-client.ts'
import type { Partition } from './partition.ts'
import type { ReplicationReport } from './replication-event.ts'
import type { ReplicationQuota } from './replication-quota.ts'

export interface FetcherSettings {
  /** replica.fetch.wait.max.ms */
  readonly maxWaitMs: number
  /** replica.fetch.min.bytes */
  readonly minBytes: number
  /** replica.fetch.response.max.bytes */
  readonly maxBytes: number
  /** replica.fetch.max.bytes */
  readonly partitionMaxBytes: number
  /** replica.fetch.backoff.ms: the longest pause after something that failed. */
  readonly backoffMs: number
  /** replica.socket.timeout.ms */
  readonly timeoutMs: number
}

export interface FetcherContext {
  readonly nodeId: number
  readonly clock: Clock
  readonly random: Random
  readonly network: Network
  /** Of this broker: the leader must not take what another life of it fetched for ours (KIP-903). */
  readonly brokerEpoch: () => number
  readonly settings: () => FetcherSettings
  /** Where a broker listens for others; undefined while nobody knows. */
  readonly endpointOf: (brokerId: number) => Endpoint | undefined
  readonly report: ReplicationReport
  /** Undefined: without limit. */
  readonly quota?: ReplicationQuota | undefined
  /** Whether the cluster counts on the replica: then it is never throttled. */
  readonly isInSync?: (partition: Partition) => boolean
}

interface Followed {
  readonly partition: Partition
  /** In which it is followed. */
  readonly leaderEpoch: number
  /** Failures in a row. */
  failures: number
  /** Not asked for before. */
  retryAtMs: number
}

/** As it was asked for. */
interface Asked {
  readonly followed: Followed
  readonly fetchOffset: bigint
}

type PartitionResponse = FetchResponse['responses'][number]['partitions'][number]

/** Names the broker epoch, topics by id, and tells of divergence. */
const MIN_VERSION = 15
const FIRST_BACKOFF_MS = 50
const LATEST = -1n
const EARLIEST = -2n
const SESSION_ERRORS = new Set(['FETCH_SESSION_ID_NOT_FOUND', 'INVALID_FETCH_SESSION_EPOCH', 'FETCH_SESSION_TOPIC_ID_ERROR'])
/** One of the two has not heard of an election yet, or the partition moves. The metadata will say. */
const EXPECTED = new Set(['FENCED_LEADER_EPOCH', 'UNKNOWN_LEADER_EPOCH', 'NOT_LEADER_OR_FOLLOWER', 'UNKNOWN_TOPIC_ID'])

export class ReplicaFetcher {
  readonly leaderId: number
  private readonly context: FetcherContext
  private readonly followed = new Map<string, Followed>()
  private readonly session = new FetchSessionClient()
  private connection: Connection | undefined
  private failures = 0
  private closed = false
  private running = false
  /** Ends a pause. */
  private wake: () => void = () => {}

  constructor(leaderId: number, context: FetcherContext) {
    this.leaderId = leaderId
    this.context = context
  }

  get size(): number {
    return this.followed.size
  }

  /** From now on, in the leader epoch that the partition has. */
  add(partition: Partition): void {
    const key = keyOf(partition.topicId, partition.index)
    const known = this.followed.get(key)
    if (known?.partition === partition && known.leaderEpoch === partition.leaderEpoch) return
    this.followed.set(key, { partition, leaderEpoch: partition.leaderEpoch, failures: 0, retryAtMs: 0 })
    this.start()
    this.wake()
  }

  /** What is on its way is not taken over any more. */
  remove(partition: Partition): void {
    const key = keyOf(partition.topicId, partition.index)
    if (this.followed.get(key)?.partition === partition) this.followed.delete(key)
  }

  close(): void {
    this.closed = true
    this.followed.clear()
    this.connection?.close()
    this.wake()
  }

  private start(): void {
    if (this.running || this.closed) return
    this.running = true
    void this.run()
  }

  private async run(): Promise<void> {
    while (!this.closed && this.followed.size > 0) {
      const ready = this.ready()
      if (ready.length === 0) {
        await this.pause(this.nextRetryMs())
        continue
      }
      try {
        await this.fetch(ready)
        this.succeeded()
      } catch (error) {
        await this.failed(error as Error)
      }
    }
    this.running = false
    this.connection?.close()
    this.connection = undefined
    // Somebody may have come while the last one left.
    if (this.followed.size > 0) this.start()
  }

  private ready(): Asked[] {
    const { clock, quota } = this.context
    const nowMs = clock.monotonicMs()
    const ready: Asked[] = []
    for (const [key, followed] of this.followed) {
      const { partition } = followed
      if (partition.failure !== undefined) this.followed.delete(key)
      if (partition.failure !== undefined || followed.retryAtMs > nowMs) continue
      const waitMs = this.isThrottled(partition) ? quota!.waitMs : 0
      if (waitMs > 0) followed.retryAtMs = nowMs + waitMs
      else ready.push({ followed, fetchOffset: partition.log.endOffset })
    }
    return ready
  }

  private isThrottled(partition: Partition): boolean {
    const { quota, isInSync } = this.context
    return quota?.covers(partition.topic, partition.index) === true && isInSync?.(partition) !== true
  }

  private nextRetryMs(): number {
    let next = Number.POSITIVE_INFINITY
    for (const { retryAtMs } of this.followed.values()) next = Math.min(next, retryAtMs)
    return Math.max(1, next - this.context.clock.monotonicMs())
  }

  private async connect(): Promise<Connection> {
    if (this.connection?.isOpen) return this.connection
    const { clock, endpointOf, network, nodeId, settings } = this.context
    const endpoint = endpointOf(this.leaderId)
    if (endpoint === undefined) throw new Error(`nobody knows where broker ${this.leaderId} listens`)
    const { timeoutMs } = settings()
    this.session.forget()
    this.connection = await Connection.open({
      network,
      clock,
      endpoint,
      clientId: `broker-${nodeId}-fetcher`,
      connectTimeoutMs: timeoutMs,
      requestTimeoutMs: timeoutMs,
      softwareVersion: 'replica-fetcher',
    })
    if (this.closed) this.connection.close()
    return this.connection
  }

  private async fetch(asked: readonly Asked[]): Promise<void> {
    const { brokerEpoch, nodeId, settings } = this.context
    const { maxWaitMs, minBytes, maxBytes, partitionMaxBytes } = settings()
    const connection = await this.connect()
    // While the connection was made, or the last answer put away, roles may have changed.
    const current = asked.filter((one) => this.isCurrent(one))
    if (current.length === 0) return
    const response = await connection.request(
      Fetch,
      {
        replicaState: { replicaId: nodeId, replicaEpoch: BigInt(brokerEpoch()) },
        maxWaitMs,
        minBytes,
        maxBytes,
        ...this.session.request(current.map((one) => wanted(one, partitionMaxBytes))),
      },
      { minVersion: MIN_VERSION },
    )
    if (response.errorCode !== ErrorCode.NONE) {
      const code = errorName(response.errorCode)
      if (SESSION_ERRORS.has(code)) this.session.reset()
      throw new KafkaError(code)
    }
    this.session.answered(response)
    await this.takeOver(response, new Map(current.map((one) => [nameOf(one), one])))
  }

  private isCurrent({ followed, fetchOffset }: Asked): boolean {
    const { partition, leaderEpoch } = followed
    return (
      this.followed.get(keyOf(partition.topicId, partition.index)) === followed &&
      partition.failure === undefined &&
      partition.leader === undefined &&
      partition.leaderEpoch === leaderEpoch &&
      partition.log.endOffset === fetchOffset
    )
  }

  private async takeOver(response: FetchResponse, asked: ReadonlyMap<string, Asked>): Promise<void> {
    const writes: Promise<void>[] = []
    for (const { topicId, partitions } of response.responses) {
      for (const answer of partitions) {
        const one = asked.get(keyOf(topicId, answer.partitionIndex))
        if (one === undefined || !this.isCurrent(one)) continue
        const { followed } = one
        try {
          await this.takeOverOne(one, answer)
          followed.failures = 0
          const write = this.isCurrent({ ...one, fetchOffset: followed.partition.log.endOffset })
            ? followed.partition.untilAckable()
            : undefined
          if (write !== undefined) writes.push(write.catch((error) => this.delay(followed, error)))
        } catch (error) {
          this.delay(followed, error as Error)
        }
      }
    }
    // The next fetch says that all of it is there.
    await Promise.all(writes)
  }

  private async takeOverOne(one: Asked, answer: PartitionResponse): Promise<void> {
    const { partition } = one.followed
    const { log } = partition
    if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) return this.findPlace(one)
    if (answer.errorCode !== ErrorCode.NONE) throw new KafkaError(errorName(answer.errorCode))
    if (answer.divergingEpoch.epoch >= 0 || answer.divergingEpoch.endOffset >= 0n) {
      const leader = { leaderEpoch: answer.divergingEpoch.epoch, endOffset: answer.divergingEpoch.endOffset }
      return partition.truncateTo(cutFor(leader, log.endOffsetForEpoch(leader.leaderEpoch), log.endOffset))
    }
    const records = recordsOf(answer)
    if (records.length > 0 && this.isThrottled(partition)) this.context.quota!.take(records.length)
    if (records.length >= BATCH_HEADER_SIZE && holdsStart(records, partition)) {
      // The leader's log starts inside of a batch: ours must begin with the whole of it.
      await partition.restartAt(baseOffset(records))
      if (!this.isCurrent({ ...one, fetchOffset: log.endOffset })) return
    }
    partition.appendAsFollower(records, answer)
  }

  /** The leader does not have what comes next: its log ends before ours, or starts behind its end. */
  private async findPlace(one: Asked): Promise<void> {
    const { partition } = one.followed
    const end = await this.offsetOf(partition, LATEST)
    if (!this.isCurrent(one)) return
    if (end < one.fetchOffset) return partition.truncateTo(end)
    const start = await this.offsetOf(partition, EARLIEST)
    if (!this.isCurrent(one)) return
    if (start > one.fetchOffset) return partition.restartAt(start)
    // Between question and answer the leader has moved on; or it does not know of the epoch of our last record, and cannot say where
    // the two logs part. There is nothing to do but to ask again.
    throw new KafkaError('OFFSET_OUT_OF_RANGE')
  }

  private async offsetOf({ topic, index, leaderEpoch }: Partition, timestamp: bigint): Promise<bigint> {
    const connection = await this.connect()
    const partitions = [{ partitionIndex: index, currentLeaderEpoch: leaderEpoch, timestamp }]
    const request = { replicaId: this.context.nodeId, isolationLevel: 0, topics: [{ name: topic, partitions }] }
    const response = await connection.request(ListOffsets, request)
    const answer = response.topics[0]?.partitions[0]
    if (answer === undefined) throw new KafkaError('UNKNOWN_SERVER_ERROR', 'an answer without the partition that was asked for')
    if (answer.errorCode !== ErrorCode.NONE) throw new KafkaError(errorName(answer.errorCode))
    return answer.offset
  }

  /** The others go on without it for a while. */
  private delay(followed: Followed, error: Error): void {
    const { clock, random, report } = this.context
    const { partition } = followed
    followed.failures++
    this.session.retell(partition.topicId, partition.index)
    followed.retryAtMs = clock.monotonicMs() + backoffMs(this.backoff(), followed.failures, random)
    if (partition.failure !== undefined || (error instanceof KafkaError && EXPECTED.has(error.code))) return
    report({ event: 'fetch-failed', topic: partition.topic, partition: partition.index, leader: this.leaderId, error })
  }

  private succeeded(): void {
    if (this.failures > 0) this.context.report({ event: 'leader-reachable', leader: this.leaderId })
    this.failures = 0
  }

  private async failed(error: Error): Promise<void> {
    if (this.closed) return
    const isSession = error instanceof KafkaError && SESSION_ERRORS.has(error.code)
    if (!isSession) {
      this.connection?.close()
      this.connection = undefined
      if (this.failures === 0) this.context.report({ event: 'leader-unreachable', leader: this.leaderId, error })
    }
    this.failures++
    await delay(this.context.clock, backoffMs(this.backoff(), this.failures, this.context.random))
  }

  private backoff(): { initialMs: number; maxMs: number } {
    const { backoffMs: maxMs } = this.context.settings()
    return { initialMs: Math.min(FIRST_BACKOFF_MS, maxMs), maxMs }
  }

  private pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      let timer: Timer | undefined
      this.wake = () => {
        timer?.cancel()
        this.wake = () => {}
        resolve()
      }
      timer = this.context.clock.timer(ms, () => this.wake())
    })
  }
}

function keyOf(topicId: string, index: number): string {
  return `${topicId}/${index}`
}

function nameOf({ followed: { partition } }: Asked): string {
  return keyOf(partition.topicId, partition.index)
}

function wanted({ followed, fetchOffset }: Asked, partitionMaxBytes: number): WantedPartition {
  const { partition, leaderEpoch } = followed
  const { topicId, index, lastFetchedEpoch, logStartOffset, highWatermark } = partition
  return {
    topicId,
    partition: index,
    currentLeaderEpoch: leaderEpoch,
    fetchOffset,
    lastFetchedEpoch,
    logStartOffset,
    partitionMaxBytes,
    highWatermark,
  }
}

function recordsOf({ records }: PartitionResponse): Buffer {
  return (records as Buffer | null) ?? Buffer.alloc(0)
}

/** An empty log that must go on inside of the first batch of what came. */
function holdsStart(records: Buffer, { log }: Partition): boolean {
  return log.endOffset === log.logStartOffset && baseOffset(records) < log.endOffset && lastOffset(records) >= log.endOffset
}

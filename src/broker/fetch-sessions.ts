// Incremental fetch sessions (KIP-227): a client names its partitions once, then only what changes, and hears only of
// partitions that have something new. The cache is bounded; a client without a session works all the same.

import type { Clock } from '../host/clock.ts'
import type { Random } from '../host/random.ts'
import { KafkaError } from '../protocol/error-codes.ts'
import type { Fetch, FetchRequest } from '../protocol/messages/01-fetch.ts'
import type { ResponseInput } from '../protocol/schema.ts'

/** A session that is not used for this long may be taken by another client. */
const EVICTABLE_AFTER_MS = 120_000
/** Asks for a new session, or says goodbye to one. */
const INITIAL_EPOCH = 0
const FINAL_EPOCH = -1
const NO_SESSION = 0
/** In the place of a follower's high watermark: it does not say. */
const UNSAID = 0x7fff_ffff_ffff_ffffn

type RequestedPartition = FetchRequest['topics'][number]['partitions'][number]
type TopicResponse = ResponseInput<typeof Fetch>['responses'][number]
export type PartitionResponse = TopicResponse['partitions'][number]

/** One partition that a fetch is about. `topic` is '' where only an id was given that nobody knows. */
export interface FetchPartition {
  topic: string
  readonly topicId: string
  readonly partition: number
  currentLeaderEpoch: number
  fetchOffset: bigint
  lastFetchedEpoch: number
  maxBytes: number
  /** Where a follower's log starts; -1 for consumers. */
  logStartOffset: bigint
  /** A follower that says how much it knows is told of more at once (KIP-1166). */
  wantsHighWatermark: boolean
  /** What the client was told last: an incremental answer leaves out what has not changed. */
  toldHighWatermark: bigint
  toldLogStartOffset: bigint
}

interface Session {
  readonly id: number
  readonly usesIds: boolean
  /** Of a follower: consumers do not take its place, unless it has gone. */
  readonly privileged: boolean
  epoch: number
  lastUsedMs: number
  readonly partitions: Map<string, FetchPartition>
}

/** How one request relates to a session: which partitions it reads, and what its answer leaves out. */
export interface FetchContext {
  readonly sessionId: number
  readonly partitions: Iterable<FetchPartition>
  /** Whether the answer to `partition` is worth a place in the response; remembers what is told. */
  include(partition: FetchPartition, response: PartitionResponse): boolean
  /** The client asked for nothing of this and it must be taken out of the fetch's limits: true for full answers. */
  readonly full: boolean
}

export class FetchSessions {
  private readonly sessions = new Map<number, Session>()
  private readonly slots: number
  private readonly clock: Clock
  private readonly random: Random

  /** `slots`: max.incremental.fetch.session.cache.slots; 0 grants none. */
  constructor(slots: number, clock: Clock, random: Random) {
    this.slots = slots
    this.clock = clock
    this.random = random
  }

  /** Throws KafkaError: FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH, FETCH_SESSION_TOPIC_ID_ERROR. */
  contextFor(
    request: FetchRequest,
    version: number,
    topicName: (topicId: string) => string,
    { privileged = false }: { privileged?: boolean } = {},
  ): FetchContext {
    const usesIds = version >= 13
    if (request.sessionEpoch === FINAL_EPOCH || request.sessionEpoch === INITIAL_EPOCH) {
      if (request.sessionId !== NO_SESSION) this.sessions.delete(request.sessionId)
      const partitions = requested(request, usesIds, topicName)
      const session = request.sessionEpoch === INITIAL_EPOCH ? this.create(partitions, usesIds, privileged) : undefined
      return { sessionId: session?.id ?? NO_SESSION, partitions: partitions.values(), full: true, include: remember }
    }
    const session = this.sessions.get(request.sessionId)
    if (session === undefined) throw new KafkaError('FETCH_SESSION_ID_NOT_FOUND')
    if (session.usesIds !== usesIds) throw new KafkaError('FETCH_SESSION_TOPIC_ID_ERROR')
    if (session.epoch !== request.sessionEpoch) throw new KafkaError('INVALID_FETCH_SESSION_EPOCH')
    session.epoch = session.epoch === 0x7fffffff ? 1 : session.epoch + 1
    session.lastUsedMs = this.clock.monotonicMs()
    this.update(session, request, topicName)
    // A topic may have been named before this broker had heard of it.
    for (const partition of session.partitions.values())
      if (partition.topic === '') partition.topic = topicName(partition.topicId)
    return {
      sessionId: session.id,
      partitions: [...session.partitions.values()],
      full: false,
      include(partition, response) {
        const news = isNews(partition, response)
        remember(partition, response)
        // Whoever had something goes to the back of the line, so that every partition gets its turn under the byte limits.
        if (news && recordBytes(response) > 0) {
          const key = keyOf(partition, usesIds)
          if (session.partitions.delete(key)) session.partitions.set(key, partition)
        }
        return news
      },
    }
  }

  get size(): number {
    return this.sessions.size
  }

  private update(session: Session, request: FetchRequest, topicName: (topicId: string) => string): void {
    for (const topic of request.forgottenTopicsData) {
      for (const partition of topic.partitions) {
        session.partitions.delete(`${session.usesIds ? topic.topicId : topic.topic}/${partition}`)
      }
    }
    for (const [key, partition] of requested(request, session.usesIds, topicName)) {
      const known = session.partitions.get(key)
      if (known === undefined) session.partitions.set(key, partition)
      else {
        known.currentLeaderEpoch = partition.currentLeaderEpoch
        known.fetchOffset = partition.fetchOffset
        known.lastFetchedEpoch = partition.lastFetchedEpoch
        known.maxBytes = partition.maxBytes
        known.logStartOffset = partition.logStartOffset
        known.wantsHighWatermark = partition.wantsHighWatermark
        // An answer may have been dropped on the way: what counts is what the follower says.
        if (partition.wantsHighWatermark) known.toldHighWatermark = partition.toldHighWatermark
      }
    }
  }

  private create(partitions: Map<string, FetchPartition>, usesIds: boolean, privileged: boolean): Session | undefined {
    if (partitions.size === 0) return undefined
    const now = this.clock.monotonicMs()
    if (this.sessions.size >= this.slots && !this.evict(now, partitions.size, privileged)) return undefined
    let id: number
    do id = this.random.u32() >>> 1
    while (id === NO_SESSION || this.sessions.has(id))
    const session = { id, usesIds, privileged, epoch: 1, lastUsedMs: now, partitions }
    this.sessions.set(id, session)
    return session
  }

  /** Makes room: a session gone stale, or one that is smaller than the newcomer and not in use. */
  private evict(now: number, size: number, privileged: boolean): boolean {
    for (const session of this.sessions.values()) {
      const idleMs = now - session.lastUsedMs
      const smaller = session.privileged === privileged && idleMs > EVICTABLE_AFTER_MS / 4 && session.partitions.size < size
      if (idleMs > EVICTABLE_AFTER_MS || smaller || (privileged && !session.privileged)) return this.sessions.delete(session.id)
    }
    return false
  }
}

function keyOf(partition: FetchPartition, usesIds: boolean): string {
  return `${usesIds ? partition.topicId : partition.topic}/${partition.partition}`
}

function requested(request: FetchRequest, usesIds: boolean, topicName: (topicId: string) => string): Map<string, FetchPartition> {
  const partitions = new Map<string, FetchPartition>()
  for (const topic of request.topics) {
    const name = usesIds ? topicName(topic.topicId) : topic.topic
    for (const partition of topic.partitions) {
      const entry = newPartition(name, topic.topicId, partition)
      partitions.set(keyOf(entry, usesIds), entry)
    }
  }
  return partitions
}

function newPartition(topic: string, topicId: string, partition: RequestedPartition): FetchPartition {
  const wantsHighWatermark = partition.highWatermark !== UNSAID
  return {
    topic,
    topicId,
    partition: partition.partition,
    currentLeaderEpoch: partition.currentLeaderEpoch,
    fetchOffset: partition.fetchOffset,
    lastFetchedEpoch: partition.lastFetchedEpoch,
    maxBytes: partition.partitionMaxBytes,
    logStartOffset: partition.logStartOffset,
    wantsHighWatermark,
    toldHighWatermark: wantsHighWatermark ? partition.highWatermark : -1n,
    toldLogStartOffset: -1n,
  }
}

function recordBytes(response: PartitionResponse): number {
  const records = response.records
  if (records === null || records === undefined) return 0
  if (Buffer.isBuffer(records)) return records.length
  return (records as readonly Buffer[]).length
}

function isNews(partition: FetchPartition, response: PartitionResponse): boolean {
  return (
    recordBytes(response) > 0 ||
    response.errorCode !== 0 ||
    response.highWatermark !== partition.toldHighWatermark ||
    response.logStartOffset !== partition.toldLogStartOffset ||
    response.preferredReadReplica !== undefined ||
    response.divergingEpoch !== undefined
  )
}

function remember(partition: FetchPartition, response: PartitionResponse): boolean {
  partition.toldHighWatermark = response.errorCode === 0 ? response.highWatermark : -1n
  partition.toldLogStartOffset = response.errorCode === 0 ? (response.logStartOffset ?? -1n) : -1n
  return true
}

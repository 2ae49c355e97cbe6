// Reads partitions that it is told to read, from positions that it is told, or that the reset policy finds. Groups stand on it
// (group-consumer.ts). One fetch is under way per broker; what it brings waits here, and the next is sent while the application works.

import { type Clock, delay, type Timer } from '../host/clock.ts'
import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import { ZERO_UUID } from '../protocol/ids.ts'
import { Fetch, type FetchResponse } from '../protocol/messages/01-fetch.ts'
import type { ClusterClient, Lane } from './cluster-client.ts'
import { ClientClosedError, isRetriable } from './errors.ts'
import { type ConsumerRecord, decodeFetched } from './fetched-records.ts'
import { type IsolationLevel, isolationCode, listOffsets, OffsetSpec } from './list-offsets.ts'
import { partitionKey, type TopicPartition } from './metadata.ts'

export type OffsetReset = 'earliest' | 'latest' | 'none'

export interface ConsumerOptions {
  readonly isolationLevel?: IsolationLevel
  /** What to do where there is no position, or none that the partition still has. */
  readonly autoOffsetReset?: OffsetReset
  readonly fetchMinBytes?: number
  readonly fetchMaxWaitMs?: number
  readonly fetchMaxBytes?: number
  readonly maxPartitionFetchBytes?: number
  readonly maxPollRecords?: number
  readonly checkCrcs?: boolean
  readonly rackId?: string
}

/** How long one search for the ends of partitions may hold up those that it has found. */
const FIND_POSITIONS_MS = 2_000

/** No position, and no policy that finds one. */
export class NoOffsetError extends Error {
  override readonly name = 'NoOffsetError'
  readonly partitions: readonly TopicPartition[]

  constructor(partitions: readonly TopicPartition[], why: string) {
    super(
      `${why} for ${partitions.map(({ topic, partition }) => `${topic}-${partition}`).join(', ')}, and auto.offset.reset is none`,
    )
    this.partitions = partitions
  }
}

type PartitionResponse = FetchResponse['responses'][number]['partitions'][number]

class AssignedPartition implements TopicPartition {
  readonly topic: string
  readonly partition: number
  /** Of the next record to give out. */
  position: bigint | undefined
  /** Of the next fetch: ahead of `position` by what is buffered. */
  fetchOffset = -1n
  resetTo: Exclude<OffsetReset, 'none'> | undefined
  buffered: ConsumerRecord[] = []
  paused = false
  fetching = false
  highWatermark = -1n
  /** Of the last record given out, for commits. */
  leaderEpoch = -1
  /** A follower near us, as the leader advised (KIP-392). */
  preferredReplica = -1
  /** Not to be asked for before, in monotonic time: the pause after a failure. It holds up no other partition. */
  notBeforeMs = 0

  constructor({ topic, partition }: TopicPartition) {
    this.topic = topic
    this.partition = partition
  }

  seek(offset: bigint): void {
    this.position = offset
    this.fetchOffset = offset
    this.buffered = []
    this.resetTo = undefined
  }
}

export class Consumer {
  private readonly cluster: ClusterClient
  private readonly clock: Clock
  private readonly options: Required<ConsumerOptions>
  private readonly lane: Lane
  private readonly assigned = new Map<string, AssignedPartition>()
  /** Brokers that a fetch is under way to. */
  private readonly busy = new Set<number>()
  /** What a fetch in the background ran into, for the next poll to throw. */
  private failure: Error | undefined
  /** Topics whose leaders are being asked for. */
  private readonly refreshing = new Set<string>()
  private waiters: (() => void)[] = []
  private interrupted = false
  private closed = false
  /** Turns the order of partitions, so that one with much data does not starve the others. */
  private turn = 0

  constructor(cluster: ClusterClient, options: ConsumerOptions = {}) {
    this.cluster = cluster
    this.clock = cluster.clock
    this.lane = cluster.newLane()
    this.options = {
      isolationLevel: options.isolationLevel ?? 'read_uncommitted',
      autoOffsetReset: options.autoOffsetReset ?? 'latest',
      fetchMinBytes: options.fetchMinBytes ?? 1,
      fetchMaxWaitMs: options.fetchMaxWaitMs ?? 500,
      fetchMaxBytes: options.fetchMaxBytes ?? 50 * 1024 * 1024,
      maxPartitionFetchBytes: options.maxPartitionFetchBytes ?? 1024 * 1024,
      maxPollRecords: options.maxPollRecords ?? 500,
      checkCrcs: options.checkCrcs ?? true,
      rackId: options.rackId ?? '',
    }
  }

  /** Reads these partitions from now on, and no others. Those it read before keep their positions. */
  assign(partitions: readonly TopicPartition[]): void {
    const wanted = new Set(partitions.map(({ topic, partition }) => partitionKey(topic, partition)))
    for (const name of this.assigned.keys()) if (!wanted.has(name)) this.assigned.delete(name)
    for (const partition of partitions) {
      const name = partitionKey(partition.topic, partition.partition)
      if (!this.assigned.has(name)) this.assigned.set(name, new AssignedPartition(partition))
    }
  }

  assignment(): TopicPartition[] {
    return [...this.assigned.values()].map(({ topic, partition }) => ({ topic, partition }))
  }

  /** The next record to be given out will be the first at or behind `offset`. Throws RangeError for partitions not assigned. */
  seek(partition: TopicPartition, offset: bigint): void {
    this.state(partition).seek(offset)
  }

  /** Takes effect with the next poll. All assigned partitions if none is named. */
  seekTo(end: 'earliest' | 'latest', partitions: readonly TopicPartition[] = this.assignment()): void {
    for (const partition of partitions) {
      const state = this.state(partition)
      state.seek(-1n)
      state.position = undefined
      state.resetTo = end
    }
  }

  /** The offset of the next record to be given out; undefined while nobody has looked it up. */
  position(partition: TopicPartition): bigint | undefined {
    return this.state(partition).position
  }

  /** With the leader epoch of the last record, as commits carry it. Partitions without a position are left out. */
  positions(): (TopicPartition & { offset: bigint; leaderEpoch: number })[] {
    return [...this.assigned.values()].flatMap(({ topic, partition, position, leaderEpoch }) =>
      position === undefined ? [] : [{ topic, partition, offset: position, leaderEpoch }],
    )
  }

  /** As of the last fetch; -1 before the first. */
  highWatermark(partition: TopicPartition): bigint {
    return this.state(partition).highWatermark
  }

  pause(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.state(partition).paused = true
  }

  resume(partitions: readonly TopicPartition[]): void {
    for (const partition of partitions) this.state(partition).paused = false
    this.look()
  }

  /**
   * Records, in order within each partition; an empty list when `timeoutMs` has passed without any. Rejects with what only the
   * application can decide about: KafkaError that is not retriable, NoOffsetError, DecodeError, ClientClosedError.
   */
  async poll(timeoutMs: number): Promise<ConsumerRecord[]> {
    const deadline = this.clock.monotonicMs() + timeoutMs
    for (;;) {
      this.throwIfFailed()
      const records = this.take()
      this.fetchAhead()
      if (records.length > 0) {
        this.interrupted = false
        return records
      }
      const leftMs = deadline - this.clock.monotonicMs()
      if (leftMs <= 0 || this.interrupted) {
        this.interrupted = false
        return []
      }
      await this.wait(leftMs)
    }
  }

  /** Makes a poll that waits return, with nothing if nothing has come. */
  wake(): void {
    this.interrupted = this.waiters.length > 0
    this.look()
  }

  /** Polls reject from now on. The cluster client stays open. */
  async close(): Promise<void> {
    this.closed = true
    this.assigned.clear()
    this.cluster.closeLane(this.lane)
    this.look()
  }

  private state({ topic, partition }: TopicPartition): AssignedPartition {
    const found = this.assigned.get(partitionKey(topic, partition))
    if (found === undefined) throw new RangeError(`partition ${topic}-${partition} is not assigned to this consumer`)
    return found
  }

  private throwIfFailed(): void {
    if (this.closed) throw new ClientClosedError('the consumer')
    const { failure } = this
    this.failure = undefined
    if (failure !== undefined) throw failure
  }

  /** Makes a poll that waits look at what there is now. */
  private look(): void {
    for (const waiter of this.waiters.splice(0)) waiter()
  }

  private wait(timeoutMs: number): Promise<void> {
    let timer: Timer | undefined
    return new Promise<void>((resolve) => {
      this.waiters.push(resolve)
      timer = this.clock.timer(timeoutMs, resolve)
    }).finally(() => timer?.cancel())
  }

  /** Up to `maxPollRecords` of what is buffered. */
  private take(): ConsumerRecord[] {
    const taken: ConsumerRecord[] = []
    for (const state of this.inTurn()) {
      if (state.paused || state.buffered.length === 0) continue
      const room = this.options.maxPollRecords - taken.length
      if (room <= 0) break
      const some = state.buffered.splice(0, room)
      const last = some[some.length - 1]
      for (const record of some) taken.push(record)
      state.leaderEpoch = last.leaderEpoch
      state.position = state.buffered.length === 0 ? state.fetchOffset : last.offset + 1n
    }
    return taken
  }

  private inTurn(): AssignedPartition[] {
    const states = [...this.assigned.values()]
    const from = states.length === 0 ? 0 : this.turn % states.length
    return [...states.slice(from), ...states.slice(0, from)]
  }

  // ── fetching ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Starts whatever can be started, in the background. */
  private fetchAhead(): void {
    const now = this.clock.monotonicMs()
    const fetchable = this.inTurn().filter(
      (state) => !state.fetching && !state.paused && state.buffered.length === 0 && now >= state.notBeforeMs,
    )
    const lost = fetchable.filter((state) => state.position === undefined)
    if (lost.length > 0) {
      for (const state of lost) state.fetching = true
      void this.findPositions(lost)
        .catch((error) => this.fetchFailed(error, lost))
        .finally(() => {
          for (const state of lost) state.fetching = false
          this.look()
        })
    }
    const byNode = this.byLeader(fetchable.filter((state) => state.position !== undefined))
    for (const [nodeId, led] of byNode) {
      // The fetch that is under way ends soon enough, and starts this one.
      if (this.busy.has(nodeId)) continue
      this.busy.add(nodeId)
      for (const state of led) state.fetching = true
      void this.fetch(nodeId, led)
        .catch((error) => {
          for (const state of led) state.preferredReplica = -1
          this.fetchFailed(error, led)
        })
        .finally(() => {
          this.busy.delete(nodeId)
          for (const state of led) state.fetching = false
          this.look()
        })
    }
  }

  /** Those whose leader is known. The leaders of the others are asked for in the background. */
  private byLeader(states: readonly AssignedPartition[]): Map<number, AssignedPartition[]> {
    const byNode = new Map<number, AssignedPartition[]>()
    const unknown = new Map<string, AssignedPartition[]>()
    for (const state of states) {
      const leaderId = this.cluster.knownTopic(state.topic)?.partitions[state.partition]?.leaderId ?? -1
      const nodeId = state.preferredReplica >= 0 ? state.preferredReplica : leaderId
      const [map, key] = nodeId >= 0 ? [byNode as Map<unknown, AssignedPartition[]>, nodeId] : [unknown, state.topic]
      const same = map.get(key as never)
      if (same === undefined) map.set(key as never, [state])
      else same.push(state)
    }
    for (const [topic, of] of unknown) {
      if (this.refreshing.has(topic)) continue
      this.refreshing.add(topic)
      void this.findLeaders(topic, of)
        .catch((error) => this.fetchFailed(error, of))
        .finally(() => {
          this.refreshing.delete(topic)
          this.look()
        })
    }
    return byNode
  }

  private async findLeaders(topic: string, states: readonly AssignedPartition[]): Promise<void> {
    const view = await this.cluster.metadata([topic])
    const code = view.topicErrors.get(topic)
    if (code !== undefined) throw new KafkaError(code, `topic ${topic}: ${code}`)
    const partitions = view.topics.find(({ name }) => name === topic)?.partitions
    const leaderless = states.filter(({ partition }) => (partitions?.[partition]?.leaderId ?? -1) < 0)
    if (leaderless.length > 0) this.backOff(leaderless)
  }

  private fetchFailed(error: Error, states: readonly AssignedPartition[]): void {
    if (this.closed || error instanceof ClientClosedError) return
    this.cluster.learnFrom(error)
    if (!isRetriable(error)) this.failure = error
    this.backOff(states)
    this.look()
  }

  private backOff(states: readonly AssignedPartition[]): void {
    const { initialMs } = this.cluster.backoff
    for (const state of states) state.notBeforeMs = this.clock.monotonicMs() + initialMs
    void delay(this.clock, initialMs).then(() => this.look())
  }

  private async findPositions(states: readonly AssignedPartition[]): Promise<void> {
    const lost = states.filter((state) => state.resetTo === undefined && this.options.autoOffsetReset === 'none')
    if (lost.length > 0) throw new NoOffsetError(lost, 'no committed offset')
    const policy = this.options.autoOffsetReset as Exclude<OffsetReset, 'none'>
    const queries = states.map((state) => ({
      topic: state.topic,
      partition: state.partition,
      timestamp: (state.resetTo ?? policy) === 'earliest' ? OffsetSpec.EARLIEST : OffsetSpec.LATEST,
    }))
    const { isolationLevel } = this.options
    // Soon over: those that were found are read, and the others looked for again.
    const timeoutMs = Math.min(FIND_POSITIONS_MS, this.cluster.apiTimeoutMs)
    const found = await listOffsets(this.cluster, queries, { isolationLevel, timeoutMs })
    for (const state of states) {
      const offset = found.get(partitionKey(state.topic, state.partition))
      if (offset === undefined || state.position !== undefined) continue
      if (offset instanceof KafkaError) this.fetchFailed(offset, [state])
      else state.seek(offset.offset)
    }
  }

  private async fetch(nodeId: number, states: readonly AssignedPartition[]): Promise<void> {
    const connection = await this.cluster.broker(nodeId, this.lane)
    const { options } = this
    this.turn++
    const asked = states.map((state) => ({ state, fetchOffset: state.fetchOffset }))
    const topics = [...Map.groupBy(asked, ({ state }) => state.topic)].map(([topic, of]) => {
      const known = this.cluster.knownTopic(topic)
      return {
        topic,
        topicId: known?.topicId ?? ZERO_UUID,
        partitions: of.map(({ state, fetchOffset }) => ({
          partition: state.partition,
          currentLeaderEpoch: known?.partitions[state.partition]?.leaderEpoch ?? -1,
          fetchOffset,
          partitionMaxBytes: options.maxPartitionFetchBytes,
        })),
      }
    })
    // 12 is the last version that names topics; ids also tell a topic from one deleted before it.
    const named = topics.some((topic) => topic.topicId === ZERO_UUID)
    const response = await connection.request(
      Fetch,
      {
        maxWaitMs: options.fetchMaxWaitMs,
        minBytes: options.fetchMinBytes,
        maxBytes: options.fetchMaxBytes,
        isolationLevel: isolationCode(options.isolationLevel),
        topics,
        rackId: options.rackId,
      },
      { timeoutMs: options.fetchMaxWaitMs + this.cluster.requestTimeoutMs, ...(named ? { maxVersion: 12 } : {}) },
    )
    if (response.errorCode !== ErrorCode.NONE) throw new KafkaError(errorName(response.errorCode))
    for (const answer of response.responses) {
      const topic = answer.topic !== '' ? answer.topic : topics.find((sent) => sent.topicId === answer.topicId)?.topic
      for (const partition of answer.partitions) {
        const found = asked.find(({ state }) => state.topic === topic && state.partition === partition.partitionIndex)
        // A seek, or another assignment, while the fetch was under way: its records are of no use.
        if (found === undefined || found.state.fetchOffset !== found.fetchOffset) continue
        if (this.assigned.get(partitionKey(found.state.topic, found.state.partition)) !== found.state) continue
        this.accept(found.state, partition)
      }
    }
  }

  private accept(state: AssignedPartition, partition: PartitionResponse): void {
    const name = `${state.topic}-${state.partition}`
    if (partition.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
      if (state.preferredReplica >= 0) {
        state.preferredReplica = -1
        return
      }
      const at = state.fetchOffset
      state.position = undefined
      if (this.options.autoOffsetReset === 'none') throw new NoOffsetError([state], `offset ${at} is out of range`)
      return
    }
    if (partition.errorCode !== ErrorCode.NONE) {
      const code = errorName(partition.errorCode)
      state.preferredReplica = -1
      this.fetchFailed(new KafkaError(code, `fetching ${name}: ${code}`), [state])
      return
    }
    state.highWatermark = partition.highWatermark
    if (partition.preferredReadReplica >= 0) {
      state.preferredReplica = partition.preferredReadReplica
      return
    }
    if (partition.records === null || partition.records.length === 0) return
    const { records, nextOffset } = decodeFetched(partition.records, {
      topic: state.topic,
      partition: state.partition,
      fetchOffset: state.fetchOffset,
      readCommitted: this.options.isolationLevel === 'read_committed',
      abortedTransactions: partition.abortedTransactions ?? [],
      checkCrcs: this.options.checkCrcs,
    })
    state.buffered = records
    state.fetchOffset = nextOffset
    if (records.length === 0) state.position = nextOffset
  }
}

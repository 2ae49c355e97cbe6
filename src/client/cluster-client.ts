// What every client has in common: a list of servers to start from, what is known of the cluster, connections to its brokers, and
// where to send what. Producer, consumers and admin stand on it; many may share one.

import type { Clock } from '../host/clock.ts'
import type { Endpoint, Network } from '../host/network.ts'
import type { Random } from '../host/random.ts'
import { ErrorCode, type ErrorName, errorName, KafkaError } from '../protocol/error-codes.ts'
import { ZERO_UUID } from '../protocol/ids.ts'
import { Metadata } from '../protocol/messages/03-metadata.ts'
import { FindCoordinator } from '../protocol/messages/10-find-coordinator.ts'
import type { Api, Decoded, Encodable, Fields } from '../protocol/schema.ts'
import { parseBootstrapServers } from './bootstrap.ts'
import { Connection, type RequestOptions } from './connection.ts'
import { ClientClosedError, ConnectionError } from './errors.ts'
import { type BrokerMetadata, type ClusterView, readMetadata, type TopicMetadata } from './metadata.ts'
import { type Backoff, retry } from './retry.ts'

export interface ClusterClientOptions {
  /** `host:port,host:port`, or the same as a list. */
  readonly bootstrapServers: string | readonly string[]
  readonly network: Network
  readonly clock: Clock
  readonly random: Random
  /** Named in the broker's logs and quotas. */
  readonly clientId?: string
  readonly softwareVersion?: string
  /** How long one request may stay unanswered. */
  readonly requestTimeoutMs?: number
  readonly connectTimeoutMs?: number
  /** How long a call that is tried again and again may take in all: `default.api.timeout.ms`. */
  readonly apiTimeoutMs?: number
  readonly retryBackoffMs?: number
  readonly retryBackoffMaxMs?: number
  /** How old what is known of a topic may be. */
  readonly metadataMaxAgeMs?: number
}

/**
 * Requests of different lanes go over different connections: a broker answers a connection's requests one after the other, and one
 * that waits (a fetch, a join) holds up all behind it. `main` and `coordinator` are shared; who waits makes a lane of his own.
 */
export type Lane = string

export const CoordinatorType = { GROUP: 0, TRANSACTION: 1, SHARE: 2 } as const
export type CoordinatorTypeCode = (typeof CoordinatorType)[keyof typeof CoordinatorType]

interface KnownTopic {
  readonly metadata: TopicMetadata
  readonly atMs: number
}

/** Errors that say that what we know of leaders is old. */
const STALE_LEADERS: ReadonlySet<ErrorName> = new Set<ErrorName>([
  'UNKNOWN_TOPIC_OR_PARTITION',
  'LEADER_NOT_AVAILABLE',
  'NOT_LEADER_OR_FOLLOWER',
  'REPLICA_NOT_AVAILABLE',
  'FENCED_LEADER_EPOCH',
  'UNKNOWN_LEADER_EPOCH',
  'KAFKA_STORAGE_ERROR',
  'LISTENER_NOT_FOUND',
  'UNKNOWN_TOPIC_ID',
  'INCONSISTENT_TOPIC_ID',
])

/** Errors that say that the coordinator is another, or will be. */
const STALE_COORDINATOR: ReadonlySet<ErrorName> = new Set<ErrorName>(['NOT_COORDINATOR', 'COORDINATOR_NOT_AVAILABLE'])

export class ClusterClient {
  readonly clock: Clock
  readonly random: Random
  readonly clientId: string
  readonly requestTimeoutMs: number
  readonly apiTimeoutMs: number
  readonly backoff: Backoff

  private readonly options: ClusterClientOptions
  private readonly bootstrap: readonly Endpoint[]
  private readonly connectTimeoutMs: number
  private readonly metadataMaxAgeMs: number
  /** Open or opening, by `nodeId/lane`, or `bootstrap/host:port`. */
  private readonly connections = new Map<string, Promise<Connection>>()
  private brokers: readonly BrokerMetadata[] = []
  private controllerId = -1
  private readonly topics = new Map<string, KnownTopic>()
  private readonly coordinators = new Map<string, number>()
  private lanes = 0
  private closed = false

  /** Connects to nothing yet. Throws TypeError for servers that are none. */
  constructor(options: ClusterClientOptions) {
    this.options = options
    this.clock = options.clock
    this.random = options.random
    this.bootstrap = parseBootstrapServers(options.bootstrapServers)
    this.clientId = options.clientId ?? 'moldau'
    this.requestTimeoutMs = options.requestTimeoutMs ?? 30_000
    this.connectTimeoutMs = options.connectTimeoutMs ?? 10_000
    this.apiTimeoutMs = options.apiTimeoutMs ?? 60_000
    this.metadataMaxAgeMs = options.metadataMaxAgeMs ?? 300_000
    this.backoff = { initialMs: options.retryBackoffMs ?? 100, maxMs: options.retryBackoffMaxMs ?? 1000 }
  }

  // ── what is known ─────────────────────────────────────────────────────────────────────────────────────────────────

  /** Asks a broker for these topics, or for all with null. Keeps what it learns. */
  async metadata(
    topics: readonly string[] | null,
    options: { readonly allowAutoTopicCreation?: boolean; readonly includeTopicAuthorizedOperations?: boolean } = {},
  ): Promise<ClusterView> {
    const connection = await this.anyBroker()
    const response = await connection.request(Metadata, {
      topics: topics === null ? null : topics.map((name) => ({ name, topicId: ZERO_UUID })),
      allowAutoTopicCreation: options.allowAutoTopicCreation ?? false,
      includeTopicAuthorizedOperations: options.includeTopicAuthorizedOperations ?? false,
    })
    if (response.errorCode !== ErrorCode.NONE) throw new KafkaError(errorName(response.errorCode))
    const view = readMetadata(response)
    this.brokers = view.brokers
    this.controllerId = view.controllerId
    const atMs = this.clock.monotonicMs()
    for (const metadata of view.topics) this.topics.set(metadata.name, { metadata, atMs })
    for (const name of view.topicErrors.keys()) this.topics.delete(name)
    return view
  }

  /**
   * A topic, from memory if it is not too old. One that does not exist (yet) is asked for again until `timeoutMs` is over; the
   * error is then KafkaError UNKNOWN_TOPIC_OR_PARTITION, or whatever the broker said.
   */
  async topic(
    name: string,
    options: { readonly allowAutoTopicCreation?: boolean; readonly timeoutMs?: number } = {},
  ): Promise<TopicMetadata> {
    const known = this.knownTopic(name)
    if (known !== undefined) return known
    return this.retrying(`metadata of topic ${name}`, options.timeoutMs ?? this.apiTimeoutMs, async () => {
      const view = await this.metadata([name], options)
      const found = view.topics.find((topic) => topic.name === name)
      if (found !== undefined && found.partitions.length > 0) return found
      const code = view.topicErrors.get(name) ?? 'LEADER_NOT_AVAILABLE'
      throw new KafkaError(code, `topic ${name}: ${code}`)
    })
  }

  /** What is known of a topic without asking anyone; nothing, if that is too old. */
  knownTopic(name: string): TopicMetadata | undefined {
    const known = this.topics.get(name)
    if (known === undefined || this.clock.monotonicMs() - known.atMs > this.metadataMaxAgeMs) return undefined
    return known.metadata
  }

  /** Forgets a topic, or all: whoever needs it asks anew. */
  forgetTopic(name?: string): void {
    if (name === undefined) this.topics.clear()
    else this.topics.delete(name)
  }

  /** The broker that leads the partition. Throws KafkaError, retriable, where there is none. */
  async leader(topic: string, partition: number): Promise<number> {
    const metadata = await this.topic(topic)
    const found = metadata.partitions[partition]
    if (found === undefined) {
      this.forgetTopic(topic)
      throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${topic} has no partition ${partition}`)
    }
    if (found.leaderId < 0) {
      this.forgetTopic(topic)
      throw new KafkaError('LEADER_NOT_AVAILABLE', `partition ${topic}-${partition} has no leader`)
    }
    return found.leaderId
  }

  // ── connections ───────────────────────────────────────────────────────────────────────────────────────────────────

  /** A connection to any broker: an open one, else the first that can be had. Rejects with ConnectionError where none answers. */
  async anyBroker(): Promise<Connection> {
    for (const [name, opening] of this.connections) {
      if (!name.endsWith('/main') && !name.startsWith('bootstrap/')) continue
      const connection = await opening.catch(() => undefined)
      if (connection?.isOpen) return connection
    }
    const candidates = [
      ...this.shuffled(this.brokers).map((broker) => () => this.broker(broker.nodeId)),
      ...this.shuffled(this.bootstrap).map(
        (endpoint) => () => this.connect(`bootstrap/${endpoint.host}:${endpoint.port}`, endpoint),
      ),
    ]
    const failures: Error[] = []
    for (const open of candidates) {
      try {
        return await open()
      } catch (error) {
        if (error instanceof ClientClosedError) throw error
        failures.push(error as Error)
      }
    }
    // A server that answers something that is not Kafka is more telling than one that is down.
    const telling = failures.find((error) => !(error instanceof ConnectionError)) ?? failures.at(-1)!
    throw telling
  }

  /** The connection to a broker that metadata names, opened if need be. */
  async broker(nodeId: number, lane: Lane = 'main'): Promise<Connection> {
    let broker = this.brokers.find((candidate) => candidate.nodeId === nodeId)
    if (broker === undefined) {
      await this.metadata([])
      broker = this.brokers.find((candidate) => candidate.nodeId === nodeId)
    }
    if (broker === undefined) throw new KafkaError('LEADER_NOT_AVAILABLE', `broker ${nodeId} is not in the cluster now`)
    // Nearly always the server that we started from is a broker by the same name.
    const start = `bootstrap/${broker.host}:${broker.port}`
    return this.connect(lane === 'main' && this.connections.has(start) ? start : `${nodeId}/${lane}`, broker)
  }

  /** The broker to which changes of topics and configuration go. Kafka's brokers forward: any will do where none is named. */
  async controller(): Promise<Connection> {
    if (this.controllerId < 0) await this.metadata([])
    return this.controllerId < 0 ? this.anyBroker() : this.broker(this.controllerId)
  }

  /** The broker that coordinates a group or a transactional id. Rejects with KafkaError, retriable while there is none. */
  async coordinator(type: CoordinatorTypeCode, key: string, lane: Lane = 'coordinator'): Promise<Connection> {
    const known = this.coordinators.get(`${type}/${key}`)
    const nodeId = known ?? (await this.findCoordinator(type, key)).nodeId
    return this.broker(nodeId, lane)
  }

  /** A lane that nobody else uses. */
  newLane(): Lane {
    this.lanes++
    return `lane-${this.lanes}`
  }

  /** Closes the connections of a lane. What is under way on them is rejected. */
  closeLane(lane: Lane): void {
    for (const [name, opening] of this.connections) {
      if (!name.endsWith(`/${lane}`)) continue
      this.connections.delete(name)
      opening.then((connection) => connection.close()).catch(() => {})
    }
  }

  /** Where the coordinator is, asked anew. */
  async findCoordinator(type: CoordinatorTypeCode, key: string): Promise<BrokerMetadata> {
    const connection = await this.anyBroker()
    const response = await connection.request(
      FindCoordinator,
      { key, keyType: type, coordinatorKeys: [key] },
      type === CoordinatorType.GROUP ? {} : { minVersion: type === CoordinatorType.SHARE ? 6 : 1 },
    )
    const found = response.coordinators.find((entry) => entry.key === key) ?? response
    if (found.errorCode !== ErrorCode.NONE) {
      throw new KafkaError(errorName(found.errorCode), found.errorMessage ?? undefined)
    }
    const { nodeId, host, port } = found
    this.coordinators.set(`${type}/${key}`, nodeId)
    if (!this.brokers.some((broker) => broker.nodeId === nodeId)) {
      this.brokers = [...this.brokers, { nodeId, host, port, rack: null }]
    }
    return { nodeId, host, port, rack: null }
  }

  forgetCoordinator(type: CoordinatorTypeCode, key: string): void {
    this.coordinators.delete(`${type}/${key}`)
  }

  // ── trying again ──────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Runs `work` until it succeeds, fails for good, or the time is up. What a failure proves stale is forgotten before the next
   * try, so `work` should look leaders and coordinators up by itself.
   */
  retrying<T>(what: string, timeoutMs: number, work: (remainingMs: number) => Promise<T>): Promise<T> {
    const { clock, random, backoff } = this
    return retry({ clock, random, backoff, timeoutMs, what, beforeRetry: (error) => this.learnFrom(error) }, work)
  }

  /** Forgets what an error proves stale. */
  learnFrom(error: unknown): void {
    if (!(error instanceof KafkaError)) {
      // A broker is gone: leaders and coordinators are about to move.
      this.topics.clear()
      this.coordinators.clear()
      return
    }
    if (STALE_LEADERS.has(error.code)) this.topics.clear()
    if (STALE_COORDINATOR.has(error.code)) this.coordinators.clear()
    if (error.code === 'NOT_CONTROLLER') this.controllerId = -1
  }

  /** One request to any broker, tried again while that can help. */
  request<Req extends Fields, Res extends Fields>(
    api: Api<Req, Res>,
    request: Encodable<Req>,
    options: RequestOptions = {},
  ): Promise<Decoded<Res>> {
    return this.retrying(api.name, this.apiTimeoutMs, async () => (await this.anyBroker()).request(api, request, options))
  }

  /** Closes every connection. Whatever is under way is rejected. */
  async close(): Promise<void> {
    this.closed = true
    const opening = [...this.connections.values()]
    this.connections.clear()
    for (const connection of await Promise.allSettled(opening)) {
      if (connection.status === 'fulfilled') connection.value.close()
    }
  }

  private connect(name: string, endpoint: Endpoint): Promise<Connection> {
    if (this.closed) return Promise.reject(new ClientClosedError())
    const existing = this.connections.get(name)
    if (existing !== undefined) return existing
    const opening = Connection.open({
      network: this.options.network,
      clock: this.clock,
      endpoint: { host: endpoint.host, port: endpoint.port },
      clientId: this.clientId,
      connectTimeoutMs: this.connectTimeoutMs,
      requestTimeoutMs: this.requestTimeoutMs,
      softwareVersion: this.options.softwareVersion ?? '0',
    })
    this.connections.set(name, opening)
    const forget = () => {
      if (this.connections.get(name) === opening) this.connections.delete(name)
    }
    opening.then((connection) => {
      if (this.closed) connection.close()
      connection.onClose = forget
      if (!connection.isOpen) forget()
    }, forget)
    return opening
  }

  private shuffled<T>(items: readonly T[]): T[] {
    const rest = [...items]
    const shuffled: T[] = []
    while (rest.length > 0) shuffled.push(...rest.splice(this.random.u32() % rest.length, 1))
    return shuffled
  }
}

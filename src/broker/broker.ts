// One broker node: puts the parts together, in the order in which they can start, and takes them apart again.

import { BufferPool } from '../bytes/buffer-pool.ts'
import { type ClusterAccess, ClusterMetadata } from '../cluster/cluster-metadata.ts'
import { ConnectionLink } from '../cluster/controller-link.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import type { BrokerEndpoint } from '../cluster/metadata-records.ts'
import { Peers } from '../cluster/peers.ts'
import type { Partition } from '../cluster/replication/partition.ts'
import { ReplicaManager, type ReplicationOptions } from '../cluster/replication/replica-manager.ts'
import type { ReplicationEvent, ReplicationReport } from '../cluster/replication/replication-event.ts'
import type { MetadataStore } from '../cluster/store/metadata-store.ts'
import type { BrokerConfig } from '../config/effective.ts'
import { interBrokerListener, type ListenerConfig, parseListeners } from '../config/listeners.ts'
import type { Clock } from '../host/clock.ts'
import type { Disk } from '../host/disk.ts'
import type { Logger } from '../host/logger.ts'
import type { Endpoint, Network } from '../host/network.ts'
import type { Random } from '../host/random.ts'
import type { BackupResult } from '../log/backup.ts'
import { META_PROPERTIES } from '../log/file-names.ts'
import { refuseKafkas } from '../log/log-directory.ts'
import { LogManager } from '../log/log-manager.ts'
import { AppliedImage } from './applied-image.ts'
import { BrokerAddresses } from './broker-addresses.ts'
import { readCleanShutdown } from './clean-shutdown.ts'
import { Coordinators } from './coordinators.ts'
import { FetchSessions } from './fetch-sessions.ts'
import { announcedApis } from './handlers/all-handlers.ts'
import { logEventLines, METADATA_DIRECTORY } from './log-event-lines.ts'
import { logTuningOf } from './log-tuning-of.ts'
import { SocketServer } from './network/socket-server.ts'
import { replicationEventLines } from './replication-event-lines.ts'
import { replicationSettingsOf, replicationThrottlesOf } from './replication-settings.ts'
import { RequestDispatcher } from './request-dispatcher.ts'
import { diskStartError, listenError, StartError } from './start-error.ts'
import { TopicCreation } from './topic-creation.ts'
import { logConfigOf } from './topic-log-config.ts'

/** How long a shutdown waits for requests that are being answered. */
const SHUTDOWN_GRACE_MS = 5_000
/** How long others may take to lead what a stopping broker led. */
const CONTROLLED_SHUTDOWN_MS = 30_000
/** How long a request to the controller may go unanswered. */
const CONTROLLER_TIMEOUT_MS = 10_000

export interface BrokerOptions {
  readonly config: BrokerConfig
  /** Absolute. Created if absent. */
  readonly directories: readonly string[]
  readonly disk: Disk
  readonly network: Network
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Absent: a single node, with metadata of its own. */
  readonly cluster?: BrokerCluster
  /** The broker has stopped by itself, for it could not do anything any more. */
  readonly onGivenUp?: (reason: Error) => void
  /** For those who look on, as simulations do. */
  readonly observer?: BrokerObserver
}

/** Must not throw, nor change anything. */
export interface BrokerObserver {
  /** There is something to look at; the broker has not taken its place in the cluster yet. */
  opened(view: BrokerView): void
  replicated(event: ReplicationEvent): void
}

/** What a broker holds, as it is at the time of each call. */
export interface BrokerView {
  /** The newest that it has heard of. */
  image(): MetadataImage
  /** -1 before its first lease. */
  brokerEpoch(): number
  isController(): boolean
  /** Of which it has a replica. */
  partitions(): Iterable<Partition>
}

/** What makes a broker one of several. */
export interface BrokerCluster {
  /** That all of them share. Closed by whoever has opened it, after the broker. */
  readonly store: MetadataStore
  /** Brokers of one machine fail together. Default: this one is alone on its own. */
  readonly machine?: string | null
  /** Under which name others reach this machine, where a listener is told neither an address nor what to advertise. Default: localhost. */
  readonly hostName?: string
  /** Go on even where the store is another one than before, or an older state of it. Default: false. */
  readonly acceptMetadataRollback?: boolean
}

export class Broker {
  readonly nodeId: number
  /** Of the first listener: where to reach it from this machine. */
  readonly endpoint: Endpoint
  private readonly parts: Parts

  private constructor(nodeId: number, endpoint: Endpoint, parts: Parts) {
    this.nodeId = nodeId
    this.endpoint = endpoint
    this.parts = parts
  }

  /** Resolves when it serves. Throws StartError where the world does not allow it to. */
  static async start(options: BrokerOptions): Promise<Broker> {
    const parts = new Parts(options)
    try {
      await parts.open()
      const endpoint = await parts.listen()
      return new Broker(parts.nodeId, endpoint, parts)
    } catch (error) {
      await parts.close(0).catch(() => {})
      throw diskStartError(error)
    }
  }

  /**
   * Copies all data, as it is now, into a directory that does not exist yet or is empty, while the broker serves. Resolves when the
   * copy is on the disk. Rejects with Error: then what is there is not a backup.
   */
  backup(directory: string): Promise<BackupResult> {
    return this.parts.backup(directory)
  }

  /** Lets go of memory that is only kept to be used again. What consumers at the tail read stays. */
  releaseMemory(): void {
    this.parts.pool.trim()
  }

  /** Answers what is under way, writes everything down and leaves the mark of a clean shutdown. */
  close(): Promise<void> {
    return this.parts.close(SHUTDOWN_GRACE_MS)
  }
}

/** What a broker is made of. Each part may be missing while it starts, and while it fails to. */
class Parts {
  readonly nodeId: number
  private readonly options: BrokerOptions
  readonly pool = new BufferPool()
  private readonly listeners: ReadonlyMap<string, ListenerConfig>
  private metadata: ClusterMetadata | undefined
  private logs: LogManager | undefined
  private replicas: ReplicaManager | undefined
  private peers: Peers | undefined
  private coordinators: Coordinators | undefined
  private server: SocketServer | undefined
  /** There is something to serve. */
  private dispatcher: RequestDispatcher | undefined
  private endpoint: Endpoint | undefined
  private closing: Promise<void> | undefined

  constructor(options: BrokerOptions) {
    this.options = options
    this.nodeId = options.config.get('node.id')
    this.listeners = new Map(parseListeners(options.config).map((listener) => [listener.name, listener]))
  }

  /** Metadata, then logs, then what works on them. */
  async open(): Promise<void> {
    const { clock, config, directories, disk, logger, random } = this.options
    const metadataDirectory = `${directories[0]}/${METADATA_DIRECTORY}`
    for (const directory of directories) await refuseKafkas(disk, directory, metadataDirectory)
    const lastShutdown = await readCleanShutdown(disk, directories)
    const metadata = await ClusterMetadata.open({
      disk,
      clock,
      random,
      config,
      directory: metadataDirectory,
      node: {
        id: this.nodeId,
        rack: config.get('broker.rack'),
        machine: this.options.cluster?.machine ?? null,
        cleanShutdown: lastShutdown.wasClean,
        previousEpoch: lastShutdown.brokerEpoch,
      },
      cluster: this.clusterAccess(),
    })
    this.metadata = metadata
    const logConfig = (topic: string) => logConfigOf(metadata.topicConfig(topic))
    const logs = await LogManager.open({
      disk,
      buffers: this.pool,
      clock,
      random,
      directories,
      identity: { nodeId: this.nodeId, clusterId: metadata.clusterId },
      config: logConfig,
      tuning: () => logTuningOf(metadata.brokerConfig()),
      report: logEventLines(logger),
    })
    this.logs = logs
    const replicas = new ReplicaManager({
      nodeId: this.nodeId,
      clock,
      logs,
      logConfig,
      minInsyncReplicas: (topic) => metadata.topicConfig(topic).get('min.insync.replicas'),
      replication: this.replication(metadata),
      report: this.replicationReport(),
    })
    this.replicas = replicas
    this.options.observer?.opened({
      image: () => metadata.image(),
      brokerEpoch: () => metadata.brokerEpoch,
      isController: () => metadata.isController,
      partitions: () => replicas.partitions(),
    })
    this.server = this.socketServer(replicas)
    // What the image asks of this broker until it is registered was asked of the process before it.
    if (metadata.isCluster) await this.bind()
    const loaded = metadata.image()
    await replicas.load(loaded)
    logs.start({
      retentionCheckMs: Number(config.get('log.retention.check.interval.ms')),
      checkpointMs: config.get('log.flush.offset.checkpoint.interval.ms'),
      producerExpirationCheckMs: config.get('producer.id.expiration.check.interval.ms'),
      compactionCheckMs: config.get('log.cleaner.enable') ? Math.max(1, config.get('log.cleaner.backoff.ms')) : undefined,
      initialDelayMs: config.get('log.initial.task.delay.ms'),
    })
    const peers = new Peers({
      nodeId: this.nodeId,
      network: this.options.network,
      clock,
      image: () => metadata.image(),
      listener: interBrokerListener(config),
      purpose: 'transactions',
      requestTimeoutMs: config.get('request.timeout.ms'),
    })
    this.peers = peers
    const coordinators = new Coordinators({ nodeId: this.nodeId, clock, random, logger, config, metadata, replicas, peers })
    this.coordinators = coordinators
    coordinators.follow(loaded)

    const applied = new AppliedImage(
      loaded,
      async (image, delta) => {
        await replicas.apply(image, delta)
        coordinators.follow(image, delta)
      },
      (error) => logger.error(`a change of metadata could not be applied: ${(error as Error).message}`),
    )
    metadata.onChange((image, delta) => applied.next(image, delta))
    // The cluster does not wait until our logs are loaded.
    if (metadata.image() !== loaded) applied.next(metadata.image(), metadata.image().since(loaded))
    const topics = new TopicCreation({ metadata, image: () => applied.current, caughtUp: () => applied.caughtUp() })
    metadata.setApplied(() => applied.current.revision)
    const addresses = new BrokerAddresses({
      nodeId: this.nodeId,
      rack: config.get('broker.rack'),
      listeners: this.listeners,
      image: () => applied.current,
    })
    this.dispatcher = new RequestDispatcher({
      nodeId: this.nodeId,
      clusterId: metadata.clusterId,
      clock,
      config: () => metadata.brokerConfig(),
      metadata,
      image: () => applied.current,
      caughtUp: () => applied.caughtUp(),
      replicas,
      // A directory that could not be used from the start is not among those that are managed.
      logDirectories: () =>
        directories.map((path) => {
          const managed = logs.directories.find((directory) => directory.path === path)
          return { path, isOnline: managed !== undefined && managed.state !== 'offline' }
        }),
      space: async (directory) => {
        const { totalBytes, freeBytes } = await disk.space(directory)
        return { totalBytes: BigInt(totalBytes), usableBytes: BigInt(freeBytes) }
      },
      groups: coordinators.groups,
      transactions: coordinators.transactions,
      admission: coordinators.admission,
      sessions: new FetchSessions(config.get('max.incremental.fetch.session.cache.slots'), clock, random),
      topics,
      announcedApis: announcedApis(metadata.isCluster),
      self: (connection) => addresses.self(connection),
      brokers: (connection) => addresses.live(connection),
      registeredBrokers: (connection) => addresses.registered(connection),
      isPeer: ({ listener }) => metadata.isCluster && listener === (interBrokerListener(config) ?? listener),
      bug: (what, error) => logger.error(`${what}: ${error instanceof Error ? error.stack : error}`),
    })
  }

  /** Returns where the first listener can be reached from this machine, once this broker serves there. */
  async listen(): Promise<Endpoint> {
    if (this.endpoint === undefined) await this.bind()
    await this.metadata!.serve()
    return this.endpoint!
  }

  /** Connections that come before there is anything to serve are closed again: their clients try another broker, or wait. */
  private async bind(): Promise<void> {
    const endpoints: BrokerEndpoint[] = []
    for (const { name, host, port, securityProtocol, advertised } of this.listeners.values()) {
      const bound = await this.server!.listen({ name, host, port }).catch((error) => {
        throw listenError(host, port, error)
      })
      const here = { host: host === '' ? 'localhost' : host, port: bound.port }
      this.endpoint ??= here
      // Other brokers tell their clients of this one what it is registered with.
      const { cluster } = this.options
      const reachable = isEverywhere(host) ? { host: cluster?.hostName ?? 'localhost', port: bound.port } : here
      const told = cluster === undefined ? here : (advertised ?? reachable)
      endpoints.push({ name, ...told, securityProtocol })
    }
    await this.metadata!.setEndpoints(endpoints)
  }

  private replication(metadata: ClusterMetadata): ReplicationOptions | undefined {
    const { config, network, random } = this.options
    if (!metadata.isCluster) return undefined
    return {
      network,
      random,
      brokerEpoch: () => metadata.brokerEpoch,
      isrChanges: metadata.isrChanges,
      throttles: replicationThrottlesOf(metadata, this.nodeId),
      tellPlaces: (places) => metadata.tellPlaces(places),
      onAllOffline: () => this.giveUp(),
      settings: () => replicationSettingsOf(metadata.brokerConfig()),
      listener: interBrokerListener(config) ?? undefined,
    }
  }

  private replicationReport(): ReplicationReport {
    const { logger, observer } = this.options
    const lines = replicationEventLines(logger)
    if (observer === undefined) return lines
    return (event) => {
      lines(event)
      observer.replicated(event)
    }
  }

  private clusterAccess(): ClusterAccess | undefined {
    const { cluster, network, clock, logger } = this.options
    if (cluster === undefined) return undefined
    return {
      store: cluster.store,
      acceptRollback: cluster.acceptMetadataRollback,
      link: (endpoint) =>
        new ConnectionLink({ network, clock, nodeId: this.nodeId, endpoint, requestTimeoutMs: CONTROLLER_TIMEOUT_MS }),
      report: (line) => logger.info(line),
    }
  }

  private socketServer(replicas: ReplicaManager): SocketServer {
    const { clock, config, logger, network } = this.options
    return new SocketServer({
      network,
      clock,
      pool: this.pool,
      maxFrameBytes: config.get('socket.request.max.bytes'),
      maxConnections: config.get('max.connections'),
      maxConnectionsPerIp: config.get('max.connections.per.ip'),
      maxIdleMs: Number(config.get('connections.max.idle.ms')),
      backlog: config.get('socket.listen.backlog.size'),
      serve: (frame, connection) => (this.dispatcher === undefined ? 'close' : this.dispatcher.serve(frame, connection)),
      admission: replicas.budget,
      report: (reason, remote) => logger.warn(`closed the connection of ${remote.host}:${remote.port}: ${reason}`),
    })
  }

  /** Others lead what this broker led once its lease is gone, with which it goes now. */
  private giveUp(): void {
    const { logger, onGivenUp } = this.options
    logger.error('no log directory is left that could be used: stopping')
    const done = () => onGivenUp?.(new StartError('no log directory is left that could be used'))
    this.close(0).then(done, done)
  }

  async backup(directory: string): Promise<BackupResult> {
    const { disk, directories } = this.options
    await disk.makeDirectory(directory)
    if ((await disk.list(directory)).length > 0) throw new Error(`${directory} is not empty`)
    // In one turn of the loop: metadata and logs are of the same moment.
    const metadata = this.metadata!.encodeSnapshot()
    if (metadata === undefined) throw new Error('a broker of a cluster has no metadata of its own to back up')
    const logs = this.logs!.takeBackup()
    const result = await logs.copyTo(directory)
    await disk.makeDirectory(`${directory}/${METADATA_DIRECTORY}`)
    await disk.replaceFile(`${directory}/${METADATA_DIRECTORY}/snapshot`, metadata)
    await disk.replaceFile(`${directory}/${META_PROPERTIES}`, await disk.readFile(`${directories[0]}/${META_PROPERTIES}`))
    return result
  }

  /** Stops taking requests first, then writes down what there is, the mark of a clean shutdown last. */
  close(graceMs: number): Promise<void> {
    this.closing ??= this.closeParts(graceMs)
    return this.closing
  }

  private async closeParts(graceMs: number): Promise<void> {
    // Others lead what this broker led before it stops to answer.
    const { metadata, options } = this
    const handsOver = graceMs > 0 && metadata?.isCluster === true && options.config.get('controlled.shutdown.enable')
    const handedOver = handsOver && (await metadata.controlledShutdown(CONTROLLED_SHUTDOWN_MS))
    if (handsOver && !handedOver) options.logger.warn('nobody has taken over what this broker leads: stopping all the same')
    this.coordinators?.close()
    this.peers?.close()
    await this.server?.close(graceMs)
    this.replicas?.close()
    await this.logs?.close(handedOver ? metadata.brokerEpoch : undefined)
    await metadata?.close()
  }
}

const isEverywhere = (host: string) => host === '' || host === '0.0.0.0' || host === '::'

// One broker node: puts the parts together, in the order in which they can start, and takes them apart again.

import { BufferPool } from '../bytes/buffer-pool.ts'
import { ClusterMetadata } from '../cluster/cluster-metadata.ts'
import { GROUP_OFFSETS_TOPIC } from '../cluster/internal-topics.ts'
import type { MetadataDelta, MetadataImage } from '../cluster/metadata-image.ts'
import type { BrokerEndpoint } from '../cluster/metadata-records.ts'
import { ReplicaManager } from '../cluster/replication/replica-manager.ts'
import type { BrokerConfig } from '../config/effective.ts'
import { type ListenerConfig, parseListeners } from '../config/listeners.ts'
import { GroupCoordinator } from '../coordinators/group/group-coordinator.ts'
import type { Report } from '../coordinators/runtime/ports.ts'
import { supportOfTxnOffsetCommit } from '../coordinators/transaction/producer-support.ts'
import type { TransactionCoordinator } from '../coordinators/transaction/transaction-coordinator.ts'
import type { ProducerIdentity } from '../coordinators/transaction/transactions.ts'
import type { Clock } from '../host/clock.ts'
import type { Disk } from '../host/disk.ts'
import type { Logger } from '../host/logger.ts'
import type { Endpoint, Network } from '../host/network.ts'
import { hyphenatedUuid, type Random } from '../host/random.ts'
import type { BackupResult } from '../log/backup.ts'
import { CLEAN_SHUTDOWN_MARKER, META_PROPERTIES } from '../log/file-names.ts'
import { refuseKafkas } from '../log/log-directory.ts'
import { LogManager } from '../log/log-manager.ts'
import { AppliedImage } from './applied-image.ts'
import { PartitionCoordinatorLog } from './coordinator-log.ts'
import { FetchSessions } from './fetch-sessions.ts'
import { groupConfigOf } from './group-config.ts'
import { announcedApis } from './handlers/all-handlers.ts'
import { logEventLines, METADATA_DIRECTORY } from './log-event-lines.ts'
import { logTuningOf } from './log-tuning-of.ts'
import type { Connection } from './network/connection.ts'
import { SocketServer } from './network/socket-server.ts'
import { RequestDispatcher } from './request-dispatcher.ts'
import type { BrokerAddress, Services } from './services.ts'
import { diskStartError, listenError } from './start-error.ts'
import { TopicCreation } from './topic-creation.ts'
import { logConfigOf } from './topic-log-config.ts'
import { TransactionAdmission } from './transaction-admission.ts'
import { followTransactions, loadTransactions, transactionCoordinator } from './transactions.ts'

/** How long a shutdown waits for requests that are being answered. */
const SHUTDOWN_GRACE_MS = 5_000

export interface BrokerOptions {
  readonly config: BrokerConfig
  /** Absolute. Created if absent. */
  readonly directories: readonly string[]
  readonly disk: Disk
  readonly network: Network
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
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

  /** Answers what is under way, writes everything down and leaves the mark of a clean shutdown. */
  close(): Promise<void> {
    return this.parts.close(SHUTDOWN_GRACE_MS)
  }
}

/** What a broker is made of. Each part may be missing while it starts, and while it fails to. */
class Parts {
  readonly nodeId: number
  private readonly options: BrokerOptions
  private readonly pool = new BufferPool()
  private readonly listeners: ReadonlyMap<string, ListenerConfig>
  private metadata: ClusterMetadata | undefined
  private logs: LogManager | undefined
  private replicas: ReplicaManager | undefined
  private groups: GroupCoordinator | undefined
  private transactions: TransactionCoordinator | undefined
  private server: SocketServer | undefined
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
    const metadata = await ClusterMetadata.open({
      disk,
      clock,
      random,
      config,
      directory: metadataDirectory,
      node: { id: this.nodeId, rack: config.get('broker.rack'), cleanShutdown: await this.wasCleanlyShutDown() },
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
    const replicas = new ReplicaManager({ nodeId: this.nodeId, clock, logs, logConfig })
    this.replicas = replicas
    await replicas.load(metadata.image())
    logs.start({
      retentionCheckMs: Number(config.get('log.retention.check.interval.ms')),
      checkpointMs: config.get('log.flush.offset.checkpoint.interval.ms'),
      producerExpirationCheckMs: config.get('producer.id.expiration.check.interval.ms'),
      compactionCheckMs: config.get('log.cleaner.enable') ? Math.max(1, config.get('log.cleaner.backoff.ms')) : undefined,
      initialDelayMs: config.get('log.initial.task.delay.ms'),
    })
    const groups = this.groupCoordinator(metadata, replicas)
    this.groups = groups
    const parts = { nodeId: this.nodeId, clock, config, metadata, replicas, groups, report: this.reportCoordinator }
    const transactions = transactionCoordinator(parts)
    this.transactions = transactions
    this.loadGroups(metadata.image())
    loadTransactions(transactions, metadata.image(), parts)

    const applied = new AppliedImage(
      metadata.image(),
      async (image, delta) => {
        await replicas.apply(image, delta)
        this.followGroups(image, delta)
        followTransactions(transactions, image, delta, parts)
      },
      (error) => logger.error(`a change of metadata could not be applied: ${(error as Error).message}`),
    )
    metadata.onChange((image, delta) => applied.next(image, delta))
    const topics = new TopicCreation({ metadata, image: () => applied.current, caughtUp: () => applied.caughtUp() })
    const self = (connection: Connection) => this.addressFor(connection)
    this.serve({
      nodeId: this.nodeId,
      clusterId: metadata.clusterId,
      clock,
      config: () => metadata.brokerConfig(),
      metadata,
      image: () => applied.current,
      caughtUp: () => applied.caughtUp(),
      replicas,
      logDirectories: directories,
      space: async (directory) => {
        const { totalBytes, freeBytes } = await disk.space(directory)
        return { totalBytes: BigInt(totalBytes), usableBytes: BigInt(freeBytes) }
      },
      groups,
      transactions,
      admission: new TransactionAdmission(transactions, () =>
        metadata.brokerConfig().get('transaction.partition.verification.enable'),
      ),
      sessions: new FetchSessions(config.get('max.incremental.fetch.session.cache.slots'), clock, random),
      topics,
      announcedApis,
      self,
      brokers: (connection) => [self(connection)],
      bug: (what, error) => logger.error(`${what}: ${error instanceof Error ? error.stack : error}`),
    })
  }

  /** Returns where the first listener can be reached from this machine. */
  async listen(): Promise<Endpoint> {
    const endpoints: BrokerEndpoint[] = []
    for (const { name, host, port, securityProtocol } of this.listeners.values()) {
      const bound = await this.server!.listen({ name, host, port }).catch((error) => {
        throw listenError(host, port, error)
      })
      endpoints.push({ name, host: host === '' ? 'localhost' : host, port: bound.port, securityProtocol })
    }
    await this.metadata!.setEndpoints(endpoints)
    return endpoints[0]
  }

  private async wasCleanlyShutDown(): Promise<boolean> {
    const { directories, disk } = this.options
    const markers = directories.map((directory) => disk.exists(`${directory}/${CLEAN_SHUTDOWN_MARKER}`))
    return (await Promise.all(markers)).every((exists) => exists)
  }

  private serve(services: Services): void {
    const { clock, config, logger, network } = this.options
    this.server = new SocketServer({
      network,
      clock,
      pool: this.pool,
      maxFrameBytes: config.get('socket.request.max.bytes'),
      maxConnections: config.get('max.connections'),
      maxConnectionsPerIp: config.get('max.connections.per.ip'),
      maxIdleMs: Number(config.get('connections.max.idle.ms')),
      backlog: config.get('socket.listen.backlog.size'),
      serve: new RequestDispatcher(services).serve,
      admission: services.replicas.budget,
      report: (reason, remote) => logger.warn(`closed the connection of ${remote.host}:${remote.port}: ${reason}`),
    })
  }

  /** Whoever dialled an address is told that address, unless advertised.listeners says otherwise. */
  private addressFor(connection: Connection): BrokerAddress {
    const { host, port } = this.listeners.get(connection.listener)?.advertised ?? connection.socket.local
    return { nodeId: this.nodeId, host, port, rack: this.options.config.get('broker.rack') }
  }

  private groupCoordinator(metadata: ClusterMetadata, replicas: ReplicaManager): GroupCoordinator {
    const { clock, config, random } = this.options
    return new GroupCoordinator({
      config: groupConfigOf(config),
      // Once the topic is there, its own count holds, whatever the configuration says by now.
      partitionCount:
        metadata.image().topic(GROUP_OFFSETS_TOPIC)?.partitions.length ?? config.get('offsets.topic.num.partitions'),
      logFor: (partition) =>
        new PartitionCoordinatorLog(
          replicas.leader(GROUP_OFFSETS_TOPIC, partition),
          clock,
          config.get('offsets.commit.timeout.ms'),
        ),
      clock,
      uuid: () => hyphenatedUuid(random),
      topicIdOf: (topic) => metadata.image().topic(topic)?.id,
      report: this.reportCoordinator,
      // The two need each other: the one that is made later is looked up when it is asked.
      verifyTransaction: (request, partition, version) => this.verifyTransaction(request, partition, version),
    })
  }

  private readonly reportCoordinator: Report = (line, cause) => {
    const { logger } = this.options
    if (cause === undefined) logger.info(line)
    else logger.error(`${line}: ${cause instanceof Error ? cause.stack : cause}`)
  }

  /** Offsets that are committed in a transaction are writes to a partition like any other. */
  private async verifyTransaction(producer: ProducerIdentity, partition: number, version: number): Promise<number> {
    const topics = [{ name: GROUP_OFFSETS_TOPIC, partitions: [partition] }]
    const results = await this.transactions!.verifyOrAddPartitions({ ...producer, topics }, supportOfTxnOffsetCommit(version))
    return results[0].resultsByPartition[0].partitionErrorCode
  }

  /** In the background: requests are told that it is under way. */
  private loadGroups(image: MetadataImage): void {
    const { logger } = this.options
    for (const index of image.topic(GROUP_OFFSETS_TOPIC)?.partitions.keys() ?? []) {
      this.groups!.loadPartition(index).catch((error) => {
        logger.error(`the groups of ${GROUP_OFFSETS_TOPIC}-${index} could not be loaded: ${error.message}`)
      })
    }
  }

  private followGroups(image: MetadataImage, delta: MetadataDelta): void {
    const touched = delta.createdTopics.some(({ name }) => name === GROUP_OFFSETS_TOPIC)
    if (touched) this.loadGroups(image)
    const gone = delta.deletedTopics.map(({ name }) => name)
    if (gone.length > 0) this.groups!.onTopicsDeleted(gone)
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
    this.groups?.close()
    this.transactions?.close()
    await this.server?.close(graceMs)
    this.replicas?.close()
    await this.logs?.close()
    await this.metadata?.close()
  }
}

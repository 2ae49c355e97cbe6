// One broker node: puts the parts together, in the order in which they can start, and takes them apart again.

import { ClusterMetadata } from '../cluster/cluster-metadata.ts'
import { GROUP_OFFSETS_TOPIC } from '../cluster/internal-topics.ts'
import type { MetadataDelta, MetadataImage } from '../cluster/metadata-image.ts'
import { ReplicaManager } from '../cluster/replication/replica-manager.ts'
import { type BrokerConfig, TopicConfig } from '../config/effective.ts'
import { type ListenerConfig, parseListeners } from '../config/listeners.ts'
import { GroupCoordinator } from '../coordinators/group/group-coordinator.ts'
import type { Clock } from '../host/clock.ts'
import type { Disk } from '../host/disk.ts'
import type { Logger } from '../host/logger.ts'
import type { Endpoint, Network } from '../host/network.ts'
import { hyphenatedUuid, type Random } from '../host/random.ts'
import { LogManager } from '../log/log-manager.ts'
import { AppliedImage } from './applied-image.ts'
import { PartitionCoordinatorLog } from './coordinator-log.ts'
import { FetchSessions } from './fetch-sessions.ts'
import { groupConfigOf } from './group-config.ts'
import { announcedApis } from './handlers/all-handlers.ts'
import { logEventLines } from './log-event-lines.ts'
import type { Connection } from './network/connection.ts'
import { SocketServer } from './network/socket-server.ts'
import { RequestDispatcher } from './request-dispatcher.ts'
import type { BrokerAddress, Services } from './services.ts'
import { diskStartError, listenError } from './start-error.ts'
import { TopicCreation } from './topic-creation.ts'
import { logConfigOf } from './topic-log-config.ts'

/** Below the first data directory. */
const METADATA_DIRECTORY = '__cluster_metadata'
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

  /** Answers what is under way, writes everything down and leaves the mark of a clean shutdown. */
  close(): Promise<void> {
    return this.parts.close(SHUTDOWN_GRACE_MS)
  }
}

/** What a broker is made of. Each part may be missing while it starts, and while it fails to. */
class Parts {
  readonly nodeId: number
  private readonly options: BrokerOptions
  private readonly listeners: ReadonlyMap<string, ListenerConfig>
  private config: BrokerConfig
  private metadata: ClusterMetadata | undefined
  private logs: LogManager | undefined
  private replicas: ReplicaManager | undefined
  private groups: GroupCoordinator | undefined
  private server: SocketServer | undefined
  private applied: AppliedImage | undefined
  private closing: Promise<void> | undefined

  constructor(options: BrokerOptions) {
    this.options = options
    this.config = options.config
    this.nodeId = options.config.get('node.id')
    this.listeners = new Map(parseListeners(options.config).map((listener) => [listener.name, listener]))
  }

  async open(): Promise<void> {
    const { clock, directories, disk, logger, random } = this.options
    const directory = `${directories[0]}/${METADATA_DIRECTORY}`
    const logs = LogManager.open({ disk, clock, random, directories, nodeId: this.nodeId, config: (topic) => this.logConfig(topic), report: logEventLines(logger) })
  }
}

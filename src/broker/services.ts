// What handlers are given to work with.

import type { ClusterMetadata } from '../cluster/cluster-metadata.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import type { ReplicaManager } from '../cluster/replication/replica-manager.ts'
import type { BrokerConfig } from '../config/effective.ts'
import type { GroupCoordinator } from '../coordinators/group/group-coordinator.ts'
import type { TransactionCoordinator } from '../coordinators/transaction/transaction-coordinator.ts'
import type { Clock } from '../host/clock.ts'
import type { FetchSessions } from './fetch-sessions.ts'
import type { Connection } from './network/connection.ts'
import type { TopicCreation } from './topic-creation.ts'
import type { TransactionAdmission } from './transaction-admission.ts'

/** A broker as a client is told of it: under the address that this client can reach. */
export interface BrokerAddress {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
  readonly isFenced: boolean
}

export interface Services {
  readonly nodeId: number
  readonly clusterId: string
  readonly clock: Clock
  /** What it comes to now: dynamic changes make a new one. */
  readonly config: () => BrokerConfig
  /** Takes changes; clients are told `image` instead, which waits until the logs of a new topic are there. */
  readonly metadata: ClusterMetadata
  readonly image: () => MetadataImage
  /** Resolves when `image` holds all that `metadata` has taken so far. */
  readonly caughtUp: () => Promise<void>
  readonly replicas: ReplicaManager
  /** Total and usable bytes where a log directory lies. */
  readonly space: (directory: string) => Promise<{ readonly totalBytes: bigint; readonly usableBytes: bigint }>
  readonly logDirectories: () => readonly { readonly path: string; readonly isOnline: boolean }[]
  readonly groups: GroupCoordinator
  readonly transactions: TransactionCoordinator
  readonly admission: TransactionAdmission
  readonly sessions: FetchSessions
  readonly topics: TopicCreation
  /** What ApiVersions answers. */
  readonly announcedApis: readonly { readonly apiKey: number; readonly minVersion: number; readonly maxVersion: number }[]
  readonly self: (connection: Connection) => BrokerAddress
  /** Those that clients may talk to. */
  readonly brokers: (connection: Connection) => readonly BrokerAddress[]
  /** With those that are fenced. */
  readonly registeredBrokers: (connection: Connection) => readonly BrokerAddress[]
  /** Whether who is at the other end may be another broker of this cluster, for all that is known of a connection. */
  readonly isPeer: (connection: Connection) => boolean
  /** A mistake of ours: what was done when it happened, and the error with its stack. */
  readonly bug: (what: string, error: unknown) => void
}

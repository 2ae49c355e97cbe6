// The coordinators of a broker, put together: groups and transactions, each on the partitions of its topic that this broker leads, and
// what they need of each other and of other brokers.

import type { ClusterMetadata } from '../cluster/cluster-metadata.ts'
import { GROUP_OFFSETS_TOPIC, TRANSACTION_STATE_TOPIC } from '../cluster/internal-topics.ts'
import type { MetadataDelta, MetadataImage } from '../cluster/metadata-image.ts'
import type { Peers } from '../cluster/peers.ts'
import type { ReplicaManager } from '../cluster/replication/replica-manager.ts'
import type { BrokerConfig } from '../config/effective.ts'
import { GroupCoordinator } from '../coordinators/group/group-coordinator.ts'
import type { Report } from '../coordinators/runtime/ports.ts'
import { PartitionVerifier } from '../coordinators/transaction/partition-verifier.ts'
import { supportOfTxnOffsetCommit } from '../coordinators/transaction/producer-support.ts'
import type { TransactionCoordinator } from '../coordinators/transaction/transaction-coordinator.ts'
import type { ProducerIdentity } from '../coordinators/transaction/transactions.ts'
import type { Clock } from '../host/clock.ts'
import type { Logger } from '../host/logger.ts'
import { hyphenatedUuid, type Random } from '../host/random.ts'
import { CoordinatorLeadership } from './coordinator-leadership.ts'
import { PartitionCoordinatorLog } from './coordinator-log.ts'
import { groupConfigOf } from './group-config.ts'
import { TransactionAdmission } from './transaction-admission.ts'
import { askCoordinator } from './transaction-peers.ts'
import { transactionConfigOf, transactionCoordinator } from './transactions.ts'

export interface CoordinatorsOptions {
  readonly nodeId: number
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly config: BrokerConfig
  readonly metadata: ClusterMetadata
  readonly replicas: ReplicaManager
  readonly peers: Peers
}

export class Coordinators {
  readonly groups: GroupCoordinator
  readonly transactions: TransactionCoordinator
  readonly admission: TransactionAdmission
  private readonly verifier: PartitionVerifier
  private readonly leaderships: readonly CoordinatorLeadership[]

  /** They serve nothing before the first `follow`. */
  constructor(options: CoordinatorsOptions) {
    const { nodeId, clock, config, logger, metadata, peers } = options
    const report: Report = (line, cause) => {
      if (cause === undefined) logger.info(line)
      else logger.error(`${line}: ${cause instanceof Error ? cause.stack : cause}`)
    }
    const groups = this.groupCoordinator(options, report)
    const transactions = transactionCoordinator({ ...options, groups, report })
    this.groups = groups
    this.transactions = transactions
    this.verifier = new PartitionVerifier({
      ask: askCoordinator({ nodeId, image: () => metadata.image(), peers, transactions }),
      clock,
      config: transactionConfigOf(config),
    })
    this.admission = new TransactionAdmission(this.verifier, () =>
      metadata.brokerConfig().get('transaction.partition.verification.enable'),
    )
    const failed = (topic: string, what: string) => (partition: number, error: unknown) =>
      logger.error(`the ${what} of ${topic}-${partition} could not be loaded: ${(error as Error).message}`)
    this.leaderships = [
      new CoordinatorLeadership(
        GROUP_OFFSETS_TOPIC,
        nodeId,
        {
          load: (partition) => groups.loadPartition(partition),
          unload: (partition) => groups.unloadPartition(partition),
        },
        failed(GROUP_OFFSETS_TOPIC, 'groups'),
      ),
      new CoordinatorLeadership(
        TRANSACTION_STATE_TOPIC,
        nodeId,
        {
          load: (partition, leaderEpoch) => transactions.loadPartition(partition, leaderEpoch),
          unload: (partition) => transactions.unloadPartition(partition),
        },
        failed(TRANSACTION_STATE_TOPIC, 'transactions'),
      ),
    ]
  }

  /** Called with the first image and after each change, when this broker's partitions have followed it. */
  follow(image: MetadataImage, delta?: MetadataDelta): void {
    for (const leadership of this.leaderships) leadership.follow(image)
    const gone = delta?.deletedTopics.map(({ name }) => name) ?? []
    if (gone.length > 0) this.groups.onTopicsDeleted(gone)
  }

  /** Whoever waits is told to look elsewhere. Nothing more is written. */
  close(): void {
    this.groups.close()
    this.transactions.close()
  }

  private groupCoordinator({ clock, config, metadata, random, replicas }: CoordinatorsOptions, report: Report): GroupCoordinator {
    const timeoutMs = config.get('offsets.commit.timeout.ms')
    return new GroupCoordinator({
      config: groupConfigOf(config),
      // Once the topic is there, its own count holds, whatever the configuration says by now.
      partitionCount: () =>
        metadata.image().topic(GROUP_OFFSETS_TOPIC)?.partitions.length ?? config.get('offsets.topic.num.partitions'),
      logFor: (partition) => new PartitionCoordinatorLog(replicas.leader(GROUP_OFFSETS_TOPIC, partition), clock, timeoutMs),
      clock,
      uuid: () => hyphenatedUuid(random),
      topicIdOf: (topic) => metadata.image().topic(topic)?.id,
      report,
      // The two need each other: the one that is made later is looked up when it is asked.
      verifyTransaction: (request, partition, version) => this.verifyTransaction(request, partition, version),
    })
  }

  /** Offsets that are committed in a transaction are writes to a partition like any other. */
  private async verifyTransaction(producer: ProducerIdentity, partition: number, version: number): Promise<number> {
    const topics = [{ name: GROUP_OFFSETS_TOPIC, partitions: [partition] }]
    const results = await this.verifier.verifyOrAddPartitions({ ...producer, topics }, supportOfTxnOffsetCommit(version))
    return results[0].resultsByPartition[0].partitionErrorCode
  }
}

// Puts the transaction coordinator into a broker: its logs are partitions of `__transaction_state`, its markers go to the leaders of the
// partitions that transactions have written to, here or on other brokers.

import type { ClusterMetadata } from '../cluster/cluster-metadata.ts'
import { GROUP_OFFSETS_TOPIC, TRANSACTION_STATE_TOPIC } from '../cluster/internal-topics.ts'
import type { Peers } from '../cluster/peers.ts'
import type { ReplicaManager } from '../cluster/replication/replica-manager.ts'
import type { BrokerConfig } from '../config/effective.ts'
import type { GroupCoordinator } from '../coordinators/group/group-coordinator.ts'
import type { Report } from '../coordinators/runtime/ports.ts'
import type { MarkerResult, TxnMarker } from '../coordinators/transaction/marker-sender.ts'
import type { TransactionConfig } from '../coordinators/transaction/transaction-config.ts'
import { TransactionCoordinator } from '../coordinators/transaction/transaction-coordinator.ts'
import type { Clock } from '../host/clock.ts'
import { ErrorCode, KafkaError } from '../protocol/error-codes.ts'
import { endTransactionMarker } from '../protocol/records/control-record.ts'
import { PartitionCoordinatorLog } from './coordinator-log.ts'
import { sendMarkers } from './transaction-peers.ts'

export interface TransactionParts {
  readonly nodeId: number
  readonly clock: Clock
  readonly config: BrokerConfig
  readonly metadata: ClusterMetadata
  readonly replicas: ReplicaManager
  readonly groups: GroupCoordinator
  readonly peers: Peers
  readonly report: Report
}

/** What ends a producer's transaction in one partition. */
export type PartitionMarker = Omit<TxnMarker, 'partitions'>

export function transactionConfigOf(config: BrokerConfig): TransactionConfig {
  return {
    maxTimeoutMs: config.get('transaction.max.timeout.ms'),
    abortTimedOutIntervalMs: config.get('transaction.abort.timed.out.transaction.cleanup.interval.ms'),
    idExpirationMs: config.get('transactional.id.expiration.ms'),
    removeExpiredIntervalMs: config.get('transaction.remove.expired.transaction.cleanup.interval.ms'),
    addPartitionsRetryBackoffMs: config.get('add.partitions.to.txn.retry.backoff.ms'),
    addPartitionsRetryBackoffMaxMs: config.get('add.partitions.to.txn.retry.backoff.max.ms'),
    transactionVersion: 2,
  }
}

/** Of a broker. Serves what is loaded. */
export function transactionCoordinator(parts: TransactionParts): TransactionCoordinator {
  const { clock, config, metadata, replicas, report } = parts
  const timeoutMs = config.get('request.timeout.ms')
  return new TransactionCoordinator({
    config: transactionConfigOf(config),
    // Once the topic is there, its own count holds, whatever the configuration says by now.
    partitionCount: () =>
      metadata.image().topic(TRANSACTION_STATE_TOPIC)?.partitions.length ?? config.get('transaction.state.log.num.partitions'),
    logFor: (partition) => new PartitionCoordinatorLog(replicas.leader(TRANSACTION_STATE_TOPIC, partition), clock, timeoutMs),
    nextProducerId: () => metadata.nextProducerId(),
    writeMarkers: (marker) => writeMarkers(parts, marker),
    clock,
    report,
  })
}

/** The coordinator's own markers: a partition whose topic was deleted needs none. */
async function writeMarkers(parts: TransactionParts, { partitions, ...marker }: TxnMarker): Promise<readonly MarkerResult[]> {
  const { nodeId, metadata, peers } = parts
  const image = metadata.image()
  const results: Promise<readonly MarkerResult[]>[] = []
  const elsewhere = new Map<number, Map<string, Set<number>>>()
  for (const [topic, indexes] of partitions) {
    for (const partition of indexes) {
      const leader = image.partition(topic, partition)?.leader
      const answer = async (errorCode: number | Promise<number>) => [{ topic, partition, errorCode: await errorCode }]
      if (leader === undefined) results.push(answer(ErrorCode.NONE))
      else if (leader === nodeId) results.push(answer(writeMarker(parts, topic, partition, marker)))
      else if (leader < 0) results.push(answer(ErrorCode.LEADER_NOT_AVAILABLE))
      else {
        const topics = elsewhere.get(leader) ?? new Map<string, Set<number>>()
        elsewhere.set(leader, topics.set(topic, (topics.get(topic) ?? new Set()).add(partition)))
      }
    }
  }
  for (const [leader, partitions] of elsewhere) {
    // Who cannot be reached has answered for none of them: they are written again.
    results.push(sendMarkers(peers, leader, { ...marker, partitions }).catch(() => []))
  }
  return (await Promise.all(results)).flat()
}

/**
 * Writes a marker into a partition that this broker leads. Resolves with an error code when all in-sync replicas have it, or it took
 * too long. The log takes a marker that it has already for written, and refuses one that is late.
 */
export async function writeMarker(
  { clock, config, groups, replicas, report }: Pick<TransactionParts, 'clock' | 'config' | 'groups' | 'replicas' | 'report'>,
  topic: string,
  partition: number,
  { producerId, producerEpoch, coordinatorEpoch, committed, transactionVersion }: PartitionMarker,
): Promise<number> {
  const result = committed ? 'commit' : 'abort'
  const end = { producerId, producerEpoch, coordinatorEpoch, result, transactionVersion } as const
  // Offsets that are pending there are decided along with it.
  if (topic === GROUP_OFFSETS_TOPIC) return groups.completeTransaction(partition, end)
  try {
    const leader = replicas.leader(topic, partition)
    const batch = endTransactionMarker({ ...end, timestamp: BigInt(clock.wallMs()) })
    const { lastOffset } = leader.append(batch, { origin: 'coordinator', transactionVersion })
    await leader.awaitAcks(-1, lastOffset + 1n, clock.monotonicMs() + config.get('request.timeout.ms'))
    return ErrorCode.NONE
  } catch (error) {
    if (error instanceof KafkaError) return error.errorCode
    report(`the marker of producer ${producerId} could not be written to ${topic}-${partition}`, error)
    return ErrorCode.UNKNOWN_SERVER_ERROR
  }
}

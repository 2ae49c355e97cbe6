// For tests of partitions: contexts and metadata with what does not matter filled in.

import type { Clock } from '../../host/clock.ts'
import { ManualClock } from '../../host/manual-clock.ts'
import type { PartitionLog } from '../../log/partition-log.ts'
import { newPartition, type PartitionRecord } from '../metadata-records.ts'
import { AppendBudget } from './append-budget.ts'
import { Partition, type ReplicaContext } from './partition.ts'

/** Broker 1, with nobody beside it unless `others` says so. */
export function replicaContext(others: Partial<ReplicaContext> & { clock?: Clock } = {}): ReplicaContext {
  return {
    nodeId: 1,
    clock: new ManualClock(),
    budget: new AppendBudget(),
    waitedFor: new Set(),
    rules: { lagTimeMaxMs: 30_000, mayJoinIsr: () => true },
    proposals: undefined,
    report: () => {},
    onFailure: () => {},
    ...others,
  }
}

/** Led by broker 1, all replicas in sync. */
export function partitionRecord(changes: Partial<PartitionRecord> = {}): PartitionRecord {
  return { ...newPartition(changes.replicas ?? [1]), ...changes }
}

/** The only replica of its partition. */
export function leadingPartition(log: PartitionLog, context = replicaContext(), leaderEpoch = 0): Partition {
  const partition = new Partition({ topic: log.topic, topicId: log.topicId, index: log.partition }, log, context)
  partition.becomeLeader(partitionRecord({ leaderEpoch }))
  return partition
}

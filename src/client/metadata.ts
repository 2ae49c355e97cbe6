// What a client knows of the cluster: brokers, topics, leaders. Filled from Metadata responses, replaced topic by topic.

import { ErrorCode, type ErrorName, errorName } from '../protocol/error-codes.ts'
import { ZERO_UUID } from '../protocol/ids.ts'
import type { MetadataResponse } from '../protocol/messages/03-metadata.ts'

export interface BrokerMetadata {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface PartitionMetadata {
  readonly index: number
  readonly error: ErrorName
  /** -1 where there is none. */
  readonly leaderId: number
  /** -1 where the broker does not tell. */
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly offlineReplicas: readonly number[]
}

export interface TopicMetadata {
  readonly name: string
  /** All zeros where the broker does not know of topic ids. */
  readonly topicId: string
  readonly isInternal: boolean
  /** By index, without gaps: index i stands at place i. */
  readonly partitions: readonly PartitionMetadata[]
  /** Bits of AclOperation; the least int32 where not asked for. */
  readonly authorizedOperations: number
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** For maps and sets of partitions. Topic names hold no slash. */
export function partitionKey(topic: string, partition: number): string {
  return `${topic}/${partition}`
}

/** One answer of a broker. */
export interface ClusterView {
  readonly clusterId: string | null
  readonly controllerId: number
  readonly brokers: readonly BrokerMetadata[]
  readonly topics: readonly TopicMetadata[]
  /** Topics that were asked for and are not there, or not for us. */
  readonly topicErrors: ReadonlyMap<string, ErrorName>
}

export function readMetadata(response: MetadataResponse): ClusterView {
  const topics: TopicMetadata[] = []
  const topicErrors = new Map<string, ErrorName>()
  for (const topic of response.topics) {
    if (topic.errorCode !== ErrorCode.NONE) {
      topicErrors.set(topic.name ?? topic.topicId, errorName(topic.errorCode))
      continue
    }
    topics.push({
      name: topic.name ?? '',
      topicId: topic.topicId ?? ZERO_UUID,
      isInternal: topic.isInternal,
      partitions: [...topic.partitions]
        .sort((a, b) => a.partitionIndex - b.partitionIndex)
        .map((partition) => ({
          index: partition.partitionIndex,
          error: errorName(partition.errorCode),
          leaderId: partition.leaderId,
          leaderEpoch: partition.leaderEpoch,
          replicas: partition.replicaNodes,
          isr: partition.isrNodes,
          offlineReplicas: partition.offlineReplicas,
        })),
      authorizedOperations: topic.topicAuthorizedOperations,
    })
  }
  return {
    clusterId: response.clusterId,
    controllerId: response.controllerId,
    brokers: response.brokers,
    topics,
    topicErrors,
  }
}

// The cluster itself: brokers, what they speak, their directories; who leads, and who should.

import { DescribeLogDirs } from '../../protocol/messages/35-describe-log-dirs.ts'
import { ElectLeaders } from '../../protocol/messages/43-elect-leaders.ts'
import { AlterPartitionReassignments } from '../../protocol/messages/45-alter-partition-reassignments.ts'
import { ListPartitionReassignments } from '../../protocol/messages/46-list-partition-reassignments.ts'
import { DescribeCluster } from '../../protocol/messages/60-describe-cluster.ts'
import { UnregisterBroker } from '../../protocol/messages/64-unregister-broker.ts'
import type { Response } from '../../protocol/schema.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { Connection } from '../connection.ts'
import { check } from '../group-offsets.ts'
import { type BrokerMetadata, partitionKey, type TopicPartition } from '../metadata.ts'
import { errorOf, type Results } from './results.ts'

export interface ClusterDescription {
  readonly clusterId: string | null
  readonly controllerId: number
  readonly brokers: readonly (BrokerMetadata & { readonly isFenced: boolean })[]
}

export type LogDirDescription = Response<typeof DescribeLogDirs>['results'][number]

export interface Reassignment {
  readonly replicas: readonly number[]
  readonly addingReplicas: readonly number[]
  readonly removingReplicas: readonly number[]
}

export class ClusterAdmin {
  private readonly cluster: ClusterClient

  constructor(cluster: ClusterClient) {
    this.cluster = cluster
  }

  async describe(options: { readonly includeFencedBrokers?: boolean } = {}): Promise<ClusterDescription> {
    return this.cluster.retrying('describing the cluster', this.cluster.apiTimeoutMs, async () => {
      const connection = await this.cluster.anyBroker()
      if (!connection.supports(DescribeCluster)) {
        const { clusterId, controllerId, brokers } = await this.cluster.metadata([])
        return { clusterId, controllerId, brokers: brokers.map((broker) => ({ ...broker, isFenced: false })) }
      }
      const includeFencedBrokers = options.includeFencedBrokers ?? false
      const request = { includeClusterAuthorizedOperations: false, includeFencedBrokers }
      const response = await connection.request(DescribeCluster, request)
      check(response.errorCode, response.errorMessage)
      const { clusterId, controllerId } = response
      const brokers = response.brokers.map(({ brokerId, host, port, rack, isFenced }) => ({
        nodeId: brokerId,
        host,
        port,
        rack,
        isFenced,
      }))
      return { clusterId, controllerId, brokers }
    })
  }

  /** An open connection: its `apiVersions` tell what the broker speaks. */
  async connection(nodeId: number): Promise<Connection> {
    return this.cluster.retrying(`connecting to broker ${nodeId}`, this.cluster.apiTimeoutMs, () => this.cluster.broker(nodeId))
  }

  /** The log directories of one broker, with these topics in them, or all with null. */
  async logDirs(nodeId: number, topics: readonly string[] | null = null): Promise<readonly LogDirDescription[]> {
    return this.cluster.retrying(`describing log directories of broker ${nodeId}`, this.cluster.apiTimeoutMs, async () => {
      const connection = await this.cluster.broker(nodeId)
      const wanted = topics === null ? null : await this.partitionsOf(topics)
      const response = await connection.request(DescribeLogDirs, { topics: wanted })
      check(response.errorCode)
      return response.results
    })
  }

  /** By `topic/partition`. Null asks for an election wherever one is needed. */
  async electLeaders(type: 'preferred' | 'unclean', partitions: readonly TopicPartition[] | null): Promise<Results<null>> {
    const topicPartitions =
      partitions === null
        ? null
        : [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, of]) => ({
            topic,
            partitions: of.map(({ partition }) => partition),
          }))
    return this.cluster.retrying('electing leaders', this.cluster.apiTimeoutMs, async () => {
      const connection = await this.cluster.controller()
      const electionType = type === 'preferred' ? 0 : 1
      const timeoutMs = this.cluster.requestTimeoutMs
      const request = { electionType, topicPartitions, timeoutMs }
      const response = await connection.request(ElectLeaders, request, { minVersion: electionType })
      check(response.errorCode)
      return new Map(
        response.replicaElectionResults.flatMap(({ topic, partitionResult }) =>
          partitionResult.map(({ partitionId, errorCode, errorMessage }) => [
            partitionKey(topic, partitionId),
            errorOf(errorCode, errorMessage) ?? null,
          ]),
        ),
      )
    })
  }

  /** By `topic/partition`: the moves under way. */
  async reassignments(): Promise<Map<string, Reassignment>> {
    return this.cluster.retrying('listing reassignments', this.cluster.apiTimeoutMs, async () => {
      const connection = await this.cluster.controller()
      const response = await connection.request(ListPartitionReassignments, { topics: null })
      check(response.errorCode, response.errorMessage)
      return new Map(
        response.topics.flatMap((topic) => topic.partitions.map((move) => [partitionKey(topic.name, move.partitionIndex), move])),
      )
    })
  }

  /** By `topic/partition`. Null replicas stop the move. */
  async reassign(moves: readonly (TopicPartition & { readonly replicas: readonly number[] | null })[]): Promise<Results<null>> {
    const topics = [...Map.groupBy(moves, ({ topic }) => topic)].map(([name, of]) => ({
      name,
      partitions: of.map(({ partition, replicas }) => ({ partitionIndex: partition, replicas })),
    }))
    return this.cluster.retrying('reassigning partitions', this.cluster.apiTimeoutMs, async () => {
      const connection = await this.cluster.controller()
      const response = await connection.request(AlterPartitionReassignments, { topics, timeoutMs: this.cluster.requestTimeoutMs })
      check(response.errorCode, response.errorMessage)
      return new Map(
        response.responses.flatMap((topic) =>
          topic.partitions.map(({ partitionIndex, errorCode, errorMessage }) => [
            partitionKey(topic.name, partitionIndex),
            errorOf(errorCode, errorMessage) ?? null,
          ]),
        ),
      )
    })
  }

  /** Forgets a broker that is gone for good. Rejects with KafkaError BROKER_ID_NOT_REGISTERED. */
  async unregister(brokerId: number): Promise<void> {
    await this.cluster.retrying(`unregistering broker ${brokerId}`, this.cluster.apiTimeoutMs, async () => {
      const connection = await this.cluster.controller()
      const response = await connection.request(UnregisterBroker, { brokerId })
      check(response.errorCode, response.errorMessage)
    })
  }

  private async partitionsOf(topics: readonly string[]): Promise<{ topic: string; partitions: number[] }[]> {
    const view = await this.cluster.metadata(topics)
    return view.topics.map((topic) => ({ topic: topic.name, partitions: topic.partitions.map(({ index }) => index) }))
  }
}

// Topics, their partitions and what is in them: create, describe, grow, delete, cut off at the start.

import { ErrorCode, type ErrorName, errorName, KafkaError } from '../../protocol/error-codes.ts'
import { ZERO_UUID } from '../../protocol/ids.ts'
import { CreateTopics } from '../../protocol/messages/19-create-topics.ts'
import { DeleteTopics } from '../../protocol/messages/20-delete-topics.ts'
import { DeleteRecords } from '../../protocol/messages/21-delete-records.ts'
import { OffsetForLeaderEpoch } from '../../protocol/messages/23-offset-for-leader-epoch.ts'
import { CreatePartitions } from '../../protocol/messages/37-create-partitions.ts'
import { DescribeTopicPartitions } from '../../protocol/messages/75-describe-topic-partitions.ts'
import type { Response } from '../../protocol/schema.ts'
import type { ClusterClient } from '../cluster-client.ts'
import type { Connection } from '../connection.ts'
import { type IsolationLevel, type ListedOffset, listOffsets, type OffsetQuery } from '../list-offsets.ts'
import { type ClusterView, partitionKey, type TopicMetadata, type TopicPartition } from '../metadata.ts'
import { errorOf, type Results, throwIfMoved } from './results.ts'

export interface NewTopic {
  readonly name: string
  /** The broker's default where absent, as with `replicationFactor`. */
  readonly partitions?: number
  readonly replicationFactor?: number
  /** Brokers of each partition, in place of both numbers. */
  readonly assignments?: readonly (readonly number[])[]
  readonly configs?: Readonly<Record<string, string>>
}

export interface CreatedTopic {
  /** All zeros where the broker does not tell. */
  readonly topicId: string
  /** -1 where the broker does not tell, as with `replicationFactor`. */
  readonly partitions: number
  readonly replicationFactor: number
}

export interface PartitionDescription {
  readonly index: number
  readonly error: ErrorName
  /** -1 where there is none. */
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  readonly offlineReplicas: readonly number[]
  /** Null where the broker does not tell (KIP-966), as with `lastKnownElr`. */
  readonly eligibleLeaderReplicas: readonly number[] | null
  readonly lastKnownElr: readonly number[] | null
}

export interface TopicDescription {
  readonly name: string
  readonly topicId: string
  readonly isInternal: boolean
  readonly partitions: readonly PartitionDescription[]
  readonly authorizedOperations: number
}

export interface DeletedRecords {
  /** The new log start offset. */
  readonly lowWatermark: bigint
}

export interface EpochEnd {
  /** -1 where the leader does not know the epoch; then the offset is, too. */
  readonly leaderEpoch: number
  readonly endOffset: bigint
}

type Cursor = NonNullable<Response<typeof DescribeTopicPartitions>['nextCursor']>

export class TopicAdmin {
  private readonly cluster: ClusterClient

  constructor(cluster: ClusterClient) {
    this.cluster = cluster
  }

  /** All topics, sorted by name. */
  async list(): Promise<TopicMetadata[]> {
    const view = await this.metadata(null)
    return [...view.topics].sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** By name. A topic that exists is an error of its own; the others are created. */
  create(
    topics: readonly NewTopic[],
    options: { readonly validateOnly?: boolean; readonly timeoutMs?: number } = {},
  ): Promise<Results<CreatedTopic>> {
    const usesDefaults = topics.some(
      (topic) => topic.assignments === undefined && (topic.partitions === undefined || topic.replicationFactor === undefined),
    )
    return this.atController('creating topics', async (connection) => {
      const response = await connection.request(
        CreateTopics,
        {
          topics: topics.map((topic) => ({
            name: topic.name,
            numPartitions: topic.assignments === undefined ? (topic.partitions ?? -1) : -1,
            replicationFactor: topic.assignments === undefined ? (topic.replicationFactor ?? -1) : -1,
            assignments: (topic.assignments ?? []).map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
            configs: Object.entries(topic.configs ?? {}).map(([name, value]) => ({ name, value })),
          })),
          timeoutMs: options.timeoutMs ?? this.cluster.requestTimeoutMs,
          validateOnly: options.validateOnly ?? false,
        },
        usesDefaults ? { minVersion: 4 } : {},
      )
      return new Map(
        response.topics.map((topic) => {
          const { topicId, numPartitions: partitions, replicationFactor } = topic
          return [topic.name, errorOf(topic.errorCode, topic.errorMessage) ?? { topicId, partitions, replicationFactor }]
        }),
      )
    })
  }

  /** By name. */
  delete(names: readonly string[], options: { readonly timeoutMs?: number } = {}): Promise<Results<null>> {
    return this.atController('deleting topics', async (connection) => {
      const response = await connection.request(DeleteTopics, {
        topics: names.map((name) => ({ name, topicId: ZERO_UUID })),
        topicNames: names,
        timeoutMs: options.timeoutMs ?? this.cluster.requestTimeoutMs,
      })
      for (const name of names) this.cluster.forgetTopic(name)
      return new Map(response.responses.map((topic) => [topic.name ?? '', errorOf(topic.errorCode, topic.errorMessage) ?? null]))
    })
  }

  /** `count` is the new total. By topic name. */
  createPartitions(
    topics: readonly { readonly name: string; readonly count: number; readonly assignments?: readonly (readonly number[])[] }[],
    options: { readonly validateOnly?: boolean; readonly timeoutMs?: number } = {},
  ): Promise<Results<null>> {
    return this.atController('creating partitions', async (connection) => {
      const response = await connection.request(CreatePartitions, {
        topics: topics.map(({ name, count, assignments }) => ({
          name,
          count,
          assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null,
        })),
        timeoutMs: options.timeoutMs ?? this.cluster.requestTimeoutMs,
        validateOnly: options.validateOnly ?? false,
      })
      for (const { name } of topics) this.cluster.forgetTopic(name)
      return new Map(response.results.map((topic) => [topic.name, errorOf(topic.errorCode, topic.errorMessage) ?? null]))
    })
  }

  /** By name. Pages through DescribeTopicPartitions where the broker has it, and asks for metadata elsewhere. */
  async describe(
    names: readonly string[],
    options: { readonly partitionLimit?: number; readonly includeAuthorizedOperations?: boolean } = {},
  ): Promise<Results<TopicDescription>> {
    return this.cluster.retrying('describing topics', this.cluster.apiTimeoutMs, async () => {
      const connection = await this.cluster.anyBroker()
      return connection.supports(DescribeTopicPartitions)
        ? this.describeInPages(connection, [...names].sort(), options.partitionLimit ?? 2000)
        : this.describeByMetadata(names, options.includeAuthorizedOperations ?? false)
    })
  }

  /**
   * By `topic/partition`. Records below `offset` are deleted; -1 means all up to the high watermark.
   */
  async deleteRecords(
    offsets: readonly (TopicPartition & { readonly offset: bigint })[],
    options: { readonly timeoutMs?: number } = {},
  ): Promise<Results<DeletedRecords>> {
    const timeoutMs = options.timeoutMs ?? this.cluster.requestTimeoutMs
    return this.atLeaders('deleting records', offsets, async (connection, asked) => {
      const topics = [...Map.groupBy(asked, ({ topic }) => topic)].map(([name, of]) => ({
        name,
        partitions: of.map(({ partition, offset }) => ({ partitionIndex: partition, offset })),
      }))
      const response = await connection.request(DeleteRecords, { topics, timeoutMs })
      return response.topics.flatMap((topic) =>
        topic.partitions.map(
          ({ partitionIndex, lowWatermark, errorCode }) =>
            [partitionKey(topic.name, partitionIndex), errorOf(errorCode) ?? { lowWatermark }] as const,
        ),
      )
    })
  }

  /** By `topic/partition`; see `listOffsets`. */
  offsets(
    queries: readonly OffsetQuery[],
    options: { readonly isolationLevel?: IsolationLevel } = {},
  ): Promise<Map<string, ListedOffset | KafkaError>> {
    return listOffsets(this.cluster, queries, options)
  }

  /** By `topic/partition`: where each leader epoch ends. */
  epochEnds(queries: readonly (TopicPartition & { readonly leaderEpoch: number })[]): Promise<Results<EpochEnd>> {
    return this.atLeaders('reading leader epochs', queries, async (connection, asked) => {
      const topics = [...Map.groupBy(asked, ({ topic }) => topic)].map(([topic, of]) => ({
        topic,
        partitions: of.map(({ partition, leaderEpoch }) => ({ partition, leaderEpoch })),
      }))
      const response = await connection.request(OffsetForLeaderEpoch, { replicaId: -1, topics })
      return response.topics.flatMap((topic) =>
        topic.partitions.map(
          ({ partition, leaderEpoch, endOffset, errorCode }) =>
            [partitionKey(topic.topic, partition), errorOf(errorCode) ?? { leaderEpoch, endOffset }] as const,
        ),
      )
    })
  }

  private metadata(names: readonly string[] | null, includeTopicAuthorizedOperations = false): Promise<ClusterView> {
    return this.cluster.retrying('reading metadata', this.cluster.apiTimeoutMs, () =>
      this.cluster.metadata(names, { includeTopicAuthorizedOperations }),
    )
  }

  private atController<T>(what: string, work: (connection: Connection) => Promise<Results<T>>): Promise<Results<T>> {
    return this.cluster.retrying(what, this.cluster.apiTimeoutMs, async () => {
      const results = await work(await this.cluster.controller())
      throwIfMoved(results)
      return results
    })
  }

  /** Asks each partition's leader, and again where the leader turns out to be another. */
  private async atLeaders<Q extends TopicPartition, T>(
    what: string,
    queries: readonly Q[],
    ask: (connection: Connection, queries: readonly Q[]) => Promise<(readonly [string, T | KafkaError])[]>,
  ): Promise<Results<T>> {
    const results: Results<T> = new Map()
    let open = queries
    const round = async () => {
      const byLeader = new Map<number, Q[]>()
      for (const query of open) {
        const view = this.cluster.knownTopic(query.topic) ?? (await this.topicOrError(query.topic))
        const leader = view instanceof KafkaError ? view : view.partitions[query.partition]
        if (leader instanceof KafkaError) results.set(partitionKey(query.topic, query.partition), leader)
        else if (leader === undefined) {
          const missing = new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `topic ${query.topic} has no partition ${query.partition}`)
          results.set(partitionKey(query.topic, query.partition), missing)
        } else byLeader.set(leader.leaderId, [...(byLeader.get(leader.leaderId) ?? []), query])
      }
      for (const [leader, asked] of byLeader) {
        if (leader < 0) throw new KafkaError('LEADER_NOT_AVAILABLE', `${asked[0].topic}-${asked[0].partition} has no leader`)
        for (const [name, result] of await ask(await this.cluster.broker(leader), asked)) results.set(name, result)
      }
      open = open.filter(({ topic, partition }) => {
        const result = results.get(partitionKey(topic, partition))
        return result === undefined || (result instanceof KafkaError && result.code === 'NOT_LEADER_OR_FOLLOWER')
      })
      if (open.length > 0) throw new KafkaError('NOT_LEADER_OR_FOLLOWER')
    }
    await this.cluster.retrying(what, this.cluster.apiTimeoutMs, round)
    return results
  }

  private async topicOrError(name: string): Promise<TopicMetadata | KafkaError> {
    const view = await this.cluster.metadata([name])
    const code = view.topicErrors.get(name) ?? 'UNKNOWN_TOPIC_OR_PARTITION'
    return view.topics.find((topic) => topic.name === name) ?? new KafkaError(code, `topic ${name}: ${code}`)
  }

  private async describeInPages(
    connection: Connection,
    names: readonly string[],
    limit: number,
  ): Promise<Results<TopicDescription>> {
    const results: Results<TopicDescription> = new Map()
    let cursor: Cursor | null = null
    do {
      const from: string | undefined = cursor?.topicName
      const asked: readonly string[] = from === undefined ? names : names.filter((name) => name >= from)
      const response: Response<typeof DescribeTopicPartitions> = await connection.request(DescribeTopicPartitions, {
        topics: asked.map((name) => ({ name })),
        responsePartitionLimit: limit,
        cursor,
      })
      for (const topic of response.topics) {
        const name = topic.name ?? ''
        const error = errorOf(topic.errorCode)
        if (error !== undefined) {
          results.set(name, error)
          continue
        }
        const partitions = topic.partitions.map((partition) => ({
          index: partition.partitionIndex,
          error: errorName(partition.errorCode),
          leaderId: partition.leaderId,
          leaderEpoch: partition.leaderEpoch,
          replicas: partition.replicaNodes,
          isr: partition.isrNodes,
          offlineReplicas: partition.offlineReplicas,
          eligibleLeaderReplicas: partition.eligibleLeaderReplicas,
          lastKnownElr: partition.lastKnownElr,
        }))
        // A topic may be cut in two by the end of a page.
        const before = results.get(name)
        const earlier = before === undefined || before instanceof KafkaError ? [] : before.partitions
        results.set(name, {
          name,
          topicId: topic.topicId,
          isInternal: topic.isInternal,
          partitions: [...earlier, ...partitions],
          authorizedOperations: topic.topicAuthorizedOperations,
        })
      }
      const next: Cursor | null = response.nextCursor
      if (next !== null && next.topicName === cursor?.topicName && next.partitionIndex <= cursor.partitionIndex) {
        throw new KafkaError('UNKNOWN_SERVER_ERROR', 'the broker answers the same page of topics again and again')
      }
      cursor = next
    } while (cursor !== null)
    return results
  }

  private async describeByMetadata(names: readonly string[], includeOperations: boolean): Promise<Results<TopicDescription>> {
    const view = await this.metadata(names, includeOperations)
    const results: Results<TopicDescription> = new Map()
    for (const [name, code] of view.topicErrors) results.set(name, errorOf(ErrorCode[code], `topic ${name}: ${code}`)!)
    for (const topic of view.topics) {
      const partitions = topic.partitions.map((partition) => ({ ...partition, eligibleLeaderReplicas: null, lastKnownElr: null }))
      results.set(topic.name, { ...topic, partitions })
    }
    return results
  }
}

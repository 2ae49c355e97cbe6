// The offset at a time, or at either end of a partition, asked of its leader. Consumers reset by it, tools report it.

import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import { ListOffsets } from '../protocol/messages/02-list-offsets.ts'
import type { ClusterClient } from './cluster-client.ts'
import { partitionKey, type TopicPartition } from './metadata.ts'

/** What may be asked instead of a time in milliseconds. */
export const OffsetSpec = {
  LATEST: -1n,
  EARLIEST: -2n,
  MAX_TIMESTAMP: -3n,
  EARLIEST_LOCAL: -4n,
  LATEST_TIERED: -5n,
  EARLIEST_PENDING_UPLOAD: -6n,
} as const

/** The version of ListOffsets that brought each. */
const MIN_VERSION = new Map<bigint, number>([
  [OffsetSpec.MAX_TIMESTAMP, 7],
  [OffsetSpec.EARLIEST_LOCAL, 8],
  [OffsetSpec.LATEST_TIERED, 9],
  [OffsetSpec.EARLIEST_PENDING_UPLOAD, 11],
])

export type IsolationLevel = 'read_uncommitted' | 'read_committed'

export function isolationCode(level: IsolationLevel): number {
  return level === 'read_committed' ? 1 : 0
}

export interface ListedOffset {
  /** -1 where no record is as new as was asked. */
  readonly offset: bigint
  /** Of the record found; -1 for either end. */
  readonly timestamp: bigint
  readonly leaderEpoch: number
}

export interface OffsetQuery extends TopicPartition {
  /** Milliseconds since 1970, or an OffsetSpec. */
  readonly timestamp: bigint
}

/**
 * By `partitionKey`. A partition that cannot be answered for carries its error; what is retriable is tried until the time is up.
 * Rejects where no broker can be asked at all.
 */
export async function listOffsets(
  cluster: ClusterClient,
  queries: readonly OffsetQuery[],
  options: { readonly isolationLevel?: IsolationLevel; readonly timeoutMs?: number } = {},
): Promise<Map<string, ListedOffset | KafkaError>> {
  const results = new Map<string, ListedOffset | KafkaError>()
  let open = queries
  const timeoutMs = options.timeoutMs ?? cluster.apiTimeoutMs
  const round = async () => {
    const byLeader = new Map<number, OffsetQuery[]>()
    const again: OffsetQuery[] = []
    let failure: unknown
    const fail = (failed: readonly OffsetQuery[], error: unknown) => {
      cluster.learnFrom(error)
      failure = error
      again.push(...failed)
      if (error instanceof KafkaError) for (const query of failed) results.set(partitionKey(query.topic, query.partition), error)
    }
    for (const query of open) {
      try {
        const leader = await cluster.leader(query.topic, query.partition)
        byLeader.set(leader, [...(byLeader.get(leader) ?? []), query])
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        fail([query], error)
      }
    }
    await Promise.all(
      [...byLeader].map(async ([leader, asked]) => {
        try {
          const errors = await askLeader(cluster, leader, asked, options.isolationLevel ?? 'read_uncommitted', results)
          for (const [query, error] of errors) fail([query], error)
        } catch (error) {
          fail(asked, error)
        }
      }),
    )
    // What is refused for good stays with its error.
    open = again.filter((query) => {
      const result = results.get(partitionKey(query.topic, query.partition))
      return !(result instanceof KafkaError) || result.retriable
    })
    if (failure !== undefined && !(failure instanceof KafkaError)) throw failure
    if (open.length > 0) throw failure
  }
  try {
    await cluster.retrying('listing offsets', timeoutMs, round)
  } catch (error) {
    if (open.some((query) => !results.has(partitionKey(query.topic, query.partition)))) throw error
  }
  return results
}

async function askLeader(
  cluster: ClusterClient,
  leader: number,
  queries: readonly OffsetQuery[],
  isolationLevel: IsolationLevel,
  results: Map<string, ListedOffset | KafkaError>,
): Promise<[OffsetQuery, KafkaError][]> {
  const connection = await cluster.broker(leader)
  const minVersion = Math.max(
    isolationLevel === 'read_committed' ? 2 : 1,
    ...queries.map((query) => MIN_VERSION.get(query.timestamp) ?? 0),
  )
  const topics = [...Map.groupBy(queries, (query) => query.topic)].map(([name, asked]) => ({
    name,
    partitions: asked.map((query) => ({
      partitionIndex: query.partition,
      currentLeaderEpoch: cluster.knownTopic(name)?.partitions[query.partition]?.leaderEpoch ?? -1,
      timestamp: query.timestamp,
    })),
  }))
  const response = await connection.request(
    ListOffsets,
    { replicaId: -1, isolationLevel: isolationCode(isolationLevel), topics, timeoutMs: cluster.requestTimeoutMs },
    { minVersion },
  )
  const errors: [OffsetQuery, KafkaError][] = []
  for (const topic of response.topics) {
    for (const partition of topic.partitions) {
      const { offset, timestamp, leaderEpoch } = partition
      const name = partitionKey(topic.name, partition.partitionIndex)
      if (partition.errorCode === ErrorCode.NONE) {
        results.set(name, { offset, timestamp, leaderEpoch })
        continue
      }
      const code = errorName(partition.errorCode)
      const error = new KafkaError(code, `offsets of ${topic.name}-${partition.partitionIndex}: ${code}`)
      results.set(name, error)
      const query = queries.find((asked) => asked.topic === topic.name && asked.partition === partition.partitionIndex)
      if (query !== undefined) errors.push([query, error])
    }
  }
  return errors
}

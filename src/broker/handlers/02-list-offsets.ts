import type { Partition } from '../../cluster/replication/partition.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { ListOffsets, type ListOffsetsRequest } from '../../protocol/messages/02-list-offsets.ts'
import { handler } from './handler.ts'

const READ_COMMITTED = 1
const LATEST = -1n
const EARLIEST = -2n
const MAX_TIMESTAMP = -3n
const EARLIEST_LOCAL = -4n
const LATEST_TIERED = -5n
const EARLIEST_PENDING_UPLOAD = -6n

/** The version from which a sentinel is understood. */
const SENTINEL_SINCE = new Map([
  [MAX_TIMESTAMP, 7],
  [EARLIEST_LOCAL, 8],
  [LATEST_TIERED, 9],
  [EARLIEST_PENDING_UPLOAD, 11],
])

interface Found {
  readonly offset: bigint
  readonly timestamp: bigint
  readonly leaderEpoch: number
}

const NOTHING: Found = { offset: -1n, timestamp: -1n, leaderEpoch: -1 }

/** Answers where a partition begins, where it ends, or where it stood at a time. */
export const listOffsets = handler(ListOffsets, {
  async handle(request, services, call) {
    const topics = []
    const seen = new Set<string>()
    const twice = new Set<string>()
    for (const { name, partitions } of request.topics) {
      for (const { partitionIndex } of partitions) {
        const key = `${name}/${partitionIndex}`
        if (seen.has(key)) twice.add(key)
        seen.add(key)
      }
    }
    for (const { name, partitions } of request.topics) {
      const answers = []
      for (const { partitionIndex, timestamp, currentLeaderEpoch } of partitions) {
        try {
          if (twice.has(`${name}/${partitionIndex}`))
            throw new KafkaError('INVALID_REQUEST', `${name}-${partitionIndex} is named twice`)
          const since = SENTINEL_SINCE.get(timestamp) ?? (timestamp < EARLIEST ? Number.POSITIVE_INFINITY : 0)
          if (call.version < since) throw new KafkaError('UNSUPPORTED_VERSION')
          const partition = services.replicas.leader(name, partitionIndex)
          partition.checkLeaderEpoch(currentLeaderEpoch)
          const found = await find(partition, timestamp, limitOf(partition, request))
          answers.push({ partitionIndex, errorCode: ErrorCode.NONE, ...found })
        } catch (error) {
          if (!(error instanceof KafkaError)) throw error
          answers.push({ partitionIndex, errorCode: codeOf(error, call.version), ...NOTHING })
        }
      }
      topics.push({ name, partitions: answers })
    }
    return { topics }
  },

  fail: (request, error) => ({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: error.errorCode })),
    })),
  }),
})

/** Followers ask how far their leader's log goes, consumers how far they may read. */
function limitOf(partition: Partition, { replicaId, isolationLevel }: ListOffsetsRequest): bigint {
  if (replicaId >= 0) return partition.log.endOffset
  return isolationLevel === READ_COMMITTED ? partition.lastStableOffset : partition.highWatermark
}

/** A new leader does not know at once how far its predecessor had committed: an end that went back would be worse than none (KIP-207). */
function requireEnd(partition: Partition, limit: bigint): void {
  if (limit < partition.log.endOffset && !partition.endIsKnown) throw new KafkaError('OFFSET_NOT_AVAILABLE')
}

function codeOf(error: KafkaError, version: number): number {
  return error.code === 'OFFSET_NOT_AVAILABLE' && version < 5 ? ErrorCode.LEADER_NOT_AVAILABLE : error.errorCode
}

async function find(partition: Partition, timestamp: bigint, limit: bigint): Promise<Found> {
  const { log } = partition
  switch (timestamp) {
    case LATEST:
      requireEnd(partition, limit)
      return { offset: limit, timestamp: -1n, leaderEpoch: partition.leaderEpoch }
    case EARLIEST:
    case EARLIEST_LOCAL:
      return { offset: log.logStartOffset, timestamp: -1n, leaderEpoch: log.epochOfOffset(log.logStartOffset) }
    case LATEST_TIERED:
    case EARLIEST_PENDING_UPLOAD:
      return NOTHING // nothing is ever tiered here
    case MAX_TIMESTAMP:
      return (await log.offsetOfMaxTimestamp(limit)) ?? NOTHING
    default: {
      const found = await log.offsetForTimestamp(timestamp, limit)
      if (found === undefined) requireEnd(partition, limit)
      return found ?? NOTHING
    }
  }
}

import type { TopicMetadata } from '../../cluster/metadata-image.ts'
import { isLost, NO_LEADER } from '../../cluster/metadata-records.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { ZERO_UUID } from '../../protocol/ids.ts'
import { DescribeTopicPartitions } from '../../protocol/messages/75-describe-topic-partitions.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import { TOPIC_OPERATIONS } from '../security/authorized-operations.ts'
import { handler } from './handler.ts'

type TopicResponse = ResponseInput<typeof DescribeTopicPartitions>['topics'][number]

/** Topics with their partitions, in the order of their names and in pages: a cursor says where the next one begins. */
export const describeTopicPartitions = handler(DescribeTopicPartitions, {
  handle(request, services, call) {
    const live = new Set(services.brokers(call.connection).map(({ nodeId }) => nodeId))
    const isLive = (id: number) => live.has(id)
    const image = services.image()
    const { cursor } = request
    if (cursor !== null && cursor.partitionIndex < 0)
      throw new KafkaError('INVALID_REQUEST', 'the cursor has a negative partition')
    const asked =
      request.topics.length === 0 ? image.topics().map(({ name }) => name) : [...new Set(request.topics.map(({ name }) => name))]
    const names = asked.filter((name) => cursor === null || name >= cursor.topicName).sort()
    let room = Math.max(1, Math.min(request.responsePartitionLimit, services.config().get('max.request.partition.size.limit')))
    const topics: TopicResponse[] = []
    for (const name of names) {
      const from = cursor?.topicName === name ? cursor.partitionIndex : 0
      const topic = image.topic(name)
      if (topic === undefined) {
        // A topic that was deleted between two pages is no error of the client's.
        if (request.topics.length > 0) topics.push(missing(name, services.topics.problemWithName(name)?.errorCode))
        continue
      }
      if (room === 0) return { topics, nextCursor: { topicName: name, partitionIndex: 0 } }
      const page = describe(topic, from, from + room, isLive)
      topics.push(page)
      room -= page.partitions.length
      const next = from + page.partitions.length
      if (next < topic.partitions.length) return { topics, nextCursor: { topicName: name, partitionIndex: next } }
    }
    return { topics }
  },

  fail: (request, error) => ({ topics: request.topics.map(({ name }) => missing(name, error.errorCode)) }),
})

function describe(topic: TopicMetadata, from: number, to: number, isLive: (id: number) => boolean): TopicResponse {
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.internal,
    topicAuthorizedOperations: TOPIC_OPERATIONS,
    partitions: topic.partitions
      .slice(from, to)
      .map(({ leader, leaderEpoch, replicas, isr, elr, lastKnownLeader, directories }, i) => ({
        errorCode: isLive(leader) ? ErrorCode.NONE : ErrorCode.LEADER_NOT_AVAILABLE,
        partitionIndex: from + i,
        leaderId: isLive(leader) ? leader : NO_LEADER,
        leaderEpoch,
        replicaNodes: replicas,
        isrNodes: isr,
        eligibleLeaderReplicas: elr,
        lastKnownElr: lastKnownLeader === NO_LEADER ? [] : [lastKnownLeader],
        offlineReplicas: replicas.filter((id) => !isLive(id) || isLost({ replicas, directories }, id)),
      })),
  }
}

function missing(name: string, errorCode: number = ErrorCode.UNKNOWN_TOPIC_OR_PARTITION): TopicResponse {
  return { errorCode, name, topicId: ZERO_UUID, partitions: [] }
}

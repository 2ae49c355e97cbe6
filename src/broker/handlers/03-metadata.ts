import { isInternalTopic } from '../../cluster/internal-topics.ts'
import type { TopicMetadata } from '../../cluster/metadata-image.ts'
import { isLost, NO_LEADER } from '../../cluster/metadata-records.ts'
import { ErrorCode, type KafkaError } from '../../protocol/error-codes.ts'
import { type TopicId, ZERO_UUID } from '../../protocol/ids.ts'
import { Metadata, type MetadataRequest } from '../../protocol/messages/03-metadata.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import type { Connection } from '../network/connection.ts'
import { CLUSTER_OPERATIONS, OPERATIONS_UNKNOWN, TOPIC_OPERATIONS } from '../security/authorized-operations.ts'
import type { BrokerAddress, Services } from '../services.ts'
import { handler } from './handler.ts'

type TopicResponse = ResponseInput<typeof Metadata>['topics'][number]

/** Who the brokers are and which topics there are. Creates topics that are asked for by name, where that is allowed. */
export const metadata = handler(Metadata, {
  async handle(request, services, call) {
    const operations = request.includeTopicAuthorizedOperations ? TOPIC_OPERATIONS : OPERATIONS_UNKNOWN
    const all = request.topics === null || (call.version === 0 && request.topics.length === 0)
    const view = viewOf(services, call.connection)
    const topics = all
      ? services
          .image()
          .topics()
          .map((topic) => found(topic, operations, view))
      : await named(request, services, operations, view)
    return {
      brokers: view.brokers,
      clusterId: services.clusterId,
      controllerId: services.nodeId,
      topics,
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : OPERATIONS_UNKNOWN,
    }
  },

  fail: (request, error) => ({
    brokers: [],
    errorCode: error.errorCode,
    topics: (request.topics ?? []).map(({ name, topicId }) => missing(name, topicId, error.errorCode)),
  }),
})

async function named(request: MetadataRequest, services: Services, operations: number, view: View): Promise<TopicResponse[]> {
  const wanted = request.topics ?? []
  const names = wanted.flatMap(({ name }) => name ?? [])
  let refused: ReadonlyMap<string, KafkaError> = new Map()
  if (request.allowAutoTopicCreation && services.config().get('auto.create.topics.enable'))
    refused = await services.topics.ensure(names)
  const image = services.image()
  return wanted.map(({ name, topicId }) => {
    const topic = name === null ? image.topicById(topicId as TopicId) : image.topic(name)
    if (topic !== undefined) return found(topic, operations, view)
    if (name === null) return missing(null, topicId, ErrorCode.UNKNOWN_TOPIC_ID)
    const code =
      refused.get(name)?.errorCode ?? services.topics.problemWithName(name)?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    return missing(name, ZERO_UUID, code)
  })
}

/** The brokers, as this client can reach them. */
interface View {
  readonly brokers: readonly BrokerAddress[]
  readonly isLive: (id: number) => boolean
}

function viewOf(services: Services, connection: Connection): View {
  const brokers = services.brokers(connection)
  const live = new Set(brokers.map(({ nodeId }) => nodeId))
  return { brokers, isLive: (id) => live.has(id) }
}

function found(topic: TopicMetadata, topicAuthorizedOperations: number, { isLive }: View): TopicResponse {
  return {
    errorCode: ErrorCode.NONE,
    name: topic.name,
    topicId: topic.id,
    isInternal: topic.internal,
    topicAuthorizedOperations,
    partitions: topic.partitions.map(({ leader, leaderEpoch, replicas, isr, directories }, partitionIndex) => ({
      errorCode: isLive(leader) ? ErrorCode.NONE : ErrorCode.LEADER_NOT_AVAILABLE,
      partitionIndex,
      leaderId: isLive(leader) ? leader : NO_LEADER,
      leaderEpoch,
      replicaNodes: replicas,
      isrNodes: isr,
      offlineReplicas: replicas.filter((id) => !isLive(id) || isLost({ replicas, directories }, id)),
    })),
  }
}

function missing(name: string | null, topicId: string, errorCode: number): TopicResponse {
  return { errorCode, name, topicId, isInternal: name !== null && isInternalTopic(name), partitions: [] }
}

import { ErrorCode, errorName, KafkaError } from '../../protocol/error-codes.ts'
import { type TopicId, ZERO_UUID } from '../../protocol/ids.ts'
import { OffsetFetch, type OffsetFetchRequest } from '../../protocol/messages/09-offset-fetch.ts'
import type { Services } from '../services.ts'
import { handler } from './handler.ts'

type RequestedGroup = OffsetFetchRequest['groups'][number]

/** Reads the positions of one group (up to version 7) or of many. Nothing committed is offset -1, and no error. */
export const offsetFetch = handler(OffsetFetch, {
  async handle(request, services, call) {
    if (call.version < 8) {
      const { errorCode, topics } = await services.groups.offsetFetch(request)
      if (errorCode === ErrorCode.NONE || call.version >= 2) return { errorCode, topics }
      // Version 1 has no error of its own: each partition tells it.
      throw new KafkaError(errorName(errorCode))
    }
    const fetched = request.groups.map((group) => fetchGroup(group, services, call.version >= 10, request.requireStable))
    return { groups: await Promise.all(fetched) }
  },

  fail: (request, error) => ({
    errorCode: error.errorCode,
    topics: (request.topics ?? []).map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((index) => noOffset(index, error.errorCode)),
    })),
    groups: request.groups.map(({ groupId }) => ({ groupId, errorCode: error.errorCode, topics: [] })),
  }),
})

async function fetchGroup({ groupId, topics }: RequestedGroup, services: Services, byId: boolean, requireStable: boolean) {
  const image = services.image()
  const named =
    topics?.map((topic) => ({ ...topic, name: byId ? (image.topicById(topic.topicId as TopicId)?.name ?? '') : topic.name })) ??
    null
  const known = named?.filter(({ name }) => name !== '') ?? null
  const fetched = await services.groups.offsetFetch({ groupId, topics: known, requireStable })
  const unknown = named?.filter(({ name }) => name === '') ?? []
  return {
    groupId,
    errorCode: fetched.errorCode,
    topics: [
      ...fetched.topics.map(({ name, partitions }) => ({ name, topicId: image.topic(name)?.id ?? ZERO_UUID, partitions })),
      ...unknown.map(({ topicId, partitionIndexes }) => ({
        topicId,
        partitions: partitionIndexes.map((index) => noOffset(index, ErrorCode.UNKNOWN_TOPIC_ID)),
      })),
    ],
  }
}

function noOffset(partitionIndex: number, errorCode: number) {
  return { partitionIndex, committedOffset: -1n, committedLeaderEpoch: -1, metadata: '', errorCode }
}

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import { OffsetCommit } from '../../protocol/messages/08-offset-commit.ts'
import { commitResults } from './commit-answer.ts'
import { handler } from './handler.ts'

/** Stores a group's position. Each partition gets its own answer: a refused one does not stop the others. */
export const offsetCommit = handler(OffsetCommit, {
  async handle(request, services, call) {
    const byId = call.version >= 10
    const unknown = byId ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION
    const image = services.image()
    const topics = request.topics.map((topic) => {
      const found = byId ? image.topicById(topic.topicId as TopicId) : image.topic(topic.name)
      return { ...topic, name: found?.name ?? topic.name, partitionCount: found?.partitions.length ?? 0 }
    })
    const known = topics.map(({ name, partitions, partitionCount }) => ({
      name,
      partitions: partitions.filter(({ partitionIndex }) => partitionIndex >= 0 && partitionIndex < partitionCount),
    }))
    const nonEmpty = known.filter(({ partitions }) => partitions.length > 0)
    // A commit of nothing is still one: it renews the session of its member.
    const stored =
      nonEmpty.length > 0 || request.topics.length === 0
        ? await services.groups.offsetCommit({ ...request, topics: nonEmpty }, call)
        : undefined
    const result = commitResults(stored, unknown)
    return {
      topics: topics.map(({ name, topicId, partitions }) => ({
        name,
        topicId,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: result(name, partitionIndex) })),
      })),
    }
  },

  fail: (request, error) => ({
    topics: request.topics.map(({ name, topicId, partitions }) => ({
      name,
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: error.errorCode })),
    })),
  }),
})

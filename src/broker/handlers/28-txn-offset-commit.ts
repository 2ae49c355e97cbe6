import { ErrorCode } from '../../protocol/error-codes.ts'
import { TxnOffsetCommit } from '../../protocol/messages/28-txn-offset-commit.ts'
import { commitResults } from './commit-answer.ts'
import { handler } from './handler.ts'

/** Stores a group's position as part of a transaction: it counts once that is committed. */
export const txnOffsetCommit = handler(TxnOffsetCommit, {
  async handle(request, services, call) {
    const image = services.image()
    const partitionCount = (topic: string) => image.topic(topic)?.partitions.length ?? 0
    const known = request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.filter(({ partitionIndex }) => partitionIndex >= 0 && partitionIndex < partitionCount(name)),
    }))
    const topics = known.filter(({ partitions }) => partitions.length > 0)
    const stored = topics.length > 0 ? await services.groups.txnOffsetCommit({ ...request, topics }, call) : undefined
    const result = commitResults(stored, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    return {
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: result(name, partitionIndex) })),
      })),
    }
  },

  fail: (request, error) => ({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: error.errorCode })),
    })),
  }),
})

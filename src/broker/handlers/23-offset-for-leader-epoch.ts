import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { OffsetForLeaderEpoch } from '../../protocol/messages/23-offset-for-leader-epoch.ts'
import { handler } from './handler.ts'

/** Answers where a leader epoch ends, so that a consumer can notice a log that was cut behind its back (KIP-320). */
export const offsetForLeaderEpoch = handler(OffsetForLeaderEpoch, {
  handle: (request, services) => ({
    topics: request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition: index, currentLeaderEpoch, leaderEpoch }) => {
        try {
          const partition = services.replicas.leader(topic, index)
          partition.checkLeaderEpoch(currentLeaderEpoch)
          return { partition: index, errorCode: ErrorCode.NONE, ...partition.log.endOffsetForEpoch(leaderEpoch) }
        } catch (error) {
          if (!(error instanceof KafkaError)) throw error
          return { partition: index, errorCode: error.errorCode }
        }
      }),
    })),
  }),

  fail: (request, error) => ({
    topics: request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition }) => ({ partition, errorCode: error.errorCode })),
    })),
  }),
})

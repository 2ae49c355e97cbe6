import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { DescribeProducers } from '../../protocol/messages/61-describe-producers.ts'
import { handler } from './handler.ts'

/** The producers that partitions know: where they stand, and since where they have a transaction open (KIP-664). */
export const describeProducers = handler(DescribeProducers, {
  handle: (request, services) => ({
    topics: request.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => {
        try {
          const { log } = services.replicas.leader(name, partitionIndex)
          return { partitionIndex, errorCode: ErrorCode.NONE, activeProducers: log.activeProducers() }
        } catch (error) {
          if (!(error instanceof KafkaError)) throw error
          return { partitionIndex, errorCode: error.errorCode, errorMessage: error.message, activeProducers: [] }
        }
      }),
    })),
  }),

  fail: (request, error) => ({
    topics: request.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => ({ partitionIndex, errorCode: error.errorCode, activeProducers: [] })),
    })),
  }),
})

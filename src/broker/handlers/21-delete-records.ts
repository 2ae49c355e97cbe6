import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { DeleteRecords } from '../../protocol/messages/21-delete-records.ts'
import { handler } from './handler.ts'

const TO_HIGH_WATERMARK = -1n

/** Moves the start of partitions up. What lies below is gone for readers at once, and from the disk as whole segments fall below it. */
export const deleteRecords = handler(DeleteRecords, {
  async handle(request, services) {
    const topics = []
    for (const { name, partitions } of request.topics) {
      const answers = []
      for (const { partitionIndex, offset } of partitions) {
        try {
          const partition = services.replicas.leader(name, partitionIndex)
          if (!partition.log.config.deletes) {
            throw new KafkaError('POLICY_VIOLATION', `records of ${name} are removed by compaction only (cleanup.policy)`)
          }
          const upTo = offset === TO_HIGH_WATERMARK ? partition.highWatermark : offset
          if (upTo < 0n || upTo > partition.highWatermark) throw new KafkaError('OFFSET_OUT_OF_RANGE')
          await partition.log.advanceLogStartOffset(upTo)
          answers.push({ partitionIndex, lowWatermark: partition.logStartOffset, errorCode: ErrorCode.NONE })
        } catch (error) {
          if (!(error instanceof KafkaError)) throw error
          answers.push({ partitionIndex, lowWatermark: -1n, errorCode: error.errorCode })
        }
      }
      topics.push({ name, partitions: answers })
    }
    return { topics }
  },

  fail: (request, error) => ({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, lowWatermark: -1n, errorCode: error.errorCode })),
    })),
  }),
})

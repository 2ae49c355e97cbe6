import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { DeleteRecords } from '../../protocol/messages/21-delete-records.ts'
import type { Services } from '../services.ts'
import { handler } from './handler.ts'

const TO_HIGH_WATERMARK = -1n

/**
 * Moves the start of partitions up, on all replicas. What lies below is gone for readers at once, and from the disk as whole segments
 * fall below it.
 */
export const deleteRecords = handler(DeleteRecords, {
  async handle(request, services) {
    const deadlineMs = services.clock.monotonicMs() + request.timeoutMs
    const topics = request.topics.map(async ({ name, partitions }) => ({
      name,
      partitions: await Promise.all(
        partitions.map(({ partitionIndex, offset }) => deleteFrom(services, name, partitionIndex, offset, deadlineMs)),
      ),
    }))
    return { topics: await Promise.all(topics) }
  },

  fail: (request, error) => ({
    topics: request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, lowWatermark: -1n, errorCode: error.errorCode })),
    })),
  }),
})

async function deleteFrom({ replicas }: Services, topic: string, partitionIndex: number, offset: bigint, deadlineMs: number) {
  try {
    const partition = replicas.leader(topic, partitionIndex)
    if (!partition.log.config.deletes) {
      throw new KafkaError('POLICY_VIOLATION', `records of ${topic} are removed by compaction only (cleanup.policy)`)
    }
    const upTo = offset === TO_HIGH_WATERMARK ? partition.highWatermark : offset
    const lowWatermark = await partition.deleteRecords(upTo, deadlineMs)
    return { partitionIndex, lowWatermark, errorCode: ErrorCode.NONE }
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error
    return { partitionIndex, lowWatermark: -1n, errorCode: error.errorCode }
  }
}

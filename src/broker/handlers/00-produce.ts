// Produce: the way in. Batches are checked, stamped and queued by the log without looking at their records.

import { isInternalTopic } from '../../cluster/internal-topics.ts'
import type { Acks } from '../../cluster/replication/partition.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import { Produce, type ProduceRequest } from '../../protocol/messages/00-produce.ts'
import { BATCH_HEADER_SIZE, batchSize, codecId, MAGIC_V2, magic } from '../../protocol/records/batch-header.ts'
import type { ResponseInput } from '../../protocol/schema.ts'
import type { Services } from '../services.ts'
import { handler } from './handler.ts'

type TopicResponse = ResponseInput<typeof Produce>['responses'][number]
type PartitionResponse = TopicResponse['partitionResponses'][number]

const ZSTD = 4
/** The only client that may write to internal topics: Kafka's own admin tools. */
const ADMIN_CLIENT_ID = '__admin_client'

export const produce = handler(Produce, {
  // librdkafka before 2.11.1 compresses only if it sees version 0 announced (KAFKA-18659). Below 3 it is never asked for.
  announced: '0-13',

  handle(request, services, call) {
    const acks = request.acks
    if (acks !== 0 && acks !== 1 && acks !== -1) throw new KafkaError('INVALID_REQUIRED_ACKS')
    const responses: { name: string; topicId: string; partitionResponses: PartitionResponse[] }[] = []
    const waits: Promise<void>[] = []
    const deadlineMs = services.clock.monotonicMs() + request.timeoutMs
    let refused = false
    for (const topic of request.topicData) {
      const partitionResponses: PartitionResponse[] = []
      responses.push({ name: topic.name, topicId: topic.topicId, partitionResponses })
      for (const { index, records } of lastOfEach(topic.partitionData)) {
        try {
          const name = call.version >= 13 ? nameOf(services, topic.topicId) : topic.name
          const response = append(services, name, index, records, acks, call.version, call.clientId, deadlineMs, waits)
          partitionResponses.push(response)
        } catch (error) {
          if (!(error instanceof KafkaError)) throw error
          refused = true
          partitionResponses.push(refusal(index, error))
        }
      }
    }
    // Without answers the only way to tell the client is to hang up: it will ask for metadata anew.
    if (acks === 0) return refused ? 'close' : null
    if (waits.length === 0) return { responses }
    return Promise.all(waits).then(() => ({ responses }))
  },

  fail: (request, error) => ({
    responses: request.topicData.map((topic) => ({
      name: topic.name,
      topicId: topic.topicId,
      partitionResponses: topic.partitionData.map(({ index }) => refusal(index, error)),
    })),
  }),
})

function append(
  services: Services,
  topic: string,
  index: number,
  records: Buffer | null,
  acks: Acks,
  version: number,
  clientId: string,
  deadlineMs: number,
  waits: Promise<void>[],
): PartitionResponse {
  if (isInternalTopic(topic) && clientId !== ADMIN_CLIENT_ID)
    throw new KafkaError('INVALID_TOPIC_EXCEPTION', `${topic} is internal`)
  const partition = services.replicas.leader(topic, index)
  const { firstOffset, lastOffset, logAppendTimeMs } = partition.append(onlyBatch(records, version), { origin: 'client' })
  const response = {
    index,
    errorCode: ErrorCode.NONE as number,
    baseOffset: firstOffset,
    logAppendTimeMs,
    logStartOffset: partition.logStartOffset,
    errorMessage: null as string | null,
  }
  const wait = partition.awaitAcks(acks, lastOffset + 1n, deadlineMs)
  if (wait !== undefined) {
    // A refusal of one partition is its own answer; the others go on.
    const settled = wait.catch((error: KafkaError) => {
      Object.assign(response, refusal(index, error))
    })
    waits.push(settled)
  }
  return response
}

function nameOf(services: Services, topicId: string): string {
  const topic = services.image().topicById(topicId as TopicId)
  if (topic === undefined) throw new KafkaError('UNKNOWN_TOPIC_ID')
  return topic.name
}

/** From version 3 on a partition's records are exactly one batch of format v2. */
function onlyBatch(records: Buffer | null, version: number): Buffer {
  if (records === null || records.length === 0)
    throw new KafkaError('INVALID_RECORD', 'the request has no record batch for this partition')
  if (records.length >= BATCH_HEADER_SIZE && magic(records) !== MAGIC_V2) {
    throw new KafkaError(
      'INVALID_RECORD',
      `message format v${magic(records)} was given up in Kafka 4: send record batches of format v2`,
    )
  }
  if (records.length < BATCH_HEADER_SIZE) throw new KafkaError('CORRUPT_MESSAGE', 'shorter than the header of a record batch')
  if (batchSize(records) !== records.length)
    throw new KafkaError('INVALID_RECORD', 'a partition takes exactly one record batch per request')
  if (version < 7 && codecId(records) === ZSTD)
    throw new KafkaError('UNSUPPORTED_COMPRESSION_TYPE', 'zstd needs Produce 7 or newer')
  return records
}

function refusal(index: number, error: KafkaError): PartitionResponse {
  return {
    index,
    errorCode: error.errorCode,
    baseOffset: -1n,
    logAppendTimeMs: -1n,
    logStartOffset: -1n,
    recordErrors: error.recordErrors,
    errorMessage: error.message === error.code ? null : error.message,
  }
}

/** Kafka does not refuse a partition that is named twice: the last one counts. */
function lastOfEach(partitions: ProduceRequest['topicData'][number]['partitionData']): typeof partitions {
  if (partitions.length < 2) return partitions
  const byIndex = new Map(partitions.map((partition) => [partition.index, partition]))
  return byIndex.size === partitions.length ? partitions : [...byIndex.values()]
}

import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { type TopicId, ZERO_UUID } from '../../protocol/ids.ts'
import type { MetadataImage, TopicMetadata } from '../metadata-image.ts'
import { keys } from '../metadata-records.ts'
import type { Decision, DecisionContext, Step } from './decision.ts'

/** By name, or by id where the name is null. */
export interface TopicReference {
  readonly name: string | null
  readonly topicId: string
}

export interface DeletedTopicResult {
  name: string | null
  topicId: string
  errorCode: number
  errorMessage: string | null
}

/** Deletes topics with their partitions and configuration. Results are in the order of the request. */
export function deleteTopics(
  image: MetadataImage,
  topics: readonly TopicReference[],
  { config }: DecisionContext,
): Decision<DeletedTopicResult[]> {
  const steps: Step[] = []
  const found = topics.map((reference) => find(image, reference))
  const results = topics.map((reference, i): DeletedTopicResult => {
    try {
      if (!config.get('delete.topic.enable')) throw new KafkaError('TOPIC_DELETION_DISABLED', 'delete.topic.enable is false')
      if (reference.name !== null && reference.topicId !== ZERO_UUID) {
        throw new KafkaError('INVALID_REQUEST', 'A topic is named by its name or by its id, not by both')
      }
      if (reference.name === null && reference.topicId === ZERO_UUID)
        throw new KafkaError('INVALID_REQUEST', 'A topic has neither name nor id')
      const topic = found[i]
      if (topic === undefined) {
        throw reference.name === null
          ? new KafkaError('UNKNOWN_TOPIC_ID', `No topic has the id ${reference.topicId}`)
          : new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `Topic '${reference.name}' does not exist`)
      }
      if (found.filter((other) => other?.id === topic.id).length > 1) {
        throw new KafkaError('INVALID_REQUEST', `The request names topic '${topic.name}' more than once`)
      }
      steps.push({
        ops: [
          { delete: keys.name(topic.name) },
          { delete: keys.topic(topic.id) },
          { delete: keys.config('topic', topic.name) },
          { deletePrefix: keys.partitions(topic.id) },
        ],
      })
      return { name: topic.name, topicId: topic.id, errorCode: ErrorCode.NONE, errorMessage: null }
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      return { ...reference, errorCode: error.errorCode, errorMessage: error.message }
    }
  })
  return { steps, reply: results }
}

function find(image: MetadataImage, { name, topicId }: TopicReference): TopicMetadata | undefined {
  return name === null ? image.topicById(topicId as TopicId) : image.topic(name)
}

/** Deletes what is left of topics whose creation was interrupted. */
export function deleteUnfinishedTopics(image: MetadataImage): Decision<number> {
  const ids = image.unfinishedTopics()
  return { steps: ids.map((id) => ({ ops: [{ deletePrefix: keys.partitions(id) }] })), reply: ids.length }
}

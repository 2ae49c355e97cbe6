import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type { CreatePartitionsRequest, CreatePartitionsResponse } from '../../protocol/messages/37-create-partitions.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { encodePartition, encodeRecord, keys, newPartition, type TopicRecord } from '../metadata-records.ts'
import { MAX_PARTITIONS_PER_REQUEST } from './create-topics.ts'
import type { Decision, DecisionContext, Step } from './decision.ts'
import { checkAssignment, placeReplicas } from './replica-placement.ts'

export type GrownTopic = CreatePartitionsRequest['topics'][number]
export type GrownTopicResult = CreatePartitionsResponse['results'][number]

export interface CreatePartitionsCommand {
  readonly topics: readonly GrownTopic[]
  readonly validateOnly: boolean
}

/** Gives topics more partitions. Each name gets one result, in the order of the request. */
export function createPartitions(
  image: MetadataImage,
  { topics, validateOnly }: CreatePartitionsCommand,
  context: DecisionContext,
): Decision<GrownTopicResult[]> {
  const steps: Step[] = []
  const names = new Set(topics.map((topic) => topic.name))
  const results = [...names].map((name): GrownTopicResult => {
    try {
      const named = topics.filter((topic) => topic.name === name)
      if (named.length > 1) throw new KafkaError('INVALID_REQUEST', `The request names topic '${name}' ${named.length} times`)
      steps.push(...grow(image, named[0], context))
      return { name, errorCode: ErrorCode.NONE, errorMessage: null }
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      return { name, errorCode: error.errorCode, errorMessage: error.message }
    }
  })
  return { steps: validateOnly ? [] : steps, reply: results }
}

function grow(image: MetadataImage, { name, count, assignments }: GrownTopic, { random }: DecisionContext): Step[] {
  const topic = image.topic(name)
  if (topic === undefined) throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `Topic '${name}' does not exist`)
  const current = topic.partitions.length
  if (count === current) throw new KafkaError('INVALID_PARTITIONS', `Topic '${name}' has ${current} partitions already`)
  if (count < current) {
    throw new KafkaError(
      'INVALID_PARTITIONS',
      `Topic '${name}' has ${current} partitions; they cannot become fewer, as ${count} would be`,
    )
  }
  const additional = count - current
  if (additional > MAX_PARTITIONS_PER_REQUEST) {
    throw new KafkaError('INVALID_PARTITIONS', `One request creates at most ${MAX_PARTITIONS_PER_REQUEST} partitions`)
  }
  const replicationFactor = topic.partitions[0].replicas.length
  if (assignments !== null) {
    if (assignments.length !== additional) {
      throw new KafkaError(
        'INVALID_REPLICA_ASSIGNMENT',
        `${additional} partitions are added, but ${assignments.length} are assigned`,
      )
    }
    for (const [i, { brokerIds }] of assignments.entries()) {
      checkAssignment(brokerIds, (id) => image.broker(id) !== undefined, current + i, replicationFactor)
    }
  }
  const replicas =
    assignments?.map(({ brokerIds }) => brokerIds) ?? placeReplicas(image.activeBrokers(), additional, replicationFactor, random)
  const active = new Set(image.activeBrokers().map((broker) => broker.id))
  const steps: Step[] = replicas.map((brokerIds, i) => {
    const isr = brokerIds.filter((id) => active.has(id))
    if (isr.length === 0)
      throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', `None of the brokers of partition ${current + i} is available`)
    return { ops: [{ put: keys.partition(topic.id, current + i), value: encodePartition(newPartition(brokerIds, isr)) }] }
  })
  // Nobody sees the partitions before the count says so.
  const record: TopicRecord = { name, partitionCount: count, internal: topic.internal }
  steps.push({ ops: [{ put: keys.topic(topic.id), value: encodeRecord(record) }] })
  return steps
}

import { type ConfigTexts, TopicConfig } from '../../config/effective.ts'
import { uuid } from '../../host/random.ts'
import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { type TopicId, ZERO_UUID } from '../../protocol/ids.ts'
import type { CreateTopicsRequest, CreateTopicsResponse } from '../../protocol/messages/19-create-topics.ts'
import { isInternalTopic } from '../internal-topics.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { encodePartition, encodeRecord, keys, newPartition, type TopicRecord } from '../metadata-records.ts'
import { checkTopicConfigs } from './config-rules.ts'
import type { Decision, DecisionContext, Step } from './decision.ts'
import { checkAssignment, countMachines, placeReplicas } from './replica-placement.ts'
import { collide, topicNameProblem } from './topic-name.ts'

export type NewTopic = CreateTopicsRequest['topics'][number]
export type NewTopicResult = CreateTopicsResponse['topics'][number]

export interface CreateTopicsCommand {
  readonly topics: readonly NewTopic[]
  readonly validateOnly: boolean
}

/** Kafka's own bound: one request must not keep the controller busy for long. */
export const MAX_PARTITIONS_PER_REQUEST = 10_000

/** Creates topics. Each name gets one result, in the order of the request; a refused one does not stop the others. */
export function createTopics(
  image: MetadataImage,
  { topics, validateOnly }: CreateTopicsCommand,
  context: DecisionContext,
): Decision<NewTopicResult[]> {
  const names = new Map<string, number>()
  for (const { name } of topics) names.set(name, (names.get(name) ?? 0) + 1)
  const tooMany = topics.reduce((sum, topic) => sum + partitionCountOf(topic, context), 0) > MAX_PARTITIONS_PER_REQUEST

  const steps: Step[] = []
  const accepted: string[] = []
  const results = [...names].map(([name, count]) => {
    try {
      if (count > 1) throw new KafkaError('INVALID_REQUEST', `The request names topic '${name}' ${count} times`)
      if (tooMany)
        throw new KafkaError('POLICY_VIOLATION', `One request creates at most ${MAX_PARTITIONS_PER_REQUEST} partitions`)
      const created = createTopic(image, topics.find((topic) => topic.name === name)!, accepted, context)
      accepted.push(name)
      steps.push(...created.steps)
      return created.result
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      return refused(name, error)
    }
  })
  return { steps: validateOnly ? [] : steps, reply: results }
}

function createTopic(
  image: MetadataImage,
  topic: NewTopic,
  accepted: readonly string[],
  context: DecisionContext,
): { steps: Step[]; result: NewTopicResult } {
  const { name } = topic
  if (image.topic(name) !== undefined) throw new KafkaError('TOPIC_ALREADY_EXISTS', `Topic '${name}' already exists`)
  const problem = topicNameProblem(name)
  if (problem !== undefined) throw new KafkaError('INVALID_TOPIC_EXCEPTION', problem)
  if (/[._]/.test(name)) {
    const other =
      accepted.find((other) => collide(name, other)) ?? image.topics().find((other) => collide(name, other.name))?.name
    if (other !== undefined) {
      throw new KafkaError(
        'INVALID_TOPIC_EXCEPTION',
        `Topic '${name}' differs from '${other}' only in '.' and '_', which metrics cannot tell apart`,
      )
    }
  }

  const nulls = topic.configs.filter(({ value }) => value === null)
  if (nulls.length > 0)
    throw new KafkaError('INVALID_CONFIG', `Topic configuration ${nulls.map((config) => config.name).join(', ')} has no value`)
  const configs: ConfigTexts = new Map(topic.configs.map((config) => [config.name, config.value!]))
  const effective = new TopicConfig(context.config, configs)
  checkTopicConfigs(effective, configs.keys())

  const assignments = topic.assignments.length > 0 ? manualAssignments(image, topic) : automaticAssignments(image, topic, context)
  const active = new Set(image.activeBrokers().map((broker) => broker.id))
  const partitions = assignments.map((replicas, index) => {
    const isr = replicas.filter((id) => active.has(id))
    if (isr.length === 0) {
      throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', `None of the brokers of partition ${index} is available`)
    }
    return newPartition(replicas, isr)
  })

  const id = uuid(context.random) as TopicId
  const record: TopicRecord = { name, partitionCount: partitions.length, internal: isInternalTopic(name) }
  const steps: Step[] = partitions.map((partition, index) => ({
    ops: [{ put: keys.partition(id, index), value: encodePartition(partition) }],
  }))
  // Nobody sees the partitions before the topic is there.
  steps.push({
    guards: [{ key: keys.name(name), created: 0 }],
    ops: [
      { put: keys.name(name), value: encodeRecord({ id }) },
      { put: keys.topic(id), value: encodeRecord(record) },
      ...(configs.size === 0
        ? []
        : [{ put: keys.config('topic', name), value: encodeRecord({ configs: Object.fromEntries(configs) }) }]),
    ],
  })
  const result: NewTopicResult = {
    name,
    topicId: id,
    errorCode: ErrorCode.NONE,
    errorMessage: null,
    topicConfigErrorCode: ErrorCode.NONE,
    numPartitions: partitions.length,
    replicationFactor: assignments[0].length,
    configs: effective.describe().map((config) => ({
      name: config.name,
      value: config.value,
      readOnly: config.readOnly,
      configSource: config.source,
      isSensitive: config.definition.sensitive,
    })),
  }
  return { steps, result }
}

function manualAssignments(image: MetadataImage, { numPartitions, replicationFactor, assignments }: NewTopic): number[][] {
  if (replicationFactor !== -1)
    throw new KafkaError('INVALID_REQUEST', 'A topic with assignments must have replication factor -1')
  if (numPartitions !== -1) throw new KafkaError('INVALID_REQUEST', 'A topic with assignments must have -1 partitions')
  const byIndex = new Map(assignments.map((assignment) => [assignment.partitionIndex, assignment.brokerIds]))
  if (byIndex.size !== assignments.length)
    throw new KafkaError('INVALID_REPLICA_ASSIGNMENT', 'A partition is assigned more than once')
  return assignments.map((_, index) => {
    const brokerIds = byIndex.get(index)
    if (brokerIds === undefined) {
      throw new KafkaError(
        'INVALID_REPLICA_ASSIGNMENT',
        `Assigned partitions must count from 0 without a gap; ${index} is missing`,
      )
    }
    checkAssignment(brokerIds, (id) => image.broker(id) !== undefined, index, byIndex.get(0)!.length)
    return [...brokerIds]
  })
}

function automaticAssignments(image: MetadataImage, topic: NewTopic, context: DecisionContext): number[][] {
  const { replicationFactor, numPartitions } = topic
  if (replicationFactor === 0 || replicationFactor < -1) {
    throw new KafkaError('INVALID_REPLICATION_FACTOR', 'The replication factor must be at least 1, or -1 for the default')
  }
  if (numPartitions === 0 || numPartitions < -1) {
    throw new KafkaError('INVALID_PARTITIONS', 'The number of partitions must be at least 1, or -1 for the default')
  }
  const factor = replicationFactor === -1 ? defaultFactor(image, context) : replicationFactor
  return placeReplicas(image.activeBrokers(), partitionCountOf(topic, context), factor, context.random)
}

/** What somebody has set is meant. Our own default is what the brokers that there are can keep apart. */
function defaultFactor(image: MetadataImage, { config }: DecisionContext): number {
  const factor = config.get('default.replication.factor')
  return config.has('default.replication.factor') ? factor : Math.min(factor, Math.max(1, countMachines(image.brokers())))
}

function partitionCountOf({ assignments, numPartitions }: NewTopic, { config }: DecisionContext): number {
  if (assignments.length > 0) return assignments.length
  return numPartitions === -1 ? config.get('num.partitions') : Math.max(0, numPartitions)
}

function refused(name: string, error: KafkaError): NewTopicResult {
  return {
    name,
    topicId: ZERO_UUID,
    errorCode: error.errorCode,
    errorMessage: error.message,
    topicConfigErrorCode: ErrorCode.NONE,
    numPartitions: -1,
    replicationFactor: -1,
    configs: [],
  }
}

// Moving partitions to other brokers (KIP-455): the new replicas join, and once they are in sync the old ones go.

import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type {
  AlterPartitionReassignmentsRequest,
  AlterPartitionReassignmentsResponseInput,
} from '../../protocol/messages/45-alter-partition-reassignments.ts'
import type {
  ListPartitionReassignmentsRequest,
  ListPartitionReassignmentsResponseInput,
} from '../../protocol/messages/46-list-partition-reassignments.ts'
import type { MetadataImage, TopicMetadata } from '../metadata-image.ts'
import type { PartitionRecord } from '../metadata-records.ts'
import type { Decision, DecisionContext } from './decision.ts'
import { PartitionChanges, topicRules } from './partition-changes.ts'
import { checkAssignment } from './replica-placement.ts'

export type ReassignPartitionsCommand = Pick<AlterPartitionReassignmentsRequest, 'topics' | 'allowReplicationFactorChange'>

/** Starts moves, replaces those that are under way, or, where the replicas are null, takes them back. Each partition has its own answer. */
export function reassignPartitions(
  image: MetadataImage,
  { topics, allowReplicationFactorChange }: ReassignPartitionsCommand,
  { config }: DecisionContext,
): Decision<AlterPartitionReassignmentsResponseInput> {
  const changes = new PartitionChanges(image, config)
  const rulesOf = topicRules(image, config)
  const responses = topics.map(({ name, partitions }) => ({
    name,
    partitions: partitions.map(({ partitionIndex, replicas }) => {
      try {
        const named = partitions.filter((other) => other.partitionIndex === partitionIndex)
        if (named.length > 1) throw new KafkaError('INVALID_REQUEST', `${name}-${partitionIndex} is named ${named.length} times`)
        const topic = image.topic(name)
        const before = topic?.partitions[partitionIndex]
        if (topic === undefined || before === undefined)
          throw new KafkaError('UNKNOWN_TOPIC_OR_PARTITION', `${name}-${partitionIndex} does not exist`)
        if (replicas === null) {
          const { targets, unclean } = withoutMove(topic, partitionIndex, before)
          if (unclean && !rulesOf(name).uncleanElection) {
            throw new KafkaError(
              'INVALID_REPLICA_ASSIGNMENT',
              `${name}-${partitionIndex} has no replica in sync but those that are being added: going back would lose records`,
            )
          }
          changes.change(topic, partitionIndex, before, targets, unclean ? { election: 'unclean' } : {})
        } else {
          checkAssignment(replicas, (id) => image.broker(id) !== undefined, partitionIndex, undefined)
          const factor = before.replicas.length - before.adding.length
          if (!allowReplicationFactorChange && factor !== replicas.length) {
            throw new KafkaError(
              'INVALID_REPLICATION_FACTOR',
              `The replication factor of ${name}-${partitionIndex} would change from ${factor} to ${replicas.length}`,
            )
          }
          changes.change(topic, partitionIndex, before, moveTo(replicas, before))
        }
        return { partitionIndex, errorCode: ErrorCode.NONE, errorMessage: null }
      } catch (error) {
        if (!(error instanceof KafkaError)) throw error
        return { partitionIndex, errorCode: error.errorCode, errorMessage: error.message }
      }
    }),
  }))
  return {
    steps: changes.steps,
    reply: { errorCode: ErrorCode.NONE, errorMessage: null, allowReplicationFactorChange, responses },
  }
}

/** The old replicas stay behind the new ones until those are in sync. */
function moveTo(target: readonly number[], { replicas }: PartitionRecord) {
  const removing = replicas.filter((id) => !target.includes(id))
  return { replicas: [...target, ...removing], adding: target.filter((id) => !replicas.includes(id)), removing }
}

function withoutMove({ name }: TopicMetadata, index: number, { replicas, isr, adding, removing }: PartitionRecord) {
  if (adding.length + removing.length === 0)
    throw new KafkaError('NO_REASSIGNMENT_IN_PROGRESS', `${name}-${index} is not being moved`)
  const left = isr.filter((id) => !adding.includes(id))
  const targets = { replicas: replicas.filter((id) => !adding.includes(id)), adding: [], removing: [], isr: left }
  return { targets, unclean: left.length === 0 && isr.length > 0 }
}

/** The moves that are under way, of all topics or of those asked for. */
export function listReassignments(
  image: MetadataImage,
  topics: ListPartitionReassignmentsRequest['topics'],
): ListPartitionReassignmentsResponseInput {
  const asked = topics ?? image.topics().map(({ name }) => ({ name, partitionIndexes: null }))
  const listed = asked.flatMap(({ name, partitionIndexes }) => {
    const all = image.topic(name)?.partitions ?? []
    const partitions = (partitionIndexes ?? [...all.keys()]).flatMap((partitionIndex) => {
      const { replicas, adding, removing } = all[partitionIndex] ?? { replicas: [], adding: [], removing: [] }
      if (adding.length + removing.length === 0) return []
      return [{ partitionIndex, replicas, addingReplicas: adding, removingReplicas: removing }]
    })
    return partitions.length === 0 ? [] : [{ name, partitions }]
  })
  return { errorCode: ErrorCode.NONE, errorMessage: null, topics: listed }
}

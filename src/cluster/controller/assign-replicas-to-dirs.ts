import { ErrorCode, type ErrorName, KafkaError } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import type {
  AssignReplicasToDirsRequest,
  AssignReplicasToDirsResponseInput,
} from '../../protocol/messages/73-assign-replicas-to-dirs.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { LOST_DIRECTORY, UNASSIGNED_DIRECTORY } from '../metadata-records.ts'
import { registered } from './broker-state.ts'
import type { Decision, DecisionContext } from './decision.ts'
import { PartitionChanges } from './partition-changes.ts'

/** A broker says where its replicas are. One that it has lost leads no more, and leaves its ISR; one that is there again may come back. */
export function assignReplicasToDirs(
  image: MetadataImage,
  { brokerId, brokerEpoch, directories }: AssignReplicasToDirsRequest,
  { config }: DecisionContext,
): Decision<AssignReplicasToDirsResponseInput> {
  try {
    registered(image, brokerId, Number(brokerEpoch))
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error
    return { steps: [], reply: { errorCode: ErrorCode.STALE_BROKER_EPOCH, directories: [] } }
  }
  const changes = new PartitionChanges(image, config)
  const assign = (topicId: string, index: number, directory: string): ErrorName => {
    const topic = image.topicById(topicId as TopicId)
    if (topic === undefined) return 'UNKNOWN_TOPIC_ID'
    const before = topic.partitions[index]
    if (before === undefined) return 'UNKNOWN_TOPIC_OR_PARTITION'
    const place = before.replicas.indexOf(brokerId)
    if (place < 0) return 'NOT_LEADER_OR_FOLLOWER'
    const assigned = before.replicas.map((_, i) => (i === place ? directory : (before.directories[i] ?? UNASSIGNED_DIRECTORY)))
    const isr = directory === LOST_DIRECTORY ? before.isr.filter((id) => id !== brokerId) : before.isr
    changes.change(topic, index, before, { isr, directories: assigned })
    return 'NONE'
  }
  const answers = directories.map(({ id, topics }) => ({
    id,
    topics: topics.map(({ topicId, partitions }) => ({
      topicId,
      partitions: partitions.map(({ partitionIndex }) => ({
        partitionIndex,
        errorCode: ErrorCode[assign(topicId, partitionIndex, id)],
      })),
    })),
  }))
  return { steps: changes.steps, reply: { errorCode: ErrorCode.NONE, directories: answers } }
}

import { ErrorCode, type ErrorName, errorName, KafkaError } from '../../protocol/error-codes.ts'
import type { TopicId } from '../../protocol/ids.ts'
import type { AlterPartitionRequest, AlterPartitionResponseInput } from '../../protocol/messages/56-alter-partition.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { isLost, type PartitionRecord } from '../metadata-records.ts'
import { registered } from './broker-state.ts'
import type { Decision, DecisionContext } from './decision.ts'
import { PartitionChanges } from './partition-changes.ts'

type PartitionRequest = AlterPartitionRequest['topics'][number]['partitions'][number]
type PartitionResult = AlterPartitionResponseInput['topics'][number]['partitions'][number]

const RECOVERING = 1
/** Of a member whose epoch the leader does not know. */
const UNKNOWN_EPOCH = -1

/** A leader asks for other ISRs (KIP-497). Each partition has its own answer: what it is by then, or why it stays as it was. */
export function alterPartition(
  image: MetadataImage,
  request: AlterPartitionRequest,
  { config }: DecisionContext,
): Decision<AlterPartitionResponseInput> {
  try {
    registered(image, request.brokerId, Number(request.brokerEpoch))
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error
    return { steps: [], reply: { errorCode: ErrorCode.STALE_BROKER_EPOCH, topics: [] } }
  }
  const changes = new PartitionChanges(image, config)
  const topics = request.topics.map(({ topicId, partitions }) => ({
    topicId,
    partitions: partitions.map((wanted): PartitionResult => {
      const { partitionIndex } = wanted
      const topic = image.topicById(topicId as TopicId)
      if (topic === undefined) return refused(partitionIndex, 'UNKNOWN_TOPIC_ID')
      const before = topic.partitions[partitionIndex]
      if (before === undefined) return refused(partitionIndex, 'UNKNOWN_TOPIC_OR_PARTITION')
      const problem = problemWith(image, before, request.brokerId, wanted)
      if (problem !== undefined) return refused(partitionIndex, problem)
      const isr = wanted.newIsrWithEpochs.map((member) => member.brokerId)
      const recovering = wanted.leaderRecoveryState === RECOVERING
      const after = changes.change(topic, partitionIndex, before, { isr, recovering })
      // Somebody else leads now, as where the ISR was what a reassignment waited for: who asked hears of it from the image.
      if (after.leader !== request.brokerId) return refused(partitionIndex, 'NEW_LEADER_ELECTED')
      if (after.leaderEpoch !== before.leaderEpoch) return refused(partitionIndex, 'FENCED_LEADER_EPOCH')
      return {
        partitionIndex,
        errorCode: ErrorCode.NONE,
        leaderId: after.leader,
        leaderEpoch: after.leaderEpoch,
        isr: after.isr,
        leaderRecoveryState: after.recovering ? RECOVERING : 0,
        partitionEpoch: after.partitionEpoch,
      }
    }),
  }))
  return { steps: changes.steps, reply: { errorCode: ErrorCode.NONE, topics } }
}

/** The checks in their order (KIP-497, KIP-704, KIP-841, KIP-903): what comes first is what the leader must hear of. */
function problemWith(
  image: MetadataImage,
  partition: PartitionRecord,
  leader: number,
  { leaderEpoch, partitionEpoch, newIsrWithEpochs, leaderRecoveryState }: PartitionRequest,
): ErrorName | undefined {
  // It knows of more than we do: another controller has told it.
  if (leaderEpoch > partition.leaderEpoch || partitionEpoch > partition.partitionEpoch) return 'NOT_CONTROLLER'
  if (leaderEpoch < partition.leaderEpoch) return 'FENCED_LEADER_EPOCH'
  if (leader !== partition.leader) return 'INVALID_REQUEST'
  if (partitionEpoch < partition.partitionEpoch) return 'INVALID_UPDATE_VERSION'
  const isr = newIsrWithEpochs.map(({ brokerId }) => brokerId)
  if (new Set(isr).size !== isr.length || !isr.includes(leader)) return 'INVALID_REQUEST'
  if (isr.some((id) => !partition.replicas.includes(id))) return 'INVALID_REQUEST'
  const recovering = leaderRecoveryState === RECOVERING
  if (recovering && (isr.length > 1 || !partition.recovering)) return 'INVALID_REQUEST'
  const ineligible = newIsrWithEpochs.some(({ brokerId, brokerEpoch }) => {
    const epoch = Number(brokerEpoch)
    if (!image.mayLead(brokerId) || isLost(partition, brokerId)) return true
    return epoch === UNKNOWN_EPOCH ? !partition.isr.includes(brokerId) : image.broker(brokerId)?.epoch !== epoch
  })
  return ineligible ? 'INELIGIBLE_REPLICA' : undefined
}

function refused(partitionIndex: number, error: ErrorName): PartitionResult {
  return { partitionIndex, errorCode: ErrorCode[error], leaderId: -1, leaderEpoch: -1, isr: [], partitionEpoch: -1 }
}

/** The error of one partition, for whoever asked for it. */
export function refusal(errorCode: number): KafkaError {
  const name = errorName(errorCode)
  return new KafkaError(name, `the controller refused another ISR: ${name}`)
}

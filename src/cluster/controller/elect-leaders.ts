// Elections that somebody asks for (KIP-460), and the ones by which leadership goes back to where it was meant to be.

import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import type { ElectLeadersRequest, ElectLeadersResponseInput } from '../../protocol/messages/43-elect-leaders.ts'
import type { MetadataImage, TopicMetadata } from '../metadata-image.ts'
import { NO_LEADER } from '../metadata-records.ts'
import type { Decision, DecisionContext } from './decision.ts'
import { PARTITIONS_PER_COMMIT, PartitionChanges } from './partition-changes.ts'

export type ElectLeadersCommand = Pick<ElectLeadersRequest, 'electionType' | 'topicPartitions'>
type PartitionResult = ElectLeadersResponseInput['replicaElectionResults'][number]['partitionResult'][number]

const PREFERRED = 0
const UNCLEAN = 1

/** Null partitions ask for all of them; then those that need no election are not mentioned. */
export function electLeaders(
  image: MetadataImage,
  { electionType, topicPartitions }: ElectLeadersCommand,
  { config }: DecisionContext,
): Decision<ElectLeadersResponseInput> {
  if (electionType !== PREFERRED && electionType !== UNCLEAN)
    throw new KafkaError('INVALID_REQUEST', `There is no election of type ${electionType}`)
  const changes = new PartitionChanges(image, config)
  const elect = (topic: TopicMetadata | undefined, name: string, index: number): PartitionResult => {
    const refused = (code: keyof typeof ErrorCode, errorMessage: string | null = null) => ({
      partitionId: index,
      errorCode: ErrorCode[code],
      errorMessage,
    })
    if (topic === undefined) return refused('UNKNOWN_TOPIC_OR_PARTITION', `Topic '${name}' does not exist`)
    const before = topic.partitions[index]
    if (before === undefined) return refused('UNKNOWN_TOPIC_OR_PARTITION', `Topic '${name}' has no partition ${index}`)
    const unneeded = electionType === PREFERRED ? before.leader === before.replicas[0] : before.leader !== NO_LEADER
    if (unneeded) return refused('ELECTION_NOT_NEEDED')
    const after = changes.change(topic, index, before, {}, { election: electionType === PREFERRED ? 'preferred' : 'unclean' })
    if (after.leader !== before.leader && after.leader !== NO_LEADER)
      return { partitionId: index, errorCode: ErrorCode.NONE, errorMessage: null }
    return electionType === PREFERRED
      ? refused('PREFERRED_LEADER_NOT_AVAILABLE', `Broker ${before.replicas[0]} cannot lead ${name}-${index} now`)
      : refused('ELIGIBLE_LEADERS_NOT_AVAILABLE', `No replica of ${name}-${index} is there`)
  }
  const asked =
    topicPartitions?.map(({ topic, partitions }) => ({ name: topic, partitions })) ??
    image.topics().map(({ name, partitions }) => ({ name, partitions: [...partitions.keys()] }))
  const results = asked.map(({ name, partitions }) => ({
    topic: name,
    partitionResult: partitions
      .map((index) => elect(image.topic(name), name, index))
      .filter(({ errorCode }) => topicPartitions !== null || errorCode !== ErrorCode.ELECTION_NOT_NEEDED),
  }))
  const told = topicPartitions === null ? results.filter(({ partitionResult }) => partitionResult.length > 0) : results
  return { steps: changes.steps, reply: { errorCode: ErrorCode.NONE, replicaElectionResults: told } }
}

/**
 * Gives leadership back to the preferred replicas of brokers of whose partitions more than `leader.imbalance.per.broker.percentage` are
 * led elsewhere, one commit's worth. False: there is more to do.
 */
export function balanceLeaders(image: MetadataImage, _: undefined, { config }: DecisionContext): Decision<boolean> {
  const preferred = new Map<number, { total: number; elsewhere: { topic: TopicMetadata; index: number }[] }>()
  for (const topic of image.topics()) {
    for (const [index, { replicas, leader, isr }] of topic.partitions.entries()) {
      const broker = replicas[0]
      const share = preferred.get(broker) ?? { total: 0, elsewhere: [] }
      preferred.set(broker, share)
      share.total++
      if (leader !== broker && isr.includes(broker) && image.mayLead(broker)) share.elsewhere.push({ topic, index })
    }
  }
  const changes = new PartitionChanges(image, config)
  const allowed = config.get('leader.imbalance.per.broker.percentage') / 100
  for (const { total, elsewhere } of preferred.values()) {
    if (elsewhere.length <= total * allowed) continue
    for (const { topic, index } of elsewhere) {
      changes.change(topic, index, topic.partitions[index], {}, { election: 'preferred' })
      if (changes.steps.length === PARTITIONS_PER_COMMIT) return { steps: changes.steps, reply: false }
    }
  }
  return { steps: changes.steps, reply: true }
}

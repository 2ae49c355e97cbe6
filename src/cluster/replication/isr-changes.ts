// How a leader asks the controller for another ISR (AlterPartition, KIP-497). The controller is the only one who decides; what
// travels between the two is not the leader's business.

import type { TopicId } from '../../protocol/ids.ts'
import type { PartitionRecord } from '../metadata-records.ts'

export interface IsrMember {
  readonly brokerId: number
  /** As seen in its fetches (KIP-903); -1 where unknown, which only holds for those already in the ISR. */
  readonly brokerEpoch: number
}

export interface IsrChange {
  readonly topicId: TopicId
  readonly index: number
  readonly leaderEpoch: number
  /** Of the partition as it was when the change was thought of: another one since then, and the change is refused. */
  readonly partitionEpoch: number
  readonly isr: readonly IsrMember[]
  /** As the partition says it, unless the leader takes it back (KIP-704). */
  readonly recovering: boolean
}

/** How a leader asks the controller for another ISR (AlterPartition). */
export interface IsrChanges {
  /**
   * Resolves with the partition as committed; rejects with KafkaError (FENCED_LEADER_EPOCH, INVALID_UPDATE_VERSION,
   * INELIGIBLE_REPLICA, NOT_CONTROLLER, UNKNOWN_TOPIC_ID, OPERATION_NOT_ATTEMPTED…) or when nobody could be asked (retriable).
   * Many calls of one turn travel in one request.
   */
  propose(change: IsrChange): Promise<PartitionRecord>
}

// The topics that coordinators keep their state in, as the broker's configuration wants them.

import type { BrokerConfig } from '../config/effective.ts'
import type { NewTopic } from './controller/create-topics.ts'

export const GROUP_OFFSETS_TOPIC = '__consumer_offsets'
export const TRANSACTION_STATE_TOPIC = '__transaction_state'
const SHARE_STATE_TOPIC = '__share_group_state'

const INTERNAL_TOPICS: ReadonlySet<string> = new Set([GROUP_OFFSETS_TOPIC, TRANSACTION_STATE_TOPIC, SHARE_STATE_TOPIC])

/** Clients may read such a topic, not write it. */
export function isInternalTopic(name: string): boolean {
  return INTERNAL_TOPICS.has(name)
}

/**
 * The request that creates an internal topic. Kafka asks for three replicas and refuses to start groups on fewer brokers; here
 * the factor is at most the number of machines, so that a single node works as it is.
 */
export function newInternalTopic(
  name: typeof GROUP_OFFSETS_TOPIC | typeof TRANSACTION_STATE_TOPIC,
  config: BrokerConfig,
  machineCount: number,
): NewTopic {
  const [prefix, isr] =
    name === GROUP_OFFSETS_TOPIC
      ? (['offsets.topic', null] as const)
      : (['transaction.state.log', config.get('transaction.state.log.min.isr')] as const)
  const replicationFactor = Math.min(config.get(`${prefix}.replication.factor`), Math.max(1, machineCount))
  const configs = [
    { name: 'cleanup.policy', value: 'compact' },
    { name: 'compression.type', value: name === GROUP_OFFSETS_TOPIC ? 'producer' : 'uncompressed' },
    { name: 'segment.bytes', value: String(Math.max(1_048_576, config.get(`${prefix}.segment.bytes`))) },
  ]
  if (isr !== null) configs.push({ name: 'min.insync.replicas', value: String(Math.min(isr, replicationFactor)) })
  return { name, numPartitions: config.get(`${prefix}.num.partitions`), replicationFactor, assignments: [], configs }
}

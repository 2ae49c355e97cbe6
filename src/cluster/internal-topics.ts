// The topics that coordinators keep their state in, as the broker's configuration wants them.

import type { BrokerConfig } from '../config/effective.ts'
import type { NewTopic } from './controller/create-topics.ts'

export type InternalTopic = '__consumer_offsets' | '__transaction_state'

/**
 * The request that creates an internal topic. Kafka asks for three replicas and refuses to start groups on fewer brokers; here
 * the factor is at most the number of brokers, so that a single node works as it is.
 */
export function internalTopic(name: InternalTopic, config: BrokerConfig, brokerCount: number): NewTopic {
  const [prefix, isr] =
    name === '__consumer_offsets'
      ? (['offsets.topic', null] as const)
      : (['transaction.state.log', config.get('transaction.state.log.min.isr')] as const)
  const replicationFactor = Math.min(config.get(`${prefix}.replication.factor`), Math.max(1, brokerCount))
  const configs = [
    { name: 'cleanup.policy', value: 'compact' },
    { name: 'compression.type', value: name === '__consumer_offsets' ? 'producer' : 'uncompressed' },
    { name: 'segment.bytes', value: String(Math.max(1_048_576, config.get(`${prefix}.segment.bytes`))) },
  ]
  if (isr !== null) configs.push({ name: 'min.insync.replicas', value: String(Math.min(isr, replicationFactor)) })
  return { name, numPartitions: config.get(`${prefix}.num.partitions`), replicationFactor, assignments: [], configs }
}

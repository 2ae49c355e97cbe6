// From configuration to how a broker's replicas follow and lead.

import type { ClusterMetadata } from '../cluster/cluster-metadata.ts'
import type { ReplicationSettings, ReplicationThrottles } from '../cluster/replication/replica-manager.ts'
import { isThrottled } from '../cluster/replication/replication-quota.ts'
import type { BrokerConfig } from '../config/effective.ts'

export function replicationSettingsOf(config: BrokerConfig): ReplicationSettings {
  return {
    maxWaitMs: config.get('replica.fetch.wait.max.ms'),
    minBytes: config.get('replica.fetch.min.bytes'),
    maxBytes: config.get('replica.fetch.response.max.bytes'),
    partitionMaxBytes: config.get('replica.fetch.max.bytes'),
    backoffMs: config.get('replica.fetch.backoff.ms'),
    timeoutMs: config.get('replica.socket.timeout.ms'),
    lagTimeMaxMs: Number(config.get('replica.lag.time.max.ms')),
    checkpointMs: Number(config.get('replica.high.watermark.checkpoint.interval.ms')),
    fetchersPerLeader: config.get('num.replica.fetchers'),
  }
}

export function replicationThrottlesOf(metadata: ClusterMetadata, nodeId: number): ReplicationThrottles {
  return {
    rate: (side) => Number(metadata.brokerConfig().get(`${side}.replication.throttled.rate`)),
    covers: (side, topic, index) =>
      isThrottled(metadata.topicConfig(topic).get(`${side}.replication.throttled.replicas`), index, nodeId),
  }
}

// From a broker's configuration to how its replicas follow and lead.

import type { ReplicationSettings } from '../cluster/replication/replica-manager.ts'
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

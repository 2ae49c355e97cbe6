// From the broker's configuration to that of its group coordinator.

import type { BrokerConfig } from '../config/effective.ts'
import type { GroupConfig } from '../coordinators/group/group-config.ts'

const MS_PER_MINUTE = 60_000

export function groupConfigOf(config: BrokerConfig): GroupConfig {
  return {
    minSessionTimeoutMs: config.get('group.min.session.timeout.ms'),
    maxSessionTimeoutMs: config.get('group.max.session.timeout.ms'),
    initialRebalanceDelayMs: config.get('group.initial.rebalance.delay.ms'),
    maxSize: config.get('group.max.size'),
    offsetMetadataMaxBytes: config.get('offset.metadata.max.bytes'),
    offsetsRetentionMs: config.get('offsets.retention.minutes') * MS_PER_MINUTE,
    offsetsRetentionCheckIntervalMs: Number(config.get('offsets.retention.check.interval.ms')),
  }
}

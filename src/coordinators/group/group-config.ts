// What can be configured of groups, under the names of Kafka's keys, with Kafka's defaults.

export interface GroupConfig {
  /** `group.min.session.timeout.ms` */
  readonly minSessionTimeoutMs: number
  /** `group.max.session.timeout.ms` */
  readonly maxSessionTimeoutMs: number
  /** `group.initial.rebalance.delay.ms`: how long an empty group waits for more members before its first rebalance. */
  readonly initialRebalanceDelayMs: number
  /** `group.max.size` */
  readonly maxSize: number
  /** `offset.metadata.max.bytes`: counts characters, as Kafka does. */
  readonly offsetMetadataMaxBytes: number
  /** `offsets.retention.minutes`, in milliseconds. */
  readonly offsetsRetentionMs: number
  /** `offsets.retention.check.interval.ms` */
  readonly offsetsRetentionCheckIntervalMs: number
}

export const defaultGroupConfig: GroupConfig = {
  minSessionTimeoutMs: 6_000,
  maxSessionTimeoutMs: 1_800_000,
  initialRebalanceDelayMs: 3_000,
  maxSize: 2_147_483_647,
  offsetMetadataMaxBytes: 4_096,
  offsetsRetentionMs: 10_080 * 60_000,
  offsetsRetentionCheckIntervalMs: 600_000,
}

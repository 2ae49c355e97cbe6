// Rules that span several keys. Each check says what is wrong, or undefined; the values by themselves have been checked.

import { type BrokerConfig, GroupConfig, TopicConfig } from './effective.ts'
import type { GroupKey } from './registry.ts'

/** What is wrong with a broker's configuration as a whole. */
export function checkBrokerConfig(config: BrokerConfig): string | undefined {
  for (const [low, high] of ORDERED_BROKER_KEYS) {
    if (config.get(low) > config.get(high)) return `${low} (${config.get(low)}) must not be above ${high} (${config.get(high)})`
  }
  return checkTopicConfig(new TopicConfig(config), 'log.cleaner.') ?? checkGroupConfig(new GroupConfig(config), 'group.')
}

/** What is wrong with a topic's configuration as a whole. */
export function checkTopicConfig(config: TopicConfig, prefix = ''): string | undefined {
  const least = config.get('min.compaction.lag.ms')
  const most = config.get('max.compaction.lag.ms')
  if (least <= most) return undefined
  return `${prefix}min.compaction.lag.ms (${least}) must not be above ${prefix}max.compaction.lag.ms (${most})`
}

/** What is wrong with a group's configuration as a whole: its broker sets bounds to it. */
export function checkGroupConfig(config: GroupConfig, prefix = ''): string | undefined {
  for (const [key, least, most] of BOUNDED_GROUP_KEYS) {
    const value = config.get(key) as number
    if (least !== null && value < config.broker.get(least)) {
      return `${prefix}${key} (${value}) must not be below ${least} (${config.broker.get(least)})`
    }
    if (value > config.broker.get(most))
      return `${prefix}${key} (${value}) must not be above ${most} (${config.broker.get(most)})`
  }
  for (const kind of ['consumer', 'share', 'streams'] as const) {
    const heartbeat = config.get(`${kind}.heartbeat.interval.ms`)
    const session = config.get(`${kind}.session.timeout.ms`)
    if (session <= heartbeat) {
      return `${prefix}${kind}.session.timeout.ms (${session}) must be above ${prefix}${kind}.heartbeat.interval.ms (${heartbeat})`
    }
  }
  return undefined
}

const ORDERED_BROKER_KEYS = [['group.min.session.timeout.ms', 'group.max.session.timeout.ms']] as const

const BOUNDED_GROUP_KEYS = [
  ['consumer.heartbeat.interval.ms', 'group.consumer.min.heartbeat.interval.ms', 'group.consumer.max.heartbeat.interval.ms'],
  ['consumer.session.timeout.ms', 'group.consumer.min.session.timeout.ms', 'group.consumer.max.session.timeout.ms'],
  ['consumer.assignment.interval.ms', 'group.consumer.min.assignment.interval.ms', 'group.consumer.max.assignment.interval.ms'],
  ['share.heartbeat.interval.ms', 'group.share.min.heartbeat.interval.ms', 'group.share.max.heartbeat.interval.ms'],
  ['share.session.timeout.ms', 'group.share.min.session.timeout.ms', 'group.share.max.session.timeout.ms'],
  ['share.record.lock.duration.ms', 'group.share.min.record.lock.duration.ms', 'group.share.max.record.lock.duration.ms'],
  ['share.delivery.count.limit', 'group.share.min.delivery.count.limit', 'group.share.max.delivery.count.limit'],
  [
    'share.partition.max.record.locks',
    'group.share.min.partition.max.record.locks',
    'group.share.max.partition.max.record.locks',
  ],
  ['streams.heartbeat.interval.ms', 'group.streams.min.heartbeat.interval.ms', 'group.streams.max.heartbeat.interval.ms'],
  ['streams.session.timeout.ms', 'group.streams.min.session.timeout.ms', 'group.streams.max.session.timeout.ms'],
  ['streams.num.standby.replicas', null, 'group.streams.max.standby.replicas'],
] as const satisfies readonly (readonly [GroupKey, ...unknown[]])[]

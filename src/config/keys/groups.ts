// The broker's keys about groups, and the keys that a group may have of its own.

import { boolean, int, list, long, short, string } from '../definition.ts'

const accepted = { honoured: 'accepted' } as const

export const GROUP_BROKER_KEYS = {
  'group.consumer.assignment.interval.ms': int(1000, 'Shortest time between two assignments.', {
    min: 0,
    dynamic: 'cluster',
    ...accepted,
  }),
  'group.consumer.assignors': list('uniform,range', 'Assignors on the broker, the default first.', {
    emptyList: false,
    ...accepted,
  }),
  'group.consumer.heartbeat.interval.ms': int(5000, 'How often members are told to send heartbeats.', {
    min: 1,
    honoured: 'accepted',
  }),
  'group.consumer.max.assignment.interval.ms': int(15_000, 'Most that a group may set for consumer.assignment.interval.ms.', {
    min: 0,
    ...accepted,
  }),
  'group.consumer.max.heartbeat.interval.ms': int(15_000, 'Most that a group may set for consumer.heartbeat.interval.ms.', {
    min: 1,
    honoured: 'accepted',
  }),
  'group.consumer.max.session.timeout.ms': int(60_000, 'Most that a group may set for consumer.session.timeout.ms.', {
    min: 1,
    honoured: 'accepted',
  }),
  'group.consumer.max.size': int(2_147_483_647, 'Most members of a group.', { min: 1, honoured: 'accepted' }),
  'group.consumer.migration.policy': string(
    'bidirectional',
    'Whether classic groups become consumer groups, and back, while they run.',
    { oneOf: ['disabled', 'downgrade', 'upgrade', 'bidirectional'], ...accepted },
  ),
  'group.consumer.min.assignment.interval.ms': int(0, 'Least that a group may set for consumer.assignment.interval.ms.', {
    min: 0,
    ...accepted,
  }),
  'group.consumer.min.heartbeat.interval.ms': int(5000, 'Least that a group may set for consumer.heartbeat.interval.ms.', {
    min: 1,
    honoured: 'accepted',
  }),
  'group.consumer.min.session.timeout.ms': int(45_000, 'Least that a group may set for consumer.session.timeout.ms.', {
    min: 1,
    honoured: 'accepted',
  }),
  'group.consumer.regex.refresh.interval.ms': int(600_000, 'How often a subscription by pattern looks for topics.', {
    min: 10_000,
    ...accepted,
  }),
  'group.consumer.session.timeout.ms': int(45_000, 'Silence after which a member is dropped.', { min: 1, honoured: 'accepted' }),
  'group.coordinator.append.linger.ms': int(-1, 'How long the coordinator gathers records before it writes.', {
    min: -1,
    ...accepted,
  }),
  'group.coordinator.rebalance.protocols': list('classic,consumer,streams', 'Kinds of group that are served.', {
    oneOf: ['classic', 'consumer', 'streams', 'share'],
    emptyList: false,
    ...accepted,
  }),
  'group.coordinator.threads': int(4, 'Threads of the coordinator.', { min: 1, ...accepted }),
  'group.initial.rebalance.delay.ms': int(3000, 'How long an empty group waits for more members before its first assignment.'),
  'group.max.session.timeout.ms': int(1_800_000, 'Longest session timeout that a classic member may ask for.'),
  'group.max.size': int(2_147_483_647, 'Most members of a classic group.', { min: 1 }),
  'group.min.session.timeout.ms': int(6000, 'Shortest session timeout that a classic member may ask for.'),
  'group.share.delivery.count.limit': int(5, 'Times that a record is delivered before it is given up.', {
    min: 2,
    max: 25,
    ...accepted,
  }),
  'group.share.heartbeat.interval.ms': int(5000, 'How often share members are told to send heartbeats.', { min: 1, ...accepted }),
  'group.share.max.delivery.count.limit': int(10, 'Most that a group may set for share.delivery.count.limit.', {
    min: 2,
    ...accepted,
  }),
  'group.share.max.heartbeat.interval.ms': int(15_000, 'Most that a group may set for share.heartbeat.interval.ms.', {
    min: 1,
    ...accepted,
  }),
  'group.share.max.partition.max.record.locks': int(4000, 'Most that a group may set for share.partition.max.record.locks.', {
    min: 100,
    ...accepted,
  }),
  'group.share.max.record.lock.duration.ms': int(60_000, 'Most that a group may set for share.record.lock.duration.ms.', {
    min: 1000,
    ...accepted,
  }),
  'group.share.max.session.timeout.ms': int(60_000, 'Most that a group may set for share.session.timeout.ms.', {
    min: 1,
    ...accepted,
  }),
  'group.share.max.share.sessions': int(2000, 'Share sessions kept.', { min: 1, ...accepted }),
  'group.share.max.size': int(200, 'Most members of a share group.', { min: 1, ...accepted }),
  'group.share.min.delivery.count.limit': int(2, 'Least that a group may set for share.delivery.count.limit.', {
    min: 2,
    ...accepted,
  }),
  'group.share.min.heartbeat.interval.ms': int(5000, 'Least that a group may set for share.heartbeat.interval.ms.', {
    min: 1,
    ...accepted,
  }),
  'group.share.min.partition.max.record.locks': int(100, 'Least that a group may set for share.partition.max.record.locks.', {
    min: 100,
    ...accepted,
  }),
  'group.share.min.record.lock.duration.ms': int(15_000, 'Least that a group may set for share.record.lock.duration.ms.', {
    min: 1000,
    ...accepted,
  }),
  'group.share.min.session.timeout.ms': int(45_000, 'Least that a group may set for share.session.timeout.ms.', {
    min: 1,
    ...accepted,
  }),
  'group.share.partition.max.record.locks': int(2000, 'Records of a partition that may be with members at once.', {
    min: 100,
    ...accepted,
  }),
  'group.share.record.lock.duration.ms': int(30_000, 'How long a record is kept for the member that has it.', {
    min: 1000,
    ...accepted,
  }),
  'group.share.session.timeout.ms': int(45_000, 'Silence after which a share member is dropped.', { min: 1, ...accepted }),
  'group.streams.heartbeat.interval.ms': int(5000, 'How often streams members are told to send heartbeats.', {
    min: 1,
    ...accepted,
  }),
  'group.streams.initial.rebalance.delay.ms': int(3000, 'How long an empty streams group waits for more members.', {
    min: 0,
    ...accepted,
  }),
  'group.streams.max.heartbeat.interval.ms': int(15_000, 'Most that a group may set for streams.heartbeat.interval.ms.', {
    min: 1,
    ...accepted,
  }),
  'group.streams.max.session.timeout.ms': int(60_000, 'Most that a group may set for streams.session.timeout.ms.', {
    min: 1,
    ...accepted,
  }),
  'group.streams.max.size': int(2_147_483_647, 'Most members of a streams group.', { min: 1, ...accepted }),
  'group.streams.max.standby.replicas': int(2, 'Most that a group may set for streams.num.standby.replicas.', {
    min: 0,
    ...accepted,
  }),
  'group.streams.min.heartbeat.interval.ms': int(5000, 'Least that a group may set for streams.heartbeat.interval.ms.', {
    min: 1,
    ...accepted,
  }),
  'group.streams.min.session.timeout.ms': int(45_000, 'Least that a group may set for streams.session.timeout.ms.', {
    min: 1,
    ...accepted,
  }),
  'group.streams.num.standby.replicas': int(0, 'Standby copies of each streams task.', { min: 0, ...accepted }),
  'group.streams.session.timeout.ms': int(45_000, 'Silence after which a streams member is dropped.', { min: 1, ...accepted }),
  'offset.metadata.max.bytes': int(4096, 'Longest text that may be committed with an offset.'),
  'offsets.commit.timeout.ms': int(5000, 'How long a commit may wait for its replicas.', { min: 1 }),
  'offsets.load.buffer.size': int(5_242_880, 'Bytes read at once when a coordinator loads.', { min: 1, ...accepted }),
  'offsets.retention.check.interval.ms': long(600_000, 'How often expired offsets are looked for.', { min: 1 }),
  'offsets.retention.minutes': int(10_080, 'How long the offsets of an empty group are kept, in minutes.', { min: 1 }),
  'offsets.topic.compression.codec': int(0, 'Codec of __consumer_offsets, by its number.', { min: 0, max: 4, ...accepted }),
  'offsets.topic.num.partitions': int(50, 'Partitions of __consumer_offsets.', { min: 1 }),
  'offsets.topic.replication.factor': short(3, 'Replicas of __consumer_offsets, at most one on each live broker.', { min: 1 }),
  'offsets.topic.segment.bytes': int(104_857_600, 'segment.bytes of __consumer_offsets.', { min: 1 }),
  'share.coordinator.append.linger.ms': int(-1, 'How long the share coordinator gathers records before it writes.', {
    min: -1,
    ...accepted,
  }),
  'share.coordinator.cold.partition.snapshot.interval.ms': int(300_000, 'How often idle share state is written anew.', {
    min: 1,
    ...accepted,
  }),
  'share.coordinator.load.buffer.size': int(5_242_880, 'Bytes read at once when a share coordinator loads.', {
    min: 1,
    ...accepted,
  }),
  'share.coordinator.snapshot.update.records.per.snapshot': int(500, 'Changes of share state between two snapshots.', {
    min: 0,
    max: 500,
    ...accepted,
  }),
  'share.coordinator.state.topic.compression.codec': int(0, 'Codec of __share_group_state, by its number.', {
    min: 0,
    max: 4,
    ...accepted,
  }),
  'share.coordinator.state.topic.min.isr': short(2, 'min.insync.replicas of __share_group_state.', { min: 1, ...accepted }),
  'share.coordinator.state.topic.num.partitions': int(50, 'Partitions of __share_group_state.', { min: 1, ...accepted }),
  'share.coordinator.state.topic.prune.interval.ms': int(300_000, 'How often old share state is removed.', {
    min: 1,
    ...accepted,
  }),
  'share.coordinator.state.topic.replication.factor': short(3, 'Replicas of __share_group_state.', { min: 1, ...accepted }),
  'share.coordinator.state.topic.segment.bytes': int(104_857_600, 'segment.bytes of __share_group_state.', {
    min: 1,
    ...accepted,
  }),
  'share.coordinator.threads': int(1, 'Threads of the share coordinator.', { min: 1, ...accepted }),
  'share.coordinator.write.timeout.ms': int(5000, 'How long a write of share state may take.', { min: 1, ...accepted }),
  'share.fetch.purgatory.purge.interval.requests': int(
    1000,
    'Waiting requests after which finished ones are cleared away.',
    accepted,
  ),
} as const

/** Keys of one group. Each falls back to the broker's key `group.` + name where there is one. */
export const GROUP_KEYS = {
  'consumer.assignment.interval.ms': int(1000, 'Shortest time between two assignments.', {
    min: 0,
    broker: 'group.consumer.assignment.interval.ms',
    ...accepted,
  }),
  'consumer.heartbeat.interval.ms': int(5000, 'How often members are told to send heartbeats.', {
    min: 1,
    broker: 'group.consumer.heartbeat.interval.ms',
    honoured: 'accepted',
  }),
  'consumer.session.timeout.ms': int(45_000, 'Silence after which a member is dropped.', {
    min: 1,
    broker: 'group.consumer.session.timeout.ms',
    honoured: 'accepted',
  }),
  'share.auto.offset.reset': string('latest', 'Where a share group starts: earliest, latest, or by_duration: and a time.', {
    check: (reset) =>
      /^(earliest|latest|by_duration:P.+)$/.test(reset) ? undefined : 'must be earliest, latest or by_duration:PnDTnHnMn.nS',
    ...accepted,
  }),
  'share.delivery.count.limit': int(5, 'Times that a record is delivered before it is given up.', {
    min: 2,
    broker: 'group.share.delivery.count.limit',
    ...accepted,
  }),
  'share.heartbeat.interval.ms': int(5000, 'How often members are told to send heartbeats.', {
    min: 1,
    broker: 'group.share.heartbeat.interval.ms',
    ...accepted,
  }),
  'share.isolation.level': string('read_uncommitted', 'Which records a share group sees.', {
    oneOf: ['read_committed', 'read_uncommitted'],
    ...accepted,
  }),
  'share.partition.max.record.locks': int(2000, 'Records of a partition that may be with members at once.', {
    min: 100,
    broker: 'group.share.partition.max.record.locks',
    ...accepted,
  }),
  'share.record.lock.duration.ms': int(30_000, 'How long a record is kept for the member that has it.', {
    min: 1000,
    broker: 'group.share.record.lock.duration.ms',
    ...accepted,
  }),
  'share.renew.acknowledge.enable': boolean(true, 'Let a member ask for more time with a record.', accepted),
  'share.session.timeout.ms': int(45_000, 'Silence after which a member is dropped.', {
    min: 1,
    broker: 'group.share.session.timeout.ms',
    ...accepted,
  }),
  'streams.heartbeat.interval.ms': int(5000, 'How often members are told to send heartbeats.', {
    min: 1,
    broker: 'group.streams.heartbeat.interval.ms',
    ...accepted,
  }),
  'streams.initial.rebalance.delay.ms': int(3000, 'How long an empty group waits for more members.', {
    min: 0,
    broker: 'group.streams.initial.rebalance.delay.ms',
    ...accepted,
  }),
  'streams.num.standby.replicas': int(0, 'Standby copies of each task.', {
    min: 0,
    broker: 'group.streams.num.standby.replicas',
    ...accepted,
  }),
  'streams.session.timeout.ms': int(45_000, 'Silence after which a member is dropped.', {
    min: 1,
    broker: 'group.streams.session.timeout.ms',
    ...accepted,
  }),
} as const

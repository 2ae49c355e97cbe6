// The broker's keys about other brokers: replication, elections, the controller.

import { boolean, className, int, LONG_MAX, list, long, string } from '../definition.ts'

const accepted = { honoured: 'accepted' } as const

export const CLUSTER_KEYS = {
  'auto.leader.rebalance.enable': boolean(true, 'Give leadership back to preferred replicas.'),
  'broker.heartbeat.interval.ms': int(2000, 'How often a broker reports to its controller.', { min: 1 }),
  'broker.id.generation.enable': boolean(true, 'Let ids be handed out.', accepted),
  'broker.session.timeout.ms': int(9000, 'Silence after which a broker counts as gone.', { min: 1000 }),
  'controlled.shutdown.enable': boolean(true, 'Hand leadership over before stopping.'),
  'controller.listener.names': string(
    null,
    'Listeners of the controller. They are not opened: a single node is its own controller.',
    accepted,
  ),
  'controller.quorum.append.linger.ms': int(25, 'How long the controller gathers records before it writes.', {
    min: 0,
    ...accepted,
  }),
  'controller.quorum.auto.join.enable': boolean(false, 'Let a controller join the quorum by itself.', accepted),
  'controller.quorum.bootstrap.servers': list('', 'Addresses at which the controllers are found.', accepted),
  'controller.quorum.election.backoff.max.ms': int(1000, 'Longest wait between two elections.', accepted),
  'controller.quorum.election.timeout.ms': int(1000, 'Silence after which a new controller is elected.', accepted),
  'controller.quorum.fetch.timeout.ms': int(2000, 'Silence after which a controller gives up its role.', accepted),
  'controller.quorum.request.timeout.ms': int(2000, 'How long one controller waits for another.', accepted),
  'controller.quorum.retry.backoff.ms': int(20, 'Wait before a controller asks again.', accepted),
  'controller.quorum.voters': list('', 'The controllers, each id@host:port.', accepted),
  'delete.records.purgatory.purge.interval.requests': int(
    1,
    'Waiting requests after which finished ones are cleared away.',
    accepted,
  ),
  'fetch.purgatory.purge.interval.requests': int(1000, 'Waiting requests after which finished ones are cleared away.', accepted),
  'follower.fetch.last.tiered.offset.enable': boolean(false, 'Let a new replica start at the last tiered offset.', {
    dynamic: 'cluster',
    ...accepted,
  }),
  'initial.broker.registration.timeout.ms': int(60_000, 'How long a broker waits to be registered.'),
  'leader.imbalance.check.interval.seconds': long(300, 'How often leadership is checked for balance.', { min: 1 }),
  'leader.imbalance.per.broker.percentage': int(10, 'Share of misplaced leaders that is put right.'),
  'metadata.log.dir': string(null, 'Directory of the metadata log; the data directory if absent.', accepted),
  'metadata.log.max.record.bytes.between.snapshots': long(20_971_520, 'Bytes of metadata between two snapshots.', {
    min: 1,
    ...accepted,
  }),
  'metadata.log.max.snapshot.interval.ms': long(3_600_000, 'Longest time between two metadata snapshots.', {
    min: 0,
    ...accepted,
  }),
  'metadata.log.segment.bytes': int(1_073_741_824, 'Size of a segment of the metadata log.', { min: 8_388_608, ...accepted }),
  'metadata.log.segment.ms': long(604_800_000, 'Age at which a segment of the metadata log is closed.', accepted),
  'metadata.max.idle.interval.ms': int(500, 'How often an idle controller writes a record.', { min: 0, ...accepted }),
  'metadata.max.retention.bytes': long(104_857_600, 'Bytes of old metadata kept.', accepted),
  'metadata.max.retention.ms': long(604_800_000, 'How long old metadata is kept.', accepted),
  'metric.reporters': list('org.apache.kafka.common.metrics.JmxReporter', 'Classes that report metrics.', {
    dynamic: 'cluster',
    ...accepted,
  }),
  'metrics.num.samples': int(2, 'Samples that a metric keeps.', { min: 1, ...accepted }),
  'metrics.recording.level': string('INFO', 'Detail of metrics.', { oneOf: ['INFO', 'DEBUG', 'TRACE'], ...accepted }),
  'metrics.sample.window.ms': long(30_000, "Length of a metric's sample.", { min: 1, ...accepted }),
  'num.replica.alter.log.dirs.threads': int(null, 'Threads that move replicas between directories.', accepted),
  'num.replica.fetchers': int(1, 'Fetchers for each broker that is followed.', { dynamic: 'cluster' }),
  'producer.purgatory.purge.interval.requests': int(
    1000,
    'Waiting requests after which finished ones are cleared away.',
    accepted,
  ),
  'replica.fetch.backoff.ms': int(1000, 'Wait after a failed fetch of a follower.', { min: 0 }),
  'replica.fetch.max.bytes': int(1_048_576, 'Bytes of each partition that a follower asks for.', { min: 0 }),
  'replica.fetch.min.bytes': int(1, "Bytes that a follower's fetch waits for."),
  'replica.fetch.response.max.bytes': int(10_485_760, "Bytes that a follower's fetch answers.", { min: 0 }),
  'replica.fetch.wait.max.ms': int(500, "Longest wait of a follower's fetch."),
  'replica.high.watermark.checkpoint.interval.ms': long(5000, 'How often high watermarks are written down.'),
  'replica.lag.time.max.ms': long(30_000, 'Time that a follower may lag behind and stay in sync.'),
  'replica.selector.class': className(null, 'How the replica to read from is chosen.'),
  'replica.socket.receive.buffer.bytes': int(65_536, "Receive buffer of a follower's socket.", accepted),
  'replica.socket.timeout.ms': int(30_000, 'How long a follower waits for its leader.'),
  'server.max.startup.time.ms': long(LONG_MAX, 'Longest time that the start may take.', { min: 0, ...accepted }),
  'unstable.api.versions.enable': boolean(false, 'Announce versions that are still under work.', accepted),
  'unstable.feature.versions.enable': boolean(false, 'Allow features that are still under work.', accepted),
} as const

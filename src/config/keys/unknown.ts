// Keys that Kafka itself does not know, or knows no more, and that people's files still hold.

/** Each with why it cannot be followed: to ignore it would run something else than was meant. */
export const GONE_KEYS: Readonly<Record<string, string>> = {
  'zookeeper.connect': 'there is no ZooKeeper: a node keeps its metadata itself',
  'zookeeper.metadata.migration.enable': 'there is no ZooKeeper to migrate from',
  'log.message.timestamp.difference.max.ms':
    'Kafka 4 split it into log.message.timestamp.before.max.ms and log.message.timestamp.after.max.ms',
}

/** Removed by Kafka, and harmless to ignore. */
export const IGNORED_KEYS: ReadonlySet<string> = new Set([
  'inter.broker.protocol.version',
  'log.message.format.version',
  'log.message.downconversion.enable',
  'reserved.broker.max.id',
  'offsets.commit.required.acks',
  'host.name',
  'port',
  'advertised.host.name',
  'advertised.port',
  'cluster.id',
])

/** Keys of plug-ins, client settings of the broker's own clients, and other makers' keys: ignored with a warning. */
export const IGNORED_PREFIXES: readonly string[] = [
  'confluent.',
  'zookeeper.',
  'config.providers',
  'rsm.config.',
  'rlmm.config.',
  'remote.log.metadata.',
  'sasl.kerberos.',
  'sasl.login.',
  'sasl.oauthbearer.',
  'auto.include.jmx.reporter',
  'telemetry.',
]

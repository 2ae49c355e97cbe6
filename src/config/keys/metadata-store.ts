// The broker's keys about the cluster that it belongs to, and how to reach the store of its metadata. Not Kafka's: hers has none.

import { password, string } from '../definition.ts'

export const METADATA_STORE_KEYS = {
  'broker.machine': string(
    null,
    'What this broker fails together with: no two replicas of a partition are put on brokers of one machine. Absent: it is alone on its own.',
  ),
  'cluster.store': string(
    null,
    'Where the brokers of a cluster keep its metadata: etcd://host:2379,host:2379,… (etcds:// for TLS). Absent: a single node, with its own.',
  ),
  'etcd.ca.location': string(
    null,
    "File (PEM) with the authorities that may vouch for etcd's members; those that Node trusts if absent.",
  ),
  'etcd.certificate.location': string(null, 'File (PEM) with the certificate that this broker shows to etcd.'),
  'etcd.key.location': string(null, 'File (PEM) with the key of that certificate.'),
  'etcd.password': password('Password of etcd.user; in the environment it is KAFKA_ETCD_PASSWORD.'),
  'etcd.password.location': string(null, 'File with that password, in place of etcd.password.'),
  'etcd.user': string(null, 'User of etcd, where etcd asks for one.'),
} as const

/** `cluster.store` of a process that another one has started: that one has the metadata (`moldau start --nodes`). */
export const PARENTS_STORE = 'parent'

/**
 * What is at another default where a broker is one of several. One copy is not enough; and where others are on other machines, no page
 * cache holds the only one.
 */
export function clusterDefault(name: string, store: string): string | undefined {
  if (name === 'default.replication.factor') return '3'
  if (name === 'log.flush.policy' && store !== PARENTS_STORE) return 'os'
  return undefined
}

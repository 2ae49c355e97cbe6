// The administrator's side of the client, by subject: topics, configuration, groups, transactions, the cluster.

import { ClusterAdmin } from './admin/cluster-admin.ts'
import { ConfigAdmin } from './admin/config-admin.ts'
import { GroupAdmin } from './admin/group-admin.ts'
import { TopicAdmin } from './admin/topic-admin.ts'
import { TransactionAdmin } from './admin/transaction-admin.ts'
import type { ClusterClient } from './cluster-client.ts'

/**
 * Calls that name many things answer for each of them: a map whose values are results or KafkaErrors (`orThrow` of
 * admin/results.ts makes the first of these an exception). What may pass is tried again until the client's `apiTimeoutMs` is over.
 */
export class Admin {
  readonly topics: TopicAdmin
  readonly configs: ConfigAdmin
  readonly groups: GroupAdmin
  readonly transactions: TransactionAdmin
  readonly cluster: ClusterAdmin

  constructor(client: ClusterClient) {
    this.topics = new TopicAdmin(client)
    this.configs = new ConfigAdmin(client)
    this.groups = new GroupAdmin(client)
    this.transactions = new TransactionAdmin(client)
    this.cluster = new ClusterAdmin(client)
  }
}

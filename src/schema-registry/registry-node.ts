// One instance of the registry: the catalog with its topic behind it, and its part in the election of who writes.

import { ClusterClient, type ClusterClientOptions } from '../client/cluster-client.ts'
import { delay } from '../host/clock.ts'
import type { Logger } from '../host/logger.ts'
import { Catalog } from './catalog.ts'
import { Election, type Identity } from './election.ts'
import { unknownLeader } from './errors.ts'
import { Registry } from './registry.ts'
import { SchemasTopic } from './schemas-topic.ts'

export interface RegistryNodeOptions {
  readonly client: ClusterClientOptions
  /** How other instances reach this one. */
  readonly identity: Identity
  readonly logger: Logger
  /** Default `_schemas`, as `kafkastore.topic`. */
  readonly topic?: string
  /** Default 3, as `kafkastore.topic.replication.factor`. */
  readonly replicationFactor?: number
  /** Default `schema-registry`: all instances on a topic share it. */
  readonly groupId?: string
  /** Default true. */
  readonly eligible?: boolean
  /** Default 10 s. A primary that dies without a word is replaced after this. */
  readonly sessionTimeoutMs?: number
  /** Default 10 s: for a write to the topic, and for a primary to be there. */
  readonly timeoutMs?: number
}

export class RegistryNode {
  readonly registry: Registry
  readonly catalog: Catalog
  private readonly cluster: ClusterClient
  private readonly topic: SchemasTopic
  private readonly election: Election
  private readonly timeoutMs: number
  /** The term in which all that earlier primaries wrote has been read. */
  private readyTerm = -1

  /** Resolves when all schemas are in memory. Rejects with RegistryError. */
  static async start(options: RegistryNodeOptions): Promise<RegistryNode> {
    const { client, logger, topic = '_schemas', replicationFactor = 3, timeoutMs = 10_000 } = options
    const cluster = new ClusterClient(client)
    const catalog = new Catalog()
    const election = new Election({
      cluster,
      groupId: options.groupId ?? 'schema-registry',
      identity: options.identity,
      eligible: options.eligible ?? true,
      sessionTimeoutMs: options.sessionTimeoutMs ?? 10_000,
      logger,
    })
    election.start()
    try {
      const apply = catalog.replay.bind(catalog)
      const opened = await SchemasTopic.open({ cluster, topic, replicationFactor, timeoutMs, logger, apply })
      return new RegistryNode(cluster, catalog, opened, election, timeoutMs)
    } catch (error) {
      await election.close()
      await cluster.close()
      throw error
    }
  }

  private constructor(cluster: ClusterClient, catalog: Catalog, topic: SchemasTopic, election: Election, timeoutMs: number) {
    this.cluster = cluster
    this.catalog = catalog
    this.topic = topic
    this.election = election
    this.timeoutMs = timeoutMs
    this.registry = new Registry(catalog, {
      append: async (record) => {
        // Asked for each record: a lease may end between two.
        if (!this.election.isPrimary) throw unknownLeader('This registry is not the primary any more: try again')
        await this.topic.append(record)
      },
    })
  }

  /**
   * Where writes go: `here`, with all read that was written before, or another instance. Rejects with RegistryError 50004 while there is
   * none, 50001 or 50002 where the topic cannot be written.
   */
  async primary(): Promise<Identity | 'here'> {
    const primary = await this.election.primary(this.timeoutMs)
    if (primary === undefined) throw unknownLeader('No registry is the primary now')
    const { term } = this.election
    if (primary === 'here' && this.readyTerm !== term) {
      // What the last primary had under way comes before this, or not at all.
      await this.topic.append({ type: 'NOOP' })
      this.readyTerm = term
    }
    return primary
  }

  /** Reads what others have written so far. */
  catchUp(): Promise<void> {
    return this.topic.catchUp()
  }

  pause(ms: number): Promise<void> {
    return delay(this.cluster.clock, ms)
  }

  async close(): Promise<void> {
    await this.election.close()
    await this.topic.close()
    await this.cluster.close()
  }
}

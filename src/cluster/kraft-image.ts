// What the metadata log of an Apache Kafka comes to: its topics, their partitions and configuration, and the rest as far as
// somebody must be told of it. Records go in in their order; pure.

import type { TopicId } from '../protocol/ids.ts'
import type { MetadataRecord } from '../protocol/internal-records/cluster-metadata.ts'

export interface KraftPartition {
  readonly replicas: readonly number[]
  readonly isr: readonly number[]
  /** Out of the ISR, with all that was acknowledged (KIP-966): where Kafka's last replica goes when it is shut down. */
  readonly elr: readonly number[]
  readonly leaderEpoch: number
}

export interface KraftTopic {
  readonly id: TopicId
  readonly name: string
  readonly partitions: Map<number, KraftPartition>
}

export interface KraftConfigs {
  /** As on the wire: 2 topics, 4 brokers, 16 client metrics, 32 groups. */
  readonly resourceType: number
  /** Empty: what all brokers have. */
  readonly resourceName: string
  readonly values: Map<string, string>
}

type Value<Type extends MetadataRecord['type']> = Extract<MetadataRecord, { type: Type }>['value']

export class KraftImage {
  readonly topics = new Map<TopicId, KraftTopic>()
  readonly configs = new Map<string, KraftConfigs>()
  /** Ids of registered brokers. */
  readonly brokers = new Set<number>()
  readonly acls = new Map<string, Value<'AccessControlEntryRecord'>>()
  /** Users by name, with the mechanism. */
  readonly scramUsers = new Map<string, Value<'UserScramCredentialRecord'>>()
  /** Quotas of each entity by their keys. */
  readonly quotas = new Map<string, Value<'ClientQuotaRecord'>>()
  readonly delegationTokens = new Map<string, Value<'DelegationTokenRecord'>>()
  /** The first that no broker has taken. */
  nextProducerId = 0n
  /** Of a transaction that has begun and not ended: none of it counts before it does (KIP-868). */
  private pending: MetadataRecord[] | undefined

  apply(record: MetadataRecord): void {
    switch (record.type) {
      case 'BeginTransactionRecord':
        this.pending = []
        break
      case 'EndTransactionRecord': {
        const ended = this.pending ?? []
        this.pending = undefined
        for (const one of ended) this.applyNow(one)
        break
      }
      case 'AbortTransactionRecord':
        this.pending = undefined
        break
      default:
        if (this.pending === undefined) this.applyNow(record)
        else this.pending.push(record)
    }
  }

  private applyNow(record: MetadataRecord): void {
    switch (record.type) {
      case 'RegisterBrokerRecord':
        this.brokers.add(record.value.brokerId)
        break
      case 'UnregisterBrokerRecord':
        this.brokers.delete(record.value.brokerId)
        break
      case 'TopicRecord': {
        const id = record.value.topicId as TopicId
        this.topics.set(id, { id, name: record.value.name, partitions: new Map() })
        break
      }
      case 'RemoveTopicRecord':
        this.removeTopic(record.value.topicId as TopicId)
        break
      case 'PartitionRecord': {
        const { topicId, partitionId, replicas, isr, leaderEpoch, eligibleLeaderReplicas } = record.value
        const elr = eligibleLeaderReplicas ?? []
        this.topics.get(topicId as TopicId)?.partitions.set(partitionId, { replicas, isr, elr, leaderEpoch })
        break
      }
      case 'PartitionChangeRecord':
        this.changePartition(record.value)
        break
      case 'ClearElrRecord':
        this.clearElr(record.value.topicName)
        break
      case 'ConfigRecord':
        this.changeConfig(record.value)
        break
      case 'ProducerIdsRecord':
        this.nextProducerId = record.value.nextProducerId
        break
      case 'AccessControlEntryRecord':
        this.acls.set(record.value.id, record.value)
        break
      case 'RemoveAccessControlEntryRecord':
        this.acls.delete(record.value.id)
        break
      case 'UserScramCredentialRecord':
        this.scramUsers.set(`${record.value.mechanism} ${record.value.name}`, record.value)
        break
      case 'RemoveUserScramCredentialRecord':
        this.scramUsers.delete(`${record.value.mechanism} ${record.value.name}`)
        break
      case 'ClientQuotaRecord': {
        const { entity, key, remove } = record.value
        const id = JSON.stringify([...entity.map(({ entityType, entityName }) => [entityType, entityName]), key])
        if (remove) this.quotas.delete(id)
        else this.quotas.set(id, record.value)
        break
      }
      case 'DelegationTokenRecord':
        this.delegationTokens.set(record.value.tokenId, record.value)
        break
      case 'RemoveDelegationTokenRecord':
        this.delegationTokens.delete(record.value.tokenId)
        break
    }
  }

  private removeTopic(id: TopicId): void {
    const topic = this.topics.get(id)
    if (topic === undefined) return
    this.topics.delete(id)
    this.configs.delete(configKey(TOPIC_RESOURCE, topic.name))
  }

  /** Kafka's rule: a new leader, or other replicas, begin a leader epoch. */
  private changePartition(change: Value<'PartitionChangeRecord'>): void {
    const { topicId, partitionId, leader, isr, replicas, eligibleLeaderReplicas } = change
    const partitions = this.topics.get(topicId as TopicId)?.partitions
    const before = partitions?.get(partitionId)
    if (partitions === undefined || before === undefined) return
    partitions.set(partitionId, {
      replicas: replicas ?? before.replicas,
      isr: isr ?? before.isr,
      elr: eligibleLeaderReplicas ?? before.elr,
      leaderEpoch: before.leaderEpoch + (leader === LEADER_UNCHANGED ? 0 : 1),
    })
  }

  /** An empty name stands for all topics. */
  private clearElr(topicName: string): void {
    for (const { name, partitions } of this.topics.values()) {
      if (topicName !== '' && name !== topicName) continue
      for (const [index, partition] of partitions) partitions.set(index, { ...partition, elr: [] })
    }
  }

  private changeConfig({ resourceType, resourceName, name, value }: Value<'ConfigRecord'>): void {
    const key = configKey(resourceType, resourceName)
    const configs = this.configs.get(key) ?? { resourceType, resourceName, values: new Map<string, string>() }
    if (value === null) configs.values.delete(name)
    else configs.values.set(name, value)
    if (configs.values.size === 0) this.configs.delete(key)
    else this.configs.set(key, configs)
  }
}

const TOPIC_RESOURCE = 2
const LEADER_UNCHANGED = -2

const configKey = (resourceType: number, resourceName: string) => `${resourceType} ${resourceName}`

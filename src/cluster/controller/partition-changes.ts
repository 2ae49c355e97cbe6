// Collects the changes that one command makes to partitions, each by the rules of partition-change.ts, as steps of a commit.

import { type BrokerConfig, type ConfigTexts, TopicConfig } from '../../config/effective.ts'
import type { MetadataImage, TopicMetadata } from '../metadata-image.ts'
import { encodePartition, isLost, keys, NO_LEADER, type PartitionRecord } from '../metadata-records.ts'
import type { Guard } from '../store/metadata-store.ts'
import type { Step } from './decision.ts'
import { changePartition, type Election, type PartitionTargets } from './partition-change.ts'

/** Partitions to a commit: a guard and an op each, of the 128 that etcd takes, and room for those of the brokers. */
export const PARTITIONS_PER_COMMIT = 100

export interface ChangeCircumstances {
  /** Default: `online`, or `unclean` where the topic allows it. */
  readonly election?: Election
  /** Is being taken out: must not lead. */
  readonly without?: number
  /** Whoever is taken out may have lost records. */
  readonly unclean?: boolean
}

export class PartitionChanges {
  readonly steps: Step[] = []
  private readonly image: MetadataImage
  private readonly rulesOf: (topic: string) => TopicRules

  constructor(image: MetadataImage, config: BrokerConfig) {
    this.image = image
    this.rulesOf = topicRules(image, config)
  }

  /** The partition as it then is; the same object where nothing is to be written. */
  change(
    { id, name }: TopicMetadata,
    index: number,
    before: PartitionRecord,
    targets: PartitionTargets,
    { election, without, unclean = false }: ChangeCircumstances = {},
  ): PartitionRecord {
    const { minIsr, uncleanElection } = this.rulesOf(name)
    const places = { replicas: before.replicas, directories: targets.directories ?? before.directories }
    const after = changePartition(before, targets, {
      minIsr,
      election: election ?? (uncleanElection ? 'unclean' : 'online'),
      mayLead: (broker) => broker !== without && this.image.mayLead(broker) && !isLost(places, broker),
      unclean: (broker) => unclean && broker === without,
    })
    if (after === before) return after
    const trusted = after.isr.filter((broker) => !before.isr.includes(broker))
    if (after.leader !== before.leader && after.leader !== NO_LEADER && !trusted.includes(after.leader))
      trusted.push(after.leader)
    this.steps.push({
      guards: trusted.flatMap((broker) => aliveGuard(this.image, broker)),
      ops: [{ put: keys.partition(id, index), value: encodePartition(after) }],
    })
    return after
  }
}

/** The commit is refused if the broker has lost its lease meanwhile, even if it has another one by now. */
export function aliveGuard(image: MetadataImage, brokerId: number): Guard[] {
  const alive = image.alive(brokerId)
  return alive === undefined ? [] : [{ key: keys.alive(brokerId), created: alive.created }]
}

export interface TopicRules {
  /** min.insync.replicas. */
  readonly minIsr: number
  /** unclean.leader.election.enable */
  readonly uncleanElection: boolean
}

/** By name. Most topics have no configuration of their own, and share one answer. */
export function topicRules(image: MetadataImage, config: BrokerConfig): (topic: string) => TopicRules {
  const known = new Map<ConfigTexts, TopicRules>()
  return (topic) => {
    const texts = image.config('topic', topic)
    let rules = known.get(texts)
    if (rules === undefined) {
      const effective = new TopicConfig(config, texts)
      rules = {
        minIsr: effective.get('min.insync.replicas'),
        uncleanElection: effective.get('unclean.leader.election.enable'),
      }
      known.set(texts, rules)
    }
    return rules
  }
}

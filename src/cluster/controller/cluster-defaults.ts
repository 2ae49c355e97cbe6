// min.insync.replicas decides who may lead when an ISR is empty (KIP-966), so leaders and the controller must agree on it. What stands in
// the file of one broker would be that broker's opinion; in a cluster it is set for all of them, and stays set.

import type { BrokerConfig, ConfigTexts } from '../../config/effective.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import type { MetadataImage } from '../metadata-image.ts'
import { encodeRecord, keys } from '../metadata-records.ts'
import type { Event } from '../store/metadata-store.ts'
import type { ConfigResource } from './config-rules.ts'
import type { Decision, Step } from './decision.ts'
import { PartitionChanges } from './partition-changes.ts'

const MIN_ISR = 'min.insync.replicas'

/** The first controller's own setting becomes that of the cluster. */
export function settleMinIsr(image: MetadataImage, config: BrokerConfig): Decision<void> {
  const texts = image.config('broker', '')
  if (texts.has(MIN_ISR)) return { steps: [], reply: undefined }
  const configs = { ...Object.fromEntries(texts), [MIN_ISR]: String(config.get(MIN_ISR)) }
  return { steps: [{ ops: [{ put: keys.config('broker', ''), value: encodeRecord({ configs }) }] }], reply: undefined }
}

/** @throws {KafkaError} INVALID_CONFIG, with Kafka's reasons: one broker must not differ, and the cluster must not be without. */
export function checkMinIsr(image: MetadataImage, { type, name }: ConfigResource, texts: ConfigTexts): void {
  if (type !== 'broker' || !image.isCluster) return
  if (name !== '' && texts.has(MIN_ISR))
    throw new KafkaError('INVALID_CONFIG', `${MIN_ISR} is set for all brokers, or for a topic, not for one broker`)
  if (name === '' && image.config('broker', '').has(MIN_ISR) && !texts.has(MIN_ISR))
    throw new KafkaError('INVALID_CONFIG', `${MIN_ISR} of all brokers can be changed, not removed`)
}

/**
 * What becomes of ELRs under another min.insync.replicas. It comes before the change itself: once an ISR is big enough by the new measure
 * its leader acknowledges what those outside of it do not have.
 */
export function withoutNeedlessElr(
  image: MetadataImage,
  { type, name }: ConfigResource,
  texts: ConfigTexts,
  config: BrokerConfig,
): Step[] {
  const concerns = type === 'topic' || (type === 'broker' && name === '')
  if (!concerns || image.config(type, name).get(MIN_ISR) === texts.get(MIN_ISR)) return []
  const key = keys.config(type, name)
  const value = encodeRecord({ configs: Object.fromEntries(texts) })
  const event: Event = { put: { key, value, created: image.revision, modified: image.revision, lease: null } }
  const next = image.apply(image.revision, [event]).image
  const changes = new PartitionChanges(next, type === 'broker' ? config.withDynamic(texts, config.dynamicBroker) : config)
  for (const topic of type === 'broker' ? image.topics() : [image.topic(name)]) {
    for (const [index, partition] of topic?.partitions.entries() ?? [])
      if (partition.elr.length > 0) changes.change(topic!, index, partition, {})
  }
  return changes.steps
}

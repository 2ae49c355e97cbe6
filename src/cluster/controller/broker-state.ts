// What becomes of brokers once they are registered: fenced when their lease is gone, unfenced when they have caught up, stopping when
// they ask to; and of the partitions of those that are not to be relied on.

import { KafkaError } from '../../protocol/error-codes.ts'
import type { BrokerRegistration, MetadataImage } from '../metadata-image.ts'
import { type BrokerRecord, encodeRecord, keys } from '../metadata-records.ts'
import type { BrokerIndex } from './broker-index.ts'
import type { Decision, DecisionContext, Step } from './decision.ts'
import { aliveGuard, PARTITIONS_PER_COMMIT, PartitionChanges } from './partition-changes.ts'

/** Nothing for a broker that is already fenced, or unknown. What it leads is moved away by `evacuate`. */
export function fenceBroker(image: MetadataImage, id: number): Decision<void> {
  const broker = image.broker(id)
  return { steps: broker === undefined || broker.fenced ? [] : [write(broker, { fenced: true })], reply: undefined }
}

/**
 * The broker with this epoch may lead and join ISRs.
 * @throws {KafkaError} STALE_BROKER_EPOCH
 */
export function unfenceBroker(image: MetadataImage, { id, epoch }: { id: number; epoch: number }): Decision<void> {
  const broker = registered(image, id, epoch)
  if (!broker.fenced || broker.inControlledShutdown || image.aliveEpoch(id) !== epoch) return { steps: [], reply: undefined }
  return { steps: [{ ...write(broker, { fenced: false }), guards: aliveGuard(image, id) }], reply: undefined }
}

/**
 * The broker with this epoch is about to stop: it leads no more, and leaves its ISRs.
 * @throws {KafkaError} STALE_BROKER_EPOCH
 */
export function beginControlledShutdown(image: MetadataImage, { id, epoch }: { id: number; epoch: number }): Decision<void> {
  const broker = registered(image, id, epoch)
  return { steps: broker.inControlledShutdown ? [] : [write(broker, { inControlledShutdown: true })], reply: undefined }
}

/** @throws {KafkaError} BROKER_ID_NOT_REGISTERED, STALE_BROKER_EPOCH */
export function registered(image: MetadataImage, id: number, epoch: number): BrokerRegistration {
  const broker = image.broker(id)
  if (broker === undefined) throw new KafkaError('BROKER_ID_NOT_REGISTERED', `Broker ${id} is not registered`)
  if (broker.epoch !== epoch) throw new KafkaError('STALE_BROKER_EPOCH', `Broker ${id} has epoch ${broker.epoch}, not ${epoch}`)
  return broker
}

/** Whether a broker is not to lead, nor to be in sync anywhere. */
export function isUnreliable({ fenced, inControlledShutdown }: BrokerRecord): boolean {
  return fenced || inControlledShutdown
}

/**
 * Takes a fenced or stopping broker out of what it leads and of its ISRs, one commit's worth. False: there is more to do. Others that
 * are gone as well leave in the same change: the brokers of a machine are lost together.
 */
export function evacuateBroker(
  image: MetadataImage,
  { id, index }: { id: number; index: BrokerIndex },
  { config }: DecisionContext,
): Decision<boolean> {
  const broker = image.broker(id)
  if (broker !== undefined && !isUnreliable(broker)) return { steps: [], reply: true }
  const gone = new Set([id, ...image.brokers().flatMap((other) => (isUnreliable(other) ? [other.id] : []))])
  const changes = new PartitionChanges(image, config)
  for (const { topic, index: i, partition } of index.placesOf(id, image)) {
    changes.change(topic, i, partition, { isr: partition.isr.filter((member) => !gone.has(member)) })
    if (changes.steps.length === PARTITIONS_PER_COMMIT) return { steps: changes.steps, reply: false }
  }
  return { steps: changes.steps, reply: true }
}

/** Gives leaders to partitions without one where somebody may lead by now, one commit's worth. False: there is more to do. */
export function electLeaderless(image: MetadataImage, index: BrokerIndex, { config }: DecisionContext): Decision<boolean> {
  const changes = new PartitionChanges(image, config)
  for (const { topic, index: i, partition } of index.leaderless(image)) {
    changes.change(topic, i, partition, {})
    if (changes.steps.length === PARTITIONS_PER_COMMIT) return { steps: changes.steps, reply: false }
  }
  return { steps: changes.steps, reply: true }
}

/**
 * Forgets a broker that is gone for good. Partitions that it still has replicas of keep them, as with Kafka: move them first.
 * @throws {KafkaError} BROKER_ID_NOT_REGISTERED, INVALID_REQUEST where it lives
 */
export function unregisterBroker(
  image: MetadataImage,
  { id, index }: { id: number; index: BrokerIndex | undefined },
  { config }: DecisionContext,
): Decision<void> {
  if (image.broker(id) === undefined)
    throw new KafkaError('BROKER_ID_NOT_REGISTERED', `Broker ID ${id} is not currently registered`)
  if (image.alive(id) !== undefined) throw new KafkaError('INVALID_REQUEST', `Broker ${id} is running: stop it first`)
  const changes = new PartitionChanges(image, config)
  for (const { topic, index: i, partition } of index?.placesOf(id, image) ?? [])
    changes.change(topic, i, partition, { isr: partition.isr.filter((member) => member !== id) }, { without: id })
  return { steps: [...changes.steps, { ops: [{ delete: keys.broker(id) }] }], reply: undefined }
}

function write({ id, ...record }: BrokerRegistration, change: Partial<BrokerRecord>): Step {
  return { ops: [{ put: keys.broker(id), value: encodeRecord({ ...record, ...change }) }] }
}

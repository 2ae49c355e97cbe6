// A process takes the place of a broker: with a lease of its own, and so with a new epoch (KIP-631). What the process before it had
// confirmed may be gone, so it is taken out of every ISR first, and only then known by its new epoch: whoever added it to an ISR
// meant the old one (KIP-903).

import type { AliveBroker, MetadataImage } from '../metadata-image.ts'
import { type BrokerEndpoint, type BrokerRecord, encodePartition, encodeRecord, keys } from '../metadata-records.ts'
import type { BrokerIndex } from './broker-index.ts'
import type { Decision, DecisionContext, Step } from './decision.ts'
import { aliveGuard, PARTITIONS_PER_COMMIT, PartitionChanges } from './partition-changes.ts'

export interface RegisterBrokerCommand {
  readonly id: number
  readonly index: BrokerIndex
  /** The image is one that the index has followed to. If not, commands decided just before may have added the broker to an ISR. */
  readonly published: boolean
}

/** One commit's worth of it. False: there is more to do, ask again. */
export function registerBroker(
  image: MetadataImage,
  { id, index, published }: RegisterBrokerCommand,
  { config }: DecisionContext,
): Decision<boolean> {
  const alive = image.alive(id)
  const epoch = image.aliveEpoch(id)
  const known = image.broker(id)
  if (alive === undefined || epoch === undefined || known?.epoch === epoch) return { steps: [], reply: true }
  const changes = new PartitionChanges(image, config)
  const unclean = known !== undefined && !stoppedCleanly(alive, known)
  for (const { topic, index: i, partition } of index.placesOf(id, image, unclean)) {
    changes.change(topic, i, partition, { isr: partition.isr.filter((member) => member !== id) }, { without: id, unclean })
    if (changes.steps.length === PARTITIONS_PER_COMMIT) return { steps: changes.steps, reply: false }
  }
  if (!published) return { steps: changes.steps, reply: false }
  const { incarnation, endpoints, rack, machine, logDirs } = alive
  const record: BrokerRecord = {
    epoch,
    incarnation,
    endpoints,
    rack,
    machine,
    fenced: true,
    inControlledShutdown: false,
    logDirs,
  }
  const registration: Step = { guards: aliveGuard(image, id), ops: [{ put: keys.broker(id), value: encodeRecord(record) }] }
  return { steps: [...changes.steps, registration], reply: true }
}

/** It has everything that it ever confirmed: its last process said so, or is still the same. */
function stoppedCleanly(alive: AliveBroker, known: BrokerRecord): boolean {
  return alive.previousEpoch === known.epoch || alive.incarnation === known.incarnation
}

export interface RegisterSingleNodeCommand {
  readonly id: number
  /** Above that of every earlier start. */
  readonly epoch: number
  readonly incarnation: string
  readonly endpoints: readonly BrokerEndpoint[]
  readonly rack: string | null
  readonly logDirs: readonly string[]
  /** Its last stop is proven to have lost nothing. */
  readonly cleanShutdown: boolean
}

/**
 * The same where there is nobody else: what it leads it goes on leading. After an unclean stop its logs may be shorter than they were:
 * a new leader epoch tells consumers.
 */
export function registerSingleNode(image: MetadataImage, command: RegisterSingleNodeCommand): Decision<void> {
  const { id, epoch, incarnation, endpoints, rack, logDirs } = command
  const steps: Step[] = []
  if (!command.cleanShutdown) {
    for (const topic of image.topics()) {
      for (const [index, partition] of topic.partitions.entries()) {
        if (partition.leader !== id) continue
        const led = { ...partition, leaderEpoch: partition.leaderEpoch + 1, partitionEpoch: partition.partitionEpoch + 1 }
        steps.push({ ops: [{ put: keys.partition(topic.id, index), value: encodePartition(led) }] })
      }
    }
  }
  // Last: while the epoch is the old one, another controller would begin again.
  const state = { fenced: false, inControlledShutdown: false, machine: null }
  const record: BrokerRecord = { epoch, incarnation, endpoints, rack, logDirs, ...state }
  steps.push({ ops: [{ put: keys.broker(id), value: encodeRecord(record) }] })
  return { steps, reply: undefined }
}

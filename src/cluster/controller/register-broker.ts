import type { MetadataImage } from '../metadata-image.ts'
import { type BrokerEndpoint, type BrokerRecord, encodePartition, encodeRecord, keys } from '../metadata-records.ts'
import type { Decision, Step } from './decision.ts'

export interface RegisterBrokerCommand {
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
 * Makes a node part of its cluster. After an unclean stop its logs may be shorter than they were: what it leads gets a new
 * leader epoch, by which consumers and followers notice. On a single node there is nobody else to lead meanwhile.
 */
export function registerBroker(image: MetadataImage, command: RegisterBrokerCommand): Decision<void> {
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
  const record: BrokerRecord = { epoch, incarnation, endpoints, rack, fenced: false, inControlledShutdown: false, logDirs }
  steps.push({ ops: [{ put: keys.broker(id), value: encodeRecord(record) }] })
  return { steps, reply: undefined }
}

// Takes leaders' wishes for other ISRs to the controller: those of one turn in one request, one request at a time.

import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import type { AlterPartitionRequest, AlterPartitionResponseInput } from '../protocol/messages/56-alter-partition.ts'
import { refusal } from './controller/alter-partition.ts'
import type { ImagePublisher } from './image-publisher.ts'
import type { PartitionRecord } from './metadata-records.ts'
import type { IsrChange, IsrChanges } from './replication/isr-changes.ts'

export interface IsrProposalsOptions {
  readonly brokerId: number
  /** Of the lease that is held now. */
  readonly brokerEpoch: () => number
  readonly publisher: ImagePublisher
  /** Rejects where no controller can be asked. */
  readonly send: (request: AlterPartitionRequest) => Promise<AlterPartitionResponseInput>
}

interface Proposal {
  readonly change: IsrChange
  readonly resolve: (committed: PartitionRecord) => void
  readonly reject: (error: Error) => void
}

type PartitionResult = AlterPartitionResponseInput['topics'][number]['partitions'][number]

export class IsrProposals implements IsrChanges {
  private readonly options: IsrProposalsOptions
  private waiting: Proposal[] = []
  private sending: Promise<void> | undefined
  /** Committed, and not in the image yet. */
  private readonly unseen = new Set<{ readonly proposal: Proposal; readonly partitionEpoch: number }>()
  private readonly unfollow: () => void
  private closed = false

  constructor(options: IsrProposalsOptions) {
    this.options = options
    this.unfollow = options.publisher.onChange(() => this.look())
  }

  /** The image shows the change when this resolves, and with it every change of configuration that came before. */
  propose(change: IsrChange): Promise<PartitionRecord> {
    if (this.closed) return Promise.reject(stopped())
    return new Promise((resolve, reject) => {
      this.waiting.push({ change, resolve, reject })
      this.sending ??= this.send()
    })
  }

  close(): void {
    this.closed = true
    this.unfollow()
    for (const { reject } of this.waiting.splice(0)) reject(stopped())
    // These are committed: nobody may think that they are not.
    for (const { proposal } of this.unseen) proposal.reject(new KafkaError('NOT_CONTROLLER', 'the broker is stopping'))
    this.unseen.clear()
  }

  private async send(): Promise<void> {
    await Promise.resolve()
    while (this.waiting.length > 0) {
      const proposals = this.waiting.splice(0)
      try {
        this.settle(proposals, await this.options.send(this.request(proposals)))
      } catch (error) {
        const unreached =
          error instanceof KafkaError ? error : new KafkaError('NOT_CONTROLLER', 'no controller answers', { cause: error })
        for (const { reject } of proposals) reject(unreached)
      }
    }
    this.sending = undefined
  }

  private request(proposals: readonly Proposal[]): AlterPartitionRequest {
    const { brokerId, brokerEpoch } = this.options
    const topics = new Map<string, AlterPartitionRequest['topics'][number]['partitions']>()
    for (const { change } of proposals) {
      const partitions = topics.get(change.topicId) ?? []
      topics.set(change.topicId, partitions)
      partitions.push({
        partitionIndex: change.index,
        leaderEpoch: change.leaderEpoch,
        newIsr: [],
        newIsrWithEpochs: change.isr.map((member) => ({ brokerId: member.brokerId, brokerEpoch: BigInt(member.brokerEpoch) })),
        leaderRecoveryState: change.recovering ? 1 : 0,
        partitionEpoch: change.partitionEpoch,
      })
    }
    return {
      brokerId,
      brokerEpoch: BigInt(brokerEpoch()),
      topics: [...topics].map(([topicId, partitions]) => ({ topicId, partitions })),
    }
  }

  private settle(proposals: readonly Proposal[], { errorCode, topics }: AlterPartitionResponseInput): void {
    if (errorCode !== ErrorCode.NONE) throw new KafkaError(errorName(errorCode), 'the controller takes no ISR from this broker')
    const results = new Map<string, PartitionResult>()
    for (const { topicId, partitions } of topics)
      for (const result of partitions) results.set(`${topicId}/${result.partitionIndex}`, result)
    for (const proposal of proposals) {
      const result = results.get(`${proposal.change.topicId}/${proposal.change.index}`)
      if (result === undefined)
        proposal.reject(new KafkaError('UNKNOWN_SERVER_ERROR', 'the controller did not answer for a partition'))
      else if (result.errorCode !== ErrorCode.NONE) proposal.reject(refusal(result.errorCode))
      else this.unseen.add({ proposal, partitionEpoch: result.partitionEpoch })
    }
    this.look()
  }

  private look(): void {
    const { image } = this.options.publisher
    for (const expected of this.unseen) {
      const { change, resolve, reject } = expected.proposal
      const partition = image.topicById(change.topicId)?.partitions[change.index]
      if (partition !== undefined && partition.partitionEpoch < expected.partitionEpoch) continue
      this.unseen.delete(expected)
      if (partition === undefined) reject(new KafkaError('UNKNOWN_TOPIC_ID', 'the topic is deleted'))
      else resolve(partition)
    }
  }
}

const stopped = () => new KafkaError('OPERATION_NOT_ATTEMPTED', 'the broker is stopping')

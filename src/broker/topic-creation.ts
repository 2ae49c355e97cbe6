// Topics that come into being because somebody needs them: named by a client in Metadata, or kept by the broker itself.

import type { ClusterMetadata } from '../cluster/cluster-metadata.ts'
import { topicNameProblem } from '../cluster/controller/topic-name.ts'
import { GROUP_OFFSETS_TOPIC, isInternalTopic, TRANSACTION_STATE_TOPIC } from '../cluster/internal-topics.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'

export interface TopicCreationOptions {
  readonly metadata: ClusterMetadata
  readonly image: () => MetadataImage
  readonly caughtUp: () => Promise<void>
}

export class TopicCreation {
  private readonly options: TopicCreationOptions
  /** Being created: whoever asks meanwhile waits for the same. */
  private readonly underWay = new Map<string, Promise<KafkaError | undefined>>()

  constructor(options: TopicCreationOptions) {
    this.options = options
  }

  /** INVALID_TOPIC_EXCEPTION, saying why; undefined where a topic may have the name. */
  problemWithName(name: string): KafkaError | undefined {
    const problem = topicNameProblem(name)
    return problem === undefined ? undefined : new KafkaError('INVALID_TOPIC_EXCEPTION', problem)
  }

  /** Creates those of the topics that are not there, with the broker's defaults. Resolves with what was refused. */
  async ensure(names: readonly string[]): Promise<ReadonlyMap<string, KafkaError>> {
    const refused = new Map<string, KafkaError>()
    for (const name of new Set(names)) {
      if (this.options.image().topic(name) !== undefined) continue
      const error = await this.create(name)
      if (error !== undefined) refused.set(name, error)
    }
    return refused
  }

  /** Throws KafkaError COORDINATOR_NOT_AVAILABLE, which clients take as "try again". */
  ensureGroupOffsets(): Promise<void> {
    return this.ensureForCoordinator(GROUP_OFFSETS_TOPIC)
  }

  /** Throws KafkaError COORDINATOR_NOT_AVAILABLE, which clients take as "try again". */
  ensureTransactionState(): Promise<void> {
    return this.ensureForCoordinator(TRANSACTION_STATE_TOPIC)
  }

  private async ensureForCoordinator(topic: string): Promise<void> {
    const error = (await this.ensure([topic])).get(topic)
    if (error !== undefined) throw new KafkaError('COORDINATOR_NOT_AVAILABLE', error.message, { cause: error })
  }

  private create(name: string): Promise<KafkaError | undefined> {
    let creation = this.underWay.get(name)
    if (creation === undefined) {
      creation = this.createNow(name).finally(() => this.underWay.delete(name))
      this.underWay.set(name, creation)
    }
    return creation
  }

  private async createNow(name: string): Promise<KafkaError | undefined> {
    const { metadata, caughtUp } = this.options
    const problem = this.problemWithName(name)
    if (problem !== undefined) return problem
    const isOfCoordinator = name === GROUP_OFFSETS_TOPIC || name === TRANSACTION_STATE_TOPIC
    // Other internal topics come with the features that keep their state there.
    if (isInternalTopic(name) && !isOfCoordinator) return new KafkaError('UNKNOWN_TOPIC_OR_PARTITION')
    const { errorCode, errorMessage } = isOfCoordinator
      ? await metadata.createInternalTopic(name)
      : (await metadata.createTopics([withDefaults(name)]))[0]
    await caughtUp()
    if (errorCode === ErrorCode.NONE || errorCode === ErrorCode.TOPIC_ALREADY_EXISTS) return undefined
    return new KafkaError(errorName(errorCode), errorMessage ?? undefined)
  }
}

const withDefaults = (name: string) => ({ name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] })

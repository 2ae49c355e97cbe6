// What the leader of partitions asks the coordinator before the first write of a transaction (KIP-890): for a producer that leaves it to
// the leader, to add them; for others, whether they were added.

import { ErrorCode } from '../../protocol/error-codes.ts'
import type { CoordinatorClock } from '../runtime/ports.ts'
import { type PartitionResults, resultsFor } from './add-partitions.ts'
import { errorForProducer, type ProducerSupport } from './producer-support.ts'
import type { TransactionConfig } from './transaction-config.ts'
import type { AddPartitionsRequest } from './transaction-coordinator.ts'

/** Asks whoever coordinates the transactional id, here or elsewhere. Never rejects: what goes wrong is an error code. */
export type AskCoordinator = (request: AddPartitionsRequest, verifyOnly: boolean) => Promise<PartitionResults>

export interface PartitionVerifierOptions {
  readonly ask: AskCoordinator
  readonly clock: CoordinatorClock
  readonly config: Pick<TransactionConfig, 'addPartitionsRetryBackoffMs' | 'addPartitionsRetryBackoffMaxMs'>
}

export class PartitionVerifier {
  private readonly options: PartitionVerifierOptions

  constructor(options: PartitionVerifierOptions) {
    this.options = options
  }

  /** Answers for each partition, in words that the producer knows. */
  async verifyOrAddPartitions(request: AddPartitionsRequest, support: ProducerSupport): Promise<PartitionResults> {
    const results = support === 'implicit' ? await this.addWhenEnded(request) : await this.options.ask(request, true)
    const codes = new Map<string, number>()
    for (const { name, resultsByPartition } of results) {
      for (const { partitionIndex, partitionErrorCode } of resultsByPartition)
        codes.set(`${name}/${partitionIndex}`, partitionErrorCode)
    }
    const codeOf = (name: string, partition: number) => codes.get(`${name}/${partition}`) ?? ErrorCode.UNKNOWN_SERVER_ERROR
    return resultsFor(request.topics, (name, partition) => errorForProducer(codeOf(name, partition), support))
  }

  /**
   * A producer of transaction version 2 may write on as soon as its last transaction is decided, and its markers are about to be
   * there: rather than have it ask again, which not every client does for every request, the leader does.
   */
  private async addWhenEnded(request: AddPartitionsRequest): Promise<PartitionResults> {
    const { ask, clock, config } = this.options
    const deadlineMs = clock.monotonicMs() + config.addPartitionsRetryBackoffMaxMs
    for (;;) {
      const results = await ask(request, false)
      if (!isConcurrent(results) || clock.monotonicMs() >= deadlineMs) return results
      await new Promise<void>((resolve) => clock.timer(config.addPartitionsRetryBackoffMs, resolve))
    }
  }
}

function isConcurrent(results: PartitionResults): boolean {
  return results.some(({ resultsByPartition }) =>
    resultsByPartition.some(({ partitionErrorCode }) => partitionErrorCode === ErrorCode.CONCURRENT_TRANSACTIONS),
  )
}

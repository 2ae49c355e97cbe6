// Lets transactional batches into partitions. Before the first write of a transaction to a partition its coordinator is asked
// (KIP-890): a late batch of a transaction that has ended must not open one that nobody would ever end. Batches of one producer
// keep their order while they wait for the answer.

import type { Partition } from '../cluster/replication/partition.ts'
import type { ProducerSupport } from '../coordinators/transaction/producer-support.ts'
import type { TransactionCoordinator } from '../coordinators/transaction/transaction-coordinator.ts'
import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import { producerEpoch, producerId } from '../protocol/records/batch-header.ts'

export interface TransactionalBatch {
  readonly partition: Partition
  readonly batch: Buffer
}

type Verifier = Pick<TransactionCoordinator, 'verifyOrAddPartitions'>

export class TransactionAdmission {
  private readonly coordinator: Verifier
  /** Of each producer that waits: when its last request may append. */
  private readonly waiting = new Map<bigint, Promise<void>>()

  constructor(coordinator: Verifier) {
    this.coordinator = coordinator
  }

  /**
   * Undefined where all batches may be appended at once. Else resolves when it is the turn of this request, with what is to be
   * told of partitions that refuse.
   * Throws KafkaError INVALID_PRODUCER_ID_MAPPING where the batches are of several producers.
   */
  admit(
    transactionalId: string,
    batches: readonly TransactionalBatch[],
    support: ProducerSupport,
  ): Promise<ReadonlyMap<Partition, KafkaError>> | undefined {
    const [first] = batches
    const id = producerId(first.batch)
    const epoch = producerEpoch(first.batch)
    if (batches.some(({ batch }) => producerId(batch) !== id)) {
      throw new KafkaError('INVALID_PRODUCER_ID_MAPPING', 'a transactional request holds batches of one producer only')
    }
    const before = this.waiting.get(id)
    const unverified = batches
      .filter(({ partition }) => !partition.log.hasOngoingTransaction(id, epoch))
      .map(({ partition }) => partition)
    if (before === undefined && unverified.length === 0) return undefined
    const admitted = this.verify(transactionalId, id, epoch, unverified, support, before)
    const turn = admitted.then(
      () => {},
      () => {},
    )
    this.waiting.set(id, turn)
    turn.then(() => {
      // The request appends in the turn of the event loop in which it is told; only then may others go past.
      if (this.waiting.get(id) === turn) this.waiting.delete(id)
    })
    return admitted
  }

  private async verify(
    transactionalId: string,
    id: bigint,
    epoch: number,
    partitions: readonly Partition[],
    support: ProducerSupport,
    before: Promise<void> | undefined,
  ): Promise<ReadonlyMap<Partition, KafkaError>> {
    await before
    const refused = new Map<Partition, KafkaError>()
    // What came before may have begun the transaction there.
    const unverified = partitions.filter((partition) => !partition.log.hasOngoingTransaction(id, epoch))
    if (unverified.length === 0) return refused
    const request = { transactionalId, producerId: id, producerEpoch: epoch, topics: byTopic(unverified) }
    const results = await this.coordinator.verifyOrAddPartitions(request, support)
    for (const { name, resultsByPartition } of results) {
      for (const { partitionIndex, partitionErrorCode } of resultsByPartition) {
        if (partitionErrorCode === ErrorCode.NONE) continue
        const partition = unverified.find(({ topic, index }) => topic === name && index === partitionIndex)
        if (partition !== undefined) refused.set(partition, new KafkaError(errorName(partitionErrorCode)))
      }
    }
    return refused
  }
}

function byTopic(partitions: readonly Partition[]) {
  const topics = new Map<string, number[]>()
  for (const { topic, index } of partitions) topics.set(topic, [...(topics.get(topic) ?? []), index])
  return [...topics].map(([name, indexes]) => ({ name, partitions: indexes }))
}

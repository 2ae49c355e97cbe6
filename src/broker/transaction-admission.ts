// Lets transactional batches into partitions. Before the first write of a transaction to a partition its coordinator is asked
// (KIP-890): a late batch of a transaction that has ended must not open one that nobody would ever end. Batches of one producer
// keep their order while they wait for the answer.

import type { Partition } from '../cluster/replication/partition.ts'
import type { PartitionVerifier } from '../coordinators/transaction/partition-verifier.ts'
import type { ProducerSupport } from '../coordinators/transaction/producer-support.ts'
import type { Verification } from '../log/verifications.ts'
import { ErrorCode, errorName, KafkaError } from '../protocol/error-codes.ts'
import { baseSequence, producerEpoch, producerId } from '../protocol/records/batch-header.ts'

export interface TransactionalBatch {
  readonly partition: Partition
  readonly batch: Buffer
}

/** Of each partition what its log is to be shown with the batch (AppendOptions.verification), or why it refuses. */
export type Verdicts = ReadonlyMap<Partition, Verification | null | KafkaError>

type Verifier = Pick<PartitionVerifier, 'verifyOrAddPartitions'>

const UNASKED: Verdicts = new Map()

export class TransactionAdmission {
  private readonly verifier: Verifier
  private readonly verifies: () => boolean
  /** Of each producer that waits: when its last request may append. */
  private readonly waiting = new Map<bigint, Promise<void>>()

  /** @param verifies whether partitions are looked for in transactions (`transaction.partition.verification.enable`) */
  constructor(verifier: Verifier, verifies: () => boolean) {
    this.verifier = verifier
    this.verifies = verifies
  }

  /**
   * Undefined where all batches may be appended at once. Else resolves when it is the turn of this request.
   * Throws KafkaError INVALID_PRODUCER_ID_MAPPING where the batches are of several producers.
   */
  admit(
    transactionalId: string,
    batches: readonly TransactionalBatch[],
    support: ProducerSupport,
  ): Promise<Verdicts> | undefined {
    const [first] = batches
    const id = producerId(first.batch)
    const epoch = producerEpoch(first.batch)
    if (batches.some(({ batch }) => producerId(batch) !== id)) {
      throw new KafkaError('INVALID_PRODUCER_ID_MAPPING', 'a transactional request holds batches of one producer only')
    }
    // What adds partitions must ask.
    const asks = support === 'implicit' || this.verifies()
    const before = this.waiting.get(id)
    const isOpen = ({ partition }: TransactionalBatch) => partition.log.producers.hasOngoingTransaction(id, epoch)
    if (before === undefined && (!asks || batches.every(isOpen))) return undefined
    // The request is on loan.
    const sequences = new Map(batches.map(({ partition, batch }) => [partition, baseSequence(batch)]))
    const producer = { transactionalId, producerId: id, producerEpoch: epoch }
    const admitted = asks ? this.verify(producer, sequences, support, before) : before!.then(() => UNASKED)
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
    producer: { readonly transactionalId: string; readonly producerId: bigint; readonly producerEpoch: number },
    sequences: ReadonlyMap<Partition, number>,
    support: ProducerSupport,
    before: Promise<void> | undefined,
  ): Promise<Verdicts> {
    await before
    const verdicts = new Map<Partition, Verification | null | KafkaError>()
    // What came before may have begun the transaction there.
    for (const [partition, sequence] of sequences) {
      verdicts.set(partition, partition.log.verifications.begin(producer.producerId, producer.producerEpoch, sequence))
    }
    const unverified = [...verdicts].filter(([, verification]) => verification !== null).map(([partition]) => partition)
    if (unverified.length === 0) return verdicts
    const results = await this.verifier.verifyOrAddPartitions({ ...producer, topics: byTopic(unverified) }, support)
    for (const { name, resultsByPartition } of results) {
      for (const { partitionIndex, partitionErrorCode } of resultsByPartition) {
        if (partitionErrorCode === ErrorCode.NONE) continue
        const partition = unverified.find(({ topic, index }) => topic === name && index === partitionIndex)
        if (partition !== undefined) verdicts.set(partition, new KafkaError(errorName(partitionErrorCode)))
      }
    }
    return verdicts
  }
}

function byTopic(partitions: readonly Partition[]) {
  const topics = new Map<string, number[]>()
  for (const { topic, index } of partitions) topics.set(topic, [...(topics.get(topic) ?? []), index])
  return [...topics].map(([name, indexes]) => ({ name, partitions: indexes }))
}

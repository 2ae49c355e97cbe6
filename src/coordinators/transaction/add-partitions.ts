// AddPartitionsToTxn and AddOffsetsToTxn: before anything of a transaction is written to a partition, the coordinator must know of the
// partition, or its marker would be missing there. Brokers ask the same before the first write, to be sure (KIP-890).

import { ErrorCode } from '../../protocol/error-codes.ts'
import { holds, holdsAll, type TopicList, withPartitions } from './topic-partitions.ts'
import { changed, isPrepared } from './transaction.ts'
import type { TransactionVersion } from './transaction-config.ts'
import { TransactionOutcome } from './transaction-records.ts'
import { type ProducerIdentity, type Transactions, transactionOf } from './transactions.ts'

/** What becomes of each partition, as AddPartitionsToTxn answers it. */
export type PartitionResults = readonly {
  readonly name: string
  readonly resultsByPartition: readonly { readonly partitionIndex: number; readonly partitionErrorCode: number }[]
}[]

/** All of them are added, or none: the first begins a transaction. Answers an error code. */
export function addPartitions(
  transactions: Transactions,
  producer: ProducerIdentity,
  topics: TopicList,
  transactionVersion: TransactionVersion,
  now: number,
): TransactionOutcome<number> {
  const out = new TransactionOutcome<number>()
  const transaction = transactionOf(transactions, producer)
  if (typeof transaction === 'number') return out.reply(transaction)
  // The markers of the one before are still on their way.
  if (isPrepared(transaction)) return out.reply(ErrorCode.CONCURRENT_TRANSACTIONS)
  const isOngoing = transaction.state === 'Ongoing'
  if (isOngoing && holdsAll(transaction.partitions, topics)) return out.reply(ErrorCode.NONE)
  out.writeTransaction(
    changed(transaction, now, {
      state: 'Ongoing',
      partitions: withPartitions(transaction.partitions, topics),
      startTimestampMs: isOngoing ? transaction.startTimestampMs : now,
      transactionVersion,
    }),
  )
  return out.reply(ErrorCode.NONE)
}

/** Whether partitions are in the open transaction; adds nothing. TRANSACTION_ABORTABLE for one that is not. */
export function verifyPartitions(
  transactions: Transactions,
  producer: ProducerIdentity,
  topics: TopicList,
): TransactionOutcome<PartitionResults> {
  const out = new TransactionOutcome<PartitionResults>()
  const transaction = transactionOf(transactions, producer)
  if (typeof transaction === 'number') return out.reply(sameForAll(topics, transaction))
  if (isPrepared(transaction)) return out.reply(sameForAll(topics, ErrorCode.CONCURRENT_TRANSACTIONS))
  return out.reply(
    resultsFor(topics, (name, partition) =>
      holds(transaction.partitions, name, partition) ? ErrorCode.NONE : ErrorCode.TRANSACTION_ABORTABLE,
    ),
  )
}

export function sameForAll(topics: TopicList, errorCode: number): PartitionResults {
  return resultsFor(topics, () => errorCode)
}

export function resultsFor(topics: TopicList, errorCode: (name: string, partition: number) => number): PartitionResults {
  return topics.map(({ name, partitions }) => ({
    name,
    resultsByPartition: partitions.map((partitionIndex) => ({
      partitionIndex,
      partitionErrorCode: errorCode(name, partitionIndex),
    })),
  }))
}

// What transactions ask of other brokers: leaders ask the coordinator of a transactional id, coordinators have leaders write markers.
// What this broker leads or coordinates itself does not travel.

import { TRANSACTION_STATE_TOPIC } from '../cluster/internal-topics.ts'
import type { MetadataImage } from '../cluster/metadata-image.ts'
import type { Peers } from '../cluster/peers.ts'
import { type PartitionResults, sameForAll } from '../coordinators/transaction/add-partitions.ts'
import type { MarkerResult, TxnMarker } from '../coordinators/transaction/marker-sender.ts'
import type { AskCoordinator } from '../coordinators/transaction/partition-verifier.ts'
import type { TransactionCoordinator } from '../coordinators/transaction/transaction-coordinator.ts'
import { ErrorCode, KafkaError } from '../protocol/error-codes.ts'
import { AddPartitionsToTxn } from '../protocol/messages/24-add-partitions-to-txn.ts'
import { WriteTxnMarkers } from '../protocol/messages/27-write-txn-markers.ts'

interface AskParts {
  readonly nodeId: number
  readonly image: () => MetadataImage
  readonly peers: Peers
  readonly transactions: TransactionCoordinator
}

/** Asks the leader of the partition of `__transaction_state` that the transactional id belongs to. */
export function askCoordinator({ nodeId, image, peers, transactions }: AskParts): AskCoordinator {
  return async (request, verifyOnly) => {
    const partition = transactions.partitionFor(request.transactionalId)
    const leader = image().partition(TRANSACTION_STATE_TOPIC, partition)?.leader ?? -1
    if (leader === nodeId) return transactions.askForPartitions(request, verifyOnly)
    if (leader < 0) return sameForAll(request.topics, ErrorCode.COORDINATOR_NOT_AVAILABLE)
    try {
      const transaction = {
        ...request,
        verifyOnly,
        topics: request.topics.map(({ name, partitions }) => ({ name, partitions: [...partitions] })),
      }
      const response = await peers.request(
        leader,
        AddPartitionsToTxn,
        {
          transactions: [transaction],
          v3AndBelowTransactionalId: '',
          v3AndBelowProducerId: 0n,
          v3AndBelowProducerEpoch: 0,
          v3AndBelowTopics: [],
        },
        { minVersion: 4 },
      )
      if (response.errorCode !== ErrorCode.NONE) return sameForAll(request.topics, response.errorCode)
      return response.resultsByTransaction[0].topicResults as PartitionResults
    } catch (error) {
      return sameForAll(request.topics, error instanceof KafkaError ? error.errorCode : ErrorCode.NETWORK_EXCEPTION)
    }
  }
}

/** Has one leader write a marker into partitions of its own. Rejects where it cannot be reached. */
export async function sendMarkers(peers: Peers, leader: number, marker: TxnMarker): Promise<readonly MarkerResult[]> {
  const { partitions, committed, ...rest } = marker
  const topics = Array.from(partitions, ([name, indexes]) => ({ name, partitionIndexes: [...indexes] }))
  const { markers } = await peers.request(leader, WriteTxnMarkers, {
    markers: [{ ...rest, transactionResult: committed, topics }],
  })
  return markers.flatMap(({ topics }) =>
    topics.flatMap(({ name, partitions }) =>
      partitions.map(({ partitionIndex, errorCode }) => ({ topic: name, partition: partitionIndex, errorCode })),
    ),
  )
}

import { type PartitionResults, resultsFor, sameForAll } from '../../coordinators/transaction/add-partitions.ts'
import type { AddPartitionsRequest } from '../../coordinators/transaction/transaction-coordinator.ts'
import { ErrorCode } from '../../protocol/error-codes.ts'
import { AddPartitionsToTxn, type AddPartitionsToTxnRequest } from '../../protocol/messages/24-add-partitions-to-txn.ts'
import type { Services } from '../services.ts'
import { handler } from './handler.ts'

interface Transaction extends AddPartitionsRequest {
  readonly verifyOnly: boolean
}

/** Partitions join a transaction, or are looked for in it. Clients ask for one transaction, brokers for many. */
export const addPartitionsToTxn = handler(AddPartitionsToTxn, {
  async handle(request, services, { version }) {
    if (version < 4) return { resultsByTopicV3AndBelow: await add(ofClient(request), services, version) }
    const resultsByTransaction = request.transactions.map(async (transaction) => ({
      transactionalId: transaction.transactionalId,
      topicResults: await add(transaction, services, version),
    }))
    return { errorCode: ErrorCode.NONE, resultsByTransaction: await Promise.all(resultsByTransaction) }
  },

  fail: (request, { errorCode }) => ({
    errorCode,
    resultsByTransaction: [],
    resultsByTopicV3AndBelow: sameForAll(request.v3AndBelowTopics, errorCode),
  }),
})

function ofClient(request: AddPartitionsToTxnRequest): Transaction {
  return {
    transactionalId: request.v3AndBelowTransactionalId,
    producerId: request.v3AndBelowProducerId,
    producerEpoch: request.v3AndBelowProducerEpoch,
    verifyOnly: false,
    topics: request.v3AndBelowTopics,
  }
}

/** One that does not exist stops all. */
async function add(transaction: Transaction, services: Services, version: number): Promise<PartitionResults> {
  const { topics, verifyOnly } = transaction
  const image = services.image()
  const exists = (topic: string, partition: number) => image.partition(topic, partition) !== undefined
  if (!topics.every(({ name, partitions }) => partitions.every((partition) => exists(name, partition)))) {
    return resultsFor(topics, (name, partition) =>
      exists(name, partition) ? ErrorCode.OPERATION_NOT_ATTEMPTED : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
    )
  }
  const transactions = services.transactions
  if (verifyOnly) return transactions.verifyPartitionsInTxn(transaction)
  return sameForAll(topics, await transactions.addPartitionsToTxn(transaction, { version }))
}

import { undescribed } from '../../coordinators/transaction/describe-transactions.ts'
import { DescribeTransactions } from '../../protocol/messages/65-describe-transactions.ts'
import { handler } from './handler.ts'

/** State and partitions of transactions. */
export const describeTransactions = handler(DescribeTransactions, {
  async handle(request, services) {
    return { transactionStates: await services.transactions.describeTransactions(request.transactionalIds) }
  },

  fail: (request, { errorCode }) => ({
    transactionStates: request.transactionalIds.map((transactionalId) => undescribed(transactionalId, errorCode)),
  }),
})

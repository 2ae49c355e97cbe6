import { ListTransactions } from '../../protocol/messages/66-list-transactions.ts'
import { re2Pattern } from '../re2-pattern.ts'
import { handler } from './handler.ts'

/** The transactional ids that this broker looks after. */
export const listTransactions = handler(ListTransactions, {
  async handle(request, services) {
    const { transactionalIdPattern: pattern } = request
    const matches = pattern === null || pattern === '' ? null : await re2Pattern(pattern)
    return services.transactions.listTransactions({ ...request, matches })
  },
  fail: (_request, { errorCode }) => ({ errorCode, unknownStateFilters: [], transactionStates: [] }),
})

import { ListTransactions } from '../../protocol/messages/66-list-transactions.ts'
import { handler } from './handler.ts'

/** The transactional ids that this broker looks after. */
export const listTransactions = handler(ListTransactions, {
  // 2 filters by a pattern of RE2, which takes an engine that no pattern can keep busy.
  versions: '0-1',
  handle: (request, services) => services.transactions.listTransactions({ ...request, matches: null }),
  fail: (_request, { errorCode }) => ({ errorCode, unknownStateFilters: [], transactionStates: [] }),
})

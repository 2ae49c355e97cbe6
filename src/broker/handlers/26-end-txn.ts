import { EndTxn } from '../../protocol/messages/26-end-txn.ts'
import { transactionsOf } from '../transactions-of.ts'
import { handler } from './handler.ts'

/** Commits or aborts a transaction. */
export const endTxn = handler(EndTxn, {
  handle: (request, services, call) => transactionsOf(services).endTxn(request, call),
  fail: (_request, { errorCode }) => ({ errorCode }),
})

import { EndTxn } from '../../protocol/messages/26-end-txn.ts'
import { handler } from './handler.ts'

/** Commits or aborts a transaction. */
export const endTxn = handler(EndTxn, {
  handle: (request, services, call) => services.transactions.endTxn(request, call),
  fail: (_request, { errorCode }) => ({ errorCode }),
})

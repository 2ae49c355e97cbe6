import { api, array, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * ListTransactions: the transactions that this broker coordinates (KIP-664). 1 filters by age (KIP-994); 2 by a pattern of transactional ids
 * (KIP-1152).
 */
export const ListTransactions = api(66, 'ListTransactions', {
  versions: '0-2',
  flexible: '0+',
  request: {
    stateFilters: array(string()),
    producerIdFilters: array(int64()),
    durationFilter: int64('1+').default(-1n),
    transactionalIdPattern: string('2+').nullable().default(null),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    unknownStateFilters: array(string()),
    transactionStates: array({ transactionalId: string(), producerId: int64(), transactionState: string() }),
  },
})
export type ListTransactionsRequest = Request<typeof ListTransactions>
export type ListTransactionsResponse = Response<typeof ListTransactions>
export type ListTransactionsResponseInput = ResponseInput<typeof ListTransactions>

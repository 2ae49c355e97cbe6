import { api, bool, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * EndTxn: commits or aborts. 2 may answer PRODUCER_FENCED; 3 is flexible; 4 may answer TRANSACTION_ABORTABLE; 5 bumps the epoch with
 * every transaction and answers the producer id and epoch for the next (KIP-890).
 */
export const EndTxn = api(26, 'EndTxn', {
  versions: '0-5',
  flexible: '3+',
  request: { transactionalId: string(), producerId: int64(), producerEpoch: int16(), committed: bool() },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    producerId: int64('5+').default(-1n),
    producerEpoch: int16('5+').default(-1),
  },
})
export type EndTxnRequest = Request<typeof EndTxn>
export type EndTxnResponse = Response<typeof EndTxn>
export type EndTxnResponseInput = ResponseInput<typeof EndTxn>

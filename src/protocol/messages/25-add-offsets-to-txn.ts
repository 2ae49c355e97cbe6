import { api, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * AddOffsetsToTxn: a group's offsets join a transaction. 2 may answer PRODUCER_FENCED; 3 is flexible; 4 may answer
 * TRANSACTION_ABORTABLE (KIP-890).
 */
export const AddOffsetsToTxn = api(25, 'AddOffsetsToTxn', {
  versions: '0-4',
  flexible: '3+',
  request: { transactionalId: string(), producerId: int64(), producerEpoch: int16(), groupId: string() },
  response: { throttleTimeMs: int32().default(0), errorCode: int16() },
})
export type AddOffsetsToTxnRequest = Request<typeof AddOffsetsToTxn>
export type AddOffsetsToTxnResponse = Response<typeof AddOffsetsToTxn>
export type AddOffsetsToTxnResponseInput = ResponseInput<typeof AddOffsetsToTxn>

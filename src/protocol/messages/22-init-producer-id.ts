import { api, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * InitProducerId: a producer id for an idempotent producer, or the next epoch of a transactional one. 2 is flexible; 3 carries the id and
 * epoch that the producer has (KIP-360); 4 may answer PRODUCER_FENCED; 5 may answer TRANSACTION_ABORTABLE (KIP-890). 6, for two-phase
 * commit (KIP-939), is not stable in Kafka and not here.
 */
export const InitProducerId = api(22, 'InitProducerId', {
  versions: '0-5',
  flexible: '2+',
  request: {
    transactionalId: string().nullable(),
    transactionTimeoutMs: int32(),
    producerId: int64('3+').default(-1n),
    producerEpoch: int16('3+').default(-1),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    producerId: int64().default(-1n),
    producerEpoch: int16(),
  },
})
export type InitProducerIdRequest = Request<typeof InitProducerId>
export type InitProducerIdResponse = Response<typeof InitProducerId>
export type InitProducerIdResponseInput = ResponseInput<typeof InitProducerId>

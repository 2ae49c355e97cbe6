import {
  api,
  array,
  bool,
  int8,
  int16,
  int32,
  int64,
  type Request,
  type Response,
  type ResponseInput,
  string,
} from '../schema.ts'

/**
 * WriteTxnMarkers: the transaction coordinator has leaders write the end of transactions into their logs. Flexible throughout; 2 tells the
 * transaction version (KIP-1228).
 */
export const WriteTxnMarkers = api(27, 'WriteTxnMarkers', {
  versions: '1-2',
  flexible: '1+',
  request: {
    markers: array({
      producerId: int64(),
      producerEpoch: int16(),
      transactionResult: bool(),
      topics: array({ name: string(), partitionIndexes: array(int32()) }),
      coordinatorEpoch: int32(),
      transactionVersion: int8('2+').default(0),
    }),
  },
  response: {
    markers: array({
      producerId: int64(),
      topics: array({
        name: string(),
        partitions: array({ partitionIndex: int32(), errorCode: int16() }),
      }),
    }),
  },
})
export type WriteTxnMarkersRequest = Request<typeof WriteTxnMarkers>
export type WriteTxnMarkersResponse = Response<typeof WriteTxnMarkers>
export type WriteTxnMarkersResponseInput = ResponseInput<typeof WriteTxnMarkers>

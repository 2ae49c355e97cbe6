import { api, array, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** DescribeProducers: the producers that a partition knows (KIP-664). */
export const DescribeProducers = api(61, 'DescribeProducers', {
  versions: '0',
  flexible: '0+',
  request: {
    topics: array({ name: string(), partitionIndexes: array(int32()) }),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        errorMessage: string().nullable().default(null),
        activeProducers: array({
          producerId: int64(),
          producerEpoch: int32(),
          lastSequence: int32().default(-1),
          lastTimestamp: int64().default(-1n),
          coordinatorEpoch: int32(),
          currentTxnStartOffset: int64().default(-1n),
        }),
      }),
    }),
  },
})
export type DescribeProducersRequest = Request<typeof DescribeProducers>
export type DescribeProducersResponse = Response<typeof DescribeProducers>
export type DescribeProducersResponseInput = ResponseInput<typeof DescribeProducers>

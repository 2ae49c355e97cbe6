import { api, array, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** DescribeTransactions: state of transactions by transactional id (KIP-664). */
export const DescribeTransactions = api(65, 'DescribeTransactions', {
  versions: '0',
  flexible: '0+',
  request: { transactionalIds: array(string()) },
  response: {
    throttleTimeMs: int32().default(0),
    transactionStates: array({
      errorCode: int16(),
      transactionalId: string(),
      transactionState: string(),
      transactionTimeoutMs: int32(),
      transactionStartTimeMs: int64(),
      producerId: int64(),
      producerEpoch: int16(),
      topics: array({ topic: string(), partitions: array(int32()) }),
    }),
  },
})
export type DescribeTransactionsRequest = Request<typeof DescribeTransactions>
export type DescribeTransactionsResponse = Response<typeof DescribeTransactions>
export type DescribeTransactionsResponseInput = ResponseInput<typeof DescribeTransactions>

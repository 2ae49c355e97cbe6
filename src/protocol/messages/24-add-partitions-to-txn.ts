import { api, array, bool, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

const topic = { name: string(), partitions: array(int32()) } as const

const partitionResult = { partitionIndex: int32(), partitionErrorCode: int16() } as const

const topicResult = { name: string(), resultsByPartition: array(partitionResult) } as const

/**
 * AddPartitionsToTxn: partitions join a transaction. 2 may answer PRODUCER_FENCED; 3 is flexible; 4 takes many transactions at once and can
 * only verify (KIP-890); 5 may answer TRANSACTION_ABORTABLE. Clients use 3 and below, brokers 4 and above.
 */
export const AddPartitionsToTxn = api(24, 'AddPartitionsToTxn', {
  versions: '0-5',
  flexible: '3+',
  request: {
    transactions: array(
      {
        transactionalId: string(),
        producerId: int64(),
        producerEpoch: int16(),
        verifyOnly: bool().default(false),
        topics: array(topic),
      },
      '4+',
    ),
    v3AndBelowTransactionalId: string('0-3'),
    v3AndBelowProducerId: int64('0-3'),
    v3AndBelowProducerEpoch: int16('0-3'),
    v3AndBelowTopics: array(topic, '0-3'),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16('4+'),
    resultsByTransaction: array({ transactionalId: string(), topicResults: array(topicResult) }, '4+'),
    resultsByTopicV3AndBelow: array(topicResult, '0-3'),
  },
})
export type AddPartitionsToTxnRequest = Request<typeof AddPartitionsToTxn>
export type AddPartitionsToTxnResponse = Response<typeof AddPartitionsToTxn>
export type AddPartitionsToTxnResponseInput = ResponseInput<typeof AddPartitionsToTxn>

import {
  api,
  array,
  int16,
  int32,
  int64,
  type Request,
  type Response,
  type ResponseInput,
  records,
  string,
  struct,
  uuid,
} from '../schema.ts'

/**
 * Produce: appends record batches, one per partition. 3 brings transactionalId and record batches of format v2; 5 answers the log
 * start offset; 7 allows zstd; 8 tells which records were refused (KIP-467); 9 is flexible; 10 tells who leads now (KIP-951); 11 may
 * answer TRANSACTION_ABORTABLE; 12 adds the partition to its transaction by itself (KIP-890); 13 names topics by id (KIP-516).
 *
 * Kafka announces 0-2 as well, for librdkafka's sake, and refuses them.
 */
export const Produce = api(0, 'Produce', {
  versions: '3-13',
  flexible: '9+',
  request: {
    transactionalId: string().nullable().default(null),
    acks: int16(),
    timeoutMs: int32(),
    topicData: array({
      name: string('0-12'),
      topicId: uuid('13+'),
      partitionData: array({ index: int32(), records: records().nullable() }),
    }),
  },
  response: {
    responses: array({
      name: string('0-12'),
      topicId: uuid('13+'),
      partitionResponses: array({
        index: int32(),
        errorCode: int16(),
        baseOffset: int64(),
        logAppendTimeMs: int64().default(-1n),
        logStartOffset: int64('5+').default(-1n),
        recordErrors: array({ batchIndex: int32(), batchIndexErrorMessage: string().nullable().default(null) }, '8+'),
        errorMessage: string('8+').nullable().default(null),
        currentLeader: struct({ leaderId: int32().default(-1), leaderEpoch: int32().default(-1) }, '10+').tagged(0, '10+'),
      }),
    }),
    throttleTimeMs: int32().default(0),
    nodeEndpoints: array(
      { nodeId: int32(), host: string(), port: int32(), rack: string().nullable().default(null) },
      '10+',
    ).tagged(0, '10+'),
  },
})
export type ProduceRequest = Request<typeof Produce>
export type ProduceResponse = Response<typeof Produce>
export type ProduceResponseInput = ResponseInput<typeof Produce>

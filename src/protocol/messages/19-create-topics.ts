import { api, array, bool, int8, int16, int32, type Request, type Response, type ResponseInput, string, uuid } from '../schema.ts'

/**
 * CreateTopics. 4 takes -1 for the broker's default number of partitions and of replicas (KIP-464); 5 is flexible and answers the topic's
 * configuration (KIP-525); 6 may answer THROTTLING_QUOTA_EXCEEDED (KIP-599); 7 answers the topic id.
 */
export const CreateTopics = api(19, 'CreateTopics', {
  versions: '2-7',
  flexible: '5+',
  request: {
    topics: array({
      name: string(),
      numPartitions: int32(),
      replicationFactor: int16(),
      assignments: array({ partitionIndex: int32(), brokerIds: array(int32()) }),
      configs: array({ name: string(), value: string().nullable() }),
    }),
    timeoutMs: int32().default(60000),
    validateOnly: bool().default(false),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      name: string(),
      topicId: uuid('7+'),
      errorCode: int16(),
      errorMessage: string().nullable(),
      topicConfigErrorCode: int16('5+').tagged(0, '5+'),
      numPartitions: int32('5+').default(-1),
      replicationFactor: int16('5+').default(-1),
      configs: array(
        {
          name: string(),
          value: string().nullable(),
          readOnly: bool(),
          configSource: int8().default(-1),
          isSensitive: bool(),
        },
        '5+',
      ).nullable(),
    }),
  },
})
export type CreateTopicsRequest = Request<typeof CreateTopics>
export type CreateTopicsResponse = Response<typeof CreateTopics>
export type CreateTopicsResponseInput = ResponseInput<typeof CreateTopics>

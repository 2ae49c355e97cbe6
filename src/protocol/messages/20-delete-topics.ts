import { api, array, int16, int32, type Request, type Response, type ResponseInput, string, uuid } from '../schema.ts'

/**
 * DeleteTopics. 3 may answer TOPIC_DELETION_DISABLED; 4 is flexible; 5 adds messages to errors and may answer
 * THROTTLING_QUOTA_EXCEEDED (KIP-599); 6 deletes by topic id too (KIP-516).
 */
export const DeleteTopics = api(20, 'DeleteTopics', {
  versions: '1-6',
  flexible: '4+',
  request: {
    topics: array({ name: string().nullable().default(null), topicId: uuid() }, '6+'),
    topicNames: array(string(), '0-5'),
    timeoutMs: int32(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    responses: array({
      name: string().nullable('6+'),
      topicId: uuid('6+'),
      errorCode: int16(),
      errorMessage: string('5+').nullable().default(null),
    }),
  },
})
export type DeleteTopicsRequest = Request<typeof DeleteTopics>
export type DeleteTopicsResponse = Response<typeof DeleteTopics>
export type DeleteTopicsResponseInput = ResponseInput<typeof DeleteTopics>

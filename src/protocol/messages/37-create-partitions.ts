import { api, array, bool, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** CreatePartitions: gives topics more partitions (KIP-195). 2 is flexible; 3 may answer THROTTLING_QUOTA_EXCEEDED (KIP-599). */
export const CreatePartitions = api(37, 'CreatePartitions', {
  versions: '0-3',
  flexible: '2+',
  request: {
    topics: array({
      name: string(),
      count: int32(),
      assignments: array({ brokerIds: array(int32()) }).nullable(),
    }),
    timeoutMs: int32(),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    results: array({ name: string(), errorCode: int16(), errorMessage: string().nullable().default(null) }),
  },
})
export type CreatePartitionsRequest = Request<typeof CreatePartitions>
export type CreatePartitionsResponse = Response<typeof CreatePartitions>
export type CreatePartitionsResponseInput = ResponseInput<typeof CreatePartitions>

import { api, array, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** OffsetDelete: deletes a group's positions (KIP-496). Never flexible. */
export const OffsetDelete = api(47, 'OffsetDelete', {
  versions: '0',
  flexible: 'none',
  request: {
    groupId: string(),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32() }),
    }),
  },
  response: {
    errorCode: int16(),
    throttleTimeMs: int32().default(0),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
})
export type OffsetDeleteRequest = Request<typeof OffsetDelete>
export type OffsetDeleteResponse = Response<typeof OffsetDelete>
export type OffsetDeleteResponseInput = ResponseInput<typeof OffsetDelete>

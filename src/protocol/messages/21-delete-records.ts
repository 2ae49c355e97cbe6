import { api, array, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** DeleteRecords: moves the log start offset of partitions up (KIP-107). 2 is flexible. */
export const DeleteRecords = api(21, 'DeleteRecords', {
  versions: '0-2',
  flexible: '2+',
  request: {
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), offset: int64() }),
    }),
    timeoutMs: int32(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), lowWatermark: int64(), errorCode: int16() }),
    }),
  },
})
export type DeleteRecordsRequest = Request<typeof DeleteRecords>
export type DeleteRecordsResponse = Response<typeof DeleteRecords>
export type DeleteRecordsResponseInput = ResponseInput<typeof DeleteRecords>

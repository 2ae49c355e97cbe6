import { api, array, int8, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * ListOffsets: the offset at a time stamp or at one end of the log. 2 brings the isolation level; 4 fences by leader epoch; 6 is
 * flexible. The sentinel time stamps grew: 7 allows -3, the record with the highest time stamp (KIP-734); 8 allows -4, where the local
 * log begins (KIP-405); 9 allows -5, the last tiered offset (KIP-1005); 11 allows -6, the earliest not yet uploaded (KIP-1023). 10 adds
 * the time to wait for remote storage (KIP-1075).
 */
export const ListOffsets = api(2, 'ListOffsets', {
  versions: '1-11',
  flexible: '6+',
  request: {
    replicaId: int32(),
    isolationLevel: int8('2+'),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), currentLeaderEpoch: int32('4+').default(-1), timestamp: int64() }),
    }),
    timeoutMs: int32('10+'),
  },
  response: {
    throttleTimeMs: int32('2+').default(0),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        timestamp: int64().default(-1n),
        offset: int64().default(-1n),
        leaderEpoch: int32('4+').default(-1),
      }),
    }),
  },
})
export type ListOffsetsRequest = Request<typeof ListOffsets>
export type ListOffsetsResponse = Response<typeof ListOffsets>
export type ListOffsetsResponseInput = ResponseInput<typeof ListOffsets>

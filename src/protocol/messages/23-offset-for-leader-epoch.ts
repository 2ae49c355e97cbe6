import { api, array, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * OffsetForLeaderEpoch: where a leader epoch ends, by which followers and consumers notice that they diverged. 2 fences by leader epoch
 * (KIP-320); 3 adds the replica that asks; 4 is flexible.
 */
export const OffsetForLeaderEpoch = api(23, 'OffsetForLeaderEpoch', {
  versions: '2-4',
  flexible: '4+',
  request: {
    replicaId: int32('3+').default(-2),
    topics: array({
      topic: string(),
      partitions: array({ partition: int32(), currentLeaderEpoch: int32().default(-1), leaderEpoch: int32() }),
    }),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      topic: string(),
      partitions: array({
        errorCode: int16(),
        partition: int32(),
        leaderEpoch: int32().default(-1),
        endOffset: int64().default(-1n),
      }),
    }),
  },
})
export type OffsetForLeaderEpochRequest = Request<typeof OffsetForLeaderEpoch>
export type OffsetForLeaderEpochResponse = Response<typeof OffsetForLeaderEpoch>
export type OffsetForLeaderEpochResponseInput = ResponseInput<typeof OffsetForLeaderEpoch>

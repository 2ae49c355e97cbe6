import { api, array, int16, int32, int64, type Request, type Response, type ResponseInput, string, uuid } from '../schema.ts'

/**
 * OffsetCommit: stores a group's positions. 3 answers a throttle time; 5 drops the retention time; 6 adds leader epochs; 7 adds
 * groupInstanceId (KIP-345); 8 is flexible; 9 takes member epochs (KIP-848); 10 names topics by id.
 */
export const OffsetCommit = api(8, 'OffsetCommit', {
  versions: '2-10',
  flexible: '8+',
  request: {
    groupId: string(),
    generationIdOrMemberEpoch: int32().default(-1),
    memberId: string(),
    groupInstanceId: string('7+').nullable().default(null),
    retentionTimeMs: int64('2-4').default(-1n),
    topics: array({
      name: string('0-9'),
      topicId: uuid('10+'),
      partitions: array({
        partitionIndex: int32(),
        committedOffset: int64(),
        committedLeaderEpoch: int32('6+').default(-1),
        committedMetadata: string().nullable(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32('3+').default(0),
    topics: array({
      name: string('0-9'),
      topicId: uuid('10+'),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
})
export type OffsetCommitRequest = Request<typeof OffsetCommit>
export type OffsetCommitResponse = Response<typeof OffsetCommit>
export type OffsetCommitResponseInput = ResponseInput<typeof OffsetCommit>

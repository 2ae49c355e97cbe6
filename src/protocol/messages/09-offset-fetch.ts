import {
  api,
  array,
  bool,
  int16,
  int32,
  int64,
  type Request,
  type Response,
  type ResponseInput,
  string,
  uuid,
} from '../schema.ts'

/**
 * OffsetFetch: reads a group's positions. 2 takes null for all topics and has an error of its own; 5 adds leader epochs; 6 is flexible;
 * 7 can insist on stable offsets (KIP-447); 8 asks for many groups at once (KIP-709); 9 carries the member's epoch (KIP-848); 10 names
 * topics by id.
 */
export const OffsetFetch = api(9, 'OffsetFetch', {
  versions: '1-10',
  flexible: '6+',
  request: {
    groupId: string('0-7'),
    topics: array({ name: string(), partitionIndexes: array(int32()) }, '0-7').nullable('2-7'),
    groups: array(
      {
        groupId: string(),
        memberId: string('9+').nullable().default(null),
        memberEpoch: int32('9+').default(-1),
        topics: array({ name: string('8-9'), topicId: uuid('10+'), partitionIndexes: array(int32()) }).nullable(),
      },
      '8+',
    ),
    requireStable: bool('7+').default(false),
  },
  response: {
    throttleTimeMs: int32('3+').default(0),
    topics: array(
      {
        name: string(),
        partitions: array({
          partitionIndex: int32(),
          committedOffset: int64(),
          committedLeaderEpoch: int32('5-7').default(-1),
          metadata: string().nullable(),
          errorCode: int16(),
        }),
      },
      '0-7',
    ),
    errorCode: int16('2-7').default(0),
    groups: array(
      {
        groupId: string(),
        topics: array({
          name: string('8-9'),
          topicId: uuid('10+'),
          partitions: array({
            partitionIndex: int32(),
            committedOffset: int64(),
            committedLeaderEpoch: int32().default(-1),
            metadata: string().nullable(),
            errorCode: int16(),
          }),
        }),
        errorCode: int16().default(0),
      },
      '8+',
    ),
  },
})
export type OffsetFetchRequest = Request<typeof OffsetFetch>
export type OffsetFetchResponse = Response<typeof OffsetFetch>
export type OffsetFetchResponseInput = ResponseInput<typeof OffsetFetch>

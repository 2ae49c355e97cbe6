import { api, array, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * TxnOffsetCommit: stores a group's positions within a transaction. 2 adds leader epochs; 3 is flexible and identifies the member
 * (KIP-447); 4 may answer TRANSACTION_ABORTABLE; 5 adds the group to the transaction by itself (KIP-890).
 */
export const TxnOffsetCommit = api(28, 'TxnOffsetCommit', {
  versions: '0-5',
  flexible: '3+',
  request: {
    transactionalId: string(),
    groupId: string(),
    producerId: int64(),
    producerEpoch: int16(),
    generationId: int32('3+').default(-1),
    memberId: string('3+').default(''),
    groupInstanceId: string('3+').nullable().default(null),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        committedOffset: int64(),
        committedLeaderEpoch: int32('2+').default(-1),
        committedMetadata: string().nullable(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32().default(0),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), errorCode: int16() }),
    }),
  },
})
export type TxnOffsetCommitRequest = Request<typeof TxnOffsetCommit>
export type TxnOffsetCommitResponse = Response<typeof TxnOffsetCommit>
export type TxnOffsetCommitResponseInput = ResponseInput<typeof TxnOffsetCommit>

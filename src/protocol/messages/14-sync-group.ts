import { api, array, bytes, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * SyncGroup: the leader of a classic group hands in the assignment, every member takes its share. 3 adds groupInstanceId (KIP-345); 4 is
 * flexible; 5 checks protocol type and name.
 */
export const SyncGroup = api(14, 'SyncGroup', {
  versions: '0-5',
  flexible: '4+',
  request: {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: string('3+').nullable().default(null),
    protocolType: string('5+').nullable().default(null),
    protocolName: string('5+').nullable().default(null),
    assignments: array({ memberId: string(), assignment: bytes() }),
  },
  response: {
    throttleTimeMs: int32('1+').default(0),
    errorCode: int16(),
    protocolType: string('5+').nullable().default(null),
    protocolName: string('5+').nullable().default(null),
    assignment: bytes(),
  },
})
export type SyncGroupRequest = Request<typeof SyncGroup>
export type SyncGroupResponse = Response<typeof SyncGroup>
export type SyncGroupResponseInput = ResponseInput<typeof SyncGroup>

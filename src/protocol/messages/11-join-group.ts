import { api, array, bool, bytes, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * JoinGroup: a member of a classic group joins or rejoins. 1 separates the rebalance time-out from the session's; 4 makes the client join
 * twice, the second time with the member id it was given (KIP-394); 5 adds groupInstanceId (KIP-345); 6 is flexible; 7 answers the
 * protocol type; 8 tells the reason (KIP-800); 9 spares a leader the assignment when nothing changed (KIP-814).
 */
export const JoinGroup = api(11, 'JoinGroup', {
  versions: '0-9',
  flexible: '6+',
  request: {
    groupId: string(),
    sessionTimeoutMs: int32(),
    rebalanceTimeoutMs: int32('1+').default(-1),
    memberId: string(),
    groupInstanceId: string('5+').nullable().default(null),
    protocolType: string(),
    protocols: array({ name: string(), metadata: bytes() }),
    reason: string('8+').nullable().default(null),
  },
  response: {
    throttleTimeMs: int32('2+').default(0),
    errorCode: int16(),
    generationId: int32().default(-1),
    protocolType: string('7+').nullable().default(null),
    protocolName: string().nullable('7+'),
    leader: string(),
    skipAssignment: bool('9+').default(false),
    memberId: string(),
    members: array({ memberId: string(), groupInstanceId: string('5+').nullable().default(null), metadata: bytes() }),
  },
})
export type JoinGroupRequest = Request<typeof JoinGroup>
export type JoinGroupResponse = Response<typeof JoinGroup>
export type JoinGroupResponseInput = ResponseInput<typeof JoinGroup>

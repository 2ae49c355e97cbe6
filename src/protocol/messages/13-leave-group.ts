import { api, array, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * LeaveGroup: members leave a classic group. 3 takes many at once, also by groupInstanceId (KIP-345); 4 is flexible; 5 tells the reason
 * (KIP-800).
 */
export const LeaveGroup = api(13, 'LeaveGroup', {
  versions: '0-5',
  flexible: '4+',
  request: {
    groupId: string(),
    memberId: string('0-2'),
    members: array(
      {
        memberId: string(),
        groupInstanceId: string().nullable().default(null),
        reason: string('5+').nullable().default(null),
      },
      '3+',
    ),
  },
  response: {
    throttleTimeMs: int32('1+').default(0),
    errorCode: int16(),
    members: array({ memberId: string(), groupInstanceId: string().nullable(), errorCode: int16() }, '3+'),
  },
})
export type LeaveGroupRequest = Request<typeof LeaveGroup>
export type LeaveGroupResponse = Response<typeof LeaveGroup>
export type LeaveGroupResponseInput = ResponseInput<typeof LeaveGroup>

import { api, array, bool, bytes, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * DescribeGroups: state and members of classic groups. 3 adds authorised operations; 4 adds groupInstanceId (KIP-345); 5 is flexible; 6
 * says GROUP_ID_NOT_FOUND, with a message, of a group that does not exist (KIP-1043); before, such a group was `Dead`.
 */
export const DescribeGroups = api(15, 'DescribeGroups', {
  versions: '0-6',
  flexible: '5+',
  request: { groups: array(string()), includeAuthorizedOperations: bool('3+') },
  response: {
    throttleTimeMs: int32('1+').default(0),
    groups: array({
      errorCode: int16(),
      errorMessage: string('6+').nullable().default(null),
      groupId: string(),
      groupState: string(),
      protocolType: string(),
      protocolData: string(),
      members: array({
        memberId: string(),
        groupInstanceId: string('4+').nullable().default(null),
        clientId: string(),
        clientHost: string(),
        memberMetadata: bytes(),
        memberAssignment: bytes(),
      }),
      authorizedOperations: int32('3+').default(-2147483648),
    }),
  },
})
export type DescribeGroupsRequest = Request<typeof DescribeGroups>
export type DescribeGroupsResponse = Response<typeof DescribeGroups>
export type DescribeGroupsResponseInput = ResponseInput<typeof DescribeGroups>

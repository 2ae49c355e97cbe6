import { api, array, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * ListGroups: the groups that this broker coordinates. 3 is flexible; 4 filters by state and tells it (KIP-518); 5 does the same with the
 * type of group (KIP-848).
 */
export const ListGroups = api(16, 'ListGroups', {
  versions: '0-5',
  flexible: '3+',
  request: { statesFilter: array(string(), '4+'), typesFilter: array(string(), '5+') },
  response: {
    throttleTimeMs: int32('1+').default(0),
    errorCode: int16(),
    groups: array({ groupId: string(), protocolType: string(), groupState: string('4+'), groupType: string('5+') }),
  },
})
export type ListGroupsRequest = Request<typeof ListGroups>
export type ListGroupsResponse = Response<typeof ListGroups>
export type ListGroupsResponseInput = ResponseInput<typeof ListGroups>

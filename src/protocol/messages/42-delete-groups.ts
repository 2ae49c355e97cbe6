import { api, array, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** DeleteGroups: deletes groups without members, and their offsets (KIP-229). 2 is flexible. */
export const DeleteGroups = api(42, 'DeleteGroups', {
  versions: '0-2',
  flexible: '2+',
  request: { groupsNames: array(string()) },
  response: {
    throttleTimeMs: int32().default(0),
    results: array({ groupId: string(), errorCode: int16() }),
  },
})
export type DeleteGroupsRequest = Request<typeof DeleteGroups>
export type DeleteGroupsResponse = Response<typeof DeleteGroups>
export type DeleteGroupsResponseInput = ResponseInput<typeof DeleteGroups>

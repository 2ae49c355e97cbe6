import { api, array, int8, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * FindCoordinator: the broker that looks after a group (key type 0), a transactional id (1) or, from 6 on, a share group's partition (2,
 * with the key `group:topicId:partition`, KIP-932). 1 adds key types; 3 is flexible; 4 asks for many at once (KIP-699); 5 may answer
 * TRANSACTION_ABORTABLE.
 */
export const FindCoordinator = api(10, 'FindCoordinator', {
  versions: '0-6',
  flexible: '3+',
  request: { key: string('0-3'), keyType: int8('1+').default(0), coordinatorKeys: array(string(), '4+') },
  response: {
    throttleTimeMs: int32('1+').default(0),
    errorCode: int16('0-3'),
    errorMessage: string('1-3').nullable(),
    nodeId: int32('0-3'),
    host: string('0-3'),
    port: int32('0-3'),
    coordinators: array(
      {
        key: string(),
        nodeId: int32(),
        host: string(),
        port: int32(),
        errorCode: int16(),
        errorMessage: string().nullable(),
      },
      '4+',
    ),
  },
})
export type FindCoordinatorRequest = Request<typeof FindCoordinator>
export type FindCoordinatorResponse = Response<typeof FindCoordinator>
export type FindCoordinatorResponseInput = ResponseInput<typeof FindCoordinator>

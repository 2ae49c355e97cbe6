import { api, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** Heartbeat: a member of a classic group is alive. 3 adds groupInstanceId (KIP-345); 4 is flexible. */
export const Heartbeat = api(12, 'Heartbeat', {
  versions: '0-4',
  flexible: '4+',
  request: {
    groupId: string(),
    generationId: int32(),
    memberId: string(),
    groupInstanceId: string('3+').nullable().default(null),
  },
  response: { throttleTimeMs: int32('1+').default(0), errorCode: int16() },
})
export type HeartbeatRequest = Request<typeof Heartbeat>
export type HeartbeatResponse = Response<typeof Heartbeat>
export type HeartbeatResponseInput = ResponseInput<typeof Heartbeat>

import { Heartbeat } from '../../protocol/messages/12-heartbeat.ts'
import { handler } from './handler.ts'

/** A member is alive; the answer tells it when to join anew. */
export const heartbeat = handler(Heartbeat, {
  handle: (request, services) => services.groups.heartbeat(request),
  fail: (_request, error) => ({ errorCode: error.errorCode }),
})

import { JoinGroup } from '../../protocol/messages/11-join-group.ts'
import { handler } from './handler.ts'

/** A member joins its group. The answer comes when all have joined, or the rebalance time-out is over. */
export const joinGroup = handler(JoinGroup, {
  handle: (request, services, call) =>
    services.groups.joinGroup(request, {
      version: call.version,
      clientId: call.clientId,
      clientHost: `/${call.connection.socket.remote.host}`,
    }),

  fail: (request, error) => ({
    errorCode: error.errorCode,
    protocolName: '',
    leader: '',
    memberId: request.memberId,
    members: [],
  }),
})

import { LeaveGroup } from '../../protocol/messages/13-leave-group.ts'
import { handler } from './handler.ts'

/** Members leave, or are removed by an operator. */
export const leaveGroup = handler(LeaveGroup, {
  handle: (request, services, call) => services.groups.leaveGroup(request, call),
  fail: (_request, error) => ({ errorCode: error.errorCode, members: [] }),
})

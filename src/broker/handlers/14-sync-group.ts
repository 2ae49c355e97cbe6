import { SyncGroup } from '../../protocol/messages/14-sync-group.ts'
import { handler } from './handler.ts'

/** The leader hands in the assignment; everyone's answer is a share of it. */
export const syncGroup = handler(SyncGroup, {
  handle: (request, services) => services.groups.syncGroup(request),
  fail: (_request, error) => ({ errorCode: error.errorCode, assignment: Buffer.alloc(0) }),
})

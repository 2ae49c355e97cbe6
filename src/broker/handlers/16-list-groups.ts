import { ListGroups } from '../../protocol/messages/16-list-groups.ts'
import { handler } from './handler.ts'

/** The groups that this broker looks after. */
export const listGroups = handler(ListGroups, {
  handle: (request, services) => services.groups.listGroups(request),
  fail: (_request, error) => ({ errorCode: error.errorCode, groups: [] }),
})

import { DeleteGroups } from '../../protocol/messages/42-delete-groups.ts'
import { handler } from './handler.ts'

/** Deletes groups that have no members, with their offsets. */
export const deleteGroups = handler(DeleteGroups, {
  handle: async (request, services) => ({ results: await services.groups.deleteGroups(request.groupsNames) }),
  fail: (request, error) => ({ results: request.groupsNames.map((groupId) => ({ groupId, errorCode: error.errorCode })) }),
})

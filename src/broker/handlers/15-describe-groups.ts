import { DescribeGroups } from '../../protocol/messages/15-describe-groups.ts'
import { GROUP_OPERATIONS, OPERATIONS_UNKNOWN } from '../security/authorized-operations.ts'
import { handler } from './handler.ts'

/** State, members and assignments of groups. */
export const describeGroups = handler(DescribeGroups, {
  async handle(request, services, call) {
    const authorizedOperations = request.includeAuthorizedOperations ? GROUP_OPERATIONS : OPERATIONS_UNKNOWN
    const groups = await services.groups.describeGroups(request.groups, call)
    return { groups: groups.map((group) => ({ ...group, authorizedOperations })) }
  },

  fail: (request, error) => ({
    groups: request.groups.map((groupId) => ({
      errorCode: error.errorCode,
      groupId,
      groupState: '',
      protocolType: '',
      protocolData: '',
      members: [],
    })),
  }),
})

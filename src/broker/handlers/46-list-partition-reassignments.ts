import { listReassignments } from '../../cluster/controller/reassign-partitions.ts'
import { ListPartitionReassignments } from '../../protocol/messages/46-list-partition-reassignments.ts'
import { handler } from './handler.ts'

/** The partitions that are on the move, and from where to where. */
export const listPartitionReassignments = handler(ListPartitionReassignments, {
  handle: ({ topics }, services) => listReassignments(services.image(), topics),
  fail: (_request, error) => ({ errorCode: error.errorCode, errorMessage: error.message, topics: [] }),
})

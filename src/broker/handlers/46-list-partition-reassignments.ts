import { ErrorCode } from '../../protocol/error-codes.ts'
import { ListPartitionReassignments } from '../../protocol/messages/46-list-partition-reassignments.ts'
import { handler } from './handler.ts'

/** A single node has nowhere to move a partition to, so none is ever on the move. */
export const listPartitionReassignments = handler(ListPartitionReassignments, {
  handle: () => ({ errorCode: ErrorCode.NONE, errorMessage: null, topics: [] }),
  fail: (_request, error) => ({ errorCode: error.errorCode, errorMessage: error.message, topics: [] }),
})

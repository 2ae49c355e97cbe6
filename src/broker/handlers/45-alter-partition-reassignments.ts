import { AlterPartitionReassignments } from '../../protocol/messages/45-alter-partition-reassignments.ts'
import { handler } from './handler.ts'

/** Starts moving partitions to other brokers, or stops it. The answer comes when the move has begun, not when it is done. */
export const alterPartitionReassignments = handler(AlterPartitionReassignments, {
  forwardable: true,
  async handle(request, services) {
    const response = await services.metadata.reassignPartitions(request, request)
    await services.caughtUp()
    return response
  },

  fail: (request, error) => ({
    errorCode: error.errorCode,
    errorMessage: error.message,
    allowReplicationFactorChange: request.allowReplicationFactorChange,
    responses: [],
  }),
})

import { ElectLeaders } from '../../protocol/messages/43-elect-leaders.ts'
import { handler } from './handler.ts'

const PREFERRED = 0

/** Elects leaders now: the preferred replicas, or, where nobody leads, any replica that is there, whatever it lacks. */
export const electLeaders = handler(ElectLeaders, {
  forwardable: true,
  async handle(request, services, call) {
    // Before there were types of election all were of preferred leaders.
    const electionType = call.version === 0 ? PREFERRED : request.electionType
    const { topicPartitions, timeoutMs } = request
    const response = await services.metadata.electLeaders({ electionType, topicPartitions }, { timeoutMs })
    await services.caughtUp()
    return response
  },

  fail: (request, error) => ({
    errorCode: error.errorCode,
    replicaElectionResults: (request.topicPartitions ?? []).map(({ topic, partitions }) => ({
      topic,
      partitionResult: partitions.map((partitionId) => ({
        partitionId,
        errorCode: error.errorCode,
        errorMessage: error.message,
      })),
    })),
  }),
})

import { ErrorCode } from '../../protocol/error-codes.ts'
import { ZERO_UUID } from '../../protocol/ids.ts'
import { DeleteTopics, type DeleteTopicsRequest } from '../../protocol/messages/20-delete-topics.ts'
import { handler } from './handler.ts'

/** Deletes topics with their records, and forgets what groups have committed for them. */
export const deleteTopics = handler(DeleteTopics, {
  forwardable: true,
  async handle(request, services, call) {
    const responses = await services.metadata.deleteTopics(references(request))
    await services.caughtUp()
    if (call.version >= 3) return { responses }
    // Clients of those days know no TOPIC_DELETION_DISABLED.
    const mapped = ErrorCode.TOPIC_DELETION_DISABLED
    return {
      responses: responses.map((response) =>
        response.errorCode === mapped ? { ...response, errorCode: ErrorCode.INVALID_REQUEST } : response,
      ),
    }
  },

  fail: (request, error) => ({
    responses: references(request).map((reference) => ({
      ...reference,
      errorCode: error.errorCode,
      errorMessage: error.message,
    })),
  }),
})

function references({ topics, topicNames }: DeleteTopicsRequest) {
  return topics.length > 0 ? topics : topicNames.map((name) => ({ name, topicId: ZERO_UUID }))
}

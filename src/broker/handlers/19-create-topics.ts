import { ZERO_UUID } from '../../protocol/ids.ts'
import { CreateTopics } from '../../protocol/messages/19-create-topics.ts'
import { handler } from './handler.ts'

/** Creates topics. The answer comes when they can be written. */
export const createTopics = handler(CreateTopics, {
  forwardable: true,
  async handle(request, services) {
    const topics = await services.metadata.createTopics(request.topics, request)
    await services.caughtUp()
    return { topics }
  },

  fail: (request, error) => ({
    topics: request.topics.map(({ name }) => ({
      name,
      topicId: ZERO_UUID,
      errorCode: error.errorCode,
      errorMessage: error.message,
      configs: [],
    })),
  }),
})

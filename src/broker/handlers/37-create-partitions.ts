import { CreatePartitions } from '../../protocol/messages/37-create-partitions.ts'
import { handler } from './handler.ts'

/** Gives topics more partitions. Records that are there stay where they are, so keys may change their partition. */
export const createPartitions = handler(CreatePartitions, {
  forwardable: true,
  async handle(request, services) {
    const results = await services.metadata.createPartitions(request.topics, request)
    await services.caughtUp()
    return { results }
  },

  fail: (request, error) => ({
    results: request.topics.map(({ name }) => ({ name, errorCode: error.errorCode, errorMessage: error.message })),
  }),
})

import { IncrementalAlterConfigs } from '../../protocol/messages/44-incremental-alter-configs.ts'
import { handler } from './handler.ts'

/** Changes single keys of resources: sets, deletes, appends to lists, takes from them. */
export const incrementalAlterConfigs = handler(IncrementalAlterConfigs, {
  forwardable: true,
  async handle(request, services) {
    const responses = await services.metadata.incrementalAlterConfigs(request.resources, request)
    await services.caughtUp()
    return { responses }
  },

  fail: (request, error) => ({
    responses: request.resources.map(({ resourceType, resourceName }) => ({
      errorCode: error.errorCode,
      errorMessage: error.message,
      resourceType,
      resourceName,
    })),
  }),
})

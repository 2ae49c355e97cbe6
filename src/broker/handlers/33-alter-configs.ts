import { AlterConfigs } from '../../protocol/messages/33-alter-configs.ts'
import { handler } from './handler.ts'

/** Replaces the whole configuration of resources: what is not named goes back to its default. */
export const alterConfigs = handler(AlterConfigs, {
  forwardable: true,
  async handle(request, services) {
    const responses = await services.metadata.alterConfigs(request.resources, request)
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

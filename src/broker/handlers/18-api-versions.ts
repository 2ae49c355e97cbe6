import { ErrorCode } from '../../protocol/error-codes.ts'
import { ApiVersions } from '../../protocol/messages/18-api-versions.ts'
import { handler } from './handler.ts'

const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/** Says what this broker speaks. The ranges come from the handlers themselves, so that nothing is announced that is not served. */
export const apiVersions = handler(ApiVersions, {
  handle(request, services, call) {
    if (call.version >= 3) {
      if (!SOFTWARE.test(request.clientSoftwareName) || !SOFTWARE.test(request.clientSoftwareVersion)) {
        return { errorCode: ErrorCode.INVALID_REQUEST, apiKeys: [] }
      }
      call.connection.clientSoftware = `${request.clientSoftwareName} ${request.clientSoftwareVersion}`
    }
    return { errorCode: ErrorCode.NONE, apiKeys: services.announcedApis, finalizedFeaturesEpoch: 0n }
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, apiKeys: [] }),
})

import { ErrorCode } from '../../protocol/error-codes.ts'
import { ApiVersions } from '../../protocol/messages/18-api-versions.ts'
import { handler } from './handler.ts'

const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

/** What clients switch on by its level: with 2, producers leave it to the leader to add partitions to a transaction (KIP-890). */
const FEATURES = [{ name: 'transaction.version', level: 2 }]

/** Says what this broker speaks. The ranges come from the handlers themselves, so that nothing is announced that is not served. */
export const apiVersions = handler(ApiVersions, {
  handle(request, services, call) {
    if (call.version >= 3) {
      if (!SOFTWARE.test(request.clientSoftwareName) || !SOFTWARE.test(request.clientSoftwareVersion)) {
        return { errorCode: ErrorCode.INVALID_REQUEST, apiKeys: [] }
      }
      call.connection.clientSoftware = `${request.clientSoftwareName} ${request.clientSoftwareVersion}`
    }
    return {
      errorCode: ErrorCode.NONE,
      apiKeys: services.announcedApis,
      // Clients up to version 3 take a lowest version of 0 for a mistake.
      supportedFeatures: call.version >= 4 ? FEATURES.map(({ name, level }) => ({ name, minVersion: 0, maxVersion: level })) : [],
      finalizedFeaturesEpoch: 0n,
      finalizedFeatures: FEATURES.map(({ name, level }) => ({ name, minVersionLevel: level, maxVersionLevel: level })),
    }
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, apiKeys: [] }),
})

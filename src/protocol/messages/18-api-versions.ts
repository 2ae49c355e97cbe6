import { api, array, bool, int16, int32, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * ApiVersions: what the broker speaks, and the first thing most clients ask. 3 is flexible, names the client's software (KIP-511) and
 * answers feature levels (KIP-584); 4 lets a feature's lowest version be 0. Its response header has no tags even where the body is
 * flexible, because the client cannot know yet what the broker speaks.
 */
export const ApiVersions = api(18, 'ApiVersions', {
  versions: '0-4',
  flexible: '3+',
  request: { clientSoftwareName: string('3+'), clientSoftwareVersion: string('3+') },
  response: {
    errorCode: int16(),
    apiKeys: array({ apiKey: int16(), minVersion: int16(), maxVersion: int16() }),
    throttleTimeMs: int32('1+').default(0),
    supportedFeatures: array({ name: string(), minVersion: int16(), maxVersion: int16() }, '3+').tagged(0, '3+'),
    finalizedFeaturesEpoch: int64('3+').default(-1n).tagged(1, '3+'),
    finalizedFeatures: array({ name: string(), maxVersionLevel: int16(), minVersionLevel: int16() }, '3+').tagged(2, '3+'),
    zkMigrationReady: bool('3+').default(false).tagged(3, '3+'),
  },
})
export type ApiVersionsRequest = Request<typeof ApiVersions>
export type ApiVersionsResponse = Response<typeof ApiVersions>
export type ApiVersionsResponseInput = ResponseInput<typeof ApiVersions>

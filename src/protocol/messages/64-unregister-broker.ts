import { api, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** UnregisterBroker: forgets a broker that will not come back (KIP-500). */
export const UnregisterBroker = api(64, 'UnregisterBroker', {
  versions: '0',
  flexible: '0+',
  request: { brokerId: int32() },
  response: { throttleTimeMs: int32().default(0), errorCode: int16(), errorMessage: string().nullable() },
})
export type UnregisterBrokerRequest = Request<typeof UnregisterBroker>
export type UnregisterBrokerResponse = Response<typeof UnregisterBroker>
export type UnregisterBrokerResponseInput = ResponseInput<typeof UnregisterBroker>

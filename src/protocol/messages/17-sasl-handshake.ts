import { api, array, int16, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * SaslHandshake: the client picks a mechanism. After version 0 raw tokens follow on the connection, after 1 SaslAuthenticate requests
 * (KIP-152). Never flexible.
 */
export const SaslHandshake = api(17, 'SaslHandshake', {
  versions: '0-1',
  flexible: 'none',
  request: { mechanism: string() },
  response: { errorCode: int16(), mechanisms: array(string()) },
})
export type SaslHandshakeRequest = Request<typeof SaslHandshake>
export type SaslHandshakeResponse = Response<typeof SaslHandshake>
export type SaslHandshakeResponseInput = ResponseInput<typeof SaslHandshake>

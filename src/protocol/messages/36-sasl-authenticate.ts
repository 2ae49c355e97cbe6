import { api, bytes, int16, int64, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * SaslAuthenticate: one step of the exchange that SaslHandshake began (KIP-152). 1 answers how long the session may live (KIP-368); 2 is
 * flexible.
 */
export const SaslAuthenticate = api(36, 'SaslAuthenticate', {
  versions: '0-2',
  flexible: '2+',
  request: { authBytes: bytes() },
  response: {
    errorCode: int16(),
    errorMessage: string().nullable(),
    authBytes: bytes(),
    sessionLifetimeMs: int64('1+').default(0n),
  },
})
export type SaslAuthenticateRequest = Request<typeof SaslAuthenticate>
export type SaslAuthenticateResponse = Response<typeof SaslAuthenticate>
export type SaslAuthenticateResponseInput = ResponseInput<typeof SaslAuthenticate>

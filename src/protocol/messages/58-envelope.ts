import { api, bytes, int16, type Request, type Response, type ResponseInput } from '../schema.ts'

/** Envelope: a broker hands a client's request on to the controller, and says whose it is (KIP-590). Inside is a request with its header. */
export const Envelope = api(58, 'Envelope', {
  versions: '0',
  flexible: '0+',
  request: { requestData: bytes(), requestPrincipal: bytes().nullable(), clientHostAddress: bytes() },
  response: { responseData: bytes().nullable().default(null), errorCode: int16() },
})
export type EnvelopeRequest = Request<typeof Envelope>
export type EnvelopeResponse = Response<typeof Envelope>
export type EnvelopeResponseInput = ResponseInput<typeof Envelope>

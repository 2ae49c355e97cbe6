import { api, array, bool, float64, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** AlterClientQuotas: sets and removes quotas (KIP-546). 1 is flexible. */
export const AlterClientQuotas = api(49, 'AlterClientQuotas', {
  versions: '0-1',
  flexible: '1+',
  request: {
    entries: array({
      entity: array({ entityType: string(), entityName: string().nullable() }),
      ops: array({ key: string(), value: float64(), remove: bool() }),
    }),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    entries: array({
      errorCode: int16(),
      errorMessage: string().nullable(),
      entity: array({ entityType: string(), entityName: string().nullable() }),
    }),
  },
})
export type AlterClientQuotasRequest = Request<typeof AlterClientQuotas>
export type AlterClientQuotasResponse = Response<typeof AlterClientQuotas>
export type AlterClientQuotasResponseInput = ResponseInput<typeof AlterClientQuotas>

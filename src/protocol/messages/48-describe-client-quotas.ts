import {
  api,
  array,
  bool,
  float64,
  int8,
  int16,
  int32,
  type Request,
  type Response,
  type ResponseInput,
  string,
} from '../schema.ts'

/** DescribeClientQuotas: the quotas of users, client ids and addresses (KIP-546). 1 is flexible. */
export const DescribeClientQuotas = api(48, 'DescribeClientQuotas', {
  versions: '0-1',
  flexible: '1+',
  request: {
    components: array({ entityType: string(), matchType: int8(), match: string().nullable() }),
    strict: bool(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    errorMessage: string().nullable(),
    entries: array({
      entity: array({ entityType: string(), entityName: string().nullable() }),
      values: array({ key: string(), value: float64() }),
    }).nullable(),
  },
})
export type DescribeClientQuotasRequest = Request<typeof DescribeClientQuotas>
export type DescribeClientQuotasResponse = Response<typeof DescribeClientQuotas>
export type DescribeClientQuotasResponseInput = ResponseInput<typeof DescribeClientQuotas>

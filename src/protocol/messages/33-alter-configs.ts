import { api, array, bool, int8, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** AlterConfigs: replaces a resource's whole configuration. 2 is flexible. IncrementalAlterConfigs took its place. */
export const AlterConfigs = api(33, 'AlterConfigs', {
  versions: '0-2',
  flexible: '2+',
  request: {
    resources: array({
      resourceType: int8(),
      resourceName: string(),
      configs: array({ name: string(), value: string().nullable() }),
    }),
    validateOnly: bool(),
  },
  response: {
    throttleTimeMs: int32().default(0),
    responses: array({
      errorCode: int16(),
      errorMessage: string().nullable(),
      resourceType: int8(),
      resourceName: string(),
    }),
  },
})
export type AlterConfigsRequest = Request<typeof AlterConfigs>
export type AlterConfigsResponse = Response<typeof AlterConfigs>
export type AlterConfigsResponseInput = ResponseInput<typeof AlterConfigs>

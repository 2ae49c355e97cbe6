import { api, array, bool, int8, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * DescribeConfigs: effective configuration. 1 tells where a value comes from, and its synonyms (KIP-226); 3 adds type and documentation
 * (KIP-569); 4 is flexible.
 */
export const DescribeConfigs = api(32, 'DescribeConfigs', {
  versions: '1-4',
  flexible: '4+',
  request: {
    resources: array({ resourceType: int8(), resourceName: string(), configurationKeys: array(string()).nullable() }),
    includeSynonyms: bool().default(false),
    includeDocumentation: bool('3+').default(false),
  },
  response: {
    throttleTimeMs: int32().default(0),
    results: array({
      errorCode: int16(),
      errorMessage: string().nullable(),
      resourceType: int8(),
      resourceName: string(),
      configs: array({
        name: string(),
        value: string().nullable(),
        readOnly: bool(),
        configSource: int8().default(-1),
        isSensitive: bool(),
        synonyms: array({ name: string(), value: string().nullable(), source: int8() }),
        configType: int8('3+').default(0),
        documentation: string('3+').nullable(),
      }),
    }),
  },
})
export type DescribeConfigsRequest = Request<typeof DescribeConfigs>
export type DescribeConfigsResponse = Response<typeof DescribeConfigs>
export type DescribeConfigsResponseInput = ResponseInput<typeof DescribeConfigs>

import { api, array, int8, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * ListConfigResources: the names of resources that have configuration. 0 was ListClientMetricsResources and lists those (KIP-714); 1 lists
 * by type, all types if none is named (KIP-1142).
 */
export const ListConfigResources = api(74, 'ListConfigResources', {
  versions: '0-1',
  flexible: '0+',
  request: { resourceTypes: array(int8(), '1+') },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    configResources: array({ resourceName: string(), resourceType: int8('1+').default(16) }),
  },
})
export type ListConfigResourcesRequest = Request<typeof ListConfigResources>
export type ListConfigResourcesResponse = Response<typeof ListConfigResources>
export type ListConfigResourcesResponseInput = ResponseInput<typeof ListConfigResources>

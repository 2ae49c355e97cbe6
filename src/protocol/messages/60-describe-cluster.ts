import { api, array, bool, int8, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * DescribeCluster: the cluster's id and nodes (KIP-700). 1 asks for brokers or for controllers (KIP-919); 2 shows fenced brokers too
 * (KIP-1073).
 */
export const DescribeCluster = api(60, 'DescribeCluster', {
  versions: '0-2',
  flexible: '0+',
  request: {
    includeClusterAuthorizedOperations: bool(),
    endpointType: int8('1+').default(1),
    includeFencedBrokers: bool('2+'),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    errorMessage: string().nullable().default(null),
    endpointType: int8('1+').default(1),
    clusterId: string(),
    controllerId: int32().default(-1),
    brokers: array({
      brokerId: int32(),
      host: string(),
      port: int32(),
      rack: string().nullable().default(null),
      isFenced: bool('2+'),
    }),
    clusterAuthorizedOperations: int32().default(-2147483648),
  },
})
export type DescribeClusterRequest = Request<typeof DescribeCluster>
export type DescribeClusterResponse = Response<typeof DescribeCluster>
export type DescribeClusterResponseInput = ResponseInput<typeof DescribeCluster>

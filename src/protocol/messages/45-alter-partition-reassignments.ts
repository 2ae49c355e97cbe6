import { api, array, bool, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * AlterPartitionReassignments: starts moving partitions to other brokers, or, with null replicas, stops it (KIP-455). 1 can forbid a change
 * of the replication factor.
 */
export const AlterPartitionReassignments = api(45, 'AlterPartitionReassignments', {
  versions: '0-1',
  flexible: '0+',
  request: {
    timeoutMs: int32().default(60000),
    allowReplicationFactorChange: bool('1+').default(true),
    topics: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), replicas: array(int32()).nullable().default(null) }),
    }),
  },
  response: {
    throttleTimeMs: int32().default(0),
    allowReplicationFactorChange: bool('1+').default(true),
    errorCode: int16(),
    errorMessage: string().nullable(),
    responses: array({
      name: string(),
      partitions: array({ partitionIndex: int32(), errorCode: int16(), errorMessage: string().nullable() }),
    }),
  },
})
export type AlterPartitionReassignmentsRequest = Request<typeof AlterPartitionReassignments>
export type AlterPartitionReassignmentsResponse = Response<typeof AlterPartitionReassignments>
export type AlterPartitionReassignmentsResponseInput = ResponseInput<typeof AlterPartitionReassignments>

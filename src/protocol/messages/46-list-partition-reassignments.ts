import { api, array, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/** ListPartitionReassignments: the moves that are under way (KIP-455). Null topics ask for all. */
export const ListPartitionReassignments = api(46, 'ListPartitionReassignments', {
  versions: '0',
  flexible: '0+',
  request: {
    timeoutMs: int32().default(60000),
    topics: array({ name: string(), partitionIndexes: array(int32()) })
      .nullable()
      .default(null),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    errorMessage: string().nullable(),
    topics: array({
      name: string(),
      partitions: array({
        partitionIndex: int32(),
        replicas: array(int32()),
        addingReplicas: array(int32()),
        removingReplicas: array(int32()),
      }),
    }),
  },
})
export type ListPartitionReassignmentsRequest = Request<typeof ListPartitionReassignments>
export type ListPartitionReassignmentsResponse = Response<typeof ListPartitionReassignments>
export type ListPartitionReassignmentsResponseInput = ResponseInput<typeof ListPartitionReassignments>

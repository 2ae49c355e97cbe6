import { api, array, int16, int32, int64, type Request, type Response, type ResponseInput, uuid } from '../schema.ts'

/** AssignReplicasToDirs: a broker tells the controller in which log directory each replica is, or that it is in none (KIP-858). */
export const AssignReplicasToDirs = api(73, 'AssignReplicasToDirs', {
  versions: '0',
  flexible: '0+',
  request: {
    brokerId: int32(),
    brokerEpoch: int64().default(-1n),
    directories: array({
      id: uuid(),
      topics: array({ topicId: uuid(), partitions: array({ partitionIndex: int32() }) }),
    }),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    directories: array({
      id: uuid(),
      topics: array({ topicId: uuid(), partitions: array({ partitionIndex: int32(), errorCode: int16() }) }),
    }),
  },
})
export type AssignReplicasToDirsRequest = Request<typeof AssignReplicasToDirs>
export type AssignReplicasToDirsResponse = Response<typeof AssignReplicasToDirs>
export type AssignReplicasToDirsResponseInput = ResponseInput<typeof AssignReplicasToDirs>

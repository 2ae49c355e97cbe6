import { api, array, int8, int16, int32, int64, type Request, type Response, type ResponseInput, uuid } from '../schema.ts'

/**
 * AlterPartition: a leader asks the controller for other ISRs (KIP-497). 2 names topics by id (KIP-841); 3 says of each member in which
 * epoch the leader has seen it (KIP-903).
 */
export const AlterPartition = api(56, 'AlterPartition', {
  versions: '2-3',
  flexible: '0+',
  request: {
    brokerId: int32(),
    brokerEpoch: int64().default(-1n),
    topics: array({
      topicId: uuid(),
      partitions: array({
        partitionIndex: int32(),
        leaderEpoch: int32(),
        newIsr: array(int32(), '0-2'),
        newIsrWithEpochs: array({ brokerId: int32(), brokerEpoch: int64().default(-1n) }, '3+'),
        leaderRecoveryState: int8().default(0),
        partitionEpoch: int32(),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    topics: array({
      topicId: uuid(),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        leaderId: int32(),
        leaderEpoch: int32(),
        isr: array(int32()),
        leaderRecoveryState: int8().default(0),
        partitionEpoch: int32(),
      }),
    }),
  },
})
export type AlterPartitionRequest = Request<typeof AlterPartition>
export type AlterPartitionResponse = Response<typeof AlterPartition>
export type AlterPartitionResponseInput = ResponseInput<typeof AlterPartition>

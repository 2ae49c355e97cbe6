import { api, array, int8, int16, int32, type Request, type Response, type ResponseInput, string } from '../schema.ts'

/**
 * ElectLeaders: starts an election. 1 has types of election, preferred (0) and unclean (1), and an error of its own (KIP-460); 2 is
 * flexible.
 */
export const ElectLeaders = api(43, 'ElectLeaders', {
  versions: '0-2',
  flexible: '2+',
  request: {
    electionType: int8('1+'),
    topicPartitions: array({ topic: string(), partitions: array(int32()) }).nullable(),
    timeoutMs: int32().default(60000),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16('1+'),
    replicaElectionResults: array({
      topic: string(),
      partitionResult: array({ partitionId: int32(), errorCode: int16(), errorMessage: string().nullable() }),
    }),
  },
})
export type ElectLeadersRequest = Request<typeof ElectLeaders>
export type ElectLeadersResponse = Response<typeof ElectLeaders>
export type ElectLeadersResponseInput = ResponseInput<typeof ElectLeaders>

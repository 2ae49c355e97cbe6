import { api, array, bool, int16, int32, type Request, type Response, type ResponseInput, string, uuid } from '../schema.ts'

/**
 * Metadata: who the brokers are, and who leads which partition. In version 0 an empty list of topics asks for all, from 1 on null does and
 * an empty list asks for none. 1 adds racks, the controller and isInternal; 2 the cluster id; 4 lets the client forbid auto-creation; 5
 * offline replicas; 7 leader epochs; 8-10 authorised operations (those of the cluster end with 10: DescribeCluster took over, KIP-700);
 * 9 is flexible; 10 adds topic ids, 12 lets clients ask by them (KIP-516); 13 has an error of its own, to send a client back to its
 * bootstrap servers (KIP-1102).
 */
export const Metadata = api(3, 'Metadata', {
  versions: '0-13',
  flexible: '9+',
  request: {
    topics: array({ topicId: uuid('10+'), name: string().nullable('10+') }).nullable('1+'),
    allowAutoTopicCreation: bool('4+').default(true),
    includeClusterAuthorizedOperations: bool('8-10'),
    includeTopicAuthorizedOperations: bool('8+'),
  },
  response: {
    throttleTimeMs: int32('3+').default(0),
    brokers: array({ nodeId: int32(), host: string(), port: int32(), rack: string('1+').nullable().default(null) }),
    clusterId: string('2+').nullable().default(null),
    controllerId: int32('1+').default(-1),
    topics: array({
      errorCode: int16(),
      name: string().nullable('12+'),
      topicId: uuid('10+'),
      isInternal: bool('1+').default(false),
      partitions: array({
        errorCode: int16(),
        partitionIndex: int32(),
        leaderId: int32(),
        leaderEpoch: int32('7+').default(-1),
        replicaNodes: array(int32()),
        isrNodes: array(int32()),
        offlineReplicas: array(int32(), '5+'),
      }),
      topicAuthorizedOperations: int32('8+').default(-2147483648),
    }),
    clusterAuthorizedOperations: int32('8-10').default(-2147483648),
    errorCode: int16('13+'),
  },
})
export type MetadataRequest = Request<typeof Metadata>
export type MetadataResponse = Response<typeof Metadata>
export type MetadataResponseInput = ResponseInput<typeof Metadata>

import {
  api,
  array,
  int8,
  int16,
  int32,
  int64,
  type Request,
  type Response,
  type ResponseInput,
  records,
  string,
  struct,
  uuid,
} from '../schema.ts'

/**
 * Fetch: a long poll for record batches, by consumers and by followers. 4 brings the isolation level; 5 log start offsets; 7 fetch
 * sessions (KIP-227); 9 fences by leader epoch (KIP-320); 10 allows zstd; 11 reads from the closest replica (KIP-392); 12 is flexible
 * and detects divergence; 13 names topics by id (KIP-516); 14 may answer OFFSET_MOVED_TO_TIERED_STORAGE; 15 gathers what only
 * followers send in replicaState (KIP-903); 16 tells where the leaders are (KIP-951); 17 adds the follower's directory (KIP-853); 18
 * adds the high watermark that the follower knows (KIP-1166).
 */
export const Fetch = api(1, 'Fetch', {
  versions: '4-18',
  flexible: '12+',
  request: {
    clusterId: string('12+').nullable().default(null).tagged(0, '12+'),
    replicaId: int32('0-14').default(-1),
    replicaState: struct({ replicaId: int32().default(-1), replicaEpoch: int64().default(-1n) }, '15+').tagged(1, '15+'),
    maxWaitMs: int32(),
    minBytes: int32(),
    maxBytes: int32().default(0x7fffffff),
    isolationLevel: int8().default(0),
    sessionId: int32('7+').default(0),
    sessionEpoch: int32('7+').default(-1),
    topics: array({
      topic: string('0-12'),
      topicId: uuid('13+'),
      partitions: array({
        partition: int32(),
        currentLeaderEpoch: int32('9+').default(-1),
        fetchOffset: int64(),
        lastFetchedEpoch: int32('12+').default(-1),
        logStartOffset: int64('5+').default(-1n),
        partitionMaxBytes: int32(),
        replicaDirectoryId: uuid('17+').tagged(0, '17+'),
        highWatermark: int64('18+').default(9223372036854775807n).tagged(1, '18+'),
      }),
    }),
    forgottenTopicsData: array({ topic: string('7-12'), topicId: uuid('13+'), partitions: array(int32()) }, '7+'),
    rackId: string('11+').default(''),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16('7+'),
    sessionId: int32('7+').default(0),
    responses: array({
      topic: string('0-12'),
      topicId: uuid('13+'),
      partitions: array({
        partitionIndex: int32(),
        errorCode: int16(),
        highWatermark: int64(),
        lastStableOffset: int64().default(-1n),
        logStartOffset: int64('5+').default(-1n),
        divergingEpoch: struct({ epoch: int32().default(-1), endOffset: int64().default(-1n) }, '12+').tagged(0, '12+'),
        currentLeader: struct({ leaderId: int32().default(-1), leaderEpoch: int32().default(-1) }, '12+').tagged(1, '12+'),
        snapshotId: struct({ endOffset: int64().default(-1n), epoch: int32().default(-1) }, '12+').tagged(2, '12+'),
        abortedTransactions: array({ producerId: int64(), firstOffset: int64() }).nullable(),
        preferredReadReplica: int32('11+').default(-1),
        records: records().nullable(),
      }),
    }),
    nodeEndpoints: array(
      { nodeId: int32(), host: string(), port: int32(), rack: string().nullable().default(null) },
      '16+',
    ).tagged(0, '16+'),
  },
})
export type FetchRequest = Request<typeof Fetch>
export type FetchResponse = Response<typeof Fetch>
export type FetchResponseInput = ResponseInput<typeof Fetch>

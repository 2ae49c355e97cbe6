import { api, array, bool, int16, int32, int64, type Request, type Response, type ResponseInput, uuid } from '../schema.ts'

/** BrokerHeartbeat: a broker tells the controller how far it is and what it wants (KIP-631). 1 names failed log directories; 2 cordoned ones. */
export const BrokerHeartbeat = api(63, 'BrokerHeartbeat', {
  versions: '0-2',
  flexible: '0+',
  request: {
    brokerId: int32(),
    brokerEpoch: int64().default(-1n),
    currentMetadataOffset: int64(),
    wantFence: bool(),
    wantShutDown: bool(),
    offlineLogDirs: array(uuid(), '1+').tagged(0, '1+'),
    cordonedLogDirs: array(uuid(), '2+').nullable('2+').default(null).tagged(1, '2+'),
  },
  response: {
    throttleTimeMs: int32().default(0),
    errorCode: int16(),
    isCaughtUp: bool().default(false),
    isFenced: bool().default(true),
    shouldShutDown: bool(),
  },
})
export type BrokerHeartbeatRequest = Request<typeof BrokerHeartbeat>
export type BrokerHeartbeatResponse = Response<typeof BrokerHeartbeat>
export type BrokerHeartbeatResponseInput = ResponseInput<typeof BrokerHeartbeat>

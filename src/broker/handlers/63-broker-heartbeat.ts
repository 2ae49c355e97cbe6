import { BrokerHeartbeat } from '../../protocol/messages/63-broker-heartbeat.ts'
import { handler } from './handler.ts'

/** Another broker says how far it is, and whether it wants to stop. */
export const brokerHeartbeat = handler(BrokerHeartbeat, {
  interBroker: true,
  handle: (request, services) => services.metadata.heartbeat(request),
  fail: (_request, error) => ({ errorCode: error.errorCode, shouldShutDown: false }),
})

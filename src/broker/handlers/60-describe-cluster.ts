import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { DescribeCluster } from '../../protocol/messages/60-describe-cluster.ts'
import { CLUSTER_OPERATIONS, OPERATIONS_UNKNOWN } from '../security/authorized-operations.ts'
import { handler } from './handler.ts'

const BROKERS = 1
const CONTROLLERS = 2

/** The cluster's id and its brokers. */
export const describeCluster = handler(DescribeCluster, {
  handle(request, services, call) {
    if (request.endpointType === CONTROLLERS)
      throw new KafkaError('MISMATCHED_ENDPOINT_TYPE', 'this is a broker endpoint, not a controller one')
    if (request.endpointType !== BROKERS) throw new KafkaError('UNSUPPORTED_ENDPOINT_TYPE')
    const brokers = request.includeFencedBrokers ? services.registeredBrokers(call.connection) : services.brokers(call.connection)
    return {
      errorCode: ErrorCode.NONE,
      clusterId: services.clusterId,
      controllerId: services.nodeId,
      brokers: brokers.map(({ nodeId, ...broker }) => ({ brokerId: nodeId, ...broker })),
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? CLUSTER_OPERATIONS : OPERATIONS_UNKNOWN,
    }
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, errorMessage: error.message, clusterId: '', brokers: [] }),
})

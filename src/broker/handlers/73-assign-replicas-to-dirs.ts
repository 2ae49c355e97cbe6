import { AssignReplicasToDirs } from '../../protocol/messages/73-assign-replicas-to-dirs.ts'
import { handler } from './handler.ts'

/** Another broker says where its replicas are, and which of them it has lost. */
export const assignReplicasToDirs = handler(AssignReplicasToDirs, {
  interBroker: true,
  handle: (request, services) => services.metadata.assignReplicasToDirs(request),
  fail: (_request, error) => ({ errorCode: error.errorCode, directories: [] }),
})

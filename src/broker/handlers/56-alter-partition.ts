import { AlterPartition } from '../../protocol/messages/56-alter-partition.ts'
import { handler } from './handler.ts'

/** Another broker's leaders want other ISRs. Version 2 does not say in which epoch a replica was seen, without which none can be trusted. */
export const alterPartition = handler(AlterPartition, {
  versions: '3',
  interBroker: true,
  handle: (request, services) => services.metadata.alterPartition(request),
  fail: (_request, error) => ({ errorCode: error.errorCode, topics: [] }),
})

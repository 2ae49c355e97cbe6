import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { InitProducerId } from '../../protocol/messages/22-init-producer-id.ts'
import { handler } from './handler.ts'

/** Gives an idempotent producer its id. Ids are never given twice, whatever dies in between. */
export const initProducerId = handler(InitProducerId, {
  async handle(request, services) {
    if (request.transactionalId === '') throw new KafkaError('INVALID_REQUEST', 'the transactional id is empty')
    if ((request.producerId === -1n) !== (request.producerEpoch === -1)) {
      throw new KafkaError('INVALID_REQUEST', 'producer id and epoch must be given together')
    }
    // FindCoordinator refuses transactional ids with a message; whoever comes all the same gets the one that ends its search.
    if (request.transactionalId !== null) throw new KafkaError('INVALID_REQUEST', 'transactions are not supported yet')
    return { errorCode: ErrorCode.NONE, producerId: await services.metadata.nextProducerId(), producerEpoch: 0 }
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, producerId: -1n, producerEpoch: -1 }),
})

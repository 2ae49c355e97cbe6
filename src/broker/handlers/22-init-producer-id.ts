import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { InitProducerId } from '../../protocol/messages/22-init-producer-id.ts'
import { handler } from './handler.ts'

/** Gives a producer its id, or the next epoch of the one that goes with its transactional id. Ids are never given twice, whatever dies in between. */
export const initProducerId = handler(InitProducerId, {
  async handle(request, services, call) {
    if (request.transactionalId === '') throw new KafkaError('INVALID_REQUEST', 'the transactional id is empty')
    if ((request.producerId === -1n) !== (request.producerEpoch === -1)) {
      throw new KafkaError('INVALID_REQUEST', 'producer id and epoch must be given together')
    }
    const { transactionalId } = request
    if (transactionalId !== null) return services.transactions.initProducerId({ ...request, transactionalId }, call)
    return { errorCode: ErrorCode.NONE, producerId: await services.metadata.nextProducerId(), producerEpoch: 0 }
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, producerId: -1n, producerEpoch: -1 }),
})

import { ErrorCode } from '../../protocol/error-codes.ts'
import { UnregisterBroker } from '../../protocol/messages/64-unregister-broker.ts'
import { handler } from './handler.ts'

/** Forgets a broker that is gone for good. */
export const unregisterBroker = handler(UnregisterBroker, {
  forwardable: true,
  async handle({ brokerId }, services) {
    await services.metadata.unregisterBroker(brokerId)
    await services.caughtUp()
    return { errorCode: ErrorCode.NONE, errorMessage: null }
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, errorMessage: error.message }),
})

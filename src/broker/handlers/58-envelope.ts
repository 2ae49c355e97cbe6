import { ErrorCode, KafkaError } from '../../protocol/error-codes.ts'
import { Envelope } from '../../protocol/messages/58-envelope.ts'
import { handler } from './handler.ts'

/** Behind the frame's length. */
const LENGTH_SIZE = 4

/** A request that another broker was sent by a client, for the controller to serve. Inside is a request, and so is the answer. */
export const envelope = handler(Envelope, {
  interBroker: true,
  async handle({ requestData }, { metadata }, call) {
    // It has looked at older metadata than ours, or at newer: it looks again.
    if (!metadata.isController) throw new KafkaError('NOT_CONTROLLER')
    const answer = await call.serveForwarded(requestData)
    if (answer === null || answer === 'close') throw new KafkaError('INVALID_REQUEST', 'such a request is not to be forwarded')
    return { errorCode: ErrorCode.NONE, responseData: Buffer.concat(answer.chunks).subarray(LENGTH_SIZE) }
  },

  fail: (_request, error) => ({ errorCode: error.errorCode, responseData: null }),
})

// What can go wrong between a client and its brokers, besides what a broker answers (that is a KafkaError).

import type { Endpoint } from '../host/network.ts'
import { KafkaError } from '../protocol/error-codes.ts'

/** The connection could not be made, or ended before the answer came. Whether a request took effect is then unknown. */
export class ConnectionError extends Error {
  override readonly name = 'ConnectionError'
  readonly endpoint: Endpoint

  constructor(endpoint: Endpoint, message: string, options?: ErrorOptions) {
    super(message, options)
    this.endpoint = endpoint
  }
}

/** No answer within the time given. Whether the request took effect is unknown. */
export class TimeoutError extends Error {
  override readonly name = 'TimeoutError'
}

/** The broker speaks no version of this API that we do, or none that can carry the request. */
export class UnsupportedVersionError extends Error {
  override readonly name = 'UnsupportedVersionError'
}

/** The client was closed by its owner. */
export class ClientClosedError extends Error {
  override readonly name = 'ClientClosedError'

  constructor(what = 'the client') {
    super(`${what} is closed`)
  }
}

/** Another producer has taken the transactional id over. Brokers before 4.0 say the same of a transaction that has timed out. */
export class FencedError extends Error {
  override readonly name = 'FencedError'
  readonly transactionalId: string

  constructor(transactionalId: string, options?: ErrorOptions) {
    super(`the producer of transactional id ${transactionalId} has been fenced`, options)
    this.transactionalId = transactionalId
  }
}

/** A part of the transaction is lost, for the reason that is the cause: it can only be aborted. */
export class TransactionAbortableError extends Error {
  override readonly name = 'TransactionAbortableError'
  declare readonly cause: Error

  constructor(cause: Error) {
    super(`the transaction can only be aborted: ${cause.message}`, { cause })
  }
}

/** A call that makes no sense now: records outside of a transaction, a second beginning. */
export class TransactionStateError extends Error {
  override readonly name = 'TransactionStateError'
}

/** The peer does not speak Kafka's protocol, or not well. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** The same call may succeed later, perhaps at another broker. */
export function isRetriable(error: unknown): boolean {
  if (error instanceof KafkaError) return error.retriable
  return error instanceof ConnectionError || error instanceof TimeoutError
}

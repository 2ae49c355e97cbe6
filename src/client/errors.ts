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

/** The peer does not speak Kafka's protocol, or not well. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** The same call may succeed later, perhaps at another broker. */
export function isRetriable(error: unknown): boolean {
  if (error instanceof KafkaError) return error.retriable
  return error instanceof ConnectionError || error instanceof TimeoutError
}

// From a frame to an answer: header, body, handler, response. What cannot be read closes the connection, as Kafka does;
// what can be read is always answered in the shape of its API.

import { DecodeError, Reader } from '../bytes/reader.ts'
import { ErrorCode, KafkaError } from '../protocol/error-codes.ts'
import { encodeResponse } from '../protocol/headers.ts'
import { ApiVersions } from '../protocol/messages/18-api-versions.ts'
import { decodeRequestHeader, type RequestHeader } from '../protocol/request-header.ts'
import { type Request, within } from '../protocol/schema.ts'
import { handlersByKey } from './handlers/all-handlers.ts'
import type { Call, Handler, Outcome } from './handlers/handler.ts'
import type { Answer, Connection } from './network/connection.ts'
import type { Services } from './services.ts'

const API_KEY_SIZE = 2

export class RequestDispatcher {
  private readonly services: Services

  constructor(services: Services) {
    this.services = services
  }

  readonly serve = (frame: Buffer, connection: Connection): Answer | Promise<Answer> => {
    const reader = new Reader(frame)
    const header = decodeRequestHeader(reader)
    const handler = handlersByKey.get(header.apiKey)
    if (handler === undefined || !within(handler.versions, header.apiVersion)) {
      if (header.apiKey === ApiVersions.key) return unsupportedApiVersions(header.correlationId)
      // The client has not asked what is spoken here, or does not listen. There is no shape in which to answer it.
      throw new DecodeError(`API key ${header.apiKey} version ${header.apiVersion} is not served here`)
    }
    const request = handler.api.request.decode(reader, header.apiVersion)
    const call: Call = {
      version: header.apiVersion,
      clientId: header.clientId ?? '',
      connection,
      sent: undefined,
      serveForwarded: (inner) => this.serveForwarded(inner, connection),
    }
    let outcome: Outcome<typeof handler.api> | Promise<Outcome<typeof handler.api>>
    try {
      if (handler.interBroker && !this.services.isPeer(connection))
        throw new KafkaError('CLUSTER_AUTHORIZATION_FAILED', `${handler.api.name} is for brokers of this cluster`)
      outcome = handler.handle(request, this.services, call)
    } catch (error) {
      outcome = this.failed(handler, request, error)
    }
    if (!(outcome instanceof Promise)) return encode(handler, header, call, outcome)
    return outcome.then(
      (settled) => encode(handler, header, call, settled),
      (error) => encode(handler, header, call, this.failed(handler, request, error)),
    )
  }

  private serveForwarded(frame: Buffer, connection: Connection): Answer | Promise<Answer> {
    const apiKey = frame.length < API_KEY_SIZE ? -1 : frame.readInt16BE(0)
    // An envelope inside of an envelope is not, either: there is no end to that.
    if (handlersByKey.get(apiKey)?.forwardable !== true)
      throw new KafkaError('INVALID_REQUEST', `requests with API key ${apiKey} are not forwarded`)
    try {
      return this.serve(frame, connection)
    } catch (error) {
      if (error instanceof DecodeError) throw new KafkaError('INVALID_REQUEST', error.message)
      throw error
    }
  }

  private failed(handler: Handler, request: Request<Handler['api']>, error: unknown): Outcome<Handler['api']> {
    if (error instanceof KafkaError) return handler.fail(request, error)
    // Ours: a bug. The client gets an answer, the log the stack, and the broker goes on.
    this.services.bug(`${handler.api.name} failed`, error)
    return handler.fail(request, new KafkaError('UNKNOWN_SERVER_ERROR'))
  }
}

function encode(handler: Handler, header: RequestHeader, call: Call, outcome: Outcome<Handler['api']>): Answer {
  if (outcome === null || outcome === 'close') return outcome
  return { chunks: encodeResponse(handler.api, header.apiVersion, header.correlationId, outcome), sent: call.sent }
}

/** The client speaks a newer ApiVersions: the oldest form, which every client reads, says which ones are spoken here. */
function unsupportedApiVersions(correlationId: number): Answer {
  const { min, max } = ApiVersions.versions
  const apiKeys = [{ apiKey: ApiVersions.key, minVersion: min, maxVersion: max }]
  return { chunks: encodeResponse(ApiVersions, 0, correlationId, { errorCode: ErrorCode.UNSUPPORTED_VERSION, apiKeys }) }
}

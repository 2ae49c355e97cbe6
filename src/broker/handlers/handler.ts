// What a handler is: an API, the versions of it that are served, and a function from request to response.

import type { KafkaError } from '../../protocol/error-codes.ts'
import { type Api, parseVersions, type Request, type ResponseInput, type Versions } from '../../protocol/schema.ts'
import type { Answer, Connection } from '../network/connection.ts'
import type { Services } from '../services.ts'

/** What a handler may know of a request beyond its body. */
export interface Call {
  readonly version: number
  readonly clientId: string
  readonly connection: Connection
  /** Set by a handler that wants to hear when its answer is with the kernel. */
  sent: (() => void) | undefined
  /**
   * Serves a request that came inside of this one, as if it had come by the same connection. Throws KafkaError INVALID_REQUEST for bytes
   * that are none, and for requests that are not to be forwarded.
   */
  readonly serveForwarded: (frame: Buffer) => Answer | Promise<Answer>
}

/** A response body, null for no answer at all (acks=0), 'close' to end the connection instead of answering. */
export type Outcome<A> = ResponseInput<A> | null | 'close'

/** 'close' where the client does not listen for an answer. */
export type Failure<A> = ResponseInput<A> | 'close'

export interface Handler<A extends Api = Api> {
  readonly api: A
  /** What is served. */
  readonly versions: Versions
  /** What ApiVersions says is served, where clients need to hear more than the truth (Produce). */
  readonly announced: Versions
  /** Brokers ask it of each other: a single node does not announce it, and nobody else is served it. */
  readonly interBroker: boolean
  /** Brokers hand it on to the controller. */
  readonly forwardable: boolean
  handle(request: Request<A>, services: Services, call: Call): Outcome<A> | Promise<Outcome<A>>
  /** How this API says "all of it failed". */
  fail(request: Request<A>, error: KafkaError): Failure<A>
}

interface Definition<A extends Api> {
  /** Where it is less than the API has. */
  readonly versions?: string
  readonly announced?: string
  readonly interBroker?: boolean
  readonly forwardable?: boolean
  readonly handle: Handler<A>['handle']
  readonly fail: Handler<A>['fail']
}

export function handler<A extends Api>(api: A, definition: Definition<A>): Handler<A> {
  const versions = definition.versions === undefined ? api.versions : parseVersions(definition.versions)
  const announced = definition.announced === undefined ? versions : parseVersions(definition.announced)
  const { handle, fail, interBroker = false, forwardable = false } = definition
  return { api, versions, announced, interBroker, forwardable, handle, fail }
}

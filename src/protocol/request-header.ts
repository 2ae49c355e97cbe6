// The header of a request as a broker reads it. Apart from headers.ts because it must know every API, and a client should not load all.

import { DecodeError, type Reader } from '../bytes/reader.ts'
import { apisByKey } from './apis.ts'
import { requestHeaderVersion } from './headers.ts'
import { type Api, skipTags } from './schema.ts'

export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
  /** `undefined`: nobody knows how to read what follows. */
  readonly api: Api | undefined
}

/**
 * Reads the header behind the frame's length. Leaves the reader at the body if the key is known, whatever the version: key, version and
 * correlation id are told even of requests that cannot be read, so that the caller can decide what they deserve (an ApiVersions
 * request from the future deserves an answer). Throws DecodeError.
 */
export function decodeRequestHeader(reader: Reader): RequestHeader {
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  // An int16 of length even in version 2, so that any broker can read the header of any ApiVersions request.
  const length = reader.int16()
  if (length < -1) throw new DecodeError(`client id of ${length} bytes`)
  const clientId = length === -1 ? null : reader.utf8(length)
  const api = apisByKey.get(apiKey)
  if (api !== undefined && requestHeaderVersion(api, apiVersion) === 2) skipTags(reader)
  return { apiKey, apiVersion, correlationId, clientId, api }
}

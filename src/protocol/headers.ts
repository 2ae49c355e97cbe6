// What stands in front of every request and response, and the framing of both: an int32 of length, the header, the body.
// Header versions follow from the API's version: flexible messages have headers with a tag section.

import type { Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { ApiVersions } from './messages/18-api-versions.ts'
import { type Api, type Encodable, type Fields, skipTags, within } from './schema.ts'

/** 1, or 2 for flexible requests. Version 0, without a client id, went with ControlledShutdown. */
export function requestHeaderVersion(api: Pick<Api, 'flexible'>, version: number): 1 | 2 {
  return within(api.flexible, version) ? 2 : 1
}

/** 0, or 1 for flexible responses; ApiVersions always 0, because whoever asks does not know yet what the other side speaks. */
export function responseHeaderVersion(api: Pick<Api, 'key' | 'flexible'>, version: number): 0 | 1 {
  return api.key !== ApiVersions.key && within(api.flexible, version) ? 1 : 0
}

/** Reads the header behind the frame's length and leaves the reader at the body: the correlation id. Throws DecodeError. */
export function decodeResponseHeader(reader: Reader, api: Pick<Api, 'key' | 'flexible'>, version: number): number {
  const correlationId = reader.int32()
  if (responseHeaderVersion(api, version) === 1) skipTags(reader)
  return correlationId
}

/** Writes what stands between the frame's length and the body. */
export function encodeRequestHeader(
  writer: Writer,
  api: Api,
  version: number,
  correlationId: number,
  clientId: string | null,
): void {
  writer.int16(api.key)
  writer.int16(version)
  writer.int32(correlationId)
  if (clientId === null) writer.int16(-1)
  else {
    const length = Buffer.byteLength(clientId)
    writer.int16(length)
    writer.utf8(clientId, length)
  }
  if (requestHeaderVersion(api, version) === 2) writer.unsignedVarint(0)
}

/** A whole frame, in pieces to be sent in order. */
export function encodeRequest<Req extends Fields>(
  api: Api<Req>,
  version: number,
  correlationId: number,
  clientId: string | null,
  body: Encodable<Req>,
): Buffer[] {
  const writer = new Writer()
  writer.int32(0)
  encodeRequestHeader(writer, api, version, correlationId, clientId)
  api.request.encode(writer, version, body)
  return writer.finishFrame()
}

/** A whole frame, in pieces to be sent in order. */
export function encodeResponse<Res extends Fields>(
  api: Api<Fields, Res>,
  version: number,
  correlationId: number,
  body: Encodable<Res>,
): Buffer[] {
  const writer = new Writer()
  writer.int32(0)
  writer.int32(correlationId)
  if (responseHeaderVersion(api, version) === 1) writer.unsignedVarint(0)
  api.response.encode(writer, version, body)
  return writer.finishFrame()
}

// The API behind node:http. Sockets and servers are the caller's.

import type { IncomingMessage, ServerResponse } from 'node:http'
import { RegistryError } from '../errors.ts'
import { CONTENT_TYPE, errorResponse, type RegistryApi } from './registry-api.ts'
import type { RegistryResponse } from './request.ts'
import { RawText } from './routes.ts'

/** A record of the topic must hold the schema, and brokers take about one megabyte; escapes and references make a request larger. */
const MAX_BODY_BYTES = 4 * 1024 * 1024

/** For `http.createServer`. Resolves `api` with the first request. */
export function httpHandler(api: () => Promise<RegistryApi>) {
  return async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const answer = await answerTo(request, api)
    if (response.destroyed) return
    const text = answer.body instanceof RawText ? answer.body.text : JSON.stringify(answer.body)
    // A request that was not read to its end leaves nothing behind which another could come.
    const rest = request.complete ? {} : { connection: 'close' }
    response.writeHead(answer.status, {
      'content-type': answer.contentType ?? CONTENT_TYPE,
      'content-length': Buffer.byteLength(text),
      ...rest,
      ...answer.headers,
    })
    response.end(request.method === 'HEAD' ? '' : text)
  }
}

async function answerTo(request: IncomingMessage, api: () => Promise<RegistryApi>): Promise<RegistryResponse> {
  try {
    const body = await readBody(request)
    // HEAD is a GET whose answer stays at home.
    const method = request.method === 'HEAD' ? 'GET' : (request.method ?? 'GET')
    return await (await api()).answer({ method, url: request.url ?? '/', headers: request.headers, body })
  } catch (error) {
    return errorResponse(error, () => {})
  }
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length
    if (length > MAX_BODY_BYTES) throw new RegistryError(413, 42209, `The request is larger than ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

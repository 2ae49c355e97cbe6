// From a request to its answer: finds the route, sends writes where they belong, and turns whatever goes wrong into the API's errors.

import type { Logger } from '../../host/logger.ts'
import { KafkaError } from '../../protocol/error-codes.ts'
import type { Identity } from '../election.ts'
import { forwardingFailed, RegistryError, unknownLeader } from '../errors.ts'
import type { RegistryNode } from '../registry-node.ts'
import { DEFAULT_CONTEXT, inContext } from '../subject-name.ts'
import type { RegistryRequest, RegistryResponse } from './request.ts'
import { type Route, routes } from './routes.ts'

export const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json'
/** Marks a request that another registry has passed on: it is not passed on again. */
const FORWARDED = 'x-forward'
const FORWARD_TIMEOUT_MS = 30_000
/** Together a little more than a session: after that a primary that died has a successor. */
const MAX_ATTEMPTS = 25
const RETRY_MS = 500
const UNKNOWN_LEADER = 50004

interface CompiledRoute {
  readonly route: Route
  readonly parts: readonly string[]
}

const compiled: readonly CompiledRoute[] = routes.map((route) => ({ route, parts: partsOf(route.path) }))

interface Match {
  readonly route: Route
  readonly params: Record<string, string>
}

export class RegistryApi {
  private readonly node: RegistryNode
  private readonly logger: Logger

  constructor(node: RegistryNode, logger: Logger) {
    this.node = node
    this.logger = logger
  }

  /** Never rejects. */
  async answer(request: RegistryRequest): Promise<RegistryResponse> {
    try {
      return await this.dispatch(request)
    } catch (error) {
      return errorResponse(error, (reason) =>
        this.logger.error('schema registry: a request failed', { url: request.url, reason }),
      )
    }
  }

  private async dispatch(request: RegistryRequest): Promise<RegistryResponse> {
    const mark = request.url.indexOf('?')
    const path = mark < 0 ? request.url : request.url.slice(0, mark)
    const query = new URLSearchParams(mark < 0 ? '' : request.url.slice(mark + 1))
    let parts = partsOf(path).map(decoded)
    let context = DEFAULT_CONTEXT
    // Any path may stand behind the context that it is meant for.
    if (parts[0] === 'contexts' && parts.length > 1) {
      const name = parts[1].replace(/^:|:$/g, '')
      context = name.startsWith('.') ? name : `.${name}`
      parts = parts.slice(2)
    }
    const { route, params } = find(request.method, parts)
    if (params['subject'] !== undefined) params['subject'] = inContext(context, params['subject'])
    const { node } = this
    if (route.writes) {
      const forwarded = await this.atPrimary(request)
      if (forwarded !== 'here') return forwarded
    }
    const { registry, catalog } = node
    return { status: 200, body: await route.handle({ registry, catalog, request, query, params, context }) }
  }

  /** The primary's answer, or `here`. A primary that is just going away has done nothing: its successor is asked. */
  private async atPrimary(request: RegistryRequest): Promise<RegistryResponse | 'here'> {
    for (let attempt = 1; ; attempt++) {
      const primary = await this.node.primary()
      if (primary === 'here') return primary
      const isLast = attempt === MAX_ATTEMPTS
      try {
        const response = await this.forward(request, primary)
        const { error_code: code } = response.body as { error_code?: number }
        if (code !== UNKNOWN_LEADER || isLast) return response
      } catch (error) {
        if (isLast || !wasRefused(error)) throw error
      }
      await this.node.pause(RETRY_MS)
    }
  }

  private async forward(request: RegistryRequest, { scheme, host, port }: Identity): Promise<RegistryResponse> {
    if (request.headers[FORWARDED] !== undefined)
      throw unknownLeader('This registry is not the primary: the election is still under way')
    const authority = host.includes(':') ? `[${host}]` : host
    let response: Response
    let body: unknown
    try {
      response = await fetch(`${scheme}://${authority}:${port}${request.url}`, {
        method: request.method,
        headers: { 'content-type': CONTENT_TYPE, [FORWARDED]: 'true' },
        ...(request.body.length > 0 && { body: new Uint8Array(request.body) }),
        signal: AbortSignal.timeout(FORWARD_TIMEOUT_MS),
      })
      body = await response.json()
    } catch (error) {
      throw forwardingFailed(
        `Error while forwarding the request to the primary at ${host}:${port}: ${(error as Error).message}`,
        error,
      )
    }
    // Whoever asks here next finds what was written there.
    if (response.ok) await this.node.catchUp()
    return { status: response.status, body }
  }
}

/** Nobody listens there: nothing was written. */
function wasRefused(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ECONNREFUSED') return true
  }
  return false
}

/** Answers as Confluent's: 404 where there is no such path, 405 where there is one for other methods. */
function find(method: string, parts: readonly string[]): Match {
  let known = false
  for (const { route, parts: pattern } of compiled) {
    if (pattern.length !== parts.length) continue
    const fits = pattern.every((part, index) => part.startsWith(':') || part === parts[index])
    if (!fits) continue
    known = true
    if (route.method !== method) continue
    const named = pattern.flatMap((part, index) => (part.startsWith(':') ? [[part.slice(1), parts[index]] as const] : []))
    return { route, params: Object.fromEntries(named) }
  }
  throw known ? new RegistryError(405, 405, 'HTTP 405 Method Not Allowed') : new RegistryError(404, 404, 'HTTP 404 Not Found')
}

/** Slashes at the end mean nothing. */
function partsOf(path: string): string[] {
  return path
    .replace(/^\/+|\/+$/g, '')
    .split('/')
    .filter((part) => part !== '')
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    throw new RegistryError(400, 400, `The path has a part that is not well encoded: ${part}`)
  }
}

export function errorResponse(error: unknown, log: (reason: string) => void): RegistryResponse {
  if (error instanceof RegistryError) {
    if (error.status >= 500) log(error.message)
    return { status: error.status, body: { error_code: error.code, message: error.message } }
  }
  const message = error instanceof Error ? error.message : String(error)
  log(error instanceof KafkaError ? message : ((error as Error).stack ?? message))
  return { status: 500, body: { error_code: 50001, message } }
}

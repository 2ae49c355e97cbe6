// The serializers' way to a registry, ours or Confluent's. What an id stands for never changes, so it is asked for once.

import type { SchemaReference, SchemaType } from '../schema.ts'

export interface RegistryClientOptions {
  /** One, or several instances of the same registry: the next is asked where one cannot be reached. */
  readonly url: string | readonly string[]
  /** Of one request to one instance. Default 10 s. */
  readonly timeoutMs?: number
  /** For `Authorization: Basic`. */
  readonly basicAuth?: { readonly username: string; readonly password: string }
  readonly headers?: Readonly<Record<string, string>>
  /** Default 1000: schemas kept, by id and by subject. */
  readonly cacheSize?: number
  /** Default: Node's own. */
  readonly fetch?: typeof fetch
}

export interface RegisteredSchema {
  readonly schema: string
  readonly schemaType: SchemaType
  readonly references: readonly SchemaReference[]
}

export interface NewSchema {
  readonly schema: string
  readonly schemaType: SchemaType
  readonly references?: readonly SchemaReference[]
}

export interface SubjectVersion extends RegisteredSchema {
  readonly id: number
  readonly version: number
}

/** The registry said no: 40401 no such subject, 409 incompatible, 42201 no schema … */
export class RegistryResponseError extends Error {
  override readonly name = 'RegistryResponseError'
  readonly status: number
  readonly code: number

  constructor(status: number, code: number, message: string) {
    super(`the schema registry answers ${code}: ${message}`)
    this.status = status
    this.code = code
  }
}

/** No registry answered, or none in time. The same may work later. */
export class RegistryUnreachableError extends Error {
  override readonly name = 'RegistryUnreachableError'
  readonly retriable = true
}

const CONTENT_TYPE = 'application/vnd.schemaregistry.v1+json'

export class RegistryClient {
  private readonly urls: readonly string[]
  private readonly options: RegistryClientOptions
  private readonly headers: Readonly<Record<string, string>>
  /** Answers that do not change, and questions that are under way. */
  private readonly known = new Map<string, Promise<unknown>>()

  /** Asks nothing yet. Throws TypeError for what is no URL. */
  constructor(options: RegistryClientOptions) {
    const urls = typeof options.url === 'string' ? options.url.split(',') : options.url
    this.urls = urls.map((url) => new URL(url.trim()).href.replace(/\/$/, ''))
    this.options = options
    const { username, password } = options.basicAuth ?? {}
    this.headers = {
      accept: CONTENT_TYPE,
      'content-type': CONTENT_TYPE,
      ...(username !== undefined && { authorization: `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}` }),
      ...options.headers,
    }
  }

  /** Rejects with RegistryResponseError 40403 for an id that is none, or RegistryUnreachableError; as all of these do. */
  schema(id: number): Promise<RegisteredSchema> {
    return this.once(`id ${id}`, async () => complete(await this.request('GET', `/schemas/ids/${id}`)))
  }

  /** The id of the schema, which the subject gets as its next version if it does not have it. */
  register(subject: string, schema: NewSchema, normalize = false): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}/versions${normalize ? '?normalize=true' : ''}`
    return this.once(`register ${subject} ${JSON.stringify(schema)}`, async () => {
      const answer = await this.request('POST', path, schema)
      return answer['id'] as number
    })
  }

  /** The id under which the subject has the schema. Rejects with 40401 or 40403 if it has it not. */
  find(subject: string, schema: NewSchema, normalize = false): Promise<number> {
    const path = `/subjects/${encodeURIComponent(subject)}${normalize ? '?normalize=true' : ''}`
    return this.once(`find ${subject} ${JSON.stringify(schema)}`, async () => {
      const answer = await this.request('POST', path, schema)
      return answer['id'] as number
    })
  }

  /** Of a subject; not kept, unless the version is a number. */
  version(subject: string, version: number | 'latest'): Promise<SubjectVersion> {
    const ask = async () => {
      const answer = await this.request('GET', `/subjects/${encodeURIComponent(subject)}/versions/${version}`)
      return { ...complete(answer), id: answer['id'] as number, version: answer['version'] as number }
    }
    return version === 'latest' ? ask() : this.once(`version ${subject} ${version}`, ask)
  }

  /** All that the references lead to, each behind those that it needs. */
  async resolve(references: readonly SchemaReference[]): Promise<{ name: string; schema: string }[]> {
    const resolved = new Map<string, { name: string; schema: string }>()
    const add = async ({ name, subject, version }: SchemaReference): Promise<void> => {
      if (resolved.has(name)) return
      const found = await this.version(subject, version)
      for (const inner of found.references) await add(inner)
      resolved.set(name, { name, schema: found.schema })
    }
    for (const reference of references) await add(reference)
    return [...resolved.values()]
  }

  /** A question that failed is asked anew by the next one who wants to know. */
  private once<T>(key: string, ask: () => Promise<T>): Promise<T> {
    const known = this.known.get(key)
    if (known !== undefined) return known as Promise<T>
    const asked = ask()
    if (this.known.size >= (this.options.cacheSize ?? 1000)) this.known.delete(this.known.keys().next().value!)
    this.known.set(key, asked)
    asked.catch(() => this.known.delete(key))
    return asked
  }

  private async request(method: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
    const { timeoutMs = 10_000, fetch: send = fetch } = this.options
    const failures: string[] = []
    let cause: unknown
    for (const url of this.urls) {
      try {
        const response = await send(`${url}${path}`, {
          method,
          headers: this.headers,
          signal: AbortSignal.timeout(timeoutMs),
          ...(body !== undefined && { body: JSON.stringify(body) }),
        })
        const text = await response.text()
        const json = asObject(text)
        if (response.ok && json !== undefined) return json
        if (response.status < 500 || this.urls.length === 1) {
          throw new RegistryResponseError(
            response.status,
            Number(json?.['error_code'] ?? response.status),
            String(json?.['message'] ?? text.slice(0, 200)),
          )
        }
        failures.push(`${url}: ${String(json?.['message'] ?? response.status)}`)
      } catch (error) {
        if (error instanceof RegistryResponseError) throw error
        cause = error
        failures.push(`${url}: ${reason(error)}`)
      }
    }
    throw new RegistryUnreachableError(`no schema registry answers: ${failures.join('; ')}`, { cause })
  }
}

function complete({ schema, schemaType, references }: Record<string, unknown>): RegisteredSchema {
  return {
    schema: schema as string,
    schemaType: (schemaType ?? 'AVRO') as SchemaType,
    references: (references ?? []) as SchemaReference[],
  }
}

function asObject(text: string): Record<string, unknown> | undefined {
  try {
    const json = JSON.parse(text) as unknown
    return typeof json === 'object' && json !== null ? (json as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** What fetch says is in its cause. */
function reason(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  return error.cause instanceof Error ? error.cause.message : error.message
}

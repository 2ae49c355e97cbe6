// What routes see of a request: its path in parts, its query, its body; and the checks that they share.

import { invalidRequest, invalidSchema, invalidVersion, RegistryError } from '../errors.ts'
import { isObject } from '../json-text.ts'
import type { SchemaRequest, VersionName } from '../registry.ts'
import { SCHEMA_TYPES, type SchemaReference, type SchemaType } from '../schema.ts'

export interface RegistryRequest {
  readonly method: string
  /** As it came, with the query. */
  readonly url: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
}

export interface RegistryResponse {
  readonly status: number
  readonly body: unknown
  /** Default: that of the API. */
  readonly contentType?: string
  readonly headers?: Readonly<Record<string, string>>
}

const MAX_VERSION = 2 ** 31 - 1

/** Throws RegistryError 42202. */
export function versionName(text: string): VersionName {
  if (text === 'latest' || text === '-1') return 'latest'
  const version = Number(text)
  if (!/^\d+$/.test(text) || version < 1 || version > MAX_VERSION) throw invalidVersion(text)
  return version
}

/** Throws RegistryError 400 for what is no JSON object. */
export function jsonBody(body: Buffer): Record<string, unknown> {
  let json: unknown
  try {
    json = JSON.parse(body.toString())
  } catch (error) {
    throw new RegistryError(400, 400, `The body is not JSON: ${(error as Error).message}`)
  }
  if (!isObject(json)) throw new RegistryError(400, 400, 'The body must be a JSON object')
  return json
}

/** Throws RegistryError 42201 or 422. */
export function schemaRequest(body: Buffer): SchemaRequest {
  const json = jsonBody(body)
  const { schema, schemaType, references, metadata, ruleSet, id, version } = json
  if (typeof schema !== 'string' || schema.trim() === '') throw invalidSchema('Empty schema')
  const type = (schemaType ?? 'AVRO') as SchemaType
  if (!SCHEMA_TYPES.includes(type))
    throw invalidSchema(`Invalid schema type ${JSON.stringify(schemaType)}: AVRO, JSON and PROTOBUF are known`)
  return {
    schema,
    schemaType: type,
    references: referencesIn(references),
    metadata: metadata ?? undefined,
    ruleSet: ruleSet ?? undefined,
    // Clients that do not mean to say an id say -1.
    id: integer(id, 'id'),
    version: integer(version, 'version'),
  }
}

function referencesIn(json: unknown): SchemaReference[] {
  if (json === undefined || json === null) return []
  if (!Array.isArray(json)) throw invalidRequest('references must be an array')
  return json.map((reference: unknown) => {
    const { name, subject, version } = isObject(reference) ? reference : {}
    if (typeof name !== 'string' || typeof subject !== 'string' || typeof version !== 'number')
      throw invalidRequest('a reference needs a name, a subject and a version')
    return { name, subject, version }
  })
}

function integer(value: unknown, name: string): number | undefined {
  if (value === undefined || value === null || value === -1 || value === 0) return undefined
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > MAX_VERSION)
    throw invalidRequest(`${name} must be a positive integer`)
  return value
}

/** The part of a list that `offset` and `limit` ask for. */
export function page<T>(items: readonly T[], query: URLSearchParams): T[] {
  const number = (key: string) => {
    const value = Number(query.get(key) ?? Number.NaN)
    return Number.isInteger(value) && value >= 0 ? value : undefined
  }
  const offset = number('offset') ?? 0
  const limit = number('limit')
  return items.slice(offset, limit === undefined ? undefined : offset + limit)
}

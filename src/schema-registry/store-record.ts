// Records of the _schemas topic, in Confluent's form: JSON keys that begin with their type, JSON values. What another registry has
// written is understood; fields that mean nothing here are kept.

import { isObject } from './json-text.ts'
import type { SchemaReference, SchemaType } from './schema.ts'
import { SCHEMA_TYPES } from './schema.ts'

export const COMPATIBILITY_LEVELS = [
  'NONE',
  'BACKWARD',
  'BACKWARD_TRANSITIVE',
  'FORWARD',
  'FORWARD_TRANSITIVE',
  'FULL',
  'FULL_TRANSITIVE',
] as const
export type CompatibilityLevel = (typeof COMPATIBILITY_LEVELS)[number]

export const MODES = ['READWRITE', 'READONLY', 'READONLY_OVERRIDE', 'IMPORT'] as const
export type Mode = (typeof MODES)[number]

/** A version of a subject. */
export interface SchemaVersion {
  readonly subject: string
  readonly version: number
  readonly id: number
  readonly schemaType: SchemaType
  readonly references: readonly SchemaReference[]
  readonly schema: string
  readonly deleted: boolean
  /** Tags, properties and rules: for clients, which act on them. */
  readonly metadata: unknown
  readonly ruleSet: unknown
  /** Whatever else stood in the record. */
  readonly more: Readonly<Record<string, unknown>>
}

/** Of a subject, or of all with an empty name. */
export interface Config {
  readonly compatibilityLevel?: CompatibilityLevel
  readonly normalize?: boolean
  readonly [more: string]: unknown
}

/** A value of null is a tombstone. The subject is null for what holds for all. */
export type StoreRecord =
  | { readonly type: 'SCHEMA'; readonly subject: string; readonly version: number; readonly value: SchemaVersion | null }
  | { readonly type: 'CONFIG'; readonly subject: string | null; readonly value: Config | null }
  | { readonly type: 'MODE'; readonly subject: string | null; readonly value: Mode | null }
  /** All versions up to `value` are softly deleted. */
  | { readonly type: 'DELETE_SUBJECT'; readonly subject: string; readonly value: number | null }
  /** All versions that are softly deleted are gone. */
  | { readonly type: 'CLEAR_SUBJECT'; readonly subject: string; readonly value: true | null }
  | { readonly type: 'NOOP' }

export interface EncodedRecord {
  readonly key: string
  readonly value: string | null
}

export function encodeStoreRecord(record: StoreRecord): EncodedRecord {
  const { type } = record
  if (type === 'NOOP') return { key: JSON.stringify({ keytype: type, magic: 0 }), value: '' }
  const { subject, value } = record
  if (type === 'SCHEMA') {
    const key = JSON.stringify({ keytype: type, subject, version: record.version, magic: 1 })
    return { key, value: record.value === null ? null : JSON.stringify(schemaJson(record.value)) }
  }
  const key = JSON.stringify({ keytype: type, subject, magic: 0 })
  if (value === null) return { key, value: null }
  const named = subject === null ? {} : { subject }
  switch (type) {
    case 'CONFIG':
      return { key, value: JSON.stringify({ ...named, ...record.value }) }
    case 'MODE':
      return { key, value: JSON.stringify({ ...named, mode: value }) }
    case 'DELETE_SUBJECT':
      return { key, value: JSON.stringify({ subject, version: value }) }
    case 'CLEAR_SUBJECT':
      return { key, value: JSON.stringify({ subject }) }
  }
}

/** Nothing for a record that is of no known type or not in this form: others may keep more in the topic than this registry knows. */
export function decodeStoreRecord(keyText: string, valueText: string | null): StoreRecord | undefined {
  const key = objectIn(keyText)
  if (key === undefined) return undefined
  const value = valueText === null || valueText === '' ? null : objectIn(valueText)
  if (value === undefined) return undefined
  const type = key['keytype']
  const subject = typeof key['subject'] === 'string' ? key['subject'] : null
  if (type === 'NOOP') return { type }
  if (type === 'CONFIG') return { type, subject, value: value === null ? null : configIn(value) }
  if (type === 'MODE') {
    const mode = value?.['mode'] as Mode
    if (value !== null && !MODES.includes(mode)) return undefined
    return { type, subject, value: value === null ? null : mode }
  }
  if (subject === null) return undefined
  if (type === 'SCHEMA') {
    const version = key['version']
    if (!isPositive(version)) return undefined
    const decoded = value === null ? null : schemaIn(value, subject, version)
    return decoded === undefined ? undefined : { type, subject, version, value: decoded }
  }
  if (type === 'DELETE_SUBJECT') {
    const version = value?.['version']
    if (value !== null && !isPositive(version)) return undefined
    return { type, subject, value: value === null ? null : (version as number) }
  }
  if (type === 'CLEAR_SUBJECT') return { type, subject, value: value === null ? null : true }
  return undefined
}

function schemaJson(schema: SchemaVersion): Record<string, unknown> {
  const { subject, version, id, schemaType, references, metadata, ruleSet, deleted, more } = schema
  return {
    subject,
    version,
    id,
    ...more,
    // As always: Avro is what a schema without a type is.
    ...(schemaType !== 'AVRO' && { schemaType }),
    ...(references.length > 0 && { references }),
    ...(metadata != null && { metadata }),
    ...(ruleSet != null && { ruleSet }),
    schema: schema.schema,
    deleted,
  }
}

function schemaIn(value: Record<string, unknown>, subject: string, version: number): SchemaVersion | undefined {
  const { subject: _subject, version: _version, id, schemaType, references, metadata, ruleSet, schema, deleted, ...more } = value
  const type = (schemaType ?? 'AVRO') as SchemaType
  if (typeof id !== 'number' || typeof schema !== 'string' || !SCHEMA_TYPES.includes(type)) return undefined
  return {
    subject,
    version,
    id,
    schemaType: type,
    references: Array.isArray(references) ? (references as SchemaReference[]) : [],
    schema,
    deleted: deleted === true,
    metadata: metadata ?? undefined,
    ruleSet: ruleSet ?? undefined,
    more,
  }
}

function configIn(value: Record<string, unknown>): Config {
  const { subject: _subject, ...config } = value
  return config as Config
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value > 0
}

function objectIn(text: string): Record<string, unknown> | undefined {
  try {
    const json = JSON.parse(text) as unknown
    return isObject(json) ? json : undefined
  } catch {
    return undefined
  }
}

// Stored messages as JSON, in the form of Kafka's own converters: field names as in the schema, bytes in base64, int64 as numbers.

import { type Field, type Fields, type Message, type Shape, within } from '../protocol/schema.ts'

/** The fields that this version carries; tagged ones only where they differ from their default. */
export function messageJson(message: Message, version: number, value: unknown): string {
  return structJson(message.fields, version, value as Record<string, unknown>)
}

function structJson(fields: Fields, version: number, value: Record<string, unknown>): string {
  const parts = Object.entries(fields).flatMap(([name, field]) => {
    if (!within(field.versions, version) || isAbsentTag(field, version, value[name])) return []
    return [`${JSON.stringify(name)}:${valueJson(field.shape, version, value[name])}`]
  })
  return `{${parts.join(',')}}`
}

function isAbsentTag(field: Field, version: number, value: unknown): boolean {
  if (!within(field.taggedVersions, version)) return false
  // Ids: all zeros. Other types of tagged fields do not occur in stored records so far, and are shown.
  return value === field.defaultValue || (field.shape.kind === 'uuid' && /^A+$/.test(value as string))
}

function valueJson(shape: Shape, version: number, value: unknown): string {
  if (value === null || value === undefined) return 'null'
  switch (shape.kind) {
    case 'struct':
      return structJson(shape.fields, version, value as Record<string, unknown>)
    case 'array':
      return `[${(value as unknown[]).map((element) => valueJson(shape.element, version, element)).join(',')}]`
    case 'int64':
      return (value as bigint).toString()
    case 'bytes':
    case 'records':
      return JSON.stringify((value as Buffer).toString('base64'))
    default:
      return JSON.stringify(value)
  }
}

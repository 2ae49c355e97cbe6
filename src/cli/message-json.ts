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
  if (field.defaultValue !== undefined) return value === field.defaultValue
  if (value === null) return false
  switch (field.shape.kind) {
    case 'uuid':
      return /^A+$/.test(value as string)
    case 'array':
      return (value as unknown[]).length === 0
    default:
      return value === 0 || value === 0n || value === '' || value === false
  }
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
    case 'float64':
      return javaDouble(value as number)
    case 'bytes':
    case 'records':
      return JSON.stringify((value as Buffer).toString('base64'))
    default:
      return JSON.stringify(value)
  }
}

/** As Java prints it: never without a fraction, and with an exponent where a number is far from 1. */
function javaDouble(value: number): string {
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    const [digits, exponent] = value.toExponential().split('e')
    return `${digits.includes('.') ? digits : `${digits}.0`}E${Number(exponent)}`
  }
  return Number.isInteger(value) ? `${value}.0` : String(value)
}

// Whether a plain object is a message of a type. protobufjs's own look knows no bigint and no enum by name, and making a message of
// an object turns whatever it finds into something: "x" would be written as 0.

import protobufjs from 'protobufjs'
import { SchemaMismatchError } from './registry-codec.ts'

const RANGES: Readonly<Record<string, readonly [bigint, bigint]>> = {
  int32: [-(2n ** 31n), 2n ** 31n],
  sint32: [-(2n ** 31n), 2n ** 31n],
  sfixed32: [-(2n ** 31n), 2n ** 31n],
  uint32: [0n, 2n ** 32n],
  fixed32: [0n, 2n ** 32n],
  int64: [-(2n ** 63n), 2n ** 63n],
  sint64: [-(2n ** 63n), 2n ** 63n],
  sfixed64: [-(2n ** 63n), 2n ** 63n],
  uint64: [0n, 2n ** 64n],
  fixed64: [0n, 2n ** 64n],
}

/** Throws SchemaMismatchError with the path of what does not fit, unknown fields included: one that is misspelt would be lost in silence. */
export function checkMessage(type: protobufjs.Type, value: unknown, path = ''): void {
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new SchemaMismatchError(path, `a message ${type.name} is meant`)
  for (const [key, inner] of Object.entries(value)) {
    const at = `${path}/${key}`
    const field = type.fields[key]
    // protobufjs shows under a oneof's name which of its fields is set.
    if (field === undefined && type.oneofs?.[key] !== undefined) continue
    if (field === undefined) throw new SchemaMismatchError(at, `message ${type.name} has no such field`)
    if (inner === undefined || inner === null) continue
    if (field.map) {
      if (typeof inner !== 'object') throw new SchemaMismatchError(at, 'a map is meant: an object')
      for (const [name, item] of Object.entries(inner)) checkOne(field, item, `${at}/${name}`)
    } else if (field.repeated) {
      if (!Array.isArray(inner)) throw new SchemaMismatchError(at, 'an array is meant')
      for (const [index, item] of inner.entries()) checkOne(field, item, `${at}/${index}`)
    } else checkOne(field, inner, at)
  }
  for (const field of type.fieldsArray) {
    const there = (value as Record<string, unknown>)[field.name]
    if (field.required && (there === undefined || there === null))
      throw new SchemaMismatchError(`${path}/${field.name}`, 'it is required and missing')
  }
}

function checkOne(field: protobufjs.Field, value: unknown, path: string): void {
  const { resolvedType } = field.resolve()
  if (resolvedType instanceof protobufjs.Type) return checkMessage(resolvedType, value, path)
  if (resolvedType instanceof protobufjs.Enum) {
    const isKnown = typeof value === 'string' ? resolvedType.values[value] !== undefined : Number.isInteger(value)
    if (!isKnown)
      throw new SchemaMismatchError(
        path,
        `a value of enum ${resolvedType.name} is meant: ${Object.keys(resolvedType.values).join(', ')}`,
      )
    return
  }
  if (!fits(field.type, value)) throw new SchemaMismatchError(path, `${field.type} is meant, and ${shown(value)} is none`)
}

function fits(type: string, value: unknown): boolean {
  if (type === 'string') return typeof value === 'string'
  if (type === 'bool') return typeof value === 'boolean'
  if (type === 'bytes') return value instanceof Uint8Array
  if (type === 'float' || type === 'double') return typeof value === 'number'
  const [from, to] = RANGES[type] ?? [0n, 0n]
  const integer = typeof value === 'bigint' ? value : Number.isSafeInteger(value) ? BigInt(value as number) : undefined
  return integer !== undefined && integer >= from && integer < to
}

function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  return typeof value === 'object' ? 'an object' : `${typeof value} ${String(value)}`
}

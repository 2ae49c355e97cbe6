// An Avro schema, read: names resolved, defaults checked, every complaint with the place it is about.

import { integerIn, isObject, numberIn, parseJson } from '../json-text.ts'
import { MAX_DEPTH, SchemaSyntaxError } from '../schema.ts'

export const PRIMITIVES = ['null', 'boolean', 'int', 'long', 'float', 'double', 'bytes', 'string'] as const
export type PrimitiveName = (typeof PRIMITIVES)[number]

/** What Avro gives no meaning to: logical types, annotations. Kept as it is. */
export type Properties = Readonly<Record<string, unknown>>

interface Named {
  readonly name: string
  readonly namespace: string
  /** Full names. */
  readonly aliases: readonly string[]
  readonly doc: string | undefined
  readonly properties: Properties
}

export interface PrimitiveType {
  readonly type: PrimitiveName
  readonly properties: Properties
}

export interface AvroField {
  readonly name: string
  readonly type: AvroType
  readonly doc: string | undefined
  readonly hasDefault: boolean
  readonly default: unknown
  readonly order: string | undefined
  readonly aliases: readonly string[]
  readonly properties: Properties
}

export interface RecordType extends Named {
  readonly type: 'record' | 'error'
  /** Filled once the name is known: a record may contain itself. */
  readonly fields: AvroField[]
}

export interface EnumType extends Named {
  readonly type: 'enum'
  readonly symbols: readonly string[]
  readonly default: string | undefined
}

export interface FixedType extends Named {
  readonly type: 'fixed'
  readonly size: number
}

export interface ArrayType {
  readonly type: 'array'
  readonly items: AvroType
  readonly properties: Properties
}

export interface MapType {
  readonly type: 'map'
  readonly values: AvroType
  readonly properties: Properties
}

export interface UnionType {
  readonly type: 'union'
  readonly branches: readonly AvroType[]
}

export type NamedType = RecordType | EnumType | FixedType
export type AvroType = PrimitiveType | NamedType | ArrayType | MapType | UnionType

export function fullName({ name, namespace }: Named): string {
  return namespace === '' ? name : `${namespace}.${name}`
}

export function isNamed(type: AvroType): type is NamedType {
  return type.type === 'record' || type.type === 'error' || type.type === 'enum' || type.type === 'fixed'
}

const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const RESERVED: Readonly<Record<string, readonly string[]>> = {
  record: ['type', 'name', 'namespace', 'doc', 'aliases', 'fields'],
  error: ['type', 'name', 'namespace', 'doc', 'aliases', 'fields'],
  enum: ['type', 'name', 'namespace', 'doc', 'aliases', 'symbols', 'default'],
  fixed: ['type', 'name', 'namespace', 'doc', 'aliases', 'size'],
  array: ['type', 'items'],
  map: ['type', 'values'],
  field: ['name', 'type', 'doc', 'default', 'order', 'aliases'],
}

/**
 * Reads the text of one schema. Names that it does not define are looked up in `known`, to which its own are added. Throws
 * SchemaSyntaxError. `checkDefaults` is for new schemas: old ones may have been taken by somebody who did not look.
 */
export function parseAvro(text: string, known: Map<string, NamedType>, checkDefaults: boolean): AvroType {
  let json: unknown
  try {
    json = parseJson(text)
  } catch (error) {
    // A bare name of a primitive is the shortest schema that people write.
    if (!(PRIMITIVES as readonly string[]).includes(text.trim()))
      throw new SchemaSyntaxError(`not JSON: ${(error as Error).message}`)
    json = text.trim()
  }
  return new AvroParser(known, checkDefaults).type(json, '', '', 0)
}

class AvroParser {
  private readonly known: Map<string, NamedType>
  private readonly checkDefaults: boolean

  constructor(known: Map<string, NamedType>, checkDefaults: boolean) {
    this.known = known
    this.checkDefaults = checkDefaults
  }

  /** `path` is a JSON pointer, for complaints. */
  type(json: unknown, namespace: string, path: string, depth: number): AvroType {
    if (depth > MAX_DEPTH) throw wrong(path, `it is nested more than ${MAX_DEPTH} deep`)
    if (typeof json === 'string') return this.reference(json, namespace, path)
    if (Array.isArray(json)) return this.union(json, namespace, path, depth)
    if (!isObject(json)) throw wrong(path, `${JSON.stringify(json)} is no type`)
    const { type } = json
    switch (type) {
      case 'record':
      case 'error':
        return this.record(json, type, namespace, path, depth)
      case 'enum':
        return this.enum(json, namespace, path)
      case 'fixed':
        return this.fixed(json, namespace, path)
      case 'array':
        if (json['items'] === undefined) throw wrong(path, 'an array needs items')
        return {
          type,
          items: this.type(json['items'], namespace, `${path}/items`, depth + 1),
          properties: propertiesOf(json, 'array'),
        }
      case 'map':
        if (json['values'] === undefined) throw wrong(path, 'a map needs values')
        return {
          type,
          values: this.type(json['values'], namespace, `${path}/values`, depth + 1),
          properties: propertiesOf(json, 'map'),
        }
    }
    if (type === undefined) throw wrong(path, 'a type is missing')
    if (typeof type !== 'string') return this.type(type, namespace, `${path}/type`, depth + 1)
    const found = this.reference(type, namespace, path)
    return isPrimitive(found) ? { type: found.type, properties: propertiesOf(json, 'primitive') } : found
  }

  private reference(name: string, namespace: string, path: string): PrimitiveType | NamedType {
    if ((PRIMITIVES as readonly string[]).includes(name)) return { type: name as PrimitiveName, properties: {} }
    const full = name.includes('.') || namespace === '' ? name : `${namespace}.${name}`
    const found = this.known.get(full) ?? this.known.get(name)
    if (found === undefined) throw wrong(path, `the type "${name}" is not defined: no primitive, no name above it, no reference`)
    return found
  }

  private union(json: readonly unknown[], namespace: string, path: string, depth: number): UnionType {
    const branches = json.map((branch, index) => this.type(branch, namespace, `${path}/${index}`, depth + 1))
    const seen = new Set<string>()
    branches.forEach((branch, index) => {
      if (branch.type === 'union') throw wrong(`${path}/${index}`, 'a union may not contain a union')
      const name = isNamed(branch) ? fullName(branch) : branch.type
      if (seen.has(name)) throw wrong(`${path}/${index}`, `the union has ${name} twice`)
      seen.add(name)
    })
    return { type: 'union', branches }
  }

  private record(
    json: Record<string, unknown>,
    type: 'record' | 'error',
    namespace: string,
    path: string,
    depth: number,
  ): RecordType {
    const record: RecordType = { type, ...this.named(json, type, namespace, path), fields: [] }
    this.define(record, path)
    if (!Array.isArray(json['fields'])) throw wrong(path, `record ${fullName(record)} has no fields: an array is meant`)
    const seen = new Set<string>()
    json['fields'].forEach((field: unknown, index) => {
      const at = `${path}/fields/${index}`
      if (!isObject(field)) throw wrong(at, 'a field must be an object')
      const { name } = field
      if (typeof name !== 'string' || !NAME.test(name)) throw wrong(at, `illegal field name ${JSON.stringify(name)}`)
      if (seen.has(name)) throw wrong(at, `record ${fullName(record)} has the field "${name}" twice`)
      seen.add(name)
      if (field['type'] === undefined) throw wrong(at, `field "${name}" has no type`)
      const read: AvroField = {
        name,
        type: this.type(field['type'], record.namespace, `${at}/type`, depth + 1),
        doc: optionalText(field['doc'], `${at}/doc`),
        hasDefault: 'default' in field,
        default: field['default'],
        order: optionalText(field['order'], `${at}/order`),
        aliases: texts(field['aliases'], `${at}/aliases`),
        properties: propertiesOf(field, 'field'),
      }
      record.fields.push(read)
      if (this.checkDefaults && read.hasDefault) {
        const bad = mismatch(read.default, read.type, '')
        if (bad !== undefined) throw wrong(`${at}/default`, `the default of field "${name}" does not fit its type: ${bad}`)
      }
    })
    return record
  }

  private enum(json: Record<string, unknown>, namespace: string, path: string): EnumType {
    const symbols = texts(json['symbols'], `${path}/symbols`)
    if (json['symbols'] === undefined) throw wrong(path, 'an enum needs symbols')
    const fallback = optionalText(json['default'], `${path}/default`)
    const bad = symbols.find((symbol, index) => !NAME.test(symbol) || symbols.indexOf(symbol) !== index)
    if (bad !== undefined) throw wrong(`${path}/symbols`, `illegal or repeated symbol "${bad}"`)
    if (fallback !== undefined && !symbols.includes(fallback))
      throw wrong(`${path}/default`, `"${fallback}" is none of the symbols`)
    const type: EnumType = { type: 'enum', ...this.named(json, 'enum', namespace, path), symbols, default: fallback }
    this.define(type, path)
    return type
  }

  private fixed(json: Record<string, unknown>, namespace: string, path: string): FixedType {
    const size = numberIn(json['size'])
    if (size === undefined || !Number.isInteger(size) || size < 0)
      throw wrong(`${path}/size`, 'a fixed needs a size of 0 or more')
    const type: FixedType = { type: 'fixed', ...this.named(json, 'fixed', namespace, path), size }
    this.define(type, path)
    return type
  }

  private named(json: Record<string, unknown>, kind: string, enclosing: string, path: string): Named {
    const given = json['name']
    if (typeof given !== 'string') throw wrong(path, `this ${kind} has no name`)
    const dot = given.lastIndexOf('.')
    const namespace = dot >= 0 ? given.slice(0, dot) : (optionalText(json['namespace'], `${path}/namespace`) ?? enclosing)
    const name = given.slice(dot + 1)
    const parts = namespace === '' ? [name] : [...namespace.split('.'), name]
    const bad = parts.find((part) => !NAME.test(part))
    if (bad !== undefined) throw wrong(path, `illegal name "${given}"`)
    if ((PRIMITIVES as readonly string[]).includes(name)) throw wrong(path, `"${name}" is the name of a primitive type`)
    const aliases = texts(json['aliases'], `${path}/aliases`).map((alias) =>
      alias.includes('.') || namespace === '' ? alias : `${namespace}.${alias}`,
    )
    return { name, namespace, aliases, doc: optionalText(json['doc'], `${path}/doc`), properties: propertiesOf(json, kind) }
  }

  private define(type: NamedType, path: string): void {
    const name = fullName(type)
    if (this.known.has(name)) throw wrong(path, `the name "${name}" is defined twice`)
    this.known.set(name, type)
  }
}

function isPrimitive(type: AvroType): type is PrimitiveType {
  return (PRIMITIVES as readonly string[]).includes(type.type)
}

function wrong(path: string, what: string): SchemaSyntaxError {
  return new SchemaSyntaxError(path === '' ? what : `${what} (at ${path})`)
}

function optionalText(value: unknown, path: string): string | undefined {
  if (value !== undefined && typeof value !== 'string') throw wrong(path, 'a string is meant')
  return value
}

function texts(value: unknown, path: string): string[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.some((item) => typeof item !== 'string')) throw wrong(path, 'an array of strings is meant')
  return value
}

function propertiesOf(json: Record<string, unknown>, kind: string): Properties {
  const reserved = RESERVED[kind] ?? ['type']
  return Object.fromEntries(Object.entries(json).filter(([key]) => !reserved.includes(key)))
}

const INTEGERS: Readonly<Record<string, bigint>> = { int: 2n ** 31n, long: 2n ** 63n }

/** Why a default is no value of the type: where, and what was meant. A union's default fits any of its branches (Avro 1.12). */
function mismatch(value: unknown, type: AvroType, path: string): string | undefined {
  const expected = (what: string) => `${path === '' ? '' : `at ${path}, `}${JSON.stringify(value)} is no ${what}`
  switch (type.type) {
    case 'null':
      return value === null ? undefined : expected('null')
    case 'boolean':
      return typeof value === 'boolean' ? undefined : expected('boolean')
    case 'int':
    case 'long': {
      const integer = integerIn(value)
      const bound = INTEGERS[type.type]
      return integer !== undefined && integer >= -bound && integer < bound ? undefined : expected(type.type)
    }
    case 'float':
    case 'double':
      return numberIn(value) !== undefined || value === 'NaN' || value === 'Infinity' || value === '-Infinity'
        ? undefined
        : expected(type.type)
    case 'bytes':
    case 'string':
    case 'fixed':
      return typeof value === 'string' ? undefined : expected(type.type)
    case 'enum':
      return typeof value === 'string' && type.symbols.includes(value) ? undefined : expected(`symbol of ${fullName(type)}`)
    case 'array':
      if (!Array.isArray(value)) return expected('array')
      return firstOf(value, (item, index) => mismatch(item, type.items, `${path}/${index}`))
    case 'map':
      if (!isObject(value)) return expected('map')
      return firstOf(Object.entries(value), ([key, item]) => mismatch(item, type.values, `${path}/${key}`))
    case 'union':
      return type.branches.some((branch) => mismatch(value, branch, path) === undefined)
        ? undefined
        : expected('value of any branch of the union')
    case 'record':
    case 'error':
      if (!isObject(value)) return expected(`record ${fullName(type)}`)
      return firstOf(type.fields, (field) => {
        if (Object.hasOwn(value, field.name)) return mismatch(value[field.name], field.type, `${path}/${field.name}`)
        return field.hasDefault ? undefined : `${path === '' ? '' : `at ${path}, `}field "${field.name}" is missing`
      })
  }
}

function firstOf<T>(items: readonly T[], find: (item: T, index: number) => string | undefined): string | undefined {
  for (const [index, item] of items.entries()) {
    const found = find(item, index)
    if (found !== undefined) return found
  }
  return undefined
}

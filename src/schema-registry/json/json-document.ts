// A JSON Schema, read: its keywords checked for their shape, its references resolved within it and into the schemas it names.

import { isObject, numberIn, parseJson } from '../json-text.ts'
import { MAX_DEPTH, type ResolvedReference, SchemaSyntaxError } from '../schema.ts'

/** A schema is a boolean or an object of keywords. */
export type JsonNode = boolean | Readonly<Record<string, unknown>>

const TYPES = ['null', 'boolean', 'object', 'array', 'number', 'integer', 'string']
const SCHEMAS = [
  'additionalItems',
  'additionalProperties',
  'contains',
  'else',
  'if',
  'not',
  'propertyNames',
  'then',
  'unevaluatedItems',
  'unevaluatedProperties',
]
const LISTS_OF_SCHEMAS = ['allOf', 'anyOf', 'oneOf', 'prefixItems']
const MAPS_OF_SCHEMAS = ['$defs', 'definitions', 'dependentSchemas', 'patternProperties', 'properties']
const COUNTS = ['maxItems', 'maxLength', 'maxProperties', 'minItems', 'minLength', 'minProperties']
const NUMBERS = ['maximum', 'minimum', 'multipleOf']

/** Where keywords look for others: the document they stand in, and the base of relative names. */
export interface Located {
  readonly node: JsonNode
  readonly document: JsonDocument
}

export class JsonDocument {
  readonly root: JsonNode
  /** By `$id`, `id` and `$anchor`. */
  private readonly named = new Map<string, JsonNode>()
  private readonly references: ReadonlyMap<string, JsonDocument>

  /** Throws SchemaSyntaxError with the JSON pointer of what is wrong. `check` looks at the shape of keywords, too. */
  constructor(text: string, references: readonly ResolvedReference[], check: boolean) {
    const json = parsed(text)
    if (typeof json !== 'boolean' && !isObject(json)) throw new SchemaSyntaxError('a schema is an object, true or false')
    this.root = json
    const others = new Map<string, JsonDocument>()
    for (const { name, schema } of references) {
      const document = new JsonDocument(schema, [], false)
      document.shareReferences(others)
      others.set(name, document)
      const id = isObject(document.root) ? (document.root['$id'] ?? document.root['id']) : undefined
      if (typeof id === 'string') others.set(id, document)
    }
    this.references = others
    this.read(json, '#', check, 0)
  }

  private shared: ReadonlyMap<string, JsonDocument> = new Map()

  /** What a referenced schema names is found among all that its user references. */
  private shareReferences(references: ReadonlyMap<string, JsonDocument>): void {
    this.shared = references
  }

  /** What a `$ref` stands for; undefined if it leads nowhere. */
  resolve(reference: string): Located | undefined {
    const hash = reference.indexOf('#')
    const name = hash < 0 ? reference : reference.slice(0, hash)
    const fragment = hash < 0 ? '' : reference.slice(hash + 1)
    if (name !== '') {
      const document = this.document(name)
      if (document !== undefined) return document.resolve(`#${fragment}`)
      const node = this.named.get(name)
      return node !== undefined && fragment === '' ? { node, document: this } : undefined
    }
    if (fragment === '') return { node: this.root, document: this }
    const node = fragment.startsWith('/') ? this.pointer(fragment) : this.named.get(`#${fragment}`)
    return node === undefined ? undefined : { node, document: this }
  }

  /** By the name that the reference was registered under, or by the last part of an address. */
  private document(name: string): JsonDocument | undefined {
    const last = name.slice(name.lastIndexOf('/') + 1)
    for (const documents of [this.references, this.shared]) {
      const found = documents.get(name) ?? documents.get(name.replace(/^\.\//, '')) ?? documents.get(last)
      if (found !== undefined) return found
    }
    return undefined
  }

  private pointer(pointer: string): JsonNode | undefined {
    let at: unknown = this.root
    for (const part of pointer.slice(1).split('/')) {
      const key = decoded(part).replaceAll('~1', '/').replaceAll('~0', '~')
      at = Array.isArray(at) ? at[Number(key)] : isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined
    }
    return typeof at === 'boolean' || isObject(at) ? at : undefined
  }

  private read(node: unknown, path: string, check: boolean, depth: number): void {
    if (typeof node === 'boolean') return
    if (!isObject(node)) throw new SchemaSyntaxError(`${path}: a schema is an object, true or false`)
    if (depth > MAX_DEPTH) throw new SchemaSyntaxError(`${path}: it is nested more than ${MAX_DEPTH} deep`)
    for (const key of ['$id', 'id']) if (typeof node[key] === 'string') this.named.set(node[key], node)
    if (typeof node['$anchor'] === 'string') this.named.set(`#${node['$anchor']}`, node)
    if (check) checkKeywords(node, path)
    const child = (value: unknown, ...keys: (string | number)[]): void => {
      this.read(
        value,
        [path, ...keys.map((key) => String(key).replaceAll('~', '~0').replaceAll('/', '~1'))].join('/'),
        check,
        depth + 1,
      )
    }
    for (const key of SCHEMAS) if (node[key] !== undefined) child(node[key], key)
    for (const key of LISTS_OF_SCHEMAS) {
      if (Array.isArray(node[key])) for (const [index, item] of node[key].entries()) child(item, key, index)
    }
    for (const key of MAPS_OF_SCHEMAS) {
      if (isObject(node[key])) for (const [name, value] of Object.entries(node[key])) child(value, key, name)
    }
    const { items, dependencies } = node
    if (Array.isArray(items)) for (const [index, item] of items.entries()) child(item, 'items', index)
    else if (items !== undefined) child(items, 'items')
    if (isObject(dependencies)) {
      for (const [name, value] of Object.entries(dependencies)) if (!Array.isArray(value)) child(value, 'dependencies', name)
    }
  }

  /** The first `$ref` that leads nowhere. Addresses of meta-schemas are known to every validator. */
  danglingReference(): string | undefined {
    const seen: unknown[] = [this.root]
    for (let node = seen.pop(); node !== undefined; node = seen.pop()) {
      if (typeof node !== 'object' || node === null) continue
      const reference = isObject(node) ? node['$ref'] : undefined
      const isMeta = typeof reference === 'string' && /^https?:\/\/json-schema\.org\//.test(reference)
      if (typeof reference === 'string' && !isMeta && this.resolve(reference) === undefined) return reference
      seen.push(...Object.values(node).filter((value) => value !== undefined))
    }
    return undefined
  }
}

function parsed(text: string): unknown {
  try {
    return parseJson(text)
  } catch (error) {
    throw new SchemaSyntaxError(`not JSON: ${(error as Error).message}`)
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

function checkKeywords(node: Readonly<Record<string, unknown>>, path: string): void {
  const wrong = (key: string, what: string) => new SchemaSyntaxError(`${path}/${key}: ${what}`)
  const { type, required, pattern, $ref } = node
  const types = Array.isArray(type) ? type : [type]
  if (type !== undefined && types.some((name) => !TYPES.includes(name as string))) {
    throw wrong('type', `${JSON.stringify(type)} is no type: ${TYPES.join(', ')} are`)
  }
  if ($ref !== undefined && typeof $ref !== 'string') throw wrong('$ref', 'a string is meant')
  // Draft 3 wrote `required: true`, and some still do: it says nothing, and harms nobody.
  if (required !== undefined && typeof required !== 'boolean') {
    if (!Array.isArray(required) || required.some((name) => typeof name !== 'string'))
      throw wrong('required', 'an array of strings is meant')
  }
  if (pattern !== undefined) checkPattern(pattern, () => wrong('pattern', `${JSON.stringify(pattern)} is no regular expression`))
  for (const key of COUNTS) {
    const count = numberIn(node[key])
    if (node[key] !== undefined && (count === undefined || !Number.isInteger(count) || count < 0))
      throw wrong(key, 'an integer of 0 or more is meant')
  }
  for (const key of NUMBERS)
    if (node[key] !== undefined && numberIn(node[key]) === undefined) throw wrong(key, 'a number is meant')
  for (const key of LISTS_OF_SCHEMAS)
    if (node[key] !== undefined && !Array.isArray(node[key])) throw wrong(key, 'an array of schemas is meant')
  for (const key of MAPS_OF_SCHEMAS)
    if (node[key] !== undefined && !isObject(node[key])) throw wrong(key, 'an object of schemas is meant')
  if (node['enum'] !== undefined && !Array.isArray(node['enum'])) throw wrong('enum', 'an array is meant')
  for (const key of Object.keys((node['patternProperties'] as object | undefined) ?? {}))
    checkPattern(key, () => wrong('patternProperties', `${JSON.stringify(key)} is no regular expression`))
}

function checkPattern(pattern: unknown, error: () => Error): void {
  if (typeof pattern !== 'string') throw error()
  try {
    new RegExp(pattern, 'u')
  } catch {
    try {
      // Many patterns in the wild escape what Unicode mode does not let them escape.
      new RegExp(pattern)
    } catch {
      throw error()
    }
  }
}

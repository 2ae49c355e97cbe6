// Whether all that one JSON Schema accepts is accepted by another, with the exceptions that Confluent's registry makes for evolution:
// a property added to a closed object is fine as long as nobody has to have it.
// A schema is taken for the conjunction of its plain keywords and its combinators; each part of the reader's must be covered by one of the writer's.

import { RE2JS } from 're2js'
import { isObject, numberIn, sortedJson } from '../json-text.ts'
import type { Incompatibility } from '../schema.ts'
import type { JsonDocument, JsonNode, Located } from './json-document.ts'

type Keywords = Readonly<Record<string, unknown>>

const ALL_TYPES = ['null', 'boolean', 'object', 'array', 'number', 'string']
const COMBINATORS = ['allOf', 'anyOf', 'oneOf'] as const
/** Keywords that restrict nothing. */
const ANNOTATIONS = new Set([
  '$anchor',
  '$comment',
  '$defs',
  '$id',
  '$schema',
  'id',
  'comment',
  'default',
  'definitions',
  'deprecated',
  'description',
  'example',
  'examples',
  'format',
  'readOnly',
  'title',
  'writeOnly',
])

/** `writer` is the older one of a backward check. Paths are those of the reader. */
export function jsonIncompatibilities(reader: JsonDocument, writer: JsonDocument): Incompatibility[] {
  return new JsonComparison().compare({ node: writer.root, document: writer }, { node: reader.root, document: reader }, '#')
}

class JsonComparison {
  /** Pairs seen, with what was found; those that are still open are taken to agree. */
  private readonly results = new Map<object, Map<object, Incompatibility[]>>()

  compare(writer: Located, reader: Located, path: string): Incompatibility[] {
    const from = dereferenced(writer)
    const to = dereferenced(reader)
    if (from.node === false || acceptsAll(to.node)) return []
    if (to.node === false) return [found('TYPE_CHANGED', path, 'nothing is accepted there any more')]
    if (typeof from.node === 'boolean' || typeof to.node === 'boolean') return this.compareParts(from, to, path)
    const results = this.results.get(from.node) ?? new Map<object, Incompatibility[]>()
    const known = results.get(to.node)
    if (known !== undefined) return known.slice(0, 1)
    const problems: Incompatibility[] = []
    this.results.set(from.node, results.set(to.node, problems))
    problems.push(...this.compareParts(from, to, path))
    return problems
  }

  private compareParts(writer: Located, reader: Located, path: string): Incompatibility[] {
    const { plain, combined } = parts(reader.node)
    const problems = this.comparePlain(writer, { node: plain, document: reader.document }, path)
    for (const [criterion, schemas] of combined) {
      const located = schemas.map((node) => ({ node, document: reader.document }))
      if (criterion === 'allOf') {
        located.forEach((schema, index) => {
          if (this.compare(writer, schema, `${path}/allOf/${index}`).length > 0)
            problems.push(
              found(
                'PRODUCT_TYPE_EXTENDED',
                `${path}/allOf/${index}`,
                'the reader asks for more in allOf than the writer kept to',
              ),
            )
        })
      } else problems.push(...this.compareSum(writer, located, criterion, path))
    }
    return problems
  }

  /** The reader accepts one of `schemas`: each alternative of the writer has to find one. */
  private compareSum(writer: Located, schemas: readonly Located[], criterion: string, path: string): Incompatibility[] {
    for (const alternatives of [[writer], ...sumsOf(writer)]) {
      const lost = alternatives.filter((one) => !schemas.some((schema) => this.compare(one, schema, path).length === 0))
      if (lost.length === 0) return []
    }
    const what = `not all that the writer may have written fits one of the reader's ${criterion}`
    return [found('SUM_TYPE_NARROWED', `${path}/${criterion}`, what)]
  }

  /** Keywords of the reader that are no combinators, against all that the writer says. */
  private comparePlain(writer: Located, reader: Located, path: string): Incompatibility[] {
    if (acceptsAll(reader.node)) return []
    const { plain, combined } = parts(writer.node)
    const own = this.compareKeywords({ node: plain, document: writer.document }, reader, path)
    if (own.length === 0 || combined.length === 0) return own
    // What the plain keywords do not promise, a combinator may: any part of an allOf, or every alternative of a sum.
    for (const node of combined.flatMap(([criterion, schemas]) => (criterion === 'allOf' ? schemas : []))) {
      if (this.compare({ node, document: writer.document }, reader, path).length === 0) return []
    }
    let nearest = own
    for (const alternatives of sumsOf({ node: writer.node, document: writer.document })) {
      const problems = alternatives.flatMap((alternative) => this.compare(alternative, reader, path))
      if (problems.length === 0) return []
      nearest = problems
    }
    return nearest
  }

  private compareKeywords(writer: Located, reader: Located, path: string): Incompatibility[] {
    const from = keywords(writer.node)
    const to = keywords(reader.node)
    const types = compareTypes(from, to, path)
    if (types.some(({ errorType }) => errorType === 'TYPE_CHANGED')) return types
    const both = typesOf(from).filter((type) => typesOf(to).includes(type))
    const may = (type: string) => both.includes(type)
    return [
      ...types,
      ...compareEnum(from, to, path),
      ...this.compareNot(writer, reader, path),
      ...(may('string') ? compareBounds(from, to, path, 'LENGTH') : []),
      ...(may('string') ? comparePattern(from, to, path) : []),
      ...(may('number') || may('integer') ? compareNumbers(from, to, path) : []),
      ...(may('object') ? this.compareObjects(writer, reader, path) : []),
      ...(may('array') ? this.compareArrays(writer, reader, path) : []),
    ]
  }

  private compareNot(writer: Located, reader: Located, path: string): Incompatibility[] {
    const from = keywords(writer.node)['not'] as JsonNode | undefined
    const to = keywords(reader.node)['not'] as JsonNode | undefined
    if (to === undefined) return []
    const narrower =
      from !== undefined &&
      this.compare({ node: to, document: reader.document }, { node: from, document: writer.document }, `${path}/not`).length === 0
    return narrower ? [] : [found('NOT_TYPE_EXTENDED', `${path}/not`, 'the reader refuses more than the writer did')]
  }

  // ── objects ───────────────────────────────────────────────────────────────────────────────────────────────────────

  private compareObjects(writer: Located, reader: Located, path: string): Incompatibility[] {
    const from = keywords(writer.node)
    const to = keywords(reader.node)
    return [
      ...this.compareProperties(writer, reader, path),
      ...this.compareDependencies(writer, reader, path),
      ...this.compareAdditional(writer, reader, path),
      ...compareBounds(from, to, path, 'PROPERTIES'),
    ]
  }

  private compareProperties(writer: Located, reader: Located, path: string): Incompatibility[] {
    const from = objectOf(keywords(writer.node)['properties'])
    const to = objectOf(keywords(reader.node)['properties'])
    const required = { from: namesOf(keywords(writer.node)['required']), to: namesOf(keywords(reader.node)['required']) }
    return [...new Set([...Object.keys(from), ...Object.keys(to)])].flatMap((name) => {
      const at = `${path}/properties/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
      if (!Object.hasOwn(to, name)) return this.compareRemoved(writer, reader, name, at)
      if (!Object.hasOwn(from, name)) return this.compareAdded(writer, reader, name, at)
      const problems = this.compare(
        { node: from[name], document: writer.document },
        { node: to[name], document: reader.document },
        at,
      )
      if (required.to.includes(name) && !required.from.includes(name) && !hasDefault(to[name])) {
        const what = `the property '${name}' is required by the reader and was not by the writer`
        problems.push(found('REQUIRED_ATTRIBUTE_ADDED', `${path}/required/${name}`, what))
      }
      return problems
    })
  }

  private compareRemoved(writer: Located, reader: Located, name: string, path: string): Incompatibility[] {
    if (isOpen(reader.node)) return []
    const was = objectOf(keywords(writer.node)['properties'])[name]
    const covering = coveringSchema(reader.node, name)
    if (covering === undefined) {
      if (was === false) return []
      const what = `the property '${name}' is not accepted by the reader, whose object is closed, but may have been written`
      return [found('PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL', path, what)]
    }
    const inner = this.compare({ node: was, document: writer.document }, { node: covering, document: reader.document }, path)
    if (inner.length === 0) return []
    const what = `the property '${name}' is not accepted by what the reader says about further properties`
    return [...inner, found('PROPERTY_REMOVED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL', path, what)]
  }

  private compareAdded(writer: Located, reader: Located, name: string, path: string): Incompatibility[] {
    const added = objectOf(keywords(reader.node)['properties'])[name]
    if (isOpen(writer.node)) {
      if (acceptsAll(added)) return []
      const what = `the property '${name}' is new to the reader, but as the writer's object is open, anything may have been written there`
      return [found('PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL', path, what)]
    }
    const problems: Incompatibility[] = []
    const covering = coveringSchema(writer.node, name)
    if (covering !== undefined) {
      const inner = this.compare({ node: covering, document: writer.document }, { node: added, document: reader.document }, path)
      const what = `the property '${name}' is new to the reader and narrower than what the writer says about further properties`
      if (inner.length > 0)
        problems.push(...inner, found('PROPERTY_ADDED_NOT_COVERED_BY_PARTIALLY_OPEN_CONTENT_MODEL', path, what))
    }
    if (namesOf(keywords(reader.node)['required']).includes(name) && !hasDefault(added)) {
      const what = `the property '${name}' is new, required by the reader and has no default`
      problems.push(found('REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL', path, what))
    }
    return problems
  }

  private compareAdditional(writer: Located, reader: Located, path: string): Incompatibility[] {
    const at = `${path}/additionalProperties`
    const from = (keywords(writer.node)['additionalProperties'] ?? true) as JsonNode
    const to = (keywords(reader.node)['additionalProperties'] ?? true) as JsonNode
    if (from === false || acceptsAll(to)) return []
    if (to === false) {
      return [
        found('ADDITIONAL_PROPERTIES_REMOVED', at, 'further properties may have been written, which the reader does not accept'),
      ]
    }
    if (acceptsAll(from)) {
      return [
        found('ADDITIONAL_PROPERTIES_NARROWED', at, 'any further properties may have been written, the reader accepts only some'),
      ]
    }
    return this.compare({ node: from, document: writer.document }, { node: to, document: reader.document }, at)
  }

  private compareDependencies(writer: Located, reader: Located, path: string): Incompatibility[] {
    const from = dependenciesOf(writer.node)
    const to = dependenciesOf(reader.node)
    return Object.entries(to).flatMap(([name, wanted]) => {
      const at = `${path}/dependencies/${name}`
      const had = from[name]
      if (Array.isArray(wanted)) {
        if (had === undefined)
          return [found('DEPENDENCY_ARRAY_ADDED', at, `the reader asks for [${wanted.join(', ')}] beside '${name}'`)]
        const more = wanted.filter((property) => !Array.isArray(had) || !had.includes(property))
        if (more.length === 0) return []
        return [found('DEPENDENCY_ARRAY_EXTENDED', at, `the reader also asks for [${more.join(', ')}] beside '${name}'`)]
      }
      if (had === undefined || Array.isArray(had))
        return [found('DEPENDENCY_SCHEMA_ADDED', at, `the reader asks for more where there is '${name}'`)]
      return this.compare(
        { node: had as JsonNode, document: writer.document },
        { node: wanted as JsonNode, document: reader.document },
        at,
      )
    })
  }

  // ── arrays ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private compareArrays(writer: Located, reader: Located, path: string): Incompatibility[] {
    const from = keywords(writer.node)
    const to = keywords(reader.node)
    const problems = compareBounds(from, to, path, 'ITEMS')
    if (to['uniqueItems'] === true && from['uniqueItems'] !== true)
      problems.push(found('UNIQUE_ITEMS_ADDED', `${path}/uniqueItems`, 'the reader wants items to be unique'))
    const [wrote, read] = [itemsOf(from), itemsOf(to)]
    for (let index = 0; index < Math.max(wrote.tuple.length, read.tuple.length); index++) {
      const at = `${path}/items/${index}`
      problems.push(
        ...this.compare(
          { node: wrote.tuple[index] ?? wrote.rest, document: writer.document },
          { node: read.tuple[index] ?? read.rest, document: reader.document },
          at,
        ),
      )
    }
    const at = read.tuple.length > 0 ? `${path}/additionalItems` : `${path}/items`
    return [
      ...problems,
      ...this.compare({ node: wrote.rest, document: writer.document }, { node: read.rest, document: reader.document }, at),
    ]
  }
}

function dereferenced(located: Located): Located {
  let at = located
  // A chain of references this long is a circle.
  for (let hops = 0; hops < 32; hops++) {
    const reference = typeof at.node === 'object' ? at.node['$ref'] : undefined
    if (typeof reference !== 'string') return at
    const next = at.document.resolve(reference)
    if (next === undefined) return { node: true, document: at.document }
    at = next
  }
  return { node: true, document: at.document }
}

function acceptsAll(node: JsonNode): boolean {
  return node === true || (typeof node === 'object' && Object.keys(node).every((key) => ANNOTATIONS.has(key)))
}

function keywords(node: JsonNode): Keywords {
  return typeof node === 'boolean' ? {} : node
}

function parts(node: JsonNode): { plain: JsonNode; combined: [(typeof COMBINATORS)[number], readonly JsonNode[]][] } {
  if (typeof node === 'boolean') return { plain: node, combined: [] }
  const combined = COMBINATORS.flatMap((key): [(typeof COMBINATORS)[number], readonly JsonNode[]][] =>
    Array.isArray(node[key]) ? [[key, node[key] as readonly JsonNode[]]] : [],
  )
  if (combined.length === 0) return { plain: node, combined }
  const plain = Object.fromEntries(Object.entries(node).filter(([key]) => !(COMBINATORS as readonly string[]).includes(key)))
  return { plain, combined }
}

/** The ways to split what the writer wrote into alternatives. */
function sumsOf({ node, document }: Located): Located[][] {
  const { combined } = parts(node)
  const sums = combined.filter(([criterion]) => criterion !== 'allOf')
  const lists = sums.map(([, schemas]) => schemas.map((schema): Located => dereferenced({ node: schema, document })))
  const types = keywords(node)['type']
  if (Array.isArray(types)) lists.push(types.map((type): Located => ({ node: { ...keywords(node), type }, document })))
  return lists
}

function typesOf(of: Keywords): string[] {
  const { type } = of
  if (type === undefined) return valueTypes(of) ?? ALL_TYPES
  return Array.isArray(type) ? type : [type as string]
}

/** Of a schema that says its values one by one, and not their type. */
function valueTypes(of: Keywords): string[] | undefined {
  const values = valuesOf(of)
  if (values === undefined) return undefined
  const typeOf = (value: unknown) => {
    if (value === null) return 'null'
    if (Array.isArray(value)) return 'array'
    const number = numberIn(value)
    if (number !== undefined) return Number.isInteger(number) ? 'integer' : 'number'
    return typeof value
  }
  return [...new Set(values.map(typeOf))]
}

function compareTypes(from: Keywords, to: Keywords, path: string): Incompatibility[] {
  if (to['type'] === undefined) return []
  const [wrote, read] = [typesOf(from), typesOf(to)]
  const accepted = (type: string) => read.includes(type) || (type === 'integer' && read.includes('number'))
  const lost = wrote.filter((type) => !accepted(type))
  if (lost.length === 0) return []
  const isNarrower = lost.length < wrote.length || (wrote.includes('number') && read.includes('integer'))
  const what = `the type is ${read.join(' or ')} for the reader, and may be ${lost.join(' or ')} as it was written`
  return [found(isNarrower ? 'TYPE_NARROWED' : 'TYPE_CHANGED', path, what)]
}

function valuesOf(of: Keywords): readonly unknown[] | undefined {
  if (Object.hasOwn(of, 'const')) return [of['const']]
  return Array.isArray(of['enum']) ? of['enum'] : undefined
}

function compareEnum(from: Keywords, to: Keywords, path: string): Incompatibility[] {
  const read = valuesOf(to)
  if (read === undefined) return []
  const wrote = valuesOf(from)
  const at = `${path}/${Object.hasOwn(to, 'const') ? 'const' : 'enum'}`
  if (wrote === undefined) return [found('ENUM_ARRAY_ADDED', at, 'the reader accepts some values only, the writer wrote any')]
  const texts = new Set(read.map((value) => JSON.stringify(sortedJson(value))))
  const lost = wrote.map((value) => JSON.stringify(sortedJson(value))).filter((text) => !texts.has(text))
  if (lost.length === 0) return []
  const type = lost.length < wrote.length && read.length < wrote.length ? 'ENUM_ARRAY_NARROWED' : 'ENUM_ARRAY_CHANGED'
  return [found(type, at, `the reader does not accept the value${lost.length > 1 ? 's' : ''} ${lost.join(', ')}`)]
}

function comparePattern(from: Keywords, to: Keywords, path: string): Incompatibility[] {
  if (to['pattern'] === undefined || to['pattern'] === from['pattern']) return []
  const type = from['pattern'] === undefined ? 'PATTERN_ADDED' : 'PATTERN_CHANGED'
  return [found(type, `${path}/pattern`, `the reader wants text to match ${JSON.stringify(to['pattern'])}`)]
}

function compareNumbers(from: Keywords, to: Keywords, path: string): Incompatibility[] {
  const problems = [
    ...compareBound(from, to, path, 'maximum', 'MAXIMUM', 1),
    ...compareBound(from, to, path, 'minimum', 'MINIMUM', -1),
    ...compareBound(from, to, path, 'exclusiveMaximum', 'EXCLUSIVE_MAXIMUM', 1),
    ...compareBound(from, to, path, 'exclusiveMinimum', 'EXCLUSIVE_MINIMUM', -1),
  ]
  const [wrote, read] = [numberIn(from['multipleOf']), numberIn(to['multipleOf'])]
  if (read !== undefined && (wrote === undefined || wrote % read !== 0)) {
    const type = wrote === undefined ? 'MULTIPLE_OF_ADDED' : 'MULTIPLE_OF_CHANGED'
    problems.push(found(type, `${path}/multipleOf`, `the reader wants multiples of ${read}`))
  }
  return problems
}

/** `maxLength` and `minLength`, `maxItems` and `minItems`, and so on. */
function compareBounds(from: Keywords, to: Keywords, path: string, of: 'LENGTH' | 'ITEMS' | 'PROPERTIES'): Incompatibility[] {
  const word = `${of[0]}${of.slice(1).toLowerCase()}`
  return [
    ...compareBound(from, to, path, `max${word}`, `MAX_${of}`, 1),
    ...compareBound(from, to, path, `min${word}`, `MIN_${of}`, -1),
  ]
}

/** `side` is 1 for an upper bound, -1 for a lower one. */
function compareBound(from: Keywords, to: Keywords, path: string, key: string, name: string, side: 1 | -1): Incompatibility[] {
  const [wrote, read] = [numberIn(from[key]), numberIn(to[key])]
  if (read === undefined || (wrote !== undefined && wrote * side <= read * side)) return []
  if (wrote === undefined) return [found(`${name}_ADDED`, `${path}/${key}`, `the reader's ${key} of ${read} is new`)]
  const type = side === 1 ? `${name}_DECREASED` : `${name}_INCREASED`
  return [found(type, `${path}/${key}`, `${key} is ${read} for the reader and ${wrote} for the writer`)]
}

function objectOf(value: unknown): Readonly<Record<string, JsonNode>> {
  return isObject(value) ? (value as Record<string, JsonNode>) : {}
}

function namesOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value : []
}

function hasDefault(node: JsonNode): boolean {
  return typeof node === 'object' && Object.hasOwn(node, 'default')
}

function isOpen(node: JsonNode): boolean {
  const { additionalProperties, patternProperties } = keywords(node)
  return Object.keys(objectOf(patternProperties)).length === 0 && acceptsAll((additionalProperties ?? true) as JsonNode)
}

/** What an object that is neither open nor closed says about a property that it does not name. */
function coveringSchema(node: JsonNode, name: string): JsonNode | undefined {
  const { additionalProperties, patternProperties } = keywords(node)
  for (const [pattern, schema] of Object.entries(objectOf(patternProperties))) if (matches(pattern, name)) return schema
  return additionalProperties === false || additionalProperties === undefined ? undefined : (additionalProperties as JsonNode)
}

/** In linear time: patterns come from outside. Those with look-around, which cannot be had in linear time, match nothing. */
function matches(pattern: string, name: string): boolean {
  try {
    return RE2JS.compile(pattern).matcher(name).find()
  } catch {
    return false
  }
}

function dependenciesOf(node: JsonNode): Readonly<Record<string, unknown>> {
  const { dependencies, dependentRequired, dependentSchemas } = keywords(node)
  return { ...objectOf(dependencies), ...objectOf(dependentRequired), ...objectOf(dependentSchemas) }
}

/** Positions with a schema of their own, and the schema of all behind them; both spellings, before 2020-12 and since. */
function itemsOf(of: Keywords): { tuple: readonly JsonNode[]; rest: JsonNode } {
  const { prefixItems, items, additionalItems } = of
  if (Array.isArray(prefixItems)) return { tuple: prefixItems, rest: (items ?? true) as JsonNode }
  if (Array.isArray(items)) return { tuple: items, rest: (additionalItems ?? true) as JsonNode }
  return { tuple: [], rest: (items ?? true) as JsonNode }
}

function found(errorType: string, path: string, description: string): Incompatibility {
  return { errorType, path, description }
}

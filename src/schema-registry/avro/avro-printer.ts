// An Avro schema as text, in the order in which Avro's own libraries write it: the same schema gives the same text, whoever formatted it.

import { sortedJson } from '../json-text.ts'
import { type AvroField, type AvroType, fullName, isNamed, type NamedType, type Properties } from './avro-type.ts'

/**
 * `known` are the full names that references define: those are named, not written out. `normalize` puts what Avro gives no order
 * (annotations, logical types) into one.
 */
export function printAvro(type: AvroType, known: Iterable<string>, normalize = false): string {
  return JSON.stringify(new AvroPrinter(new Set(known), normalize).print(type, ''))
}

class AvroPrinter {
  private readonly written: Set<string>
  private readonly normalize: boolean

  constructor(written: Set<string>, normalize: boolean) {
    this.written = written
    this.normalize = normalize
  }

  print(type: AvroType, namespace: string): unknown {
    if (type.type === 'union') return type.branches.map((branch) => this.print(branch, namespace))
    if (isNamed(type)) return this.named(type, namespace)
    const properties = this.properties(type.properties)
    if (type.type === 'array') return { type: 'array', items: this.print(type.items, namespace), ...properties }
    if (type.type === 'map') return { type: 'map', values: this.print(type.values, namespace), ...properties }
    return Object.keys(properties).length === 0 ? type.type : { type: type.type, ...properties }
  }

  private named(type: NamedType, namespace: string): unknown {
    const full = fullName(type)
    if (this.written.has(full)) return type.namespace === namespace ? type.name : full
    this.written.add(full)
    return {
      type: type.type,
      name: type.name,
      ...(type.namespace !== namespace && { namespace: type.namespace }),
      ...(type.doc !== undefined && { doc: type.doc }),
      ...this.body(type),
      ...this.properties(type.properties),
      ...(type.aliases.length > 0 && { aliases: type.aliases.map((alias) => relative(alias, type.namespace)) }),
    }
  }

  private body(type: NamedType): Record<string, unknown> {
    if (type.type === 'fixed') return { size: type.size }
    if (type.type === 'enum') return { symbols: type.symbols, ...(type.default !== undefined && { default: type.default }) }
    return { fields: type.fields.map((field) => this.field(field, type.namespace)) }
  }

  private field(field: AvroField, namespace: string): unknown {
    return {
      name: field.name,
      type: this.print(field.type, namespace),
      ...(field.doc !== undefined && { doc: field.doc }),
      ...(field.hasDefault && { default: field.default }),
      ...(field.order !== undefined && field.order !== 'ascending' && { order: field.order }),
      ...(field.aliases.length > 0 && { aliases: field.aliases }),
      ...this.properties(field.properties),
    }
  }

  private properties(properties: Properties): Properties {
    return this.normalize ? (sortedJson(properties) as Properties) : properties
  }
}

function relative(name: string, namespace: string): string {
  return namespace !== '' && name.startsWith(`${namespace}.`) && !name.slice(namespace.length + 1).includes('.')
    ? name.slice(namespace.length + 1)
    : name
}

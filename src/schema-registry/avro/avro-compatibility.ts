// Whether a reader's Avro schema can read what was written with another: the rules of schema resolution in Avro's specification, asked
// of the schemas alone.

import type { Incompatibility } from '../schema.ts'
import { type AvroField, type AvroType, fullName, isNamed, type NamedType, type RecordType } from './avro-type.ts'

/** What may be read as something wider. */
const PROMOTIONS: Readonly<Record<string, readonly string[]>> = {
  long: ['int'],
  float: ['int', 'long'],
  double: ['int', 'long', 'float'],
  string: ['bytes'],
  bytes: ['string'],
}

/** All that the reader cannot read, in the order of its schema. Paths are JSON pointers into the reader's schema. */
export function avroIncompatibilities(reader: AvroType, writer: AvroType): Incompatibility[] {
  return new AvroComparison().compare(reader, writer, '')
}

class AvroComparison {
  /**
   * What was found for a pair of named types, by reader. One that is being compared further up is taken to agree: the comparison
   * there will say. Without this, records that name others twice would take exponential time.
   */
  private readonly results = new Map<NamedType, Map<NamedType, Incompatibility[]>>()

  compare(reader: AvroType, writer: AvroType, path: string): Incompatibility[] {
    if (writer.type === 'union') {
      if (reader.type !== 'union' && writer.branches.length === 1) return this.compare(reader, writer.branches[0], path)
      return writer.branches.flatMap((branch, index) => {
        const at = reader.type === 'union' ? `${path}/${index}` : path
        return this.compare(reader, branch, at)
      })
    }
    if (reader.type === 'union') return this.compareBranches(reader.branches, writer, path)
    if (reader.type !== writer.type) {
      if (PROMOTIONS[reader.type]?.includes(writer.type)) return []
      return [found('TYPE_MISMATCH', path, `the reader's type ${nameOf(reader)} cannot read the writer's type ${nameOf(writer)}`)]
    }
    if (reader.type === 'array' && writer.type === 'array') return this.compare(reader.items, writer.items, `${path}/items`)
    if (reader.type === 'map' && writer.type === 'map') return this.compare(reader.values, writer.values, `${path}/values`)
    if (isNamed(reader) && isNamed(writer)) return this.compareNamed(reader, writer, path)
    return []
  }

  private compareBranches(branches: readonly AvroType[], writer: AvroType, path: string): Incompatibility[] {
    let nearest: Incompatibility[] | undefined
    for (const [index, branch] of branches.entries()) {
      const problems = this.compare(branch, writer, `${path}/${index}`)
      if (problems.length === 0) return []
      // A record of the same name that differs inside says more than "no branch fits".
      if (isNamed(branch) && isNamed(writer) && branch.name === writer.name) nearest = problems
    }
    return (
      nearest ?? [found('MISSING_UNION_BRANCH', path, `the reader's union has no branch for the writer's type ${nameOf(writer)}`)]
    )
  }

  private compareNamed(reader: NamedType, writer: NamedType, path: string): Incompatibility[] {
    const results = this.results.get(reader) ?? new Map<NamedType, Incompatibility[]>()
    const known = results.get(writer)
    // Said once in full; the first is enough to say that it does not fit here either.
    if (known !== undefined) return known.slice(0, 1)
    const problems: Incompatibility[] = []
    this.results.set(reader, results.set(writer, problems))
    // Namespaces may differ, as in Avro's own libraries.
    if (reader.name !== writer.name && !reader.aliases.includes(fullName(writer))) {
      const what = `the reader's name ${fullName(reader)} is not the writer's ${fullName(writer)}, nor is that an alias`
      problems.push(found('NAME_MISMATCH', `${path}/name`, what))
    }
    if (reader.type === 'enum' && writer.type === 'enum') {
      const missing = writer.symbols.filter((symbol) => !reader.symbols.includes(symbol))
      if (missing.length > 0 && reader.default === undefined) {
        const what = `the enum ${fullName(reader)} lacks the writer's symbols [${missing.join(', ')}] and has no default`
        problems.push(found('MISSING_ENUM_SYMBOLS', `${path}/symbols`, what))
      }
    } else if (reader.type === 'fixed' && writer.type === 'fixed') {
      if (reader.size !== writer.size) {
        const what = `the fixed ${fullName(reader)} has ${reader.size} bytes for the reader and ${writer.size} for the writer`
        problems.push(found('FIXED_SIZE_MISMATCH', `${path}/size`, what))
      }
    } else if (isRecord(reader) && isRecord(writer)) problems.push(...this.compareFields(reader, writer, path))
    return problems
  }

  private compareFields(reader: RecordType, writer: RecordType, path: string): Incompatibility[] {
    return reader.fields.flatMap((field, index) => {
      const written = writerField(field, writer)
      const at = `${path}/fields/${index}`
      if (written !== undefined) return this.compare(field.type, written.type, `${at}/type`)
      if (field.hasDefault || (field.type.type === 'enum' && field.type.default !== undefined)) return []
      const what = `the reader's field '${field.name}' of ${fullName(reader)} has no default value and is missing in the writer's schema`
      return [found('READER_FIELD_MISSING_DEFAULT_VALUE', at, what)]
    })
  }
}

function writerField(field: AvroField, writer: RecordType): AvroField | undefined {
  return writer.fields.find(({ name }) => name === field.name) ?? writer.fields.find(({ name }) => field.aliases.includes(name))
}

function isRecord(type: AvroType): type is RecordType {
  return type.type === 'record' || type.type === 'error'
}

function nameOf(type: AvroType): string {
  return isNamed(type) ? `${type.type} ${fullName(type)}` : type.type
}

function found(errorType: string, path: string, description: string): Incompatibility {
  return { errorType, path: path === '' ? '/' : path, description }
}

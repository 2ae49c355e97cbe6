// Whether a reader with one .proto file can read what was written with another: by field numbers and by what the wire makes of types.

import type { Incompatibility } from '../schema.ts'
import { isScalar, type ProtoField, type ProtoFile, type ProtoMessage } from './proto-file.ts'
import { qualified, type TypeTable } from './proto-types.ts'

export interface ProtoWorld {
  readonly file: ProtoFile
  readonly types: TypeTable
}

/** Types that are the same on the wire. Enums are integers there. */
const WIRE_KINDS: Readonly<Record<string, string>> = {
  int32: 'varint',
  int64: 'varint',
  uint32: 'varint',
  uint64: 'varint',
  bool: 'varint',
  sint32: 'zigzag',
  sint64: 'zigzag',
  fixed32: '32 bits',
  sfixed32: '32 bits',
  fixed64: '64 bits',
  sfixed64: '64 bits',
  string: 'text or bytes',
  bytes: 'text or bytes',
  float: 'float',
  double: 'double',
}

/** Paths are full names: `pkg.Message.field`. */
export function protoIncompatibilities(reader: ProtoWorld, writer: ProtoWorld): Incompatibility[] {
  const [to, from] = [reader.file, writer.file]
  const problems: Incompatibility[] = []
  if (from.package !== to.package) {
    const what = `the package is '${to.package}' for the reader and '${from.package}' for the writer`
    problems.push(found('PACKAGE_CHANGED', '/', what))
  }
  const comparison = new ProtoComparison(reader, writer)
  return [...problems, ...comparison.messages(to.messages, from.messages, to.package, from.package)]
}

class ProtoComparison {
  private readonly reader: ProtoWorld
  private readonly writer: ProtoWorld

  constructor(reader: ProtoWorld, writer: ProtoWorld) {
    this.reader = reader
    this.writer = writer
  }

  messages(to: readonly ProtoMessage[], from: readonly ProtoMessage[], toScope: string, fromScope: string): Incompatibility[] {
    return from.flatMap((message) => {
      const same = to.find(({ name }) => name === message.name)
      const name = qualified(toScope, message.name)
      if (same === undefined) return [found('MESSAGE_REMOVED', name, `message ${name} is missing in the reader's schema`)]
      const nested = this.messages(same.messages, message.messages, name, qualified(fromScope, message.name))
      return [...this.message(same, message, name, qualified(fromScope, message.name)), ...nested]
    })
  }

  private message(to: ProtoMessage, from: ProtoMessage, toName: string, fromName: string): Incompatibility[] {
    const problems = from.fields.flatMap((field) => {
      const same = to.fields.find(({ number }) => number === field.number)
      const path = `${toName}.${field.name}`
      if (same !== undefined) return this.field(same, field, toName, fromName)
      if (field.label === 'required')
        return [
          found(
            'REQUIRED_FIELD_REMOVED',
            path,
            `the required field '${field.name}' (${field.number}) is missing in the reader's schema`,
          ),
        ]
      if (field.oneof !== undefined && to.oneofs.some(({ name }) => name === field.oneof)) {
        const what = `the field '${field.name}' (${field.number}) of oneof '${field.oneof}' is missing in the reader's schema`
        return [found('ONEOF_FIELD_REMOVED', path, what)]
      }
      return []
    })
    for (const field of to.fields) {
      if (field.label !== 'required' || from.fields.some(({ number }) => number === field.number)) continue
      const what = `the field '${field.name}' (${field.number}) is required by the reader and missing in the writer's schema`
      problems.push(found('REQUIRED_FIELD_ADDED', `${toName}.${field.name}`, what))
    }
    return [...problems, ...oneofs(to, from, toName)]
  }

  private field(to: ProtoField, from: ProtoField, toName: string, fromName: string): Incompatibility[] {
    const path = `${toName}.${to.name}`
    const field = `the field '${to.name}' (${to.number})`
    const [read, wrote] = [this.kind(to, this.reader, toName), this.kind(from, this.writer, fromName)]
    if (read.kind !== wrote.kind) {
      const type = read.isScalar && wrote.isScalar ? 'FIELD_SCALAR_KIND_CHANGED' : 'FIELD_KIND_CHANGED'
      return [
        found(type, path, `${field} is ${read.name} for the reader and ${wrote.name} for the writer, which differ on the wire`),
      ]
    }
    if (read.kind === 'message' && read.name !== wrote.name) {
      return [
        found('FIELD_NAMED_TYPE_CHANGED', path, `${field} is a ${read.name} for the reader and a ${wrote.name} for the writer`),
      ]
    }
    if (read.kind === 'map') {
      // An entry is a message of two fields.
      return [
        ...this.field(mapPart(to, 'key'), mapPart(from, 'key'), path, `${fromName}.${from.name}`),
        ...this.field(mapPart(to, 'value'), mapPart(from, 'value'), path, `${fromName}.${from.name}`),
      ]
    }
    const isRepeated = (of: ProtoField) => of.label === 'repeated'
    if (isRepeated(to) !== isRepeated(from) && read.kind !== 'message' && read.kind !== 'text or bytes') {
      const what = `${field} is ${isRepeated(to) ? '' : 'not '}repeated for the reader and ${isRepeated(from) ? '' : 'not '}for the writer`
      return [found('FIELD_NUMERIC_LABEL_CHANGED', path, what)]
    }
    if ((to.label === 'required') !== (from.label === 'required')) {
      if (to.label === 'required')
        return [found('REQUIRED_FIELD_ADDED', path, `${field} is required by the reader and not by the writer`)]
      return [found('REQUIRED_FIELD_REMOVED', path, `${field} is required by the writer and not by the reader`)]
    }
    return []
  }

  private kind(field: ProtoField, { types }: ProtoWorld, scope: string): { kind: string; name: string; isScalar: boolean } {
    if (field.keyType !== undefined) return { kind: 'map', name: `map<${field.keyType}, ${field.type}>`, isScalar: false }
    if (isScalar(field.type)) return { kind: WIRE_KINDS[field.type], name: field.type, isScalar: true }
    const type = types.resolve(field.type, scope)
    if (type?.kind === 'enum') return { kind: 'varint', name: `enum ${type.name}`, isScalar: true }
    return { kind: 'message', name: type?.name ?? field.type.replace(/^\./, ''), isScalar: false }
  }
}

/** Two fields that were independent cannot both be set once they share a oneof. */
function oneofs(to: ProtoMessage, from: ProtoMessage, name: string): Incompatibility[] {
  return to.oneofs.flatMap((oneof) => {
    const members = to.fields.filter((field) => field.oneof === oneof.name)
    const moved = members.filter((field) => {
      const before = from.fields.find(({ number }) => number === field.number)
      return before !== undefined && before.oneof === undefined
    })
    const path = `${name}.${oneof.name}`
    const names = moved.map((field) => `'${field.name}'`).join(', ')
    if (moved.length > 1) {
      return [
        found('MULTIPLE_FIELDS_MOVED_TO_ONEOF', path, `the fields ${names} were independent and share the oneof '${oneof.name}'`),
      ]
    }
    const existed = members.some((field) =>
      from.fields.some(({ number, oneof }) => number === field.number && oneof !== undefined),
    )
    if (moved.length === 1 && existed) {
      return [
        found('FIELD_MOVED_TO_EXISTING_ONEOF', path, `the field ${names} was independent and joins the oneof '${oneof.name}'`),
      ]
    }
    return []
  })
}

function mapPart(field: ProtoField, part: 'key' | 'value'): ProtoField {
  const type = part === 'key' ? (field.keyType ?? field.type) : field.type
  return { ...field, name: part, number: part === 'key' ? 1 : 2, type, keyType: undefined, label: undefined, oneof: undefined }
}

function found(errorType: string, path: string, description: string): Incompatibility {
  return { errorType, path, description }
}

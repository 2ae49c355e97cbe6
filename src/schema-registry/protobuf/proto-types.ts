// Which message or enum a name in a .proto file means: its own, those of its imports, those that every compiler knows.

import { isScalar, type ProtoFile, type ProtoMessage } from './proto-file.ts'

export type TypeKind = 'message' | 'enum'

export interface ResolvedType {
  /** With its package, without a dot in front. */
  readonly name: string
  readonly kind: TypeKind
}

/** What protoc brings along, by the file that defines it. Whoever imports these need not register them. */
const WELL_KNOWN: Readonly<Record<string, readonly string[]>> = {
  'google/protobuf/any.proto': ['Any'],
  'google/protobuf/api.proto': ['Api', 'Method', 'Mixin'],
  'google/protobuf/duration.proto': ['Duration'],
  'google/protobuf/empty.proto': ['Empty'],
  'google/protobuf/field_mask.proto': ['FieldMask'],
  'google/protobuf/source_context.proto': ['SourceContext'],
  'google/protobuf/struct.proto': ['Struct', 'Value', 'ListValue', '=NullValue'],
  'google/protobuf/timestamp.proto': ['Timestamp'],
  'google/protobuf/type.proto': ['Type', 'Field', 'Enum', 'EnumValue', 'Option', '=Syntax'],
  'google/protobuf/wrappers.proto': [
    'DoubleValue',
    'FloatValue',
    'Int64Value',
    'UInt64Value',
    'Int32Value',
    'UInt32Value',
    'BoolValue',
    'StringValue',
    'BytesValue',
  ],
}

export function isWellKnownImport(path: string): boolean {
  return /^(google\/(protobuf|type|api)|confluent)\//.test(path)
}

export class TypeTable {
  private readonly kinds = new Map<string, TypeKind>()

  /** `files` are the file itself and all that it imports, directly or not. */
  constructor(files: readonly ProtoFile[]) {
    for (const file of files) {
      const add = (prefix: string, messages: readonly ProtoMessage[], enums: readonly { readonly name: string }[]) => {
        for (const { name } of enums) this.kinds.set(qualified(prefix, name), 'enum')
        for (const message of messages) {
          const name = qualified(prefix, message.name)
          this.kinds.set(name, 'message')
          add(name, message.messages, message.enums)
        }
      }
      add(file.package, file.messages, file.enums)
      for (const { path } of file.imports) {
        for (const name of WELL_KNOWN[path] ?? []) {
          this.kinds.set(`google.protobuf.${name.replace('=', '')}`, name.startsWith('=') ? 'enum' : 'message')
        }
      }
    }
  }

  /** `scope` is the full name of the message in which the name stands, or the package: looked for from the inside out. */
  resolve(name: string, scope: string): ResolvedType | undefined {
    if (name.startsWith('.')) {
      const kind = this.kinds.get(name.slice(1))
      return kind === undefined ? undefined : { name: name.slice(1), kind }
    }
    for (let at = scope; ; at = at.includes('.') ? at.slice(0, at.lastIndexOf('.')) : '') {
      const candidate = qualified(at, name)
      const kind = this.kinds.get(candidate)
      if (kind !== undefined) return { name: candidate, kind }
      if (at === '') return undefined
    }
  }
}

/** Calls `visit` for each message with its full name, those inside others included. */
export function eachMessage(file: ProtoFile, visit: (message: ProtoMessage, name: string) => void): void {
  const walk = (messages: readonly ProtoMessage[], prefix: string) => {
    for (const message of messages) {
      const name = qualified(prefix, message.name)
      visit(message, name)
      walk(message.messages, name)
    }
  }
  walk(file.messages, file.package)
}

/** The first type that nobody defines, as a sentence. */
export function unknownType(file: ProtoFile, types: TypeTable): string | undefined {
  let complaint: string | undefined
  eachMessage(file, (message, name) => {
    for (const field of message.fields) {
      if (isScalar(field.type) || types.resolve(field.type, name) !== undefined) continue
      complaint ??= `field "${field.name}" of message ${name}: the type "${field.type}" is not defined: not here, not in an import`
    }
  })
  return complaint
}

export function qualified(prefix: string, name: string): string {
  return prefix === '' ? name : `${prefix}.${name}`
}

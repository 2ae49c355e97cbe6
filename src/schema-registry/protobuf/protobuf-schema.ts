// Protobuf as a language of the registry. A schema comes as the text of a .proto file, or as the base64 of its descriptor.

import { type Incompatibility, type ParsedSchema, type ResolvedReference, SchemaSyntaxError } from '../schema.ts'
import { protoIncompatibilities } from './proto-compatibility.ts'
import { decodeDescriptor, encodeDescriptor } from './proto-descriptor.ts'
import type { ProtoFile, ProtoMessage } from './proto-file.ts'
import { isScalar } from './proto-file.ts'
import { parseProto } from './proto-parser.ts'
import { printProto } from './proto-printer.ts'
import { isWellKnownImport, qualified, TypeTable, unknownType } from './proto-types.ts'

/** The name of a file that nobody has named. */
const DEFAULT_NAME = 'default.proto'

export class ProtobufSchema implements ParsedSchema {
  readonly type = 'PROTOBUF'
  readonly canonical: string
  readonly file: ProtoFile
  readonly types: TypeTable

  /** Throws SchemaSyntaxError. */
  constructor(text: string, references: readonly ResolvedReference[], isNew: boolean) {
    this.file = parseEither(text)
    const imported = references.map(({ schema }) => parseEither(schema))
    this.types = new TypeTable([this.file, ...imported])
    this.canonical = printProto(this.file)
    if (!isNew) return
    const missing = this.file.imports.find(
      ({ path }) => !isWellKnownImport(path) && !references.some(({ name }) => name === path),
    )
    if (missing !== undefined) throw new SchemaSyntaxError(`the import "${missing.path}" is no reference of this schema`)
    const unknown = unknownType(this.file, this.types)
    // What the well-known files beside google/protobuf define is not listed here.
    const isListed = this.file.imports.every(({ path }) => !isWellKnownImport(path) || path.startsWith('google/protobuf/'))
    if (unknown !== undefined && isListed) throw new SchemaSyntaxError(unknown)
  }

  /** Types by their full names; fields, values and imports sorted. Messages stay where they are: their order is in the data. */
  normalized(): string {
    const { file, types } = this
    const sorted = (message: ProtoMessage, scope: string): ProtoMessage => {
      const name = qualified(scope, message.name)
      return {
        ...message,
        fields: message.fields
          .map((field) => {
            const found = isScalar(field.type) || field.isGroup ? undefined : types.resolve(field.type, name)
            return { ...field, type: found === undefined ? field.type : `.${found.name}`, options: byName(field.options) }
          })
          .sort((a, b) => a.number - b.number),
        messages: message.messages.map((nested) => sorted(nested, name)),
        enums: message.enums.map((of) => ({ ...of, values: [...of.values].sort((a, b) => a.number - b.number) })),
        options: byName(message.options),
      }
    }
    return printProto({
      ...file,
      imports: [...file.imports].sort((a, b) => (a.path < b.path ? -1 : 1)),
      options: byName(file.options),
      messages: file.messages.map((message) => sorted(message, file.package)),
      enums: file.enums.map((of) => ({ ...of, values: [...of.values].sort((a, b) => a.number - b.number) })),
    })
  }

  cannotRead(writer: ParsedSchema): Incompatibility[] {
    return protoIncompatibilities(this, writer as ProtobufSchema)
  }

  /** `serialized`: base64 of the descriptor. */
  formatted(format: string): string {
    return format === 'serialized' ? encodeDescriptor(this.file, this.types, DEFAULT_NAME).toString('base64') : this.canonical
  }
}

/** What stands in neither keywords nor braces is base64. */
function parseEither(text: string): ProtoFile {
  if (/^[A-Za-z0-9+/\s]+={0,2}\s*$/.test(text)) return decodeDescriptor(Buffer.from(text, 'base64'))
  return parseProto(text)
}

function byName<T extends { readonly name: string }>(options: readonly T[]): T[] {
  return [...options].sort((a, b) => (a.name < b.name ? -1 : 1))
}

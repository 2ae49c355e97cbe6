// .proto files in the form that protoc hands to programs: FileDescriptorProto. Some clients register schemas in it (base64 of the bytes),
// and some ask for them so (`?format=serialized`).

import { createRequire } from 'node:module'
import type { Type } from 'protobufjs'
import { SchemaSyntaxError } from '../schema.ts'
import {
  emptyFile,
  emptyMessage,
  isScalar,
  MAX_FIELD_NUMBER,
  type ProtoEnum,
  type ProtoField,
  type ProtoFile,
  type ProtoMessage,
  type ProtoOption,
  type ProtoService,
} from './proto-file.ts'
import { qualified, type TypeTable } from './proto-types.ts'

/** Loaded when the first descriptor comes by: most registries never see one. */
let loaded: Record<string, Type> | undefined

function descriptors(): Record<string, Type> {
  loaded ??= createRequire(import.meta.url)('protobufjs/ext/descriptor') as Record<string, Type>
  return loaded
}

/** What protobufjs makes of a descriptor: checked by it, and different for each type. */
// biome-ignore lint/suspicious/noExplicitAny: it has the shape of descriptor.proto, which is not described here once more
type Json = Record<string, any>

// ── to descriptors ──────────────────────────────────────────────────────────────────────────────────────────────────

/** The bytes. Types that `types` does not know are taken for messages by the name as written. */
export function encodeDescriptor(file: ProtoFile, types: TypeTable, name: string): Buffer {
  const isProto3 = file.syntax !== 'proto2'
  const writer = new DescriptorWriter(types, isProto3)
  const indexes = (kind: 'public' | 'weak') => file.imports.flatMap((entry, index) => (entry.kind === kind ? [index] : []))
  const type = descriptors()['FileDescriptorProto']
  const json = {
    name,
    ...(file.package !== '' && { package: file.package }),
    dependency: file.imports.map(({ path }) => path),
    publicDependency: indexes('public'),
    weakDependency: indexes('weak'),
    messageType: file.messages.map((message) => writer.message(message, file.package)),
    enumType: file.enums.map(enumJson),
    service: file.services.map((service) => writer.service(service, file.package)),
    extension: writer.extensions(file, file.package),
    ...optionsJson(file.options, 'FileOptions'),
    // proto2 is what a descriptor without a syntax is.
    ...(file.syntax === 'proto3' && { syntax: 'proto3' }),
    ...(file.syntax !== 'proto2' && file.syntax !== 'proto3' && { syntax: 'editions', edition: `EDITION_${file.syntax}` }),
  }
  return Buffer.from(type.encode(type.fromObject(json)).finish())
}

class DescriptorWriter {
  private readonly types: TypeTable
  private readonly isProto3: boolean

  constructor(types: TypeTable, isProto3: boolean) {
    this.types = types
    this.isProto3 = isProto3
  }

  message(message: ProtoMessage, scope: string): Json {
    const name = qualified(scope, message.name)
    const synthetic = message.fields.filter((field) => this.isProto3 && field.label === 'optional' && field.oneof === undefined)
    const oneofs = [...message.oneofs.map((oneof) => oneof.name), ...synthetic.map((field) => `_${field.name}`)]
    const maps = message.fields.filter(({ keyType }) => keyType !== undefined)
    return {
      name: message.name,
      field: message.fields.map((field) => ({
        ...this.field(field, name),
        ...(field.oneof !== undefined && { oneofIndex: oneofs.indexOf(field.oneof) }),
        ...(synthetic.includes(field) && { oneofIndex: oneofs.indexOf(`_${field.name}`), proto3Optional: true }),
      })),
      oneofDecl: oneofs.map((oneof) => ({ name: oneof })),
      nestedType: [
        ...message.messages.map((nested) => this.message(nested, name)),
        ...maps.map((field) => ({
          name: entryName(field),
          field: [
            this.field({ ...field, name: 'key', number: 1, type: field.keyType!, keyType: undefined, options: [] }, name),
            this.field({ ...field, name: 'value', number: 2, keyType: undefined, options: [] }, name),
          ],
          options: { mapEntry: true },
        })),
      ],
      enumType: message.enums.map(enumJson),
      extension: this.extensions(message, name),
      // The end of a range is exclusive here, but in enums.
      extensionRange: message.extensionRanges.map(({ from, to }) => ({ start: from, end: to + 1 })),
      reservedRange: message.reservedRanges.map(({ from, to }) => ({ start: from, end: to + 1 })),
      reservedName: message.reservedNames,
      ...optionsJson(message.options, 'MessageOptions'),
    }
  }

  extensions(of: Pick<ProtoMessage, 'extensions'>, scope: string): Json[] {
    return of.extensions.flatMap(({ extendee, fields }) =>
      fields.map((field) => ({ ...this.field(field, scope), extendee: this.typeName(extendee, scope).typeName })),
    )
  }

  service(service: ProtoService, scope: string): Json {
    return {
      name: service.name,
      method: service.methods.map((method) => ({
        name: method.name,
        inputType: this.typeName(method.inputType, scope).typeName,
        outputType: this.typeName(method.outputType, scope).typeName,
        ...(method.clientStreaming && { clientStreaming: true }),
        ...(method.serverStreaming && { serverStreaming: true }),
        ...optionsJson(method.options, 'MethodOptions'),
      })),
      ...optionsJson(service.options, 'ServiceOptions'),
    }
  }

  private field(field: ProtoField, scope: string): Json {
    const isMap = field.keyType !== undefined
    const label = isMap ? 'repeated' : (field.label ?? 'optional')
    const special = Object.fromEntries(field.options.map(({ name, value }) => [name, value]))
    return {
      name: field.name,
      number: field.number,
      label: `LABEL_${label.toUpperCase()}`,
      ...(isMap
        ? { type: 'TYPE_MESSAGE', typeName: `.${scope}.${entryName(field)}` }
        : isScalar(field.type)
          ? { type: `TYPE_${field.type.toUpperCase()}` }
          : { ...this.typeName(field.type, scope), ...(field.isGroup && { type: 'TYPE_GROUP' }) }),
      jsonName: special['json_name'] === undefined ? jsonName(field.name) : unquoted(special['json_name']),
      ...(special['default'] !== undefined && { defaultValue: unquoted(special['default']) }),
      ...optionsJson(field.options, 'FieldOptions'),
    }
  }

  private typeName(name: string, scope: string): { type: string; typeName: string } {
    const found = this.types.resolve(name, scope)
    return { type: found?.kind === 'enum' ? 'TYPE_ENUM' : 'TYPE_MESSAGE', typeName: `.${found?.name ?? name.replace(/^\./, '')}` }
  }
}

function enumJson(of: ProtoEnum): Json {
  return {
    name: of.name,
    value: of.values.map(({ name, number, options }) => ({ name, number, ...optionsJson(options, 'EnumValueOptions') })),
    reservedRange: of.reservedRanges.map(({ from, to }) => ({ start: from, end: to })),
    reservedName: of.reservedNames,
    ...optionsJson(of.options, 'EnumOptions'),
  }
}

/** Only what descriptors know by name: options of one's own would need the files that define them. */
function optionsJson(options: readonly ProtoOption[], type: string): Json {
  const known = descriptors()[type].fields
  const entries = options
    .map(({ name, value }): [string, string] => [camelCase(name), value])
    .filter(([name]) => known[name] !== undefined)
    .map(([name, value]): [string, unknown] => [
      name,
      value === 'true' ? true : value === 'false' ? false : value.startsWith('"') ? unquoted(value) : value,
    ])
  return entries.length === 0 ? {} : { options: Object.fromEntries(entries) }
}

/** As protoc names the message behind a map. */
function entryName(field: ProtoField): string {
  const name = camelCase(field.name)
  return `${name[0].toUpperCase()}${name.slice(1)}Entry`
}

function jsonName(name: string): string {
  return name.replace(/_+(.?)/g, (_match, letter: string) => letter.toUpperCase())
}

function camelCase(name: string): string {
  return name.replace(/_([a-z0-9])/g, (_match, letter: string) => letter.toUpperCase())
}

function unquoted(value: string): string {
  return value.startsWith('"') ? value.slice(1, -1) : value
}

// ── from descriptors ────────────────────────────────────────────────────────────────────────────────────────────────

/** Throws SchemaSyntaxError for bytes that are no descriptor. */
export function decodeDescriptor(bytes: Buffer): ProtoFile {
  const type = descriptors()['FileDescriptorProto']
  let json: Json
  try {
    json = type.toObject(type.decode(bytes), { enums: String, longs: String })
  } catch (error) {
    throw new SchemaSyntaxError(`neither a .proto file nor a FileDescriptorProto: ${(error as Error).message}`)
  }
  const file = emptyFile()
  file.syntax = json['syntax'] === 'editions' ? String(json['edition']).replace('EDITION_', '') : (json['syntax'] ?? 'proto2')
  file.package = json['package'] ?? ''
  const paths: string[] = json['dependency'] ?? []
  paths.forEach((path, index) => {
    const kind = json['publicDependency']?.includes(index)
      ? 'public'
      : json['weakDependency']?.includes(index)
        ? 'weak'
        : undefined
    file.imports.push({ path, kind })
  })
  file.options.push(...optionsOf(json['options'], 'FileOptions'))
  const isProto3 = file.syntax !== 'proto2'
  file.messages.push(...list(json['messageType']).map((message) => messageOf(message, isProto3)))
  file.enums.push(...list(json['enumType']).map(enumOf))
  file.extensions.push(...extensionsOf(json['extension'], isProto3))
  file.services.push(...list(json['service']).map(serviceOf))
  return file
}

function messageOf(json: Json, isProto3: boolean): ProtoMessage {
  const message = emptyMessage(json['name'])
  const nested = list(json['nestedType'])
  const entries = new Map(nested.filter((type) => type['options']?.mapEntry).map((type) => [type['name'], type]))
  const fields = list(json['field'])
  const synthetic = new Set(fields.filter((field) => field['proto3Optional']).map((field) => field['oneofIndex']))
  const oneofs = list(json['oneofDecl']).map((oneof) => ({ name: oneof['name'] as string, options: [] }))
  message.oneofs.push(...oneofs.filter((_oneof, index) => !synthetic.has(index)))
  for (const field of fields) {
    const entry = field['type'] === 'TYPE_MESSAGE' ? entries.get(String(field['typeName']).split('.').at(-1)) : undefined
    const oneof = field['oneofIndex'] === undefined || field['proto3Optional'] ? undefined : oneofs[field['oneofIndex']]?.name
    const read = fieldOf(field, isProto3, oneof)
    if (entry === undefined) message.fields.push(read)
    else {
      const [key, value] = list(entry['field']).map((part) => fieldOf(part, isProto3, undefined))
      message.fields.push({ ...read, label: undefined, type: value.type, keyType: key.type })
    }
  }
  message.messages.push(...nested.filter((type) => !entries.has(type['name'])).map((type) => messageOf(type, isProto3)))
  message.enums.push(...list(json['enumType']).map(enumOf))
  message.extensions.push(...extensionsOf(json['extension'], isProto3))
  const ranges = (of: unknown) =>
    list(of).map(({ start, end }) => ({ from: start ?? 0, to: Math.min(end - 1, MAX_FIELD_NUMBER) }))
  message.extensionRanges.push(...ranges(json['extensionRange']))
  message.reservedRanges.push(...ranges(json['reservedRange']))
  message.reservedNames.push(...(json['reservedName'] ?? []))
  message.options.push(...optionsOf(json['options'], 'MessageOptions'))
  return message
}

function fieldOf(json: Json, isProto3: boolean, oneof: string | undefined): ProtoField {
  const label = String(json['label'] ?? 'LABEL_OPTIONAL')
    .replace('LABEL_', '')
    .toLowerCase() as 'optional' | 'required' | 'repeated'
  const isPlain = label === 'optional' && (oneof !== undefined || (isProto3 && !json['proto3Optional']))
  const isGroup = json['type'] === 'TYPE_GROUP'
  const typeName = isGroup ? String(json['typeName']).split('.').at(-1)! : json['typeName']
  const options = optionsOf(json['options'], 'FieldOptions')
  if (json['jsonName'] !== undefined && json['jsonName'] !== jsonName(json['name']))
    options.unshift({ name: 'json_name', value: `"${json['jsonName']}"` })
  if (json['defaultValue'] !== undefined) {
    const isText = json['type'] === 'TYPE_STRING' || json['type'] === 'TYPE_BYTES'
    options.unshift({ name: 'default', value: isText ? `"${json['defaultValue']}"` : json['defaultValue'] })
  }
  return {
    name: json['name'],
    number: json['number'],
    label: isPlain ? undefined : label,
    type: typeName ?? String(json['type']).replace('TYPE_', '').toLowerCase(),
    keyType: undefined,
    oneof,
    options,
    isGroup,
  }
}

function enumOf(json: Json): ProtoEnum {
  return {
    name: json['name'],
    values: list(json['value']).map((value) => ({
      name: value['name'],
      number: value['number'] ?? 0,
      options: optionsOf(value['options'], 'EnumValueOptions'),
    })),
    options: optionsOf(json['options'], 'EnumOptions'),
    reservedRanges: list(json['reservedRange']).map(({ start, end }) => ({ from: start ?? 0, to: end ?? 0 })),
    reservedNames: json['reservedName'] ?? [],
  }
}

function serviceOf(json: Json): ProtoService {
  return {
    name: json['name'],
    methods: list(json['method']).map((method) => ({
      name: method['name'],
      inputType: method['inputType'],
      outputType: method['outputType'],
      clientStreaming: method['clientStreaming'] ?? false,
      serverStreaming: method['serverStreaming'] ?? false,
      options: optionsOf(method['options'], 'MethodOptions'),
    })),
    options: optionsOf(json['options'], 'ServiceOptions'),
  }
}

function extensionsOf(json: unknown, isProto3: boolean): { extendee: string; fields: ProtoField[] }[] {
  const byExtendee = Map.groupBy(list(json), (field) => field['extendee'] as string)
  return [...byExtendee].map(([extendee, fields]) => ({
    extendee,
    fields: fields.map((field) => fieldOf(field, isProto3, undefined)),
  }))
}

function optionsOf(json: Json | undefined, type: string): ProtoOption[] {
  const known = descriptors()[type].fields
  return Object.entries(json ?? {})
    .filter(([name, value]) => name !== 'mapEntry' && known[name] !== undefined && typeof value !== 'object')
    .map(([name, value]) => ({
      name: name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`),
      value: known[name].type === 'string' ? `"${value}"` : String(value),
    }))
}

function list(json: unknown): Json[] {
  return Array.isArray(json) ? json : []
}

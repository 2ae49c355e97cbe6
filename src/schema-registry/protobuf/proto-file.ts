// What stands in a .proto file, as data: what the parser reads, the printer writes, descriptors are made from and to.

/** As written: a text in quotes, a word or number, or a block in braces. */
export interface ProtoOption {
  /** `java_package`, `(my.option).part`. */
  readonly name: string
  readonly value: string
}

export type FieldLabel = 'optional' | 'required' | 'repeated'

export interface ProtoField {
  readonly name: string
  readonly number: number
  /** None in proto3, in oneofs and for maps. */
  readonly label: FieldLabel | undefined
  /** As written, with or without its package; of a map, that of its values. */
  readonly type: string
  /** Of a map. */
  readonly keyType: string | undefined
  readonly oneof: string | undefined
  readonly options: readonly ProtoOption[]
  /** Of proto2's groups, whose message is defined where the field is. */
  readonly isGroup: boolean
}

export interface ProtoRange {
  readonly from: number
  /** Inclusive. */
  readonly to: number
}

export interface ProtoEnum {
  readonly name: string
  readonly values: { readonly name: string; readonly number: number; readonly options: readonly ProtoOption[] }[]
  readonly options: ProtoOption[]
  readonly reservedRanges: ProtoRange[]
  readonly reservedNames: string[]
}

export interface ProtoMessage {
  readonly name: string
  readonly fields: ProtoField[]
  readonly oneofs: { readonly name: string; readonly options: ProtoOption[] }[]
  readonly messages: ProtoMessage[]
  readonly enums: ProtoEnum[]
  readonly extensions: ProtoExtension[]
  readonly extensionRanges: ProtoRange[]
  readonly reservedRanges: ProtoRange[]
  readonly reservedNames: string[]
  readonly options: ProtoOption[]
}

export interface ProtoExtension {
  /** The type that is extended. */
  readonly extendee: string
  readonly fields: readonly ProtoField[]
}

export interface ProtoMethod {
  readonly name: string
  readonly inputType: string
  readonly outputType: string
  readonly clientStreaming: boolean
  readonly serverStreaming: boolean
  readonly options: readonly ProtoOption[]
}

export interface ProtoService {
  readonly name: string
  readonly methods: ProtoMethod[]
  readonly options: ProtoOption[]
}

export interface ProtoFile {
  /** `proto2`, `proto3`, or the edition. */
  syntax: string
  package: string
  readonly imports: { readonly path: string; readonly kind: 'public' | 'weak' | undefined }[]
  readonly options: ProtoOption[]
  readonly messages: ProtoMessage[]
  readonly enums: ProtoEnum[]
  readonly extensions: ProtoExtension[]
  readonly services: ProtoService[]
}

export const MAX_FIELD_NUMBER = 2 ** 29 - 1
export const SCALARS = [
  'double',
  'float',
  'int32',
  'int64',
  'uint32',
  'uint64',
  'sint32',
  'sint64',
  'fixed32',
  'fixed64',
  'sfixed32',
  'sfixed64',
  'bool',
  'string',
  'bytes',
] as const
export type Scalar = (typeof SCALARS)[number]

export function isScalar(type: string): type is Scalar {
  return (SCALARS as readonly string[]).includes(type)
}

export function emptyFile(): ProtoFile {
  return { syntax: 'proto2', package: '', imports: [], options: [], messages: [], enums: [], extensions: [], services: [] }
}

export function emptyMessage(name: string): ProtoMessage {
  return {
    name,
    fields: [],
    oneofs: [],
    messages: [],
    enums: [],
    extensions: [],
    extensionRanges: [],
    reservedRanges: [],
    reservedNames: [],
    options: [],
  }
}

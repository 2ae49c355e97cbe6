// The notation in which Kafka's messages are written down. A message is data: fields in wire order, each with the versions that
// carry it. Types are inferred from the data, and each version is compiled (codec.ts) when it is first used. Decoding yields every
// field in every version (absent = default).
//
// What the words mean, and the encodings: https://kafka.apache.org/protocol.html and KIP-482 (flexible versions, tagged fields).

import type { Reader } from '../bytes/reader.ts'
import type { Writer } from '../bytes/writer.ts'
import { type Codec, structCodec } from './codec.ts'
import { ALL_VERSIONS, NO_VERSIONS, parseVersions, type Versions, within } from './versions.ts'

export { skipTags } from './codec.ts'
export { parseVersions, type Versions, within } from './versions.ts'

export type Scalar =
  | 'bool'
  | 'int8'
  | 'int16'
  | 'uint16'
  | 'int32'
  | 'uint32'
  | 'int64'
  | 'float64'
  | 'uuid'
  | 'string'
  | 'bytes'
  | 'records'

/** What a field holds. */
export type Shape =
  | { readonly kind: Scalar }
  | { readonly kind: 'array'; readonly element: Shape }
  | { readonly kind: 'struct'; readonly fields: Fields }

/** One field: `Out` is what decoding yields, `In` what encoding takes, `Optional` whether encoding may be given none. */
export interface Field<Out = unknown, In = unknown, Optional extends boolean = boolean> {
  readonly shape: Shape
  readonly versions: Versions
  readonly nullableVersions: Versions
  /** `undefined` stands for the type's own default: 0, '', [], a struct of defaults. */
  readonly defaultValue: unknown
  readonly tag: number | null
  readonly taggedVersions: Versions
  default(value: Out): Field<Out, In, true>
  /** Null is legal in these versions: in all of the field's own if none are named. */
  nullable(versions?: string): Field<Out | null, In | null, Optional>
  /** In these versions the field travels in the tag section, and only when it differs from its default. */
  tagged(tag: number, versions: string): Field<Out, In, true>
  /** Carries types only. */
  readonly types?: { out: Out; in: In; optional: Optional }
}

export interface Fields {
  readonly [name: string]: Field
}

type Out<F> = F extends Field<infer O, unknown, boolean> ? O : never
type In<F> = F extends { readonly types?: { in: infer I } } ? I : never
type OptionalKeys<F extends Fields> = { [K in keyof F]: F[K] extends Field<unknown, unknown, true> ? K : never }[keyof F]

/** What decoding yields. */
export type Decoded<F extends Fields> = { -readonly [K in keyof F]: Out<F[K]> }
/** What encoding takes: fields that have a default may be left out. */
export type Encodable<F extends Fields> = { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: In<F[K]> } & {
  readonly [K in OptionalKeys<F>]?: In<F[K]> | undefined
}

/** A field that not every version carries may be left out when encoding. */
type Sometimes<V> = V extends string ? true : false

function field<O, I, V extends string | undefined>(shape: Shape, versions: V): Field<O, I, Sometimes<V>> {
  return make({
    shape,
    versions: versions === undefined ? ALL_VERSIONS : parseVersions(versions),
    nullableVersions: NO_VERSIONS,
    defaultValue: undefined,
    tag: null,
    taggedVersions: NO_VERSIONS,
  }) as Field<O, I, Sometimes<V>>
}

type Plain = Pick<Field, 'shape' | 'versions' | 'nullableVersions' | 'defaultValue' | 'tag' | 'taggedVersions'>

function make(plain: Plain): Field {
  return {
    ...plain,
    default: (value: unknown) => make({ ...plain, defaultValue: value }) as Field<unknown, unknown, true>,
    nullable: (versions?: string) =>
      make({ ...plain, nullableVersions: versions === undefined ? plain.versions : parseVersions(versions) }),
    tagged: (tag: number, versions: string) =>
      make({ ...plain, tag, taggedVersions: parseVersions(versions) }) as Field<unknown, unknown, true>,
  }
}

export const bool = <V extends string | undefined = undefined>(versions?: V) =>
  field<boolean, boolean, V>({ kind: 'bool' }, versions as V)
export const int8 = <V extends string | undefined = undefined>(versions?: V) =>
  field<number, number, V>({ kind: 'int8' }, versions as V)
export const int16 = <V extends string | undefined = undefined>(versions?: V) =>
  field<number, number, V>({ kind: 'int16' }, versions as V)
export const uint16 = <V extends string | undefined = undefined>(versions?: V) =>
  field<number, number, V>({ kind: 'uint16' }, versions as V)
export const int32 = <V extends string | undefined = undefined>(versions?: V) =>
  field<number, number, V>({ kind: 'int32' }, versions as V)
export const uint32 = <V extends string | undefined = undefined>(versions?: V) =>
  field<number, number, V>({ kind: 'uint32' }, versions as V)
export const int64 = <V extends string | undefined = undefined>(versions?: V) =>
  field<bigint, bigint, V>({ kind: 'int64' }, versions as V)
export const float64 = <V extends string | undefined = undefined>(versions?: V) =>
  field<number, number, V>({ kind: 'float64' }, versions as V)
/** 22 characters of base64url. */
export const uuid = <V extends string | undefined = undefined>(versions?: V) =>
  field<string, string, V>({ kind: 'uuid' }, versions as V)
export const string = <V extends string | undefined = undefined>(versions?: V) =>
  field<string, string, V>({ kind: 'string' }, versions as V)
/** Decoded as a view on the message. */
export const bytes = <V extends string | undefined = undefined>(versions?: V) =>
  field<Buffer, Buffer, V>({ kind: 'bytes' }, versions as V)
/** Record batches, opaque here. Decoded as a view on the message; encoded from a buffer, or from chunks that are linked in. */
export const records = <V extends string | undefined = undefined>(versions?: V) =>
  field<Buffer, Buffer | readonly Buffer[], V>({ kind: 'records' }, versions as V)

export function array<O, I, V extends string | undefined = undefined>(
  element: Field<O, I, boolean>,
  versions?: V,
): Field<O[], readonly I[], Sometimes<V>>
export function array<F extends Fields, V extends string | undefined = undefined>(
  element: F,
  versions?: V,
): Field<Decoded<F>[], readonly Encodable<F>[], Sometimes<V>>
export function array(element: Field | Fields, versions?: string): Field {
  const shape: Shape = isField(element) ? element.shape : { kind: 'struct', fields: element }
  return field({ kind: 'array', element: shape }, versions)
}

export const struct = <F extends Fields, V extends string | undefined = undefined>(fields: F, versions?: V) =>
  field<Decoded<F>, Encodable<F>, V>({ kind: 'struct', fields }, versions as V)

function isField(value: Field | Fields): value is Field {
  return typeof value.nullable === 'function'
}

/** A set of fields that goes over the wire, or into an internal topic, as one. */
export interface Message<F extends Fields = Fields> {
  readonly name: string
  readonly fields: F
  readonly versions: Versions
  readonly flexible: Versions
  /** Leaves the reader behind the message. Throws DecodeError. */
  decode(reader: Reader, version: number): Decoded<F>
  encode(writer: Writer, version: number, value: Encodable<F>): void
}

export function message<const F extends Fields>(
  name: string,
  definition: { readonly versions: string; readonly flexible: string; readonly fields: F },
): Message<F> {
  const versions = parseVersions(definition.versions)
  const flexible = parseVersions(definition.flexible)
  const compiled: (Codec | undefined)[] = []
  const codec = (version: number) => {
    if (!within(versions, version)) throw new RangeError(`${name} has no version ${version}`)
    compiled[version] ??= structCodec(definition.fields, version, within(flexible, version))
    return compiled[version]
  }
  return {
    name,
    versions,
    flexible,
    fields: definition.fields,
    decode: (reader, version) => codec(version).decode(reader) as Decoded<F>,
    encode: (writer, version, value) => codec(version).encode(writer, value),
  }
}

/** A request and its response under their key. */
export interface Api<Req extends Fields = Fields, Res extends Fields = Fields> {
  readonly key: number
  readonly name: string
  readonly versions: Versions
  readonly flexible: Versions
  readonly request: Message<Req>
  readonly response: Message<Res>
}

export function api<const Req extends Fields, const Res extends Fields>(
  key: number,
  name: string,
  definition: { readonly versions: string; readonly flexible: string; readonly request: Req; readonly response: Res },
): Api<Req, Res> {
  const { versions, flexible } = definition
  return {
    key,
    name,
    versions: parseVersions(versions),
    flexible: parseVersions(flexible),
    request: message(`${name}Request`, { versions, flexible, fields: definition.request }),
    response: message(`${name}Response`, { versions, flexible, fields: definition.response }),
  }
}

/** A decoded request. */
export type Request<A> = A extends Api<infer Req, Fields> ? Decoded<Req> : never
/** A decoded response. */
export type Response<A> = A extends Api<Fields, infer Res> ? Decoded<Res> : never
/** A request as a client writes it: defaults left out. */
export type RequestInput<A> = A extends Api<infer Req, Fields> ? Encodable<Req> : never
/** A response as a handler writes it: defaults left out. */
export type ResponseInput<A> = A extends Api<Fields, infer Res> ? Encodable<Res> : never
/** The value of a message that is not an API: a stored record, a header, an embedded schema. */
export type Value<M> = M extends Message<infer F> ? Decoded<F> : never
export type ValueInput<M> = M extends Message<infer F> ? Encodable<F> : never

// The notation in which Kafka's messages are written down, and the compiler from it to encoders and decoders.
// A message is data: fields in wire order, each with the versions that carry it. Types are inferred from the data, and each
// version is compiled to closures when it is first used. Decoding yields every field in every version (absent = default).
//
// What the words mean, and the encodings: https://kafka.apache.org/protocol.html and KIP-482 (flexible versions, tagged fields).

import { DecodeError, type Reader } from '../bytes/reader.ts'
import { Writer } from '../bytes/writer.ts'
import { ZERO_UUID } from './ids.ts'

/** Versions as Kafka writes them: `3`, `2-4`, `7+`, `none`. Both ends are included. */
export interface Versions {
  readonly min: number
  readonly max: number
}

const NONE: Versions = { min: 0, max: -1 }
const ALL: Versions = { min: 0, max: 0x7fff }

export function parseVersions(text: string): Versions {
  if (text === 'none') return NONE
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text)
  if (match === null) throw new Error(`not a version range: ${text}`)
  const min = Number(match[1])
  return { min, max: match[2] ? 0x7fff : Number(match[3] ?? min) }
}

export function within(versions: Versions, version: number): boolean {
  return version >= versions.min && version <= versions.max
}

type Scalar =
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
    versions: versions === undefined ? ALL : parseVersions(versions),
    nullableVersions: NONE,
    defaultValue: undefined,
    tag: null,
    taggedVersions: NONE,
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

// ── compilation ─────────────────────────────────────────────────────────────────────────────────────────────────────

interface Codec {
  /** Bytes that any value takes at least: what bounds the count of an array. */
  readonly minimumSize: number
  decode(reader: Reader): unknown
  encode(writer: Writer, value: unknown): void
  isDefault(value: unknown): boolean
  /** A fresh default, where the field itself names none. */
  zero(): unknown
}

type Struct = Record<string, unknown>

function structCodec(fields: Fields, version: number, flexible: boolean): Codec {
  const entries = Object.entries(fields)
    .filter(([, field]) => within(field.versions, version))
    .map(([name, field]) => {
      const nullable = within(field.nullableVersions, version)
      const codec = shapeCodec(field.shape, version, flexible, nullable)
      const fallback = field.defaultValue === undefined ? codec.zero : () => field.defaultValue
      return { name, field, codec, fallback, tagged: flexible && within(field.taggedVersions, version) }
    })
  const plain = entries.filter((entry) => !entry.tagged)
  const tagged = entries.filter((entry) => entry.tagged).sort((a, b) => a.field.tag! - b.field.tag!)
  const present = new Set(plain.map((entry) => entry.name))
  // Fields that this version does not carry, or carries only sometimes. All keys are made in the same order, so that
  // every decoded value of this message has one hidden class.
  const order = Object.entries(fields).map(([name, field]) => {
    const entry = entries.find((candidate) => candidate.name === name)
    const fallback =
      entry?.fallback ?? (field.defaultValue === undefined ? absentDefault(field, version, flexible) : () => field.defaultValue)
    return { name, codec: present.has(name) ? entry!.codec : null, fallback }
  })
  const byTag = new Map(tagged.map((entry) => [entry.field.tag!, entry]))

  const isDefaultField = ({ codec, field }: (typeof entries)[number], value: unknown) =>
    value === undefined || (field.defaultValue === undefined ? codec.isDefault(value) : value === field.defaultValue)

  return {
    minimumSize: plain.reduce((sum, entry) => sum + entry.codec.minimumSize, 0) + (flexible ? 1 : 0),
    decode(reader) {
      const value: Struct = {}
      for (const { name, codec, fallback } of order) value[name] = codec === null ? fallback() : codec.decode(reader)
      if (flexible) readTags(reader, byTag, value)
      return value
    },
    encode(writer, input) {
      const value = input as Struct
      for (const { name, codec, fallback } of plain) {
        const given = value[name]
        codec.encode(writer, given === undefined ? fallback() : given)
      }
      if (!flexible) return
      const set = tagged.length === 0 ? tagged : tagged.filter((entry) => !isDefaultField(entry, value[entry.name]))
      writer.unsignedVarint(set.length)
      for (const { name, field, codec } of set) {
        const inner = new Writer(64)
        codec.encode(inner, value[name])
        writer.unsignedVarint(field.tag!)
        writer.unsignedVarint(inner.length)
        for (const chunk of inner.finish()) writer.bytes(chunk)
      }
    },
    isDefault: (value) => entries.every((entry) => isDefaultField(entry, (value as Struct)[entry.name])),
    zero: () => {
      const value: Struct = {}
      for (const { name, fallback } of order) value[name] = fallback()
      return value
    },
  }
}

/** What a field reads as in a version that does not carry it. */
function absentDefault(field: Field, version: number, flexible: boolean): () => unknown {
  return shapeCodec(field.shape, version, flexible, false).zero
}

/** Passes over a tag section of which nothing is known, such as a header's. */
export function skipTags(reader: Reader): void {
  const count = reader.count(reader.unsignedVarint(), 2)
  for (let i = 0; i < count; i++) {
    reader.unsignedVarint()
    reader.advance(reader.unsignedVarint())
  }
}

/** Tags should ascend. Kafka does not insist on it when it reads, so that clients which get it wrong work, and nor do we. */
function readTags(reader: Reader, byTag: Map<number, { name: string; codec: Codec }>, value: Struct): void {
  const count = reader.count(reader.unsignedVarint(), 2)
  for (let i = 0; i < count; i++) {
    const tag = reader.unsignedVarint()
    const size = reader.unsignedVarint()
    const end = reader.advance(size) + size
    const entry = byTag.get(tag)
    if (entry === undefined) continue
    reader.position = end - size
    value[entry.name] = entry.codec.decode(reader)
    if (reader.position !== end) throw new DecodeError(`tagged field ${entry.name} does not fill its ${size} bytes`)
  }
}

function shapeCodec(shape: Shape, version: number, flexible: boolean, nullable: boolean): Codec {
  switch (shape.kind) {
    case 'struct':
      return nullable
        ? nullableStruct(structCodec(shape.fields, version, flexible))
        : structCodec(shape.fields, version, flexible)
    case 'array':
      return arrayCodec(shapeCodec(shape.element, version, flexible, false), flexible, nullable)
    case 'string':
      return stringCodec(flexible, nullable)
    case 'bytes':
    case 'records':
      return bytesCodec(flexible, nullable)
    default:
      return scalars[shape.kind]
  }
}

function scalar<T>(
  minimumSize: number,
  zero: T,
  decode: (reader: Reader) => T,
  encode: (writer: Writer, value: T) => void,
): Codec {
  return {
    minimumSize,
    decode,
    encode: encode as (writer: Writer, value: unknown) => void,
    isDefault: (value) => value === zero,
    zero: () => zero,
  }
}

const scalars: Record<Exclude<Scalar, 'string' | 'bytes' | 'records'>, Codec> = {
  bool: scalar(
    1,
    false,
    (r) => r.bool(),
    (w, v) => w.bool(v),
  ),
  int8: scalar(
    1,
    0,
    (r) => r.int8(),
    (w, v) => w.int8(v),
  ),
  int16: scalar(
    2,
    0,
    (r) => r.int16(),
    (w, v) => w.int16(v),
  ),
  uint16: scalar(
    2,
    0,
    (r) => r.uint16(),
    (w, v) => w.uint16(v),
  ),
  int32: scalar(
    4,
    0,
    (r) => r.int32(),
    (w, v) => w.int32(v),
  ),
  uint32: scalar(
    4,
    0,
    (r) => r.uint32(),
    (w, v) => w.uint32(v),
  ),
  int64: scalar(
    8,
    0n,
    (r) => r.int64(),
    (w, v) => w.int64(v),
  ),
  float64: scalar(
    8,
    0,
    (r) => r.float64(),
    (w, v) => w.float64(v),
  ),
  uuid: scalar(
    16,
    ZERO_UUID,
    (r) => r.uuid(),
    (w, v) => w.uuid(v),
  ),
}

/** Lengths: the compact form is n + 1 with 0 for null, the older one a signed number with -1 for null. */
function readLength(reader: Reader, flexible: boolean, nullable: boolean, short: boolean): number {
  const length = flexible ? reader.unsignedVarint() - 1 : short ? reader.int16() : reader.int32()
  if (length === -1 && nullable) return -1
  if (length < 0) throw new DecodeError(`length ${length} before position ${reader.position} in a field that is never null`)
  return length
}

function writeLength(writer: Writer, flexible: boolean, short: boolean, length: number): void {
  if (flexible) writer.unsignedVarint(length + 1)
  else if (short) writer.int16(length)
  else writer.int32(length)
}

function writeNull(writer: Writer, flexible: boolean, nullable: boolean, short: boolean): void {
  if (!nullable) throw new TypeError('null in a field that is not nullable in this version')
  writeLength(writer, flexible, short, -1)
}

function stringCodec(flexible: boolean, nullable: boolean): Codec {
  return {
    minimumSize: flexible ? 1 : 2,
    decode(reader) {
      const length = readLength(reader, flexible, nullable, true)
      return length === -1 ? null : reader.utf8(length)
    },
    encode(writer, value) {
      if (value === null) return writeNull(writer, flexible, nullable, true)
      const text = value as string
      const length = Buffer.byteLength(text)
      if (length > 0x7fff) throw new RangeError(`string of ${length} bytes: the protocol carries 32767 at most`)
      writeLength(writer, flexible, true, length)
      writer.utf8(text, length)
    },
    isDefault: (value) => value === '',
    zero: () => '',
  }
}

const EMPTY = Buffer.alloc(0)

function bytesCodec(flexible: boolean, nullable: boolean): Codec {
  return {
    minimumSize: flexible ? 1 : 4,
    decode(reader) {
      const length = readLength(reader, flexible, nullable, false)
      return length === -1 ? null : reader.view(length)
    },
    encode(writer, value) {
      if (value === null) return writeNull(writer, flexible, nullable, false)
      if (Buffer.isBuffer(value)) {
        writeLength(writer, flexible, false, value.length)
        writer.bytes(value)
        return
      }
      const chunks = value as readonly Buffer[]
      let length = 0
      for (const chunk of chunks) length += chunk.length
      writeLength(writer, flexible, false, length)
      for (const chunk of chunks) writer.bytes(chunk)
    },
    isDefault: (value) => (value as Buffer | null)?.length === 0,
    zero: () => EMPTY,
  }
}

function arrayCodec(element: Codec, flexible: boolean, nullable: boolean): Codec {
  return {
    minimumSize: flexible ? 1 : 4,
    decode(reader) {
      const length = readLength(reader, flexible, nullable, false)
      if (length === -1) return null
      reader.count(length, element.minimumSize)
      const values: unknown[] = []
      for (let i = 0; i < length; i++) values.push(element.decode(reader))
      return values
    },
    encode(writer, value) {
      if (value === null) return writeNull(writer, flexible, nullable, false)
      const values = value as readonly unknown[]
      writeLength(writer, flexible, false, values.length)
      for (const item of values) element.encode(writer, item)
    },
    isDefault: (value) => (value as readonly unknown[] | null)?.length === 0,
    zero: () => [],
  }
}

/** Null or present, told by one byte in front: -1 or 1. */
function nullableStruct(codec: Codec): Codec {
  return {
    ...codec,
    minimumSize: 1,
    decode: (reader) => (reader.int8() < 0 ? null : codec.decode(reader)),
    encode(writer, value) {
      writer.int8(value === null ? -1 : 1)
      if (value !== null) codec.encode(writer, value)
    },
    isDefault: (value) => value !== null && codec.isDefault(value),
  }
}

// How coordinators store their state in internal topics: a key that opens with an int16 saying what kind of record this is, and
// a value that opens with an int16 of version, or no value, which deletes what the key names. The kinds of one topic stand in a file
// of their own beside this one.

import { DecodeError, Reader } from '../../bytes/reader.ts'
import { Writer } from '../../bytes/writer.ts'
import { type Decoded, type Encodable, type Fields, type Message, message, within } from '../schema.ts'

/** One kind of record. */
export interface RecordType<Name extends string = string, K extends Fields = Fields, V extends Fields = Fields> {
  readonly name: Name
  /** What opens the keys that are written. */
  readonly id: number
  /** What may open the keys that are read: `id`, and those that it took the place of. */
  readonly ids: readonly number[]
  readonly key: Message<K>
  readonly value: Message<V>
  encodeKey(key: Encodable<K>): Buffer
  encodeValue(value: Encodable<V>): Buffer
}

export function recordType<const Name extends string, const K extends Fields, const V extends Fields>(
  name: Name,
  definition: {
    readonly id: number
    readonly formerIds?: readonly number[]
    readonly key: K
    readonly value: {
      readonly versions: string
      readonly flexible: string
      readonly fields: V
      /** The version to write, which older brokers than the newest may have to read. */
      readonly write: (value: Encodable<V>) => number
    }
  },
): RecordType<Name, K, V> {
  const key = message(`${name}Key`, { versions: '0', flexible: 'none', fields: definition.key })
  const value = message(`${name}Value`, definition.value)
  return {
    name,
    id: definition.id,
    ids: [definition.id, ...(definition.formerIds ?? [])],
    key,
    value,
    encodeKey(fields) {
      const writer = new Writer()
      writer.int16(definition.id)
      key.encode(writer, 0, fields)
      return writer.toBuffer()
    },
    encodeValue(fields) {
      const version = definition.value.write(fields)
      const writer = new Writer()
      writer.int16(version)
      value.encode(writer, version, fields)
      return writer.toBuffer()
    },
  }
}

/** A record of one of the types `T`, told apart by `type`. */
export type StoredRecord<T> =
  T extends RecordType<infer Name, infer K, infer V>
    ? {
        readonly type: Name
        readonly key: Decoded<K>
        /** `null` deletes what the key names. */
        readonly value: Decoded<V> | null
      }
    : never

/** Makes the decoder for a topic that holds records of these types. */
export function recordDecoder<const T extends RecordType>(types: readonly T[]) {
  const byId = new Map(types.flatMap((type) => type.ids.map((id) => [id, type] as const)))

  /** `undefined` for a type that is not known: a newer broker may have written it. Throws DecodeError. */
  return (key: Buffer, value: Buffer | null): StoredRecord<T> | undefined => {
    const keyReader = new Reader(key)
    const type = byId.get(keyReader.int16())
    if (type === undefined) return undefined
    return {
      type: type.name,
      key: type.key.decode(keyReader, 0),
      value: value === null ? null : decodeValue(type, value),
    } as StoredRecord<T>
  }
}

function decodeValue(type: RecordType, bytes: Buffer) {
  const reader = new Reader(bytes)
  const version = reader.int16()
  if (!within(type.value.versions, version)) throw new DecodeError(`${type.value.name} of unknown version ${version}`)
  return type.value.decode(reader, version)
}

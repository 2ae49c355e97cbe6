// A topic with what its keys and values are: types both the producer and the consumer, and is where bytes and meaning meet.

import type { RecordHeader } from '../protocol/records/record.ts'
import type { ConsumerRecord } from './fetched-records.ts'
import { bytes, type Codec, DeserializationError, SerializationError, string } from './serializers.ts'

/** `Value` is what consumers get, `Input` what producers give: the same, but for schemas that transform. */
export interface Topic<Value = Buffer, Key = string, Input = Value> {
  readonly name: string
  readonly key: Codec<Key>
  readonly value: Codec<Value, Input>
}

export interface TopicCodecs<Value, Key, Input = Value> {
  /** Default: `string()`. Records without a key do not come to it. */
  readonly key?: Codec<Key>
  /** Default: `bytes()`. */
  readonly value?: Codec<Value, Input>
}

/**
 * @example
 * const orders = topic<Order>('orders', { key: string(), value: json() })
 */
export function topic<Value = Buffer, Key = string, Input = Value>(
  name: string,
  codecs: TopicCodecs<Value, Key, Input> = {},
): Topic<Value, Key, Input> {
  return {
    name,
    key: codecs.key ?? (string() as Codec<unknown> as Codec<Key>),
    value: codecs.value ?? (bytes() as Codec<unknown> as Codec<Value, Input>),
  }
}

/** All topics whose whole name matches, with the same keys and values. */
export interface TopicPattern<Value = Buffer, Key = string> {
  readonly name: RegExp
  readonly key: Codec<Key>
  readonly value: Codec<Value, never>
}

/** For consumers: topics that appear later are found, too. */
export function topicPattern<Value = Buffer, Key = string>(
  name: RegExp,
  codecs: TopicCodecs<Value, Key> = {},
): TopicPattern<Value, Key> {
  return { ...topic(name.source, codecs), name }
}

/** Header values as applications give them; text is UTF-8. */
export type Headers = Readonly<Record<string, string | Uint8Array | null>> | readonly RecordHeader[]

/** A record as a typed consumer gives it out. */
export interface TypedRecord<Value = Buffer, Key = string> extends Omit<ConsumerRecord, 'key' | 'value'> {
  readonly key: Key | null
  readonly value: Value
}

export function toHeaders(headers: Headers | undefined): RecordHeader[] {
  if (headers === undefined) return []
  if (Array.isArray(headers)) return [...headers]
  return Object.entries(headers as Readonly<Record<string, string | Uint8Array | null>>).map(([key, value]) => ({
    key,
    value: value === null ? null : Buffer.from(value as string),
  }))
}

/** The last value of a header as text; undefined where there is none. */
export function header(record: { readonly headers: readonly RecordHeader[] }, key: string): string | undefined {
  return record.headers.findLast((candidate) => candidate.key === key)?.value?.toString()
}

/** Calls a codec, and says whose value it was that did not fit. Synchronous where the codec is. */
export function encodePart<T>(
  topicName: string,
  codec: Codec<unknown, T>,
  value: T,
  isKey: boolean,
  headers: RecordHeader[],
): Buffer | null | Promise<Buffer | null> {
  const fail = (error: unknown) => {
    throw new SerializationError(topicName, isKey, error)
  }
  try {
    const encoded = codec.serialize(value, { topic: topicName, isKey, headers })
    return encoded instanceof Promise ? encoded.catch(fail) : encoded
  } catch (error) {
    return fail(error)
  }
}

/** Rejects, or throws where the codecs are synchronous, with DeserializationError. */
export function decodeRecord<Value, Key>(
  of: Topic<Value, Key, never>,
  record: ConsumerRecord,
): TypedRecord<Value, Key> | Promise<TypedRecord<Value, Key>> {
  const headers = record.headers as RecordHeader[]
  const { topic } = record
  let isKey = true
  let key: Key | null | Promise<Key>
  let value: Value | Promise<Value>
  try {
    key = record.key === null ? null : of.key.deserialize(record.key, { topic, isKey, headers })
    isKey = false
    value = of.value.deserialize(record.value, { topic, isKey, headers })
  } catch (error) {
    throw new DeserializationError(record, isKey, error)
  }
  if (!(key instanceof Promise) && !(value instanceof Promise)) return typed(record, key, value)
  return readLater(record, key, value)
}

async function readLater<Value, Key>(
  record: ConsumerRecord,
  key: Key | null | Promise<Key>,
  value: Value | Promise<Value>,
): Promise<TypedRecord<Value, Key>> {
  const fail = (isKey: boolean) => (error: unknown) => {
    throw new DeserializationError(record, isKey, error)
  }
  const [keyRead, valueRead] = await Promise.all([
    Promise.resolve(key).catch(fail(true)),
    Promise.resolve(value).catch(fail(false)),
  ])
  return typed(record, keyRead, valueRead)
}

/** Not by spreading: this happens for each record. */
function typed<Value, Key>(record: ConsumerRecord, key: Key | null, value: Value): TypedRecord<Value, Key> {
  const { topic, partition, offset, timestamp, timestampType, headers, leaderEpoch } = record
  return { topic, partition, offset, timestamp, timestampType, key, value, headers, leaderEpoch }
}

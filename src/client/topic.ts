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
  let isKey = true
  const fail = (ofKey: boolean) => (error: unknown) => {
    throw new DeserializationError(record, ofKey, error)
  }
  try {
    const key = record.key === null ? null : of.key.deserialize(record.key, { topic: record.topic, isKey, headers })
    isKey = false
    const value = of.value.deserialize(record.value, { topic: record.topic, isKey, headers })
    if (!(key instanceof Promise) && !(value instanceof Promise)) return { ...record, key, value }
    const keyRead = Promise.resolve(key).catch(fail(true))
    const valueRead = Promise.resolve(value).catch(fail(false))
    return Promise.all([keyRead, valueRead]).then(([key, value]) => ({ ...record, key, value }))
  } catch (error) {
    return fail(isKey)(error)
  }
}

// Between what an application means and the bytes of a record: one interface for keys and values, for codecs of our own (here, and
// those of the schema registry) and of anyone else. Producers and consumers of topic.ts call them.

import type { RecordHeader } from '../protocol/records/record.ts'
import { type InputOf, issuesText, type OutputOf, type StandardSchema } from './standard-schema.ts'

export interface SerializationContext {
  readonly topic: string
  readonly isKey: boolean
  /** Of the record. A serializer may add to those of a record that is being sent. */
  readonly headers: RecordHeader[]
}

export interface Serializer<T> {
  /** Null makes a tombstone. Throws what tells the caller how the value does not fit. */
  serialize(value: T, context: SerializationContext): Buffer | null | Promise<Buffer | null>
}

export interface Deserializer<T> {
  /** Throws for bytes that are none of its own. Null is a tombstone. */
  deserialize(bytes: Buffer | null, context: SerializationContext): T | Promise<T>
}

/** Where what is read is of another type than what is written, Input is the latter. */
export type Codec<T, Input = T> = Serializer<Input> & Deserializer<T>

/** A value that does not fit its codec or schema, at the producer; nothing was sent. The cause says which part of it. */
export class SerializationError extends Error {
  override readonly name = 'SerializationError'
  readonly topic: string

  constructor(topic: string, isKey: boolean, cause: unknown) {
    super(`the ${isKey ? 'key' : 'value'} does not fit topic ${topic}: ${messageOf(cause)}`, { cause })
    this.topic = topic
  }
}

/** A record that its codec cannot read. It is there, as bytes: skip it, or hand it to a dead-letter topic. */
export class DeserializationError extends Error {
  override readonly name = 'DeserializationError'
  readonly topic: string
  readonly partition: number
  readonly offset: bigint

  constructor(at: { topic: string; partition: number; offset: bigint }, isKey: boolean, cause: unknown) {
    const where = `${at.topic}-${at.partition} at offset ${at.offset}`
    super(`the ${isKey ? 'key' : 'value'} in ${where} cannot be read: ${messageOf(cause)}`, { cause })
    this.topic = at.topic
    this.partition = at.partition
    this.offset = at.offset
  }
}

const NO_TOMBSTONES = 'it is null; nullable(…) around the codec allows that'

/** UTF-8 text. */
export function string(): Codec<string> {
  return {
    serialize: (value) => {
      if (typeof value !== 'string') throw new TypeError(`a string is meant, not ${kindOf(value)}`)
      return Buffer.from(value)
    },
    deserialize: (bytes) => required(bytes).toString(),
  }
}

/** Bytes as they are. Those that are read share memory with the fetch that brought them: copy what is to be kept for long. */
export function bytes(): Codec<Buffer, Uint8Array> {
  return {
    serialize: (value) => {
      if (!(value instanceof Uint8Array)) throw new TypeError(`bytes are meant, not ${kindOf(value)}`)
      return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    },
    deserialize: required,
  }
}

/**
 * JSON. With a schema of any Standard Schema library values are validated on both sides: the producer writes what it was given, the
 * consumer gets what the schema makes of it (defaults filled in, dates made of strings).
 */
export function json<T = unknown>(): Codec<T>
export function json<S extends StandardSchema>(schema: S): Codec<OutputOf<S>, InputOf<S>>
export function json(schema?: StandardSchema): Codec<unknown> {
  if (schema === undefined) return { serialize: toJson, deserialize: (bytes) => JSON.parse(required(bytes).toString()) }
  return {
    serialize(value) {
      const validated = validate(schema, value)
      return validated instanceof Promise ? validated.then(() => toJson(value)) : toJson(value)
    },
    deserialize: (bytes) => validate(schema, JSON.parse(required(bytes).toString())),
  }
}

/** Lets null through, as the tombstone that it is, and leaves all else to `codec`. */
export function nullable<T, Input = T>(codec: Codec<T, Input>): Codec<T | null, Input | null> {
  return {
    serialize: (value, context) => (value === null ? null : codec.serialize(value, context)),
    deserialize: (bytes, context) => (bytes === null ? null : codec.deserialize(bytes, context)),
  }
}

function validate(schema: StandardSchema, value: unknown): unknown {
  const answer = schema['~standard'].validate(value)
  if (answer instanceof Promise) return answer.then(outputOf)
  return outputOf(answer)
}

function outputOf(answer: Awaited<ReturnType<StandardSchema['~standard']['validate']>>): unknown {
  if (answer.issues !== undefined) throw new TypeError(issuesText(answer.issues))
  return answer.value
}

function toJson(value: unknown): Buffer {
  const text = JSON.stringify(value)
  if (text === undefined) throw new TypeError(`${kindOf(value)} has no form in JSON`)
  return Buffer.from(text)
}

function required(bytes: Buffer | null): Buffer {
  if (bytes === null) throw new TypeError(NO_TOMBSTONES)
  return bytes
}

function kindOf(value: unknown): string {
  return value === null ? 'null' : typeof value
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

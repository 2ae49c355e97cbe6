// What the three serializers have in common: the subject, the id that a schema gets there, and what is made of the schema behind an id.

import type { Codec, SerializationContext } from '../../client/serializers.ts'
import type { SchemaReference, SchemaType } from '../schema.ts'
import type { NewSchema, RegisteredSchema, RegistryClient } from './registry-client.ts'
import { readPrefix, withPrefix } from './wire-format.ts'

export interface RegistryCodecOptions {
  readonly registry: RegistryClient
  /** Under which subject the schema is kept. Default `<topic>-value` and `<topic>-key`. */
  readonly subject?: (context: Pick<SerializationContext, 'topic' | 'isKey'>) => string
  /** Default true: a schema that the subject does not have becomes its next version. False: it must be there. */
  readonly autoRegister?: boolean
  /** Default false: schemas that differ in nothing but order are the same. */
  readonly normalize?: boolean
  /** What the schema names and does not contain. */
  readonly references?: readonly SchemaReference[]
}

/** A value that does not fit its schema; `path` is where. */
export class SchemaMismatchError extends Error {
  override readonly name = 'SchemaMismatchError'
  /** A JSON pointer into the value: `/address/zip`; empty for the value itself. */
  readonly path: string

  constructor(path: string, problem: string) {
    super(`${path === '' ? 'the value' : path}: ${problem}`)
    this.path = path
  }
}

/** A schema in one language, ready to write with. */
export interface Writer<T> {
  /** What comes behind the id. Throws SchemaMismatchError. */
  write(value: T): Uint8Array
}

/** Reads what was written with the schema behind an id. */
export type Reader<T> = (bytes: Buffer) => T

export interface Language<T> {
  readonly type: SchemaType
  /** As it is registered; absent for a codec that only reads. */
  readonly text: string | undefined
  readonly writer: (references: readonly { name: string; schema: string }[]) => Promise<Writer<T>> | Writer<T>
  /** With the schema that the value was written with. */
  readonly reader: (
    written: RegisteredSchema,
    references: readonly { name: string; schema: string }[],
    own: readonly { name: string; schema: string }[],
  ) => Promise<Reader<T>> | Reader<T>
}

/** Writers know one schema, so what is kept of others is bounded by what topics hold. */
const MAX_READERS = 1000

export function registryCodec<T>(language: Language<T>, options: RegistryCodecOptions): Codec<T> {
  const { registry, subject = topicName, autoRegister = true, normalize = false, references = [] } = options
  const readers = new Map<number, Promise<Reader<T>>>()
  const own = once(() => registry.resolve(references))
  const writer = once(async () => language.writer(await own()))

  const readerOf = (id: number): Promise<Reader<T>> => {
    const known = readers.get(id)
    if (known !== undefined) return known
    const made = (async () => {
      const written = await registry.schema(id)
      if (written.schemaType !== language.type)
        throw new TypeError(`the value was written with schema ${id}, which is ${written.schemaType} and not ${language.type}`)
      return language.reader(written, await registry.resolve(written.references), await own())
    })()
    if (readers.size >= MAX_READERS) readers.delete(readers.keys().next().value!)
    readers.set(id, made)
    // The registry may have been away: the next record asks again.
    made.catch(() => readers.delete(id))
    return made
  }

  return {
    async serialize(value, context) {
      const { text } = language
      if (text === undefined) throw new TypeError('this codec was made without a schema: it can only read')
      if (value === null || value === undefined)
        throw new SchemaMismatchError('', 'there is none; nullable(…) around the codec allows tombstones')
      const schema: NewSchema = { schema: text, schemaType: language.type, ...(references.length > 0 && { references }) }
      const written = (await writer()).write(value)
      const name = subject(context)
      const id = await (autoRegister ? registry.register(name, schema, normalize) : registry.find(name, schema, normalize))
      return withPrefix(id, written)
    },

    async deserialize(bytes) {
      if (bytes === null) throw new TypeError('it is null; nullable(…) around the codec allows that')
      const { id, rest } = readPrefix(bytes)
      return (await readerOf(id))(rest)
    },
  }
}

/** Confluent's TopicNameStrategy. */
export function topicName({ topic, isKey }: Pick<SerializationContext, 'topic' | 'isKey'>): string {
  return `${topic}-${isKey ? 'key' : 'value'}`
}

/** What failed is tried again by the next caller. */
function once<T>(work: () => Promise<T>): () => Promise<T> {
  let done: Promise<T> | undefined
  return () => {
    if (done === undefined) {
      done = work()
      done.catch(() => {
        done = undefined
      })
    }
    return done
  }
}

// Avro values in a registry's wire format. What was written with another version of the schema is read as this one's (schema resolution).

import avsc from 'avsc'
import type { Codec } from '../../client/serializers.ts'
import { type RegistryCodecOptions, registryCodec, SchemaMismatchError } from './registry-codec.ts'

export interface AvroOptions extends RegistryCodecOptions {
  /** What a long is here. Default `number`, which refuses what it cannot hold exactly. */
  readonly longs?: 'number' | 'bigint'
}

type Named = readonly { readonly name: string; readonly schema: string }[]

/**
 * A codec for values of an Avro schema, given as an object or as text. Without a schema it only reads, and gives values as they were written.
 *
 * @example
 * const registry = new RegistryClient({ url: 'http://localhost:8081' })
 * const orders = topic('orders', { value: avro<Order>(OrderSchema, { registry }) })
 */
export function avro<T>(schema: object | string | undefined, options: AvroOptions): Codec<T> {
  const text = schema === undefined ? undefined : typeof schema === 'string' ? schema : JSON.stringify(schema)
  const typeOf = (of: string, references: Named) => avroType(of, references, options.longs ?? 'number')
  return registryCodec<T>(
    {
      type: 'AVRO',
      text,
      writer(references) {
        const type = typeOf(text!, references)
        return {
          write(value) {
            check(type, value)
            return type.toBuffer(value)
          },
        }
      },
      reader(written, references, own) {
        const writer = typeOf(written.schema, references)
        const reader = text === undefined ? writer : typeOf(text, own)
        // Throws where the schemas do not resolve: said for each record, as each is one that cannot be read.
        const resolver = reader === writer ? undefined : reader.createResolver(writer)
        return (bytes) => reader.fromBuffer(bytes, resolver) as T
      },
    },
    options,
  )
}

function avroType(text: string, references: Named, longs: 'number' | 'bigint'): avsc.Type {
  const registry: Record<string, avsc.Type> = longs === 'bigint' ? { long: BIGINT } : {}
  const parse = (schema: string) => avsc.Type.forSchema(json(schema), { registry })
  for (const { schema } of references) parse(schema)
  return parse(text)
}

/** A primitive may be named without quotes. */
function json(text: string): avsc.Schema {
  try {
    return JSON.parse(text) as avsc.Schema
  } catch {
    return text.trim() as avsc.Schema
  }
}

const BIGINT = avsc.types.LongType.__with({
  fromBuffer: (buffer: Buffer) => buffer.readBigInt64LE(),
  toBuffer(value: bigint) {
    const buffer = Buffer.alloc(8)
    buffer.writeBigInt64LE(value)
    return buffer
  },
  fromJSON: BigInt,
  toJSON: Number,
  isValid: (value: unknown) => typeof value === 'bigint' && BigInt.asIntN(64, value) === value,
  compare: (a: bigint, b: bigint) => (a < b ? -1 : a > b ? 1 : 0),
})

function check(type: avsc.Type, value: unknown): void {
  type.isValid(value, {
    errorHook(path: string[], found: unknown, wanted: avsc.Type) {
      throw new SchemaMismatchError(
        path.map((part) => `/${part}`).join(''),
        `${describe(found)} is no ${wanted.name ?? wanted.typeName}`,
      )
    },
  })
}

function describe(value: unknown): string {
  if (value === undefined) return 'a missing value'
  const text =
    typeof value === 'bigint'
      ? `${value}n`
      : (JSON.stringify(value, (_key, part) => (typeof part === 'bigint' ? `${part}` : part)) ?? String(value))
  return text.length > 80 ? `${text.slice(0, 80)}…` : text
}

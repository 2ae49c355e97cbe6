// The schema languages of this registry, and how to read a text in one of them.

import { AvroSchema } from './avro/avro-schema.ts'
import { invalidSchema } from './errors.ts'
import { JsonSchema } from './json/json-schema.ts'
import { ProtobufSchema } from './protobuf/protobuf-schema.ts'
import { type ParsedSchema, type ResolvedReference, SchemaSyntaxError, type SchemaType } from './schema.ts'

const FORMATS = { AVRO: AvroSchema, JSON: JsonSchema, PROTOBUF: ProtobufSchema } as const

/**
 * Reads a schema. Throws RegistryError 42201 with the place of what is wrong. `isNew` asks for more than can be asked of schemas that are
 * already there.
 */
export function parseSchema(
  type: SchemaType,
  text: string,
  references: readonly ResolvedReference[],
  isNew: boolean,
): ParsedSchema {
  try {
    return new FORMATS[type](text, references, isNew)
  } catch (error) {
    if (!(error instanceof SchemaSyntaxError) && !(error instanceof RangeError)) throw error
    throw invalidSchema(`Invalid schema of type ${type}, details: ${error.message}`, error)
  }
}

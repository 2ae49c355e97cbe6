// What the registry knows of a schema, whatever its language. avro/, json/ and protobuf/ each implement it; formats.ts lists them.

export const SCHEMA_TYPES = ['JSON', 'PROTOBUF', 'AVRO'] as const
export type SchemaType = (typeof SCHEMA_TYPES)[number]

/** How a schema names another one: `name` is what stands in its text, the rest says which schema that is. */
export interface SchemaReference {
  readonly name: string
  readonly subject: string
  readonly version: number
}

/** A reference with the text that it stands for. */
export interface ResolvedReference {
  readonly name: string
  readonly schema: string
}

/** Something that was written with the one schema and cannot be read with the other. */
export interface Incompatibility {
  /** Confluent's name for it, which tools know. */
  readonly errorType: string
  /** Where in the reader's schema: JSON pointers for Avro and JSON, full names for Protobuf. */
  readonly path: string
  /** A sentence that names the field. */
  readonly description: string
}

export interface ParsedSchema {
  readonly type: SchemaType
  /** The text as it is stored and handed out: without what its writer's formatting added. */
  readonly canonical: string
  /** The same for schemas that differ in nothing but order. */
  normalized(): string
  /** What of `writer`'s data a reader with this schema cannot read; none if all can be. Both are of the same type. */
  cannotRead(writer: ParsedSchema): Incompatibility[]
  /** The text in another form: `serialized` for Protobuf. Unknown forms give the canonical text. */
  formatted(format: string): string
}

/** Why a text is no schema. */
export class SchemaSyntaxError extends Error {
  override readonly name = 'SchemaSyntaxError'
}

/** Deeper than any schema that people write, shallower than the stack. */
export const MAX_DEPTH = 200

// Avro as a language of the registry.

import type { Incompatibility, ParsedSchema, ResolvedReference } from '../schema.ts'
import { avroIncompatibilities } from './avro-compatibility.ts'
import { printAvro } from './avro-printer.ts'
import { type AvroType, type NamedType, parseAvro } from './avro-type.ts'

export class AvroSchema implements ParsedSchema {
  readonly type = 'AVRO'
  readonly canonical: string
  private readonly root: AvroType
  private readonly referenced: readonly string[]

  /** `references` in an order in which each follows those that it needs. Throws SchemaSyntaxError. */
  constructor(text: string, references: readonly ResolvedReference[], isNew: boolean) {
    const known = new Map<string, NamedType>()
    for (const { schema } of references) parseAvro(schema, known, false)
    this.referenced = [...known.keys()]
    this.root = parseAvro(text, known, isNew)
    this.canonical = printAvro(this.root, this.referenced)
  }

  normalized(): string {
    return printAvro(this.root, this.referenced, true)
  }

  cannotRead(writer: ParsedSchema): Incompatibility[] {
    return avroIncompatibilities(this.root, (writer as AvroSchema).root)
  }

  /** `resolved` writes out what references stand for. */
  formatted(format: string): string {
    return format === 'resolved' ? printAvro(this.root, []) : this.canonical
  }
}

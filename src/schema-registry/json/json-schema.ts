// JSON Schema as a language of the registry: drafts 4 to 2020-12, which differ little in what matters here.

import { parseJson, sortedJson } from '../json-text.ts'
import { type Incompatibility, type ParsedSchema, type ResolvedReference, SchemaSyntaxError } from '../schema.ts'
import { jsonIncompatibilities } from './json-compatibility.ts'
import { JsonDocument } from './json-document.ts'

export class JsonSchema implements ParsedSchema {
  readonly type = 'JSON'
  readonly canonical: string
  private readonly document: JsonDocument

  /** Throws SchemaSyntaxError. */
  constructor(text: string, references: readonly ResolvedReference[], isNew: boolean) {
    this.document = new JsonDocument(text, references, isNew)
    const dangling = isNew ? this.document.danglingReference() : undefined
    if (dangling !== undefined) throw new SchemaSyntaxError(`"$ref": "${dangling}" leads nowhere: no part of it, no reference`)
    this.canonical = JSON.stringify(parseJson(text))
  }

  normalized(): string {
    return JSON.stringify(sortedJson(parseJson(this.canonical)))
  }

  cannotRead(writer: ParsedSchema): Incompatibility[] {
    return jsonIncompatibilities(this.document, (writer as JsonSchema).document)
  }

  formatted(): string {
    return this.canonical
  }
}

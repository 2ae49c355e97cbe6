// The seven compatibility levels: which earlier versions a new schema is held against, and in which direction.

import type { Incompatibility, ParsedSchema } from './schema.ts'
import type { CompatibilityLevel } from './store-record.ts'

/**
 * What is wrong with `schema` as the next version, as lines for people; none if it may be registered. `earlier` ascends; its schemas
 * are asked for one by one, the newest first.
 */
export function incompatibilities(
  schema: ParsedSchema,
  earlier: readonly { readonly version: number; readonly read: () => ParsedSchema }[],
  level: CompatibilityLevel,
): string[] {
  if (level === 'NONE') return []
  const against = level.endsWith('_TRANSITIVE') ? earlier.toReversed() : earlier.slice(-1)
  for (const { version, read } of against) {
    const problems = compare(schema, read(), level)
    // The newest that does not fit says it all: what comes before it mostly repeats it.
    if (problems.length > 0) return [...problems, `{oldSchemaVersion: ${version}}`, `{compatibility: '${level}'}`]
  }
  return []
}

function compare(schema: ParsedSchema, old: ParsedSchema, level: CompatibilityLevel): string[] {
  if (schema.type !== old.type)
    return [
      `{errorType:'SCHEMA_TYPE_CHANGED', description:'the new schema is of type ${schema.type}, the old one of type ${old.type}'}`,
    ]
  const lines: string[] = []
  // Backward: consumers with the new schema read what the old one wrote.
  if (!level.startsWith('FORWARD'))
    lines.push(...schema.cannotRead(old).map((problem) => line(problem, 'the new schema is the reader')))
  if (!level.startsWith('BACKWARD'))
    lines.push(...old.cannotRead(schema).map((problem) => line(problem, 'the old schema is the reader')))
  return [...new Set(lines)]
}

function line({ errorType, path, description }: Incompatibility, who: string): string {
  return `{errorType:'${errorType}', description:'${description} (at '${path}'; ${who})', additionalInfo:'${path}'}`
}

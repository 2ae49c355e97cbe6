// All that the registry knows, in memory: what the records of the topic add up to. Changes come by `replay` alone, at load and after each
// write alike.

import { createHash } from 'node:crypto'
import { sortedJson } from './json-text.ts'
import type { SchemaReference, SchemaType } from './schema.ts'
import type { Config, Mode, SchemaVersion, StoreRecord } from './store-record.ts'
import { contextOf, DEFAULT_CONTEXT, inContext } from './subject-name.ts'

/** What makes two schemas the same: they share an id. */
export interface SchemaContent {
  readonly schemaType: SchemaType
  readonly schema: string
  readonly references: readonly SchemaReference[]
  readonly metadata: unknown
  readonly ruleSet: unknown
}

export class Catalog {
  /** Versions ascending as they were registered, softly deleted ones among them. */
  private readonly subjects = new Map<string, Map<number, SchemaVersion>>()
  /** All versions with an id, by context and id. */
  private readonly byId = new Map<string, Map<string, SchemaVersion>>()
  /** The id of a content, by context and hash. */
  private readonly ids = new Map<string, number>()
  private readonly maxIds = new Map<string, number>()
  /** Versions that name another in their references, by the subject and version named. */
  private readonly referrers = new Map<string, Map<string, SchemaVersion>>()
  private readonly configs = new Map<string, Config>()
  private readonly modes = new Map<string, Mode>()

  replay(record: StoreRecord): void {
    switch (record.type) {
      case 'SCHEMA':
        this.remove(record.subject, record.version)
        if (record.value !== null) this.add(record.value)
        break
      case 'CONFIG':
        setOrDelete(this.configs, record.subject ?? '', record.value)
        break
      case 'MODE':
        setOrDelete(this.modes, record.subject ?? '', record.value)
        break
      case 'DELETE_SUBJECT': {
        const upTo = record.value
        if (upTo === null) break
        for (const version of this.versions(record.subject)) if (version.version <= upTo) this.add({ ...version, deleted: true })
        break
      }
      case 'CLEAR_SUBJECT':
        for (const { subject, version, deleted } of this.versions(record.subject)) if (deleted) this.remove(subject, version)
        break
    }
  }

  // ── versions ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ascending; softly deleted ones, too. None if there is no such subject. */
  versions(subject: string): SchemaVersion[] {
    return [...(this.subjects.get(subject)?.values() ?? [])].sort((a, b) => a.version - b.version)
  }

  version(subject: string, version: number): SchemaVersion | undefined {
    return this.subjects.get(subject)?.get(version)
  }

  /** Sorted; those with softly deleted versions only, too. */
  subjectNames(): string[] {
    return [...this.subjects.keys()].sort()
  }

  /** All versions with this id in a context, in no order. */
  withId(context: string, id: number): SchemaVersion[] {
    return [...(this.byId.get(`${context}/${id}`)?.values() ?? [])]
  }

  idOf(context: string, content: SchemaContent): number | undefined {
    return this.ids.get(`${context}/${hashOf(content)}`)
  }

  /** The highest id ever seen in a context; 0 before the first. */
  maxId(context: string): number {
    return this.maxIds.get(context) ?? 0
  }

  /** Versions that need this one, softly deleted ones left out. */
  referencedBy(subject: string, version: number): SchemaVersion[] {
    return [...(this.referrers.get(`${subject}/${version}`)?.values() ?? [])].filter(({ deleted }) => !deleted)
  }

  /** Sorted; the default one first, always there. */
  contexts(): string[] {
    const found = new Set([...this.subjects.keys()].map(contextOf))
    found.delete(DEFAULT_CONTEXT)
    return [DEFAULT_CONTEXT, ...[...found].sort()]
  }

  // ── settings ──────────────────────────────────────────────────────────────────────────────────────────────────────

  /** As it was set for a subject, for a context (`:.context:`), or for all (null). */
  config(subject: string | null): Config | undefined {
    return this.configs.get(subject ?? '')
  }

  mode(subject: string | null): Mode | undefined {
    return this.modes.get(subject ?? '')
  }

  // ── replay ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private add(schema: SchemaVersion): void {
    const { subject, version, id } = schema
    const context = contextOf(subject)
    const at = `${subject}/${version}`
    getOrAdd(this.subjects, subject).set(version, schema)
    getOrAdd(this.byId, `${context}/${id}`).set(at, schema)
    const hash = `${context}/${hashOf(schema)}`
    // Of ids that an import has given twice the first stays.
    if (!this.ids.has(hash)) this.ids.set(hash, id)
    this.maxIds.set(context, Math.max(this.maxId(context), id))
    for (const reference of schema.references)
      getOrAdd(this.referrers, `${inContext(context, reference.subject)}/${reference.version}`).set(at, schema)
  }

  private remove(subject: string, version: number): void {
    const schema = this.version(subject, version)
    if (schema === undefined) return
    const context = contextOf(subject)
    const at = `${subject}/${version}`
    deleteIn(this.subjects, subject, version)
    deleteIn(this.byId, `${context}/${schema.id}`, at)
    const hash = `${context}/${hashOf(schema)}`
    if (this.withId(context, schema.id).length === 0 && this.ids.get(hash) === schema.id) this.ids.delete(hash)
    for (const reference of schema.references)
      deleteIn(this.referrers, `${inContext(context, reference.subject)}/${reference.version}`, at)
  }
}

export function sameContent(a: SchemaContent, b: SchemaContent): boolean {
  return hashOf(a) === hashOf(b)
}

/** Also the key of what is kept of parsed schemas. */
export function hashOf({ schemaType, schema, references, metadata, ruleSet }: SchemaContent): string {
  const parts = references.map(({ name, subject, version }) => [name, subject, version])
  const content = [schemaType, schema, parts, sortedJson(metadata ?? null), sortedJson(ruleSet ?? null)]
  return createHash('sha256').update(JSON.stringify(content)).digest('base64')
}

function setOrDelete<T>(map: Map<string, T>, key: string, value: T | null): void {
  if (value === null) map.delete(key)
  else map.set(key, value)
}

function getOrAdd<K, L, V>(map: Map<K, Map<L, V>>, key: K): Map<L, V> {
  let inner = map.get(key)
  if (inner === undefined) {
    inner = new Map()
    map.set(key, inner)
  }
  return inner
}

/** Leaves no empty map behind. */
function deleteIn<K, L, V>(map: Map<K, Map<L, V>>, key: K, inner: L): void {
  const values = map.get(key)
  values?.delete(inner)
  if (values?.size === 0) map.delete(key)
}

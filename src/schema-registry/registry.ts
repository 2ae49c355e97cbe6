// The registry itself: what may be registered, deleted and configured, and what is answered. Knows neither HTTP nor Kafka: it reads
// the catalog, and hands records to whoever writes them (the log), which resolves once the catalog has them.

import { type Catalog, hashOf, type SchemaContent, sameContent } from './catalog.ts'
import { incompatibilities } from './compatibility.ts'
import {
  idDoesNotMatch,
  incompatibleSchema,
  invalidSchema,
  notPermitted,
  referenceExists,
  schemaNotFound,
  subjectNotFound,
  subjectNotSoftDeleted,
  subjectSoftDeleted,
  versionNotFound,
  versionNotSoftDeleted,
  versionSoftDeleted,
} from './errors.ts'
import { parseSchema } from './formats.ts'
import type { ParsedSchema, ResolvedReference, SchemaReference, SchemaType } from './schema.ts'
import type { CompatibilityLevel, Config, Mode, SchemaVersion, StoreRecord } from './store-record.ts'
import { checkSubject, contextOf, DEFAULT_CONTEXT, inContext } from './subject-name.ts'

/** Where records go. */
export interface RegistryLog {
  /** Resolves when the record is stored and the catalog has it. */
  append(record: StoreRecord): Promise<void>
}

export interface SchemaRequest {
  readonly schema: string
  readonly schemaType: SchemaType
  readonly references: readonly SchemaReference[]
  readonly metadata: unknown
  readonly ruleSet: unknown
  /** In mode IMPORT: what the schema had where it comes from. */
  readonly id: number | undefined
  readonly version: number | undefined
}

export type VersionName = number | 'latest'

const DEFAULT_LEVEL: CompatibilityLevel = 'BACKWARD'
/** Schemas that were read lately: checks against all versions of a subject come again with each new one. */
const MAX_PARSED = 1000
/** References of references of references. */
const MAX_REFERENCES = 1000

export class Registry {
  readonly catalog: Catalog
  private readonly log: RegistryLog
  private readonly parsed = new Map<string, ParsedSchema>()
  /** Writes go one after another: each decides by what the one before has left. */
  private last: Promise<unknown> = Promise.resolve()

  constructor(catalog: Catalog, log: RegistryLog) {
    this.catalog = catalog
    this.log = log
  }

  // ── reading ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /** Ascending. Throws 40401 if there are none. */
  versions(subject: string, deleted: boolean): SchemaVersion[] {
    const found = this.catalog.versions(subject).filter((version) => deleted || !version.deleted)
    if (found.length === 0) throw subjectNotFound(subject)
    return found
  }

  /** Throws 40401 or 40402. */
  version(subject: string, name: VersionName, deleted = false): SchemaVersion {
    const versions = this.catalog.versions(subject)
    if (!versions.some((version) => deleted || !version.deleted)) throw subjectNotFound(subject)
    const matches = versions.filter((version) => (deleted || !version.deleted) && (name === 'latest' || version.version === name))
    const found = matches.at(-1)
    if (found === undefined) throw versionNotFound(name)
    return found
  }

  /** One of the versions with this id; where a subject is named, of its context, and that subject's if it has it. Throws 40403. */
  withId(id: number, subject = ''): SchemaVersion {
    const found = this.catalog.withId(contextOf(subject), id)
    const preferred = found.find((version) => version.subject === subject) ?? found[0]
    if (preferred === undefined) throw schemaNotFound(id)
    return preferred
  }

  /** The version of the subject that has this content. Throws 40401, 40403 and 42201. */
  find(subject: string, request: SchemaRequest, normalize: boolean, deleted: boolean): SchemaVersion {
    if (!this.catalog.versions(subject).some((version) => deleted || !version.deleted)) throw subjectNotFound(subject)
    const { content } = this.read(subject, request, normalize, false)
    const found = this.registered(subject, request, content, deleted)
    if (found === undefined) throw schemaNotFound()
    return found
  }

  /** What stands in the way of registering; none if nothing does. Against one version, or against those that the level says. */
  checkCompatibility(subject: string, request: SchemaRequest, name: VersionName | undefined, normalize: boolean): string[] {
    const level = this.level(subject)
    const { schema } = this.read(subject, request, normalize, true)
    if (name === undefined) return this.incompatibleWith(subject, schema, level)
    const version = this.version(subject, name)
    // One version is named: whether others fit is not asked.
    const single = level.replace('_TRANSITIVE', '') as CompatibilityLevel
    return incompatibilities(schema, [{ version: version.version, read: () => this.parse(version) }], single)
  }

  /** As set for the subject, its context, or for all. */
  level(subject: string): CompatibilityLevel {
    return this.effectiveConfig(subject).compatibilityLevel ?? DEFAULT_LEVEL
  }

  effectiveConfig(subject: string | null): Config {
    const layers = scopesOf(subject).map((scope) => this.catalog.config(scope) ?? {})
    return { compatibilityLevel: DEFAULT_LEVEL, ...Object.assign({}, ...layers) }
  }

  mode(subject: string | null): Mode {
    if (this.catalog.mode(null) === 'READONLY_OVERRIDE') return 'READONLY_OVERRIDE'
    const layers = scopesOf(subject).flatMap((scope) => this.catalog.mode(scope) ?? [])
    return layers.at(-1) ?? 'READWRITE'
  }

  formatted(version: SchemaVersion, format: string): string {
    return format === '' || format === 'default' ? version.schema : this.parse(version).formatted(format)
  }

  // ── writing ───────────────────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Registers a schema, or finds it where it is. Throws 409 with what does not fit, 42201 for what is no schema, 42205 where the mode
   * forbids it, 42207 for an id that is taken.
   */
  register(subject: string, request: SchemaRequest, normalize: boolean): Promise<SchemaVersion> {
    return this.exclusively(async () => {
      checkSubject(subject)
      const mode = this.mode(subject)
      const isImport = mode === 'IMPORT'
      this.checkWritable(subject)
      const { schema, content } = this.read(subject, request, normalize, true)
      const same = this.registered(subject, request, content, false)
      if (same !== undefined && (request.id === undefined || request.id === same.id)) return same
      if (request.id !== undefined && !isImport) throw notPermitted(`Subject ${subject} is not in import mode`)
      if (!isImport) {
        const problems = this.incompatibleWith(subject, schema, this.level(subject))
        if (problems.length > 0) {
          throw incompatibleSchema(
            `Schema being registered is incompatible with an earlier schema for subject "${subject}", details: [${problems.join(', ')}]`,
          )
        }
      }
      const next = (this.catalog.versions(subject).at(-1)?.version ?? 0) + 1
      const version = this.versionFor(subject, request, next, isImport)
      const id = this.idFor(subject, request, content)
      const value: SchemaVersion = { subject, version, id, ...content, deleted: false, more: {} }
      await this.log.append({ type: 'SCHEMA', subject, version, value })
      return value
    })
  }

  /** Resolves to the version that is gone. Throws 40401, 40402, 40406, 40407, 42205, 42206. */
  deleteVersion(subject: string, name: VersionName, permanent: boolean): Promise<number> {
    return this.exclusively(async () => {
      this.checkWritable(subject)
      const found = this.version(subject, name, true)
      const { version } = found
      if (this.catalog.referencedBy(subject, version).length > 0) throw referenceExists(subject, version)
      if (permanent) {
        if (!found.deleted) throw versionNotSoftDeleted(subject, version)
        await this.log.append({ type: 'SCHEMA', subject, version, value: null })
        return version
      }
      if (found.deleted) throw versionSoftDeleted(subject, version)
      await this.log.append({ type: 'SCHEMA', subject, version, value: { ...found, deleted: true } })
      if (this.catalog.versions(subject).every(({ deleted }) => deleted)) await this.forgetSettings(subject)
      return version
    })
  }

  /** Resolves to the versions that are gone. Throws 40401, 40404, 40405, 42205, 42206. */
  deleteSubject(subject: string, permanent: boolean): Promise<number[]> {
    return this.exclusively(async () => {
      this.checkWritable(subject)
      const all = this.versions(subject, true)
      const live = all.filter(({ deleted }) => !deleted)
      if (!permanent && live.length === 0) throw subjectSoftDeleted(subject)
      if (permanent && live.length > 0) throw subjectNotSoftDeleted(subject)
      const gone = permanent ? all : live
      for (const { version } of gone)
        if (this.catalog.referencedBy(subject, version).length > 0) throw referenceExists(subject, version)
      if (permanent) {
        for (const { version } of gone) await this.log.append({ type: 'SCHEMA', subject, version, value: null })
      } else {
        await this.log.append({ type: 'DELETE_SUBJECT', subject, value: live.at(-1)!.version })
        await this.forgetSettings(subject)
      }
      return gone.map(({ version }) => version)
    })
  }

  setConfig(subject: string | null, changes: Config): Promise<Config> {
    return this.exclusively(async () => {
      if (subject !== null) this.checkWritable(subject)
      const value = { ...this.catalog.config(subject), ...changes }
      await this.log.append({ type: 'CONFIG', subject, value })
      return value
    })
  }

  /** Resolves to what it was; undefined if nothing was set. */
  deleteConfig(subject: string | null): Promise<Config | undefined> {
    return this.exclusively(async () => {
      const before = this.catalog.config(subject)
      if (before !== undefined) await this.log.append({ type: 'CONFIG', subject, value: null })
      return before
    })
  }

  /** IMPORT is for an empty registry or subject, unless forced: imported ids could meet others. Throws 42205. */
  setMode(subject: string | null, mode: Mode, force: boolean): Promise<void> {
    return this.exclusively(async () => {
      const isEmpty = subject === null ? this.catalog.subjectNames().length === 0 : this.catalog.versions(subject).length === 0
      if (mode === 'IMPORT' && !force && this.mode(subject) !== 'IMPORT' && !isEmpty)
        throw notPermitted('Cannot import since found existing subjects')
      await this.log.append({ type: 'MODE', subject, value: mode })
    })
  }

  /** Resolves to what it was; undefined if nothing was set. */
  deleteMode(subject: string | null): Promise<Mode | undefined> {
    return this.exclusively(async () => {
      const before = this.catalog.mode(subject)
      if (before !== undefined) await this.log.append({ type: 'MODE', subject, value: null })
      return before
    })
  }

  // ── within ────────────────────────────────────────────────────────────────────────────────────────────────────────

  private exclusively<T>(work: () => Promise<T>): Promise<T> {
    const done = this.last.then(work)
    this.last = done.catch(() => {})
    return done
  }

  private checkWritable(subject: string): void {
    const mode = this.mode(subject)
    if (mode === 'READONLY' || mode === 'READONLY_OVERRIDE') throw notPermitted(`Subject ${subject} is in read-only mode`)
  }

  private async forgetSettings(subject: string): Promise<void> {
    if (this.catalog.mode(subject) !== undefined) await this.log.append({ type: 'MODE', subject, value: null })
    if (this.catalog.config(subject) !== undefined) await this.log.append({ type: 'CONFIG', subject, value: null })
  }

  private read(subject: string, request: SchemaRequest, normalize: boolean, isNew: boolean) {
    const { schemaType, metadata, ruleSet } = request
    const resolved = this.resolve(request.references, contextOf(subject))
    const schema = parseSchema(schemaType, request.schema, resolved, isNew)
    const isNormal = normalize || this.effectiveConfig(subject).normalize === true
    const references = isNormal ? [...request.references].sort((a, b) => (a.name < b.name ? -1 : 1)) : request.references
    const text = isNormal ? schema.normalized() : schema.canonical
    const content: SchemaContent = { schemaType, schema: text, references, metadata, ruleSet }
    return { schema, content }
  }

  /** The newest version with this content. A schema that came without its references is found by its text alone, if nothing else fits. */
  private registered(
    subject: string,
    request: SchemaRequest,
    content: SchemaContent,
    deleted: boolean,
  ): SchemaVersion | undefined {
    const versions = this.catalog.versions(subject).filter((version) => deleted || !version.deleted)
    const exact = versions.findLast((version) => sameContent(version, content))
    if (exact !== undefined) return exact
    // What others have stored may be formatted as its writer had it.
    return versions.findLast(
      (version) =>
        version.schemaType === content.schemaType &&
        sameContent({ ...version, schema: '' }, { ...content, schema: '' }) &&
        version.schema === request.schema,
    )
  }

  private incompatibleWith(subject: string, schema: ParsedSchema, level: CompatibilityLevel): string[] {
    const live = this.catalog.versions(subject).filter(({ deleted }) => !deleted)
    return incompatibilities(
      schema,
      live.map((version) => ({ version: version.version, read: () => this.parse(version) })),
      level,
    )
  }

  private versionFor(subject: string, { version }: SchemaRequest, next: number, isImport: boolean): number {
    if (version === undefined || version <= 0) return next
    if (!isImport && version !== next) throw invalidSchema('Version is not one more than previous version')
    const there = this.catalog.version(subject, version)
    if (there !== undefined && !there.deleted) throw notPermitted(`Subject ${subject} has a version ${version} already`)
    return version
  }

  private idFor(subject: string, { id }: SchemaRequest, content: SchemaContent): number {
    const context = contextOf(subject)
    if (id === undefined) return this.catalog.idOf(context, content) ?? this.catalog.maxId(context) + 1
    const [there] = this.catalog.withId(context, id)
    if (there !== undefined && !sameContent(there, content))
      throw idDoesNotMatch(`Overwrite new schema with id ${id} is not permitted.`)
    return id
  }

  private parse(version: SchemaVersion): ParsedSchema {
    const key = `${contextOf(version.subject)}/${hashOf(version)}`
    const known = this.parsed.get(key)
    if (known !== undefined) return known
    const references = this.resolve(version.references, contextOf(version.subject))
    const schema = parseSchema(version.schemaType, version.schema, references, false)
    if (this.parsed.size >= MAX_PARSED) this.parsed.delete(this.parsed.keys().next().value!)
    this.parsed.set(key, schema)
    return schema
  }

  /** The texts of all that is referenced, directly or not, each behind those that it needs. Throws 42201. */
  private resolve(references: readonly SchemaReference[], context: string): ResolvedReference[] {
    const resolved = new Map<string, ResolvedReference>()
    const add = (reference: SchemaReference, within: string) => {
      if (resolved.has(reference.name)) return
      const subject = inContext(within, reference.subject)
      const name = reference.version === -1 ? 'latest' : reference.version
      const found =
        name === 'latest'
          ? this.catalog.versions(subject).findLast(({ deleted }) => !deleted)
          : this.catalog.version(subject, name)
      if (found === undefined) {
        const { version } = reference
        throw invalidSchema(`Invalid schema, details: No schema reference found for subject "${subject}" and version ${version}`)
      }
      if (resolved.size >= MAX_REFERENCES) throw invalidSchema(`Invalid schema, details: more than ${MAX_REFERENCES} references`)
      for (const inner of found.references) add(inner, contextOf(subject))
      resolved.set(reference.name, { name: reference.name, schema: found.schema })
    }
    for (const reference of references) add(reference, context)
    return [...resolved.values()]
  }
}

/** From what holds for all to what holds for the subject alone. */
function scopesOf(subject: string | null): (string | null)[] {
  if (subject === null) return [null]
  const context = contextOf(subject)
  return context === DEFAULT_CONTEXT ? [null, subject] : [null, `:${context}:`, subject]
}

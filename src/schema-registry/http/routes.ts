// The REST API as a table: what is asked for, and who answers. Paths are Confluent's.

import type { Catalog } from '../catalog.ts'
import {
  compatibilityNotConfigured,
  invalidCompatibility,
  invalidMode,
  modeNotConfigured,
  RegistryError,
  schemaNotFound,
  subjectNotFound,
} from '../errors.ts'
import type { Registry } from '../registry.ts'
import { SCHEMA_TYPES } from '../schema.ts'
import {
  COMPATIBILITY_LEVELS,
  type CompatibilityLevel,
  type Config,
  MODES,
  type Mode,
  type SchemaVersion,
} from '../store-record.ts'
import { contextOf, DEFAULT_CONTEXT, inContext } from '../subject-name.ts'
import { jsonBody, page, type RegistryRequest, schemaRequest, versionName } from './request.ts'

export interface RouteContext {
  readonly registry: Registry
  readonly catalog: Catalog
  readonly request: RegistryRequest
  readonly query: URLSearchParams
  /** By the names in the path. Subjects are in their context already. */
  readonly params: Readonly<Record<string, string>>
  /** Of the path's `/contexts/…` in front. */
  readonly context: string
}

export interface Route {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly path: string
  /** Changes something: for the primary. */
  readonly writes: boolean
  readonly handle: (context: RouteContext) => unknown
}

const get = (path: string, handle: Route['handle']): Route => ({ method: 'GET', path, writes: false, handle })
const ask = (path: string, handle: Route['handle']): Route => ({ method: 'POST', path, writes: false, handle })
const post = (path: string, handle: Route['handle']): Route => ({ method: 'POST', path, writes: true, handle })
const put = (path: string, handle: Route['handle']): Route => ({ method: 'PUT', path, writes: true, handle })
const remove = (path: string, handle: Route['handle']): Route => ({ method: 'DELETE', path, writes: true, handle })

export const routes: readonly Route[] = [
  get('/', () => ({})),
  get('/v1/metadata/id', () => ({ id: '', scope: { path: [], clusters: {} } })),
  get('/v1/metadata/version', () => ({ version: '7.9.0', commitId: 'moldau' })),

  get('/schemas', ({ catalog, query }) => {
    const latestOnly = flag(query, 'latestOnly')
    const all = subjects(catalog, query).flatMap((subject) => {
      const versions = catalog.versions(subject).filter(({ deleted }) => flag(query, 'deleted') || !deleted)
      return latestOnly ? versions.slice(-1) : versions
    })
    return page(all, query).map(versionJson)
  }),
  get('/schemas/types', () => SCHEMA_TYPES),
  get('/schemas/ids/:id', ({ registry, catalog, query, params, context }) => {
    const found = withId(registry, catalog, params['id'], query, context)
    return {
      ...contentJson(found, registry.formatted(found, query.get('format') ?? '')),
      ...(flag(query, 'fetchMaxId') && { maxId: catalog.maxId(contextOf(found.subject)) }),
    }
  }),
  get('/schemas/ids/:id/schema', ({ registry, catalog, query, params, context }) => {
    const found = withId(registry, catalog, params['id'], query, context)
    return new RawText(registry.formatted(found, query.get('format') ?? ''))
  }),
  get('/schemas/ids/:id/subjects', ({ registry, catalog, query, params, context }) => {
    const names = allWithId(registry, catalog, params['id'], query, context).map(({ subject }) => subject)
    return page([...new Set(names)].sort(), query)
  }),
  get('/schemas/ids/:id/versions', ({ registry, catalog, query, params, context }) => {
    const found = allWithId(registry, catalog, params['id'], query, context)
    return page(
      found.map(({ subject, version }) => ({ subject, version })),
      query,
    )
  }),

  get('/subjects', ({ catalog, query, context }) => {
    const deleted = flag(query, 'deleted')
    const deletedOnly = flag(query, 'deletedOnly')
    const names = subjects(catalog, query).filter((subject) => {
      if (context !== DEFAULT_CONTEXT && contextOf(subject) !== context) return false
      const isDeleted = catalog.versions(subject).every((version) => version.deleted)
      return deletedOnly ? isDeleted : deleted || !isDeleted
    })
    return page(names, query)
  }),
  get('/subjects/:subject/versions', ({ registry, query, params }) => {
    const deletedOnly = flag(query, 'deletedOnly')
    const versions = registry.versions(params['subject'], deletedOnly || flag(query, 'deleted'))
    return page(
      versions.filter(({ deleted }) => !deletedOnly || deleted).map(({ version }) => version),
      query,
    )
  }),
  get('/subjects/:subject/versions/:version', ({ registry, query, params }) => {
    const found = registry.version(params['subject'], versionName(params['version']), flag(query, 'deleted'))
    return { ...versionJson(found), schema: registry.formatted(found, query.get('format') ?? '') }
  }),
  get('/subjects/:subject/versions/:version/schema', ({ registry, query, params }) => {
    const found = registry.version(params['subject'], versionName(params['version']), flag(query, 'deleted'))
    return new RawText(registry.formatted(found, query.get('format') ?? ''))
  }),
  get('/subjects/:subject/versions/:version/referencedby', ({ registry, catalog, query, params }) => {
    const { subject, version } = registry.version(params['subject'], versionName(params['version']), true)
    return page([...new Set(catalog.referencedBy(subject, version).map(({ id }) => id))].sort(ascending), query)
  }),
  get('/subjects/:subject/metadata', ({ registry, query, params }) => {
    const wanted = query.getAll('key').map((key, index) => [key, query.getAll('value')[index]] as const)
    const found = registry
      .versions(params['subject'], flag(query, 'deleted'))
      .findLast(({ metadata }) => wanted.every(([key, value]) => propertiesOf(metadata)[key] === value))
    if (found === undefined) throw schemaNotFound()
    return { ...versionJson(found), schema: registry.formatted(found, query.get('format') ?? '') }
  }),
  ask('/subjects/:subject', ({ registry, request, query, params }) => {
    const wanted = schemaRequest(request.body)
    const found = registry.find(params['subject'], wanted, flag(query, 'normalize'), flag(query, 'deleted'))
    return { ...versionJson(found), schema: registry.formatted(found, query.get('format') ?? '') }
  }),
  post('/subjects/:subject/versions', async ({ registry, request, query, params }) => {
    const registered = await registry.register(params['subject'], schemaRequest(request.body), flag(query, 'normalize'))
    return { id: registered.id, version: registered.version, ...contentJson(registered, registered.schema) }
  }),
  remove('/subjects/:subject', ({ registry, query, params }) =>
    registry.deleteSubject(params['subject'], flag(query, 'permanent')),
  ),
  remove('/subjects/:subject/versions/:version', ({ registry, query, params }) =>
    registry.deleteVersion(params['subject'], versionName(params['version']), flag(query, 'permanent')),
  ),

  ask('/compatibility/subjects/:subject/versions', compatibility),
  ask('/compatibility/subjects/:subject/versions/:version', compatibility),

  get('/config', ({ registry }) => registry.effectiveConfig(null)),
  put('/config', async ({ registry, request }) => configJson(await registry.setConfig(null, configIn(request.body)))),
  remove('/config', async ({ registry }) => {
    const before = registry.effectiveConfig(null)
    await registry.deleteConfig(null)
    return before
  }),
  get('/config/:subject', ({ registry, catalog, query, params }) => {
    const subject = params['subject']
    if (flag(query, 'defaultToGlobal')) return registry.effectiveConfig(subject)
    const config = catalog.config(subject)
    if (config === undefined) throw compatibilityNotConfigured(subject)
    return config
  }),
  put('/config/:subject', async ({ registry, request, params }) =>
    configJson(await registry.setConfig(params['subject'], configIn(request.body))),
  ),
  remove('/config/:subject', async ({ registry, params }) => {
    const before = await registry.deleteConfig(params['subject'])
    if (before === undefined) throw subjectNotFound(params['subject'])
    return before
  }),

  get('/mode', ({ registry }) => ({ mode: registry.mode(null) })),
  put('/mode', async ({ registry, request, query }) => {
    const mode = modeIn(request.body)
    await registry.setMode(null, mode, flag(query, 'force'))
    return { mode }
  }),
  remove('/mode', async ({ registry }) => {
    const before = registry.mode(null)
    await registry.deleteMode(null)
    return { mode: before }
  }),
  get('/mode/:subject', ({ registry, catalog, query, params }) => {
    const subject = params['subject']
    if (flag(query, 'defaultToGlobal')) return { mode: registry.mode(subject) }
    const mode = catalog.mode(subject)
    if (mode === undefined) throw modeNotConfigured(subject)
    return { mode }
  }),
  put('/mode/:subject', async ({ registry, request, query, params }) => {
    const mode = modeIn(request.body)
    await registry.setMode(params['subject'], mode, flag(query, 'force'))
    return { mode }
  }),
  remove('/mode/:subject', async ({ registry, params }) => {
    const before = await registry.deleteMode(params['subject'])
    if (before === undefined) throw subjectNotFound(params['subject'])
    return { mode: before }
  }),

  get('/contexts', ({ catalog }) => catalog.contexts()),
]

/** An answer that is its text, not JSON made of it. */
export class RawText {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

function compatibility({ registry, request, query, params }: RouteContext): unknown {
  const version = params['version'] === undefined ? undefined : versionName(params['version'])
  const messages = registry.checkCompatibility(params['subject'], schemaRequest(request.body), version, flag(query, 'normalize'))
  return { is_compatible: messages.length === 0, ...(flag(query, 'verbose') && { messages }) }
}

/** An id is looked for in the context of the subject named, else of the path, else wherever it is, the default context first. */
function withId(registry: Registry, catalog: Catalog, text: string, query: URLSearchParams, context: string): SchemaVersion {
  if (!/^\d{1,10}$/.test(text)) throw new RegistryError(404, 404, 'HTTP 404 Not Found')
  const id = Number(text)
  const subject = inContext(context, query.get('subject') ?? '')
  if (contextOf(subject) !== DEFAULT_CONTEXT) return registry.withId(id, subject)
  const holder = catalog.contexts().find((name) => catalog.withId(name, id).length > 0)
  return registry.withId(id, holder === undefined || holder === DEFAULT_CONTEXT ? subject : `:${holder}:`)
}

/** Sorted by subject and version. */
function allWithId(registry: Registry, catalog: Catalog, id: string, query: URLSearchParams, context: string): SchemaVersion[] {
  const found = withId(registry, catalog, id, query, context)
  return catalog
    .withId(contextOf(found.subject), found.id)
    .filter(
      ({ deleted, subject }) =>
        (flag(query, 'deleted') || !deleted) && (!query.get('subject') || subject === query.get('subject')),
    )
    .sort((a, b) => (a.subject === b.subject ? a.version - b.version : a.subject < b.subject ? -1 : 1))
}

/** `:*:` in front means all contexts, as no prefix does. */
function subjects(catalog: Catalog, query: URLSearchParams): string[] {
  const prefix = (query.get('subjectPrefix') ?? '').replace(/^:\*:/, '')
  return catalog.subjectNames().filter((subject) => subject.startsWith(prefix))
}

function contentJson({ schemaType, references, metadata, ruleSet }: SchemaVersion, schema: string): Record<string, unknown> {
  return {
    // Avro is what a schema without a type is, to clients as old as the API.
    ...(schemaType !== 'AVRO' && { schemaType }),
    ...(references.length > 0 && { references }),
    ...(metadata !== undefined && { metadata }),
    ...(ruleSet !== undefined && { ruleSet }),
    schema,
  }
}

function versionJson(version: SchemaVersion): Record<string, unknown> {
  const { subject, id } = version
  return { subject, version: version.version, id, ...contentJson(version, version.schema) }
}

/** What is set goes by another name than what is asked for. */
function configJson({ compatibilityLevel, ...more }: Config): Record<string, unknown> {
  return { ...(compatibilityLevel !== undefined && { compatibility: compatibilityLevel }), ...more }
}

function configIn(body: Buffer): Config {
  const { compatibility, compatibilityLevel, subject: _subject, ...more } = jsonBody(body)
  const given = compatibility ?? compatibilityLevel
  if (given === undefined || given === null) {
    if (Object.keys(more).length === 0) throw invalidCompatibility(given ?? null)
    return more as Config
  }
  const level = String(given).toUpperCase() as CompatibilityLevel
  if (!COMPATIBILITY_LEVELS.includes(level)) throw invalidCompatibility(given)
  return { ...more, compatibilityLevel: level }
}

function modeIn(body: Buffer): Mode {
  const { mode } = jsonBody(body)
  const given = String(mode).toUpperCase() as Mode
  if (!MODES.includes(given)) throw invalidMode(mode)
  return given
}

function propertiesOf(metadata: unknown): Record<string, unknown> {
  return (metadata as { properties?: Record<string, unknown> } | undefined)?.properties ?? {}
}

function flag(query: URLSearchParams, name: string): boolean {
  return query.get(name)?.toLowerCase() === 'true'
}

function ascending(a: number, b: number): number {
  return a - b
}

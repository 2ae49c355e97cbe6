// The messages against Kafka's own definitions, field by field and version by version. Those definitions are not part of this repository:
// where they are not at hand, the first test says so and the others do not exist.

import assert from 'node:assert/strict'
import { existsSync, globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { apis } from './apis.ts'
import { ConsumerProtocolAssignment, ConsumerProtocolSubscription } from './consumer-protocol.ts'
import { metadataRecordTypes } from './internal-records/cluster-metadata.ts'
import { consumerGroupRecordTypes } from './internal-records/consumer-group-records.ts'
import { controllerControlRecords } from './internal-records/controller-control-records.ts'
import { GroupMetadataRecord, OffsetCommitRecord } from './internal-records/group-records.ts'
import { ProducerSnapshot } from './internal-records/producer-snapshot.ts'
import { TransactionLogRecord } from './internal-records/transaction-log.ts'
import type { Fields, Message, Shape } from './schema.ts'
import { parseVersions, within } from './versions.ts'

const folder = join(import.meta.dirname, '../../../shared/reference')

interface Definition {
  readonly apiKey?: number
  readonly type: string
  readonly name: string
  readonly validVersions: string
  readonly flexibleVersions: string
  readonly latestVersionUnstable?: boolean
  readonly fields: readonly DefinedField[]
  readonly commonStructs?: readonly { readonly name: string; readonly fields: readonly DefinedField[] }[]
}

interface DefinedField {
  readonly name: string
  readonly type: string
  /** Left out where `taggedVersions` says it all. */
  readonly versions?: string
  readonly nullableVersions?: string
  readonly taggedVersions?: string
  readonly tag?: number
  readonly default?: string | number | boolean | null
  readonly fields?: readonly DefinedField[]
}

/** One field of one version, as a line to compare. */
type Line = string

if (!existsSync(folder)) {
  test('the messages are not checked against Kafka: no reference definitions here', () => {
    assert.ok(apis.length > 0)
  })
} else {
  const definitions = globSync(`${folder}/messages*/**/*.json`).map(parse)
  const byName = new Map(definitions.map((definition) => [definition.name, definition]))

  for (const api of apis) {
    test(`${api.name} is what Kafka says, in every version`, () => {
      // Told of the request alone.
      const unstable = byName.get(api.request.name)?.latestVersionUnstable === true
      for (const message of [api.request, api.response]) {
        const definition = definitions.find(
          (one) => one.apiKey === api.key && one.type === (message === api.request ? 'request' : 'response'),
        )
        assert.ok(definition !== undefined, message.name)
        assert.equal(message.name, definition.name)
        compare(message, definition, unstable)
      }
    })
  }

  // Apart from the one field that is our own.
  const { lastProducerEpoch: _, ...transactionLogFields } = TransactionLogRecord.value.fields
  const stored: [Message, string][] = [
    [ConsumerProtocolSubscription, 'ConsumerProtocolSubscription'],
    [ConsumerProtocolAssignment, 'ConsumerProtocolAssignment'],
    [ProducerSnapshot, 'ProducerSnapshot'],
    [OffsetCommitRecord.key, 'OffsetCommitKey'],
    [OffsetCommitRecord.value, 'OffsetCommitValue'],
    [GroupMetadataRecord.key, 'GroupMetadataKey'],
    [GroupMetadataRecord.value, 'GroupMetadataValue'],
    [TransactionLogRecord.key, 'TransactionLogKey'],
    [{ ...TransactionLogRecord.value, fields: transactionLogFields } as Message, 'TransactionLogValue'],
    ...consumerGroupRecordTypes.flatMap(({ key, value }): [Message, string][] => [
      [key as Message, key.name],
      [value as Message, value.name],
    ]),
    ...metadataRecordTypes.map(({ name, message }): [Message, string] => [message as Message, name]),
    ...[...controllerControlRecords.values()].map((message): [Message, string] => [message, message.name]),
  ]
  for (const [message, name] of stored) {
    test(`${name} is what Kafka says, in every version`, () => {
      const definition = byName.get(name)
      assert.ok(definition !== undefined)
      compare(message, definition)
    })
  }

  function compare(message: Message, definition: Definition, newestIsUnstable = false): void {
    const valid = parseVersions(definition.validVersions)
    const newest = newestIsUnstable ? valid.max - 1 : valid.max
    assert.deepEqual(message.versions, { min: valid.min, max: newest }, `${message.name}: versions`)
    const flexible = parseVersions(definition.flexibleVersions)
    for (let version = valid.min; version <= newest; version++) {
      assert.equal(within(message.flexible, version), within(flexible, version), `${message.name} v${version}: flexible`)
      assert.deepEqual(
        ours(message.fields, version, ''),
        theirs(definition.fields, definition, version, ''),
        `${message.name} v${version}`,
      )
    }
  }
}

function ours(fields: Fields, version: number, path: string): Line[] {
  return Object.entries(fields)
    .filter(([, field]) => within(field.versions, version))
    .flatMap(([name, field]) => {
      const tag = within(field.taggedVersions, version) ? field.tag : null
      const line = describe(path + name, typeName(field.shape), within(field.nullableVersions, version), tag, field.defaultValue)
      const inner = structOf(field.shape)
      return inner === null ? [line] : [line, ...ours(inner, version, `${path}${name}.`)]
    })
}

function theirs(fields: readonly DefinedField[], definition: Definition, version: number, path: string): Line[] {
  return fields
    .filter((field) => within(parseVersions(field.versions ?? field.taggedVersions ?? 'none'), version))
    .flatMap((field) => {
      const name = field.name[0].toLowerCase() + field.name.slice(1)
      const element = field.type.replace('[]', '')
      const inner = field.fields ?? definition.commonStructs?.find((struct) => struct.name === element)?.fields
      const type = inner === undefined ? field.type : field.type.replace(element, 'struct')
      const nullable = within(parseVersions(field.nullableVersions ?? 'none'), version)
      const tag = within(parseVersions(field.taggedVersions ?? 'none'), version) ? (field.tag ?? null) : null
      const line = describe(path + name, type, nullable, tag, definedDefault(field, name))
      return inner === undefined ? [line] : [line, ...theirs(inner, definition, version, `${path}${name}.`)]
    })
}

function describe(path: string, type: string, nullable: boolean, tag: number | null, fallback: unknown): Line {
  return `${path}: ${type}${nullable ? ' or null' : ''}${tag === null ? '' : `, tag ${tag}`}, default ${typeof fallback} ${fallback}`
}

/** As our notation has it. */
function definedDefault(field: DefinedField, name: string): unknown {
  // The one liberty: nobody should have to say that a request was not throttled.
  // Kafka's generator takes the bare null for nothing said: the default is then that of the type.
  if (field.default === undefined || field.default === null) return name === 'throttleTimeMs' ? 0 : undefined
  if (field.default === 'null') return null
  const text = String(field.default)
  if (field.type === 'string') return text
  if (field.type === 'bool') return text === 'true'
  return field.type === 'int64' ? BigInt(text) : Number(text)
}

function typeName(shape: Shape): string {
  return shape.kind === 'array' ? `[]${typeName(shape.element)}` : shape.kind
}

function structOf(shape: Shape): Fields | null {
  if (shape.kind === 'array') return structOf(shape.element)
  return shape.kind === 'struct' ? shape.fields : null
}

/** JSON with comments, none of them within a string that looks like one. */
function parse(file: string): Definition {
  const text = readFileSync(file, 'utf8').replace(/("(?:[^"\\]|\\.)*")|\/\/.*$/gm, '$1')
  return JSON.parse(text)
}

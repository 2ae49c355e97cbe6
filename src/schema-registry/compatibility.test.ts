import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { incompatibilities } from './compatibility.ts'
import { parseSchema } from './formats.ts'
import type { SchemaType } from './schema.ts'
import type { CompatibilityLevel } from './store-record.ts'

/** A reader, a writer, and the first problem that the reader has: none where it can read all. */
interface Row {
  readonly says: string
  readonly writer: string
  readonly reader: string
  readonly problem?: string
  readonly path?: string
}

function table(type: SchemaType, rows: readonly Row[]): void {
  describe(type, () => {
    for (const { says, writer, reader, problem, path } of rows) {
      test(says, () => {
        const [first] = parseSchema(type, reader, [], true).cannotRead(parseSchema(type, writer, [], true))
        assert.equal(first?.errorType, problem, first?.description)
        if (path !== undefined) assert.equal(first?.path, path)
      })
    }
  })
}

const record = (...fields: object[]) => JSON.stringify({ type: 'record', name: 'R', namespace: 'ns', fields })
const a = { name: 'a', type: 'string' }
const type = (of: unknown) => JSON.stringify(of)
const color = (...symbols: string[]) => ({ type: 'enum', name: 'Color', symbols })
const node = (...more: object[]) => record({ name: 'next', type: ['null', 'ns.R'] }, ...more)

table('AVRO', [
  { says: 'a field that is gone is skipped', writer: record(a, { name: 'b', type: 'int' }), reader: record(a) },
  {
    says: 'a new field with a default is filled in',
    writer: record(a),
    reader: record(a, { name: 'b', type: 'int', default: 0 }),
  },
  {
    says: 'a new field without a default is named, with its path',
    writer: record(a),
    reader: record(a, { name: 'b', type: 'int' }),
    problem: 'READER_FIELD_MISSING_DEFAULT_VALUE',
    path: '/fields/1',
  },
  {
    says: 'an alias finds the field by its old name',
    writer: record(a),
    reader: record({ name: 'b', type: 'string', aliases: ['a'] }),
  },
  {
    says: 'a field that changes its type is named',
    writer: record(a),
    reader: record({ name: 'a', type: 'int' }),
    problem: 'TYPE_MISMATCH',
    path: '/fields/0/type',
  },
  { says: 'an int is read as a double', writer: type('int'), reader: type('double') },
  { says: 'a long is not read as an int', writer: type('long'), reader: type('int'), problem: 'TYPE_MISMATCH', path: '/' },
  { says: 'text is read as bytes, and back', writer: type(['string', 'bytes']), reader: type(['bytes']) },
  {
    says: 'a symbol that is gone is named',
    writer: type(color('RED', 'BLUE')),
    reader: type(color('RED')),
    problem: 'MISSING_ENUM_SYMBOLS',
  },
  {
    says: 'a default stands in for symbols that are gone',
    writer: type(color('RED', 'BLUE')),
    reader: type({ ...color('RED'), default: 'RED' }),
  },
  {
    says: 'a branch of a union that is gone is missed',
    writer: type(['null', 'int']),
    reader: type(['null', 'string']),
    problem: 'MISSING_UNION_BRANCH',
  },
  { says: 'what becomes a union is one of its branches', writer: type('int'), reader: type(['null', 'long']) },
  {
    says: 'a union that loses all but one branch is checked against it',
    writer: type(['int', 'null']),
    reader: type('int'),
    problem: 'TYPE_MISMATCH',
  },
  { says: 'names of records must agree', writer: record(a), reader: record(a).replace('"R"', '"S"'), problem: 'NAME_MISMATCH' },
  { says: 'a namespace may change', writer: record(a), reader: record(a).replace('"ns"', '"other"') },
  {
    says: 'the size of a fixed may not change',
    writer: type({ type: 'fixed', name: 'F', size: 4 }),
    reader: type({ type: 'fixed', name: 'F', size: 5 }),
    problem: 'FIXED_SIZE_MISMATCH',
  },
  {
    says: 'items and values are compared',
    writer: type({ type: 'array', items: { type: 'map', values: 'int' } }),
    reader: type({ type: 'array', items: { type: 'map', values: 'string' } }),
    problem: 'TYPE_MISMATCH',
    path: '/items/values',
  },
  { says: 'a record that contains itself agrees with itself', writer: node(), reader: node() },
  {
    says: 'a record that contains itself is searched',
    writer: node(),
    reader: node({ name: 'x', type: 'int' }),
    problem: 'READER_FIELD_MISSING_DEFAULT_VALUE',
  },
])

const object = (properties: object, more: object = {}) => JSON.stringify({ type: 'object', properties, ...more })
const closed = { additionalProperties: false }
const string = { type: 'string' }

table('JSON', [
  {
    says: 'a property added to an open object could have been anything',
    writer: object({ a: string }),
    reader: object({ a: string, b: string }),
    problem: 'PROPERTY_ADDED_TO_OPEN_CONTENT_MODEL',
    path: '#/properties/b',
  },
  {
    says: 'a property of any kind may be added to an open object',
    writer: object({ a: string }),
    reader: object({ a: string, b: {} }),
  },
  {
    says: 'a property may be added to a closed object',
    writer: object({ a: string }, closed),
    reader: object({ a: string, b: string }, closed),
  },
  {
    says: 'but not if it is required',
    writer: object({ a: string }, closed),
    reader: object({ a: string, b: string }, { ...closed, required: ['b'] }),
    problem: 'REQUIRED_PROPERTY_ADDED_TO_UNOPEN_CONTENT_MODEL',
    path: '#/properties/b',
  },
  {
    says: 'unless it has a default',
    writer: object({ a: string }, closed),
    reader: object({ a: string, b: { ...string, default: '' } }, { ...closed, required: ['b'] }),
  },
  {
    says: 'a property may be taken from an open object',
    writer: object({ a: string, b: string }),
    reader: object({ a: string }),
  },
  {
    says: 'but not from a closed one',
    writer: object({ a: string, b: string }, closed),
    reader: object({ a: string }, closed),
    problem: 'PROPERTY_REMOVED_FROM_CLOSED_CONTENT_MODEL',
    path: '#/properties/b',
  },
  {
    says: 'further properties cover what is taken away',
    writer: object({ a: string, b: string }, { additionalProperties: string }),
    reader: object({ a: string }, { additionalProperties: string }),
  },
  {
    says: 'unless they are of another type',
    writer: object({ a: { type: 'integer' } }, { additionalProperties: string }),
    reader: object({}, { additionalProperties: string }),
    problem: 'TYPE_CHANGED',
  },
  {
    says: 'a property may not become required',
    writer: object({ a: string }),
    reader: object({ a: string }, { required: ['a'] }),
    problem: 'REQUIRED_ATTRIBUTE_ADDED',
    path: '#/required/a',
  },
  { says: 'and may cease to be', writer: object({ a: string }, { required: ['a'] }), reader: object({ a: string }) },
  {
    says: 'an open object may not be closed',
    writer: object({ a: string }),
    reader: object({ a: string }, closed),
    problem: 'ADDITIONAL_PROPERTIES_REMOVED',
  },
  {
    says: 'a type that changes is named with its path',
    writer: object({ a: string }),
    reader: object({ a: { type: 'integer' } }),
    problem: 'TYPE_CHANGED',
    path: '#/properties/a',
  },
  { says: 'integers are numbers', writer: type({ type: 'integer' }), reader: type({ type: 'number' }) },
  {
    says: 'numbers are not all integers',
    writer: type({ type: 'number' }),
    reader: type({ type: 'integer' }),
    problem: 'TYPE_NARROWED',
  },
  { says: 'types may be added', writer: type({ type: 'string' }), reader: type({ type: ['string', 'null'] }) },
  {
    says: 'a longest length may grow',
    writer: type({ type: 'string', maxLength: 5 }),
    reader: type({ type: 'string', maxLength: 6 }),
  },
  {
    says: 'and not shrink',
    writer: type({ type: 'string', maxLength: 5 }),
    reader: type({ type: 'string', maxLength: 4 }),
    problem: 'MAX_LENGTH_DECREASED',
    path: '#/maxLength',
  },
  {
    says: 'a lowest value may not rise',
    writer: type({ type: 'number', minimum: 1 }),
    reader: type({ type: 'number', minimum: 2 }),
    problem: 'MINIMUM_INCREASED',
  },
  { says: 'a pattern may not appear', writer: type(string), reader: type({ ...string, pattern: 'x' }), problem: 'PATTERN_ADDED' },
  { says: 'values may be added to an enum', writer: type({ enum: ['a'] }), reader: type({ enum: ['a', 'b'] }) },
  {
    says: 'and not taken away',
    writer: type({ enum: ['a', 'b'] }),
    reader: type({ enum: ['a'] }),
    problem: 'ENUM_ARRAY_NARROWED',
  },
  { says: 'an alternative may be added', writer: type({ oneOf: [string] }), reader: type({ oneOf: [string, { type: 'null' }] }) },
  {
    says: 'and not taken away',
    writer: type({ anyOf: [string, { type: 'null' }] }),
    reader: type({ anyOf: [string] }),
    problem: 'SUM_TYPE_NARROWED',
  },
  {
    says: 'what becomes one of several is one of them',
    writer: type(string),
    reader: type({ anyOf: [{ type: 'null' }, string] }),
  },
  {
    says: 'all of more is more than before',
    writer: type({ allOf: [string] }),
    reader: type({ allOf: [string, { maxLength: 3 }] }),
    problem: 'PRODUCT_TYPE_EXTENDED',
  },
  { says: 'all of less is less', writer: type({ allOf: [string, { maxLength: 3 }] }), reader: type({ allOf: [string] }) },
  {
    says: 'references are followed',
    writer: type({ $ref: '#/definitions/x', definitions: { x: string } }),
    reader: type({ $ref: '#/$defs/y', $defs: { y: { type: 'integer' } } }),
    problem: 'TYPE_CHANGED',
  },
  {
    says: 'a schema that contains itself agrees with itself',
    writer: object({ next: { $ref: '#' } }),
    reader: object({ next: { $ref: '#' } }),
  },
  {
    says: 'items are compared, of tuples one by one',
    writer: type({ type: 'array', items: [string, string], additionalItems: false }),
    reader: type({ type: 'array', prefixItems: [string, { type: 'integer' }], items: false }),
    problem: 'TYPE_CHANGED',
    path: '#/items/1',
  },
  { says: 'what is not accepted may shrink', writer: type({ not: string }), reader: type({ not: { ...string, maxLength: 3 } }) },
  {
    says: 'and not grow',
    writer: type({ not: { ...string, maxLength: 3 } }),
    reader: type({ not: string }),
    problem: 'NOT_TYPE_EXTENDED',
  },
])

const proto = (body: string, head = 'package p;') => `syntax = "proto3"; ${head} ${body}`
const proto2 = (body: string) => `syntax = "proto2"; ${body}`

table('PROTOBUF', [
  {
    says: 'fields come and go',
    writer: proto('message A { string a = 1; int32 b = 2; }'),
    reader: proto('message A { string a = 1; int64 c = 3; }'),
  },
  { says: 'a field may be renamed', writer: proto('message A { string a = 1; }'), reader: proto('message A { string b = 1; }') },
  {
    says: 'a field that changes on the wire is named',
    writer: proto('message A { string a = 1; }'),
    reader: proto('message A { int32 a = 1; }'),
    problem: 'FIELD_SCALAR_KIND_CHANGED',
    path: 'p.A.a',
  },
  {
    says: 'integers of the same encoding are one',
    writer: proto('message A { int32 a = 1; }'),
    reader: proto('message A { uint64 a = 1; }'),
  },
  {
    says: 'zigzag is another',
    writer: proto('message A { int32 a = 1; }'),
    reader: proto('message A { sint32 a = 1; }'),
    problem: 'FIELD_SCALAR_KIND_CHANGED',
  },
  {
    says: 'an enum is an integer',
    writer: proto('enum E { Z = 0; } message A { E a = 1; }'),
    reader: proto('enum E { Z = 0; } message A { int32 a = 1; }'),
  },
  { says: 'text and bytes are one', writer: proto('message A { string a = 1; }'), reader: proto('message A { bytes a = 1; }') },
  {
    says: 'a message is no scalar',
    writer: proto('message B {} message A { B a = 1; }'),
    reader: proto('message B {} message A { string a = 1; }'),
    problem: 'FIELD_KIND_CHANGED',
  },
  {
    says: 'a field of another message is named',
    writer: proto('message B {} message C {} message A { B a = 1; }'),
    reader: proto('message B {} message C {} message A { C a = 1; }'),
    problem: 'FIELD_NAMED_TYPE_CHANGED',
    path: 'p.A.a',
  },
  {
    says: 'a message may not go',
    writer: proto('message A {} message B {}'),
    reader: proto('message A {}'),
    problem: 'MESSAGE_REMOVED',
    path: 'p.B',
  },
  {
    says: 'nor one inside another',
    writer: proto('message A { message B {} }'),
    reader: proto('message A {}'),
    problem: 'MESSAGE_REMOVED',
    path: 'p.A.B',
  },
  { says: 'messages may change places', writer: proto('message A {} message B {}'), reader: proto('message B {} message A {}') },
  {
    says: 'the package may not change',
    writer: proto('message A {}'),
    reader: proto('message A {}', 'package q;'),
    problem: 'PACKAGE_CHANGED',
  },
  {
    says: 'a number may not become repeated',
    writer: proto('message A { int32 a = 1; }'),
    reader: proto('message A { repeated int32 a = 1; }'),
    problem: 'FIELD_NUMERIC_LABEL_CHANGED',
  },
  { says: 'text may', writer: proto('message A { string a = 1; }'), reader: proto('message A { repeated string a = 1; }') },
  {
    says: 'a required field may not be added',
    writer: proto2('message A {}'),
    reader: proto2('message A { required int32 a = 1; }'),
    problem: 'REQUIRED_FIELD_ADDED',
  },
  {
    says: 'nor taken away',
    writer: proto2('message A { required int32 a = 1; }'),
    reader: proto2('message A {}'),
    problem: 'REQUIRED_FIELD_REMOVED',
  },
  {
    says: 'one field may move into a new oneof',
    writer: proto('message A { int32 a = 1; }'),
    reader: proto('message A { oneof o { int32 a = 1; int32 b = 2; } }'),
  },
  {
    says: 'two may not',
    writer: proto('message A { int32 a = 1; int32 b = 2; }'),
    reader: proto('message A { oneof o { int32 a = 1; int32 b = 2; } }'),
    problem: 'MULTIPLE_FIELDS_MOVED_TO_ONEOF',
  },
  {
    says: 'a field of a oneof may not go',
    writer: proto('message A { oneof o { int32 a = 1; int32 b = 2; } }'),
    reader: proto('message A { oneof o { int32 a = 1; } }'),
    problem: 'ONEOF_FIELD_REMOVED',
    path: 'p.A.b',
  },
  {
    says: 'values of maps are compared',
    writer: proto('message A { map<string, int32> a = 1; }'),
    reader: proto('message A { map<string, string> a = 1; }'),
    problem: 'FIELD_SCALAR_KIND_CHANGED',
  },
])

describe('levels', () => {
  const versions = [record(a), record(a, { name: 'b', type: 'int', default: 0 }), record({ name: 'b', type: 'int', default: 0 })]
  const against = (level: CompatibilityLevel, schema: string, upTo = versions.length) =>
    incompatibilities(
      parseSchema('AVRO', schema, [], true),
      versions.slice(0, upTo).map((text, index) => ({ version: index + 1, read: () => parseSchema('AVRO', text, [], false) })),
      level,
    ).length === 0

  test('backward asks whether the new schema reads the latest, forward whether the latest reads the new', () => {
    const needsB = record({ name: 'b', type: 'int' })
    assert.equal(against('BACKWARD', needsB), true)
    assert.equal(against('FORWARD', record({ name: 'x', type: 'int' })), true)
    assert.equal(against('FORWARD', record({ name: 'x', type: 'int' }), 1), false)
    assert.equal(against('FULL', record({ name: 'x', type: 'int' })), false)
    assert.equal(against('FULL', record({ name: 'x', type: 'int', default: 1 })), true)
  })

  test('transitive asks for all versions', () => {
    const needsB = record({ name: 'b', type: 'int' })
    assert.equal(against('BACKWARD_TRANSITIVE', needsB), false)
    assert.equal(against('FORWARD_TRANSITIVE', record({ name: 'x', type: 'int' })), false)
    assert.equal(against('FULL_TRANSITIVE', versions[1]), false)
    assert.equal(against('NONE', '"int"'), true)
  })

  test('another language never fits', () => {
    const [line] = incompatibilities(
      parseSchema('JSON', '{}', [], true),
      [{ version: 1, read: () => parseSchema('AVRO', '"int"', [], true) }],
      'BACKWARD',
    )
    assert.match(line, /SCHEMA_TYPE_CHANGED/)
  })
})

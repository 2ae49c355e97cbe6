import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LineReader } from './line-reader.ts'

function read(properties: Record<string, string>, line: string) {
  const { key, value, headers } = new LineReader('t', new Map(Object.entries(properties))).read(line)
  return {
    key: key?.toString() ?? null,
    value: value?.toString() ?? null,
    headers: headers?.map((header) => [header.key, header.value?.toString() ?? null]),
  }
}

test('a line is a value', () => {
  assert.deepEqual(read({}, 'a\tb'), { key: null, value: 'a\tb', headers: [] })
})

test('a key stands in front of the first separator', () => {
  assert.deepEqual(read({ 'parse.key': 'true' }, 'k\tv\tw'), { key: 'k', value: 'v\tw', headers: [] })
  assert.deepEqual(read({ 'parse.key': 'true', 'key.separator': ':' }, 'k:v'), { key: 'k', value: 'v', headers: [] })
  assert.deepEqual(read({ 'parse.key': 'true' }, '\tv'), { key: '', value: 'v', headers: [] })
})

test('headers stand in front of all', () => {
  assert.deepEqual(read({ 'parse.headers': 'true', 'parse.key': 'true' }, 'a:1,b:x:y\tk\tv'), {
    key: 'k',
    value: 'v',
    headers: [
      ['a', '1'],
      ['b', 'x:y'],
    ],
  })
})

test('the null marker makes null of keys, values and header values', () => {
  const properties = { 'parse.headers': 'true', 'parse.key': 'true', 'null.marker': 'NULL' }
  assert.deepEqual(read(properties, 'a:NULL\tNULL\tNULL'), { key: null, value: null, headers: [['a', null]] })
  assert.deepEqual(read(properties, 'NULL\tk\tv'), { key: 'k', value: 'v', headers: [] })
  assert.throws(() => read(properties, 'NULL:1\tk\tv'), /Header keys should not be equal to the null marker/)
})

test('a line without its separator is an error that names it, or a value if errors are ignored', () => {
  const reader = new LineReader('t', new Map([['parse.key', 'true']]))
  reader.read('k\tv')
  assert.throws(() => reader.read('only'), /No key separator found on line number 2: 'only'/)
  assert.deepEqual(read({ 'parse.key': 'true', 'ignore.error': 'true' }, 'only'), { key: null, value: 'only', headers: [] })
  assert.throws(() => read({ 'parse.headers': 'true' }, 'a\tv'), /No header key separator found in pair 'a' on line number 1/)
})

test('separators that could not be told apart are refused, and so are unknown properties', () => {
  assert.throws(() => new LineReader('t', new Map([['headers.separator', ':']])), /may not be equal/)
  assert.throws(() => new LineReader('t', new Map([['null.marker', '\t']])), /null.marker and .* may not be equal/)
  assert.throws(() => new LineReader('t', new Map([['parse.keys', 'true']])), /unknown reader property parse.keys/)
})

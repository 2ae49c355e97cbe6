import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseProperties } from './properties.ts'

test('comments, blanks and separators are read as Java reads them', () => {
  const text = [
    '# a comment \\',
    '! another',
    '',
    '  a = 1  ',
    'b:2',
    'c 3',
    'd',
    'e=',
    'f==x',
    'g = h=i',
    '\ufeffnot a mark here=1',
  ].join('\n')
  assert.deepEqual(parseProperties(text), [
    { key: 'a', value: '1  ', line: 4 },
    { key: 'b', value: '2', line: 5 },
    { key: 'c', value: '3', line: 6 },
    { key: 'd', value: '', line: 7 },
    { key: 'e', value: '', line: 8 },
    { key: 'f', value: '=x', line: 9 },
    { key: 'g', value: 'h=i', line: 10 },
    { key: '\ufeffnot', value: 'a mark here=1', line: 11 },
  ])
})

test('a line goes on behind a backslash, and keeps the number it began with', () => {
  const text = 'listeners=PLAINTEXT://:9092,\\\r\n   CONTROLLER://:9093\r\npath=c:\\\\dir\\\\\r\nlast=1\\'
  assert.deepEqual(parseProperties(text), [
    { key: 'listeners', value: 'PLAINTEXT://:9092,CONTROLLER://:9093', line: 1 },
    { key: 'path', value: 'c:\\dir\\', line: 3 },
    { key: 'last', value: '1', line: 4 },
  ])
})

test('escapes stand for their characters, in keys too', () => {
  assert.deepEqual(parseProperties('a\\ b\\=c=\\t\\u00e9\\q\\u12'), [{ key: 'a b=c', value: '\t\u00e9qu12', line: 1 }])
})

test('equal keys are all given, in order', () => {
  assert.deepEqual(
    parseProperties('a=1\na=2').map(({ value, line }) => [value, line]),
    [
      ['1', 1],
      ['2', 2],
    ],
  )
})

test('a long line of backslashes or blanks takes no more than linear time', () => {
  assert.equal(parseProperties(`${'\\'.repeat(100_001)}`).length, 1)
  assert.equal(parseProperties(`a${' '.repeat(100_000)}b`)[0].value, 'b')
})

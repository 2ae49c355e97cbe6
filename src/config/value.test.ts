import assert from 'node:assert/strict'
import { test } from 'node:test'
import { boolean, ConfigError, double, int, list, long, password, string } from './definition.ts'
import { definitions } from './registry.ts'
import { defaultValue, displayText, parseConfigValue } from './value.ts'

const KEY = 'some.key'

test('values are parsed as Java parses them', () => {
  assert.equal(parseConfigValue(KEY, int(1, ''), ' 42 '), 42)
  assert.equal(parseConfigValue(KEY, int(1, ''), '+7'), 7)
  assert.equal(parseConfigValue(KEY, long(1, ''), '9223372036854775807'), 2 ** 63)
  assert.equal(parseConfigValue(KEY, double('1', ''), '.5'), 0.5)
  assert.equal(parseConfigValue(KEY, double('1', ''), '1.7976931348623157E308'), Number.MAX_VALUE)
  assert.equal(parseConfigValue(KEY, boolean(false, ''), 'TRUE'), true)
  assert.deepEqual(parseConfigValue(KEY, list('', ''), ' a, b ,c'), ['a', 'b', 'c'])
  assert.deepEqual(parseConfigValue(KEY, list('', ''), ''), [])
  assert.equal(parseConfigValue(KEY, string('', ''), ' text '), 'text')
})

test('a wrong value names its key, itself and what is allowed', () => {
  const wrong: [Parameters<typeof parseConfigValue>[1], string, RegExp][] = [
    [int(1, '', { min: 1 }), '0', /^Invalid value '0' for configuration some\.key: must be a whole number from 1 to 2147483647$/],
    [int(1, ''), '2147483648', /from -2147483648 to 2147483647/],
    [int(1, ''), '1.5', /whole number/],
    [int(1, ''), '', /whole number/],
    [int(1, ''), '1e3', /whole number/],
    [long(1, '', { min: -1 }), '-2', /must be a whole number of at least -1/],
    [long(1, ''), '9223372036854775808', /whole number/],
    [double('0.5', '', { min: 0, max: 1 }), '1.5', /must be a number from 0 to 1/],
    [double('0.5', ''), 'NaN', /must be a number/],
    [boolean(true, ''), 'yes', /must be true or false/],
    [string('a', '', { oneOf: ['a', 'b'] }), 'c', /must be one of a, b/],
    [list('a', '', { oneOf: ['a', 'b'] }), 'a,c', /must be a list of a, b, each once/],
    [list('a', '', { oneOf: ['a', 'b'] }), 'a,a', /each once/],
    [list('a', '', { emptyList: false }), '', /at least one element/],
    [list('a', ''), 'a,,b', /comma-separated list/],
    [int(1, '', { check: (value) => (value === 3 ? 'must not be three' : undefined) }), '3', /some\.key: must not be three$/],
  ]
  for (const [definition, text, message] of wrong) {
    assert.throws(
      () => parseConfigValue(KEY, definition, text),
      (error) => error instanceof ConfigError && error.key === KEY && message.test(error.message),
      `${definition.type} ${text}`,
    )
  }
})

test('a refused key takes its default and nothing else', () => {
  const definition = string('', '', { honoured: { refused: 'there is none' } })
  assert.equal(parseConfigValue(KEY, definition, ''), '')
  assert.throws(
    () => parseConfigValue(KEY, definition, 'x'),
    /^ConfigError: some\.key is not supported by moldau because there is none$/,
  )
})

test('a secret is never shown, not even in the message that refuses it', () => {
  assert.equal(displayText(KEY, password(''), 'geheim'), null)
  const definition = password('', { check: () => 'is too short' })
  assert.throws(
    () => parseConfigValue(KEY, definition, 'geheim'),
    (error: Error) => !error.message.includes('geheim'),
  )
})

test('values are shown as Java writes them', () => {
  const shown: [Parameters<typeof displayText>[1], string, string][] = [
    [int(1, ''), ' 007 ', '7'],
    [long(1, ''), '9223372036854775807', '9223372036854775807'],
    [boolean(true, ''), 'True', 'true'],
    [list('', ''), 'a , b', 'a,b'],
    [double('0', ''), '1', '1.0'],
    [double('0', ''), '0', '0.0'],
    [double('0', ''), '.50', '0.5'],
    [double('0', ''), '0.0001', '1.0E-4'],
    [double('0', ''), '12345678', '1.2345678E7'],
    [double('0', ''), '1.7976931348623157e308', '1.7976931348623157E308'],
  ]
  for (const [definition, text, expected] of shown) assert.equal(displayText(KEY, definition, text), expected)
})

test('every key has a default that it accepts and shows unchanged, and documentation', () => {
  for (const scope of ['topic', 'broker', 'group'] as const) {
    for (const [name, definition] of definitions(scope)) {
      assert.ok(definition.documentation.endsWith('.'), name)
      defaultValue(name, definition)
      if (definition.defaultText === null) continue
      parseConfigValue(name, definition, definition.defaultText)
      assert.equal(displayText(name, definition, definition.defaultText), definition.defaultText, name)
    }
  }
})

test('every key that another falls back to exists, and its first has the same type and default', () => {
  const brokers = new Map(definitions('broker'))
  for (const scope of ['topic', 'group'] as const) {
    for (const [name, { brokerSynonyms, defaultText }] of definitions(scope)) {
      for (const synonym of brokerSynonyms) assert.ok(brokers.has(synonym.name), `${name}: ${synonym.name}`)
      const [first] = brokerSynonyms
      const theirs = first === undefined ? null : brokers.get(first.name)!.defaultText
      if (theirs !== null) assert.equal(theirs, defaultText, name)
    }
  }
})
